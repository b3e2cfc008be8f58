"""Whatever the batches, the crashes and the order in which facts come: what was published is what the clocks say.

A projector of one partition in memory: the real fold, watch and flush order, over lists instead of topics. A scenario
is data; what it publishes is compared with what the ledger and the rulebook give at once.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.alarms import AlarmEvent, BreachCleared, ClockWarned, standing_breaches
from events.catalogue import (
    Actor,
    AnyFact,
    Processed,
    Received,
    Rescheduled,
    Routed,
    StepStarted,
    Submitted,
    SupplementReceived,
    SupplementRequested,
    Voided,
    Withdrawn,
)
from events.envelope import decode, encode, make_event, microseconds
from processors.fold import Flush, PartitionFold
from processors.watching import GRACE_US, QUIET_US
from projections.clocks import AlarmKind, alarms
from projections.dossier import fold
from projections.live import CURSOR_KEY, pack_cursor
from projections.rules import RuleHistory, rule_history
from projections.watch import id_of
from schemas.rulebook import shipped

ZONE = timezone(timedelta(hours=7))
START = datetime(2026, 3, 2, 8, tzinfo=ZONE)
START_US = microseconds(START)
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DOSSIERS = ("D1", "D2", "D3")

FIRST = shipped()
OTHER = FIRST.model_copy(update={"alarms": FIRST.alarms.model_copy(update={"warn_fraction": 0.5, "day_ends": "legal"})})
PUBLISHED = [(START_US, "another", OTHER), (START_US, FIRST.version, FIRST)]
#: A history only grows; its newest rulebook may be an old one again.
HISTORIES = [rule_history(FIRST, PUBLISHED[:count]) for count in range(3)]
PROCEDURES = [each.code for each in FIRST.procedures[:3]]


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes
    timestamp: int
    topic: str = "ledger"
    partition: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()


def facts(day: int, number: int) -> st.SearchStrategy[AnyFact]:
    promised = START + timedelta(days=day % 9, hours=9)
    office: dict[str, Any] = {"office": "H01"}
    return st.sampled_from([
        Submitted(procedure=PROCEDURES[day % 3], channel="online", **office),
        Received(procedure=PROCEDURES[day % 3], channel="direct", promised=promised, **office),
        Received(procedure=PROCEDURES[day % 3], channel="online", **office),
        Routed(to="van-tai", step="tham-dinh", step_due=promised, **office),
        StepStarted(step="tham-dinh", step_due=promised, **office),
        SupplementRequested(stage="processing", reason="r", items=("a",), **office),
        SupplementReceived(complete=True, items=("a",), **office),
        Rescheduled(reason="r", apology_no="1", new_due=promised + timedelta(days=3), **office),
        Processed(outcome="issued", **office),
        Withdrawn(**office),
        Voided(target_source="s", target_id=f"e{number // 2}", reason="r", approver=Actor(id="ld"), **office),
    ])  # fmt: skip


@st.composite
def ledgers(draw: st.DrawFn) -> list[tuple[int, Record]]:
    """Records with the instant at which each is on the ledger; facts may be heard of days after they happened."""
    found = []
    at = START_US
    for number in range(draw(st.integers(1, 14))):
        at += draw(st.sampled_from([0, 1_000_000, HOUR_US, 7 * HOUR_US, DAY_US]))
        late = draw(st.sampled_from([0, 0, 0, HOUR_US, 2 * DAY_US]))
        fact = draw(facts((at - START_US) // DAY_US, number))
        dossier = draw(st.sampled_from(DOSSIERS))
        event = make_event(
            fact,
            id=f"e{number}",
            source="s",
            subject=dossier,
            time=START + timedelta(microseconds=at - late - START_US),
        )
        found.append((at, Record(number, dossier.encode(), encode(event), at // 1_000)))
    return found


class Crash(Exception):
    """The process died here."""


class Process:
    """A projector of one partition. What outlives it: the ledger, `live` and `alarms`."""

    def __init__(self, ledger: list[tuple[int, Record]]) -> None:
        self.ledger, self.live, self.alarms = ledger, dict[bytes, bytes](), list[AlarmEvent]()
        self.now, self.rules = START_US, HISTORIES[0]
        self.start()

    def start(self) -> None:
        self.fold = PartitionFold(0, dict(self.live), now=self.now)
        self.fold.remember(self.alarms[self.fold.alarms_offset :], len(self.alarms), self.now)
        self.fold.watch.use(self.rules)

    def advance(self, microseconds: int) -> None:
        self.now += microseconds

    def hear_of_another_rulebook(self) -> None:
        self.rules = HISTORIES[min(len(self.rules.published), len(HISTORIES) - 1)]
        self.fold.watch.use(self.rules)

    def read(self, count: int) -> None:
        begin = self.fold.next_offset
        if chunk := [record for at, record in self.ledger[begin : begin + count] if at <= self.now]:
            self.fold.fold(chunk, after=begin)

    def hear(self) -> None:
        end = sum(at <= self.now for at, _ in self.ledger)
        self.fold.watch.horizon.hear(self.now, end, self.fold.next_offset)

    def look(self, limit: int) -> None:
        self.fold.watch.look(limit)

    def flush(self, dies_after: int | None = None) -> None:
        """The writes of a flush one by one, in the order of the projector's; dies after that many of them."""
        flush = self.fold.take(self.now)
        if flush is None:
            return
        try:
            self._write(flush, dies_after)
        except Crash:
            self.start()

    def _write(self, flush: Flush, dies_after: int | None) -> None:
        left = dies_after

        def alive() -> None:
            nonlocal left
            if left is not None:
                if left == 0:
                    raise Crash
                left -= 1

        for event in flush.news.alarms:
            alive()
            self.alarms.append(event)
        for key, value in (flush.states | flush.news.watches).items():
            alive()
            if value is None:
                self.live.pop(key, None)
            else:
                self.live[key] = value
        alive()
        cursor = replace(
            flush.cursor, alarms_offset=len(self.alarms) if flush.news.alarms else flush.cursor.alarms_offset
        )
        self.live[CURSOR_KEY] = pack_cursor(cursor)
        self.fold.confirm(cursor)

    def finish(self) -> None:
        """Let everything that was put on the ledger be heard, looked at and made durable."""
        self.now = max(self.now, START_US + 40 * DAY_US)
        for _ in range(200):
            self.read(100)
            self.hear()
            self.look(100)
            if not self.fold.has_news and self.now > START_US + 41 * DAY_US:
                return
            self.flush()
            self.now += QUIET_US if self.now > START_US + 41 * DAY_US else DAY_US // 2
        raise AssertionError("it never comes to rest")


