"""The faults. Each is a context manager: it breaks something on entry, and heals it on exit.

Faults that touch different things may overlap: `touches` says what one touches.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.fault.chaos.flushes import Flushes
from tests.fault.chaos.proxy import (
    Gate,
    Hang,
    Trick,
    refuse,
    refuse_what_was_done,
    reset_after_the_body,
    reset_before_the_body,
    silent,
    slow,
)
from tests.fault.chaos.world import PARTITIONS, SESSION_SECONDS, World

_ARCHIVERS, _PROJECTORS = frozenset({"archivers"}), frozenset({"projectors"})
_BROKER, _CLICKHOUSE = frozenset({"broker"}), frozenset({"clickhouse"})
#: An insert comes within this: the load never ends, and an archiver that was killed is back.
_INSERT_SECONDS: Final = 60.0
#: An archiver that is to give up waits for so long, instead of a minute.
_PATIENCE_SECONDS: Final = 4
#: A flush can be caught within this: the load never ends, and some of what it sends is late.
_FLUSH_SECONDS: Final = 20.0
#: At most so many surges: on a busy machine one may take so long that the projector, stopped meanwhile, ends instead.
_SURGES: Final = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """`run(world)` is entered to break, and left to heal. `needs_disks`: only where disks could be mounted."""

    name: str
    touches: frozenset[str]
    run: Callable[[World], AbstractContextManager[None]]
    needs_disks: bool = False


# -- The archiver ----------------------------------------------------------------------------------------------------


def _killed_at_the_gate(world: World, *, after: bool) -> None:
    """kill -9 while its insert is held, then let that go on."""
    gate = Gate(world.proxy, after=after)
    world.proxy.trick = gate
    try:
        world.until(gate.reached.is_set, "an insert comes", _INSERT_SECONDS)
        for archiver in world.archivers:
            if archiver.wanted:
                world.kill(archiver)
    finally:
        world.proxy.trick = None
        gate.open()


@contextlib.contextmanager
def archiver_killed_before_insert(world: World) -> Iterator[None]:
    """Its body has been sent and arrives at ClickHouse after its death."""
    _killed_at_the_gate(world, after=False)
    yield
    world.archivers[0].start()


@contextlib.contextmanager
def archiver_killed_before_commit(world: World) -> Iterator[None]:
    """Its rows are there; neither it nor the group ever hears of it."""
    _killed_at_the_gate(world, after=True)
    yield
    world.archivers[0].start()


@contextlib.contextmanager
def archiver_killed(world: World) -> Iterator[None]:
    """At any moment."""
    world.kill(world.archivers[0])
    yield
    world.archivers[0].start()


@contextlib.contextmanager
def late_body(world: World) -> Iterator[None]:
    """A body that is held up on its way arrives after a successor has written the same records and more."""
    gate = Gate(world.proxy, after=False)
    world.proxy.trick = gate
    world.until(gate.reached.is_set, "an insert comes", _INSERT_SECONDS)
    world.kill(world.archivers[0])
    world.archivers[0].start()
    try:
        yield
        inserted = world.proxy.tricked
        world.until(lambda: world.proxy.tricked > inserted + 2, "the successor writes", _INSERT_SECONDS)
    finally:
        world.proxy.trick = None
        gate.open()


@contextlib.contextmanager
def archiver_paused_beyond_its_session(world: World) -> Iterator[None]:
    """SIGSTOP for longer than its session, a successor, SIGCONT: a zombie with a batch in hand."""
    sleeper, successor = world.archivers
    world.count("pauses")
    sleeper.send(signal.SIGSTOP)
    successor.start()
    try:
        world.dwell(SESSION_SECONDS * 1.2, SESSION_SECONDS * 2)
        world.until(lambda: successor.partitions > 0, "the successor takes over", 60)
        yield
    finally:
        sleeper.send(signal.SIGCONT)
        world.dwell(0, 3)
        (successor.stop if world.chance.random() < 0.5 else lambda: world.kill(successor))()


@contextlib.contextmanager
def archiver_paused_in_mid_insert(world: World) -> Iterator[None]:
    """Stopped while its insert is held; both go on after somebody else has written."""
    sleeper, successor = world.archivers
    gate = Gate(world.proxy, after=world.chance.random() < 0.5)
    world.proxy.trick = gate
    try:
        world.until(gate.reached.is_set, "an insert comes", _INSERT_SECONDS)
        world.count("pauses")
        sleeper.send(signal.SIGSTOP)
        successor.start()
        world.until(lambda: successor.partitions > 0, "the successor takes over", 60)
        yield
    finally:
        world.proxy.trick = None
        gate.open()
        sleeper.send(signal.SIGCONT)
        world.dwell(0, 3)
        successor.stop()


# -- On the way to ClickHouse ----------------------------------------------------------------------------------------


def _on_the_way(name: str, trick: Callable[[World], Trick]) -> Fault:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        before = world.proxy.tricked
        world.proxy.trick = trick(world)
        try:
            yield
            world.until(lambda: world.proxy.tricked > before, "an insert comes", _INSERT_SECONDS)
        finally:
            world.proxy.trick = None

    return Fault(name, _ARCHIVERS | _CLICKHOUSE | _BROKER, run)


@contextlib.contextmanager
def _impatient(world: World) -> Iterator[None]:
    """The archiver waits for seconds only while this lasts; what it gave up on is archived by itself in the end."""
    archiver = world.archivers[0]
    patient = archiver.environment
    archiver.stop()
    archiver.environment = {**patient, "DOSSIER_CLICKHOUSE_TIMEOUT_SECONDS": str(_PATIENCE_SECONDS)}
    archiver.start()
    try:
        world.until(lambda: archiver.partitions > 0, "the archiver is back", 120)
        yield
        world.require_archived()
    finally:
        archiver.stop()
        archiver.environment = patient
        archiver.start()


def _hanging(name: str, *, late: bool) -> Fault:
    """The archiver must give up by itself; what it then sends again must not double what it gave up on."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        hang = Hang(_PATIENCE_SECONDS, world.chance.uniform(0, 6) if late else None)
        with _impatient(world):
            world.proxy.trick = hang
            try:
                yield
                world.until(lambda: hang.timeouts > 0, "the archiver gives up waiting", _INSERT_SECONDS)
            finally:
                world.proxy.trick = None
                world.count("time-outs", hang.timeouts)

    return Fault(name, _ARCHIVERS | _CLICKHOUSE | _BROKER, run)


