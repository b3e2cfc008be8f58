"""A feed publishes each event once, however often it is run and whatever stops it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from events.catalogue import StepCompleted
from events.envelope import Event, make_event
from events.feed import CHUNK, LISTED, Arriving, Fed, Identity, Undelivered, feed
from events.publisher import Delivery, Outcome

START = datetime(2020, 1, 2, tzinfo=UTC)


def make(number: int) -> Event:
    fact = StepCompleted(office="so", step="s")
    return make_event(fact, id=f"{number:06d}", source="t", subject="d", time=START + timedelta(seconds=number))


class Ledger:
    """A ledger in memory whose answers can be lost; it knows what it took."""

    def __init__(self, lost: int = 0, refuses: str | None = None) -> None:
        self.took: list[str] = []
        self.events: dict[Identity, list[Event]] = {}
        self.lost = lost
        self.refuses = refuses

    def publish_many(self, events: Iterable[Event]) -> Iterator[Delivery]:
        for event in events:
            if event.id == self.refuses:
                yield Delivery(event, Outcome.REFUSED, reason="too large")
                continue
            self.took.append(event.id)
            self.events.setdefault((event.source, event.id), []).append(event)
            if self.lost:
                self.lost -= 1
                yield Delivery(event, Outcome.UNKNOWN, reason="time-out")
            else:
                yield Delivery(event, Outcome.CONFIRMED, 0, len(self.took))

    def known(self, identities: Sequence[Identity]) -> dict[Identity, list[Event]]:
        return {each: self.events[each] for each in identities if each in self.events}


def test_feeding_again_publishes_nothing_and_going_on_publishes_the_rest() -> None:
    ledger = Ledger()
    first = feed(map(make, range(10)), ledger, ledger.known)
    again = feed(map(make, range(15)), ledger, ledger.known)
    assert (first.published, first.duplicates) == (10, 0)
    assert (again.published, again.duplicates) == (5, 10)
    assert ledger.took == [f"{number:06d}" for number in range(15)], "each once, in order"


def test_what_was_just_published_is_known_though_the_archive_has_not_got_it() -> None:
    ledger, first = Ledger(), make(1)
    other = make_event(first.data, id=first.id, source=first.source, subject="another dossier", time=first.time)
    fed = feed(Arriving([first, None, first, None, other, None, make(2)]), ledger, lambda _: {})
    assert (ledger.took, fed) == ([first.id, make(2).id], Fed(4, 2, 1, 1, [other]))


def test_another_fact_under_an_identity_that_is_taken_is_told_and_not_taken_for_the_same() -> None:
    ledger, taken = Ledger(), make(1)
    other = make_event(taken.data, id=taken.id, source=taken.source, subject="another dossier", time=taken.time)
    together = feed([taken, other, taken, make(2)], ledger, ledger.known)
    assert together == Fed(events=4, published=2, duplicates=1, conflicts=1, first_conflicts=[other])
    assert feed([other, taken], ledger, ledger.known) == Fed(
        events=2, duplicates=1, conflicts=1, first_conflicts=[other]
    )
    assert ledger.took == [taken.id, make(2).id]
    assert feed([other] * (LISTED + 1), ledger, ledger.known).first_conflicts == [other] * LISTED


def test_an_event_that_is_there_twice_in_a_chunk_is_published_once() -> None:
    ledger = Ledger()
    assert feed([make(1), make(2), make(1)], ledger, ledger.known) == Fed(events=3, published=2, duplicates=1)


def test_what_is_unknown_is_sent_again_under_the_same_id() -> None:
    ledger = Ledger(lost=3)
    fed = feed(map(make, range(5)), ledger, ledger.known)
    assert (fed.published, fed.refused) == (5, [])
    assert ledger.took[5:] == ["000000", "000001", "000002"]


def test_a_ledger_that_never_answers_is_told() -> None:
    ledger = Ledger(lost=1_000)
    with pytest.raises(Undelivered, match=r"2 events without an answer .*time-out.*run it again"):
        feed(map(make, range(2)), ledger, ledger.known)


def test_what_is_refused_is_reported_and_the_rest_goes_on() -> None:
    ledger = Ledger(refuses="000001")
    fed = feed(map(make, range(3)), ledger, ledger.known)
    assert ([each.event.id for each in fed.refused], fed.published) == (["000001"], 2)


def test_progress_counts_every_event_once_and_the_pace_sees_only_new_ones() -> None:
    ledger = Ledger()
    feed(map(make, range(100)), ledger, ledger.known)
    ledger.lost = 2
    counted: list[int] = []
    paced: list[str] = []

    def pace(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            paced.append(event.id)
            yield event

    total = CHUNK + 7
    feed(map(make, range(total)), ledger, ledger.known, pace=pace, progress=counted.append)
    assert sum(counted) == total
    assert paced == [f"{number:06d}" for number in range(100, total)]