class Round(NamedTuple):
    """What happens between two flushes, and how the flush ends. None: it does not happen."""

    advance: int
    read: int
    hear: bool
    look: int
    dies_after: int | None  # writes of the flush
    killed: bool  # between two flushes, or the partition goes to another process
    published: bool  # another rulebook


ROUNDS = st.lists(
    st.builds(
        Round,
        st.sampled_from([0, GRACE_US, 2 * QUIET_US, HOUR_US, DAY_US, 3 * DAY_US]),
        st.integers(0, 4),
        st.sampled_from([True, True, False]),
        st.integers(0, 5),
        st.sampled_from([None, None, 0, 1, 2, 3, 5]),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=4,
    max_size=25,
)


def run(process: Process, rounds: list[Round]) -> None:
    for each in rounds:
        process.advance(each.advance)
        process.read(each.read)
        if each.hear:
            process.hear()
        process.look(each.look)
        if each.published:
            process.hear_of_another_rulebook()
        if each.killed:
            process.start()
        process.flush(each.dies_after)
    process.finish()


@settings(max_examples=600)
@given(ledger=ledgers(), rounds=ROUNDS)
def test_what_was_published_is_what_the_clocks_say(ledger: list[tuple[int, Record]], rounds: list[Round]) -> None:
    process = Process(ledger)
    run(process, rounds)

    breaches, warnings = told_by_the_clocks(ledger, process.rules, process.fold.watch.horizon.until)
    assert set(standing_breaches(process.alarms)) == breaches
    warned = [event.id for event in process.alarms if isinstance(event.data, ClockWarned)]
    assert warnings <= set(warned)
    assert_nothing_is_said_twice(process.alarms)


@settings(max_examples=100)
@given(ledger=ledgers(), rounds=ROUNDS)
def test_an_emptied_live_topic_says_nothing_again(ledger: list[tuple[int, Record]], rounds: list[Round]) -> None:
    process = Process(ledger)
    run(process, rounds)
    said = list(process.alarms)

    process.live.clear()
    process.start()
    process.finish()

    assert process.alarms == said


def told_by_the_clocks(ledger: list[tuple[int, Record]], rules: RuleHistory, until: int) -> tuple[set[str], set[str]]:
    """Ids of the breaches and of the warnings that the whole ledger gives at once."""
    ids: dict[AlarmKind, set[str]] = {kind: set() for kind in AlarmKind}
    for dossier in DOSSIERS:
        events = [
            (decode(record.value), record.offset, record.timestamp * 1_000)
            for _, record in ledger
            if record.key == dossier.encode()
        ]
        for alarm in alarms(fold(dossier, events).standing, rules, until):
            ids[alarm.kind].add(id_of(dossier, alarm))
    return ids[AlarmKind.BREACHED], ids[AlarmKind.WARNED]


def assert_nothing_is_said_twice(events: list[AlarmEvent]) -> None:
    """A warning comes once; a breach comes again only after it was taken back."""
    standing = Counter[str]()
    for event in events:
        if isinstance(event.data, BreachCleared):
            standing[event.data.alarm] -= 1
            assert standing[event.data.alarm] == 0
        else:
            standing[event.id] += 1
            assert standing[event.id] == 1, event