# -- The projector ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def projector_killed(world: World) -> Iterator[None]:
    """kill -9 under load, in the middle of whatever it does."""
    world.kill(world.projectors[0])
    yield
    world.projectors[0].start()


@contextlib.contextmanager
def projector_killed_among_its_states(world: World) -> Iterator[None]:
    """kill -9 between the first states of a flush and its cursor.

    A flush of the usual size is one record batch, which is there as a whole or not at all: so a surge of large
    dossiers comes first, which the projector meets all at once.
    """
    with contextlib.closing(Flushes(world.kafka, PARTITIONS)) as flushes:
        for _ in range(_SURGES):
            _surge_behind_its_back(world)
            if _caught_in_mid_flush(world, flushes, "states"):
                break
        world.kill(world.projectors[0])
        yield
        _note_what_is_left(world, flushes)
    world.projectors[0].start()


@contextlib.contextmanager
def projector_killed_after_its_alarms(world: World) -> Iterator[None]:
    """kill -9 when a flush has said its alarms, and the live topic does not know of them."""
    with contextlib.closing(Flushes(world.kafka, PARTITIONS)) as flushes:
        _caught_in_mid_flush(world, flushes, "alarms")
        world.kill(world.projectors[0])
        yield
        _note_what_is_left(world, flushes)
    world.projectors[0].start()


def _surge_behind_its_back(world: World) -> None:
    projector = world.projectors[0]
    projector.send(signal.SIGSTOP)
    try:
        world.until(world.load.surge().is_set, "the surge is on the ledger", 60)
    finally:
        projector.send(signal.SIGCONT)


def _caught_in_mid_flush(world: World, flushes: Flushes, written: str) -> bool:
    """Stop the projector as soon as a flush has written these; if its cursor was on its way already, try the next."""
    projector, deadline = world.projectors[0], time.monotonic() + _FLUSH_SECONDS
    while flushes.begun(written, deadline - time.monotonic()):
        projector.send(signal.SIGSTOP)
        if written in flushes.settled():
            return True
        projector.send(signal.SIGCONT)
    return False


def _note_what_is_left(world: World, flushes: Flushes) -> None:
    """Read again after its death: what it had sent may have arrived since."""
    world.until(flushes.has_read_all, "all that it has written is read", 60)
    world.mid_flush.append(flushes.unfinished)


@contextlib.contextmanager
def projectors_one_two_one(world: World) -> Iterator[None]:
    """A second one joins, shares the partitions under load, and leaves or dies."""
    first, second = world.projectors
    second.start()
    try:
        world.until(lambda: first.partitions > 0 and second.partitions > 0, "they share the partitions", 120)
        yield
    finally:
        (second.stop if world.chance.random() < 0.5 else lambda: world.kill(second))()


@contextlib.contextmanager
def projector_paused(world: World) -> Iterator[None]:
    """SIGSTOP beyond its session while a second one takes over; it must not write when it wakes."""
    sleeper, successor = world.projectors
    world.count("pauses")
    sleeper.send(signal.SIGSTOP)
    successor.start()
    try:
        world.until(lambda: successor.partitions > 0, "the successor takes over", 120)
        yield
    finally:
        sleeper.send(signal.SIGCONT)
        world.dwell(0, 3)
        successor.stop()


