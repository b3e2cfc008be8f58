"""The faults. Each is a context manager: it breaks something on entry, and heals it on exit.

Faults that touch different things may overlap: `touches` says what one touches.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.fault.chaos.proxy import (
    Gate,
    Trick,
    refuse,
    refuse_what_was_done,
    reset_after_the_body,
    reset_before_the_body,
    silent,
    slow,
)
from tests.fault.chaos.world import SESSION_SECONDS, World

_ARCHIVERS, _PROJECTORS = frozenset({"archivers"}), frozenset({"projectors"})
_BROKER, _CLICKHOUSE = frozenset({"broker"}), frozenset({"clickhouse"})
#: An insert comes within this: the load never ends, and an archiver that was killed is back.
_INSERT_SECONDS: Final = 60.0


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


# -- The projector ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def projector_killed(world: World) -> Iterator[None]:
    """kill -9 under load, in the middle of whatever it does."""
    world.kill(world.projectors[0])
    yield
    world.projectors[0].start()


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
    Fault("projector killed", _PROJECTORS, projector_killed),
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
