"""The event a publisher makes: with an id that nobody has had, unless it has one of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from uuid import RFC_4122, UUID

import pytest

from events.catalogue import StepCompleted
from events.envelope import Event, Unreadable
from events.feed import feed
from events.publisher import Delivery, Outcome, new_event
from projections.dossier import fold, identities

AT = datetime(2020, 3, 16, 1, 30, tzinfo=UTC)
make = partial(new_event, StepCompleted(office="so", step="s"), source="motcua", subject="HS-1", time=AT)


def test_the_id_is_a_uuid_of_version_7() -> None:
    made = UUID(make().id)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert str(made) == make(id=str(made)).id, "as RFC 9562 writes it"


def test_two_events_have_two_ids_and_the_later_one_is_the_greater() -> None:
    ids = [make().id for _ in range(1_000)]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_what_was_said_of_one_instant_stays_in_the_order_in_which_it_was_said() -> None:
    said = [make() for _ in range(20)]
    folded = fold("HS-1", [(event, offset, 0) for offset, event in enumerate(reversed(said))])
    assert identities(folded) == [f"motcua\n{event.id}" for event in said]


def test_an_id_of_the_publishers_own_is_kept_and_no_other_is_made() -> None:
    assert make(id="phieu-17", make_id=lambda: pytest.fail("it has an id")).id == "phieu-17"


def test_the_maker_of_ids_can_be_another() -> None:
    ids = iter(("a", "b"))
    assert [make(make_id=lambda: next(ids)).id for _ in range(2)] == ["a", "b"]


def test_what_no_reader_would_accept_is_told_before_it_is_sent() -> None:
    with pytest.raises(Unreadable, match="id"):
        make(id="")
    with pytest.raises(Unreadable, match="sourcerank"):
        make(sourcerank=100)


def test_an_event_that_is_sent_again_keeps_its_id() -> None:
    answers = iter((Outcome.UNKNOWN, Outcome.CONFIRMED))
    sent: list[str] = []

    class Forgetful:
        """A publisher whose first answer is lost."""

        def publish_many(self, events: Iterable[Event]) -> Iterator[Delivery]:
            for event in events:
                sent.append(event.id)
                yield Delivery(event, next(answers))

    event = make()
    assert feed([event], Forgetful(), None).published == 1
    assert sent == [event.id, event.id]