@contextlib.contextmanager
def live_topic_wiped(world: World) -> Iterator[None]:
    """The changelog is gone: everything is folded again from the ledger, and no alarm is said again."""
    world.kill(world.projectors[0])
    world.wipe_the_live_topic()
    yield
    world.projectors[0].start()


@contextlib.contextmanager
def clock_an_hour_behind(world: World) -> Iterator[None]:
    """What has been said stays said; nothing is said that this clock does not know of."""
    world.kill(world.projectors[0])
    right = world.ahead
    world.set_clock(right - timedelta(hours=1))
    world.projectors[0].start()
    try:
        yield
        world.until(lambda: world.projectors[0].partitions > 0, "it works by that clock", 120)
    finally:
        world.kill(world.projectors[0])
        world.set_clock(right)
        world.projectors[0].start()


@contextlib.contextmanager
def clock_a_day_ahead(world: World) -> Iterator[None]:
    """From here on it is a day later for everybody: what falls due in a jump is said once."""
    world.kill(world.projectors[0])
    world.set_clock(world.ahead + timedelta(days=1))
    yield
    world.projectors[0].start()


# -- The servers -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def broker_killed(world: World) -> Iterator[None]:
    world.kill(world.broker)
    yield
    world.broker.start()
    world.until(world.has_broker, "the broker answers again", 120)


@contextlib.contextmanager
def clickhouse_killed(world: World) -> Iterator[None]:
    world.kill(world.server)
    yield
    world.server.start()
    world.until(world.has_clickhouse, "ClickHouse answers again", 120)


def _fill(folder: Path) -> Path:
    """Take all the room there is; gives the file that takes it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    assert os.statvfs(folder).f_bavail == 0
    return ballast


@contextlib.contextmanager
def clickhouse_disk_full(world: World) -> Iterator[None]:
    ballast = _fill(world.folder / "archive")
    try:
        world.dwell(2, 6)
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def broker_disk_full(world: World) -> Iterator[None]:
    """A broker that cannot write ends; it is started again once there is room."""
    ballast = _fill(world.folder / "broker")
    try:
        world.dwell(2, 6)
        yield
    finally:
        ballast.unlink()
        world.until(world.has_broker, "the broker answers again", 120)


FAULTS: Final[tuple[Fault, ...]] = (
    Fault("archiver killed before insert", _ARCHIVERS | _CLICKHOUSE | _BROKER, archiver_killed_before_insert),
    Fault(
        "archiver killed after insert, before commit", _ARCHIVERS | _CLICKHOUSE | _BROKER, archiver_killed_before_commit
    ),
    Fault("archiver killed at random", frozenset({"archivers"}), archiver_killed),
    Fault("late body after its sender's death", _ARCHIVERS | _CLICKHOUSE | _BROKER, late_body),
    Fault("archiver paused beyond its session", _ARCHIVERS | _CLICKHOUSE | _BROKER, archiver_paused_beyond_its_session),
    Fault("archiver paused in mid-insert", _ARCHIVERS | _CLICKHOUSE | _BROKER, archiver_paused_in_mid_insert),
    _on_the_way("connection reset after the body", lambda _: reset_after_the_body),
    _on_the_way("connection reset before the body", lambda _: reset_before_the_body),
    _on_the_way("503 for inserts", lambda _: refuse(503)),
    _on_the_way("500 for inserts", lambda _: refuse(500)),
    _on_the_way("500 for inserts that were done", lambda _: refuse_what_was_done(500)),
    _on_the_way("no answer to inserts", lambda world: silent(world.chance.uniform(2, 6))),
    _on_the_way("slow inserts", lambda world: slow(world.chance.uniform(1, 3))),
    _hanging("answer withheld until the archiver gives up", late=False),
    _hanging("body and answer withheld until the archiver gives up", late=True),
    Fault("projector killed", _PROJECTORS, projector_killed),
    Fault("projector killed in mid-flush, among its states", _PROJECTORS | _BROKER, projector_killed_among_its_states),
    Fault("projector killed in mid-flush, after its alarms", _PROJECTORS | _BROKER, projector_killed_after_its_alarms),
    Fault("projectors one, two, one", _PROJECTORS | _BROKER, projectors_one_two_one),
    Fault("projector paused beyond its session", _PROJECTORS | _BROKER, projector_paused),
    Fault("live topic wiped", _PROJECTORS | _BROKER, live_topic_wiped),
    Fault("clock an hour behind", _PROJECTORS | _BROKER, clock_an_hour_behind),
    Fault("clock a day ahead", _PROJECTORS | _BROKER, clock_a_day_ahead),
    Fault("broker killed", _BROKER, broker_killed),
    Fault("ClickHouse killed", _CLICKHOUSE, clickhouse_killed),
    Fault("ClickHouse's disk full", _CLICKHOUSE, clickhouse_disk_full, needs_disks=True),
    Fault("broker's disk full", _BROKER, broker_disk_full, needs_disks=True),
)
