"""Alarms on the wire: their ids, and which of a breach and its clearing holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.alarms import (
    ALARMS,
    SOURCE,
    AlarmEvent,
    AnyAlarm,
    BreachCleared,
    ClockBreached,
    ClockName,
    alarm_id,
    standing_breaches,
)
from events.catalogue import Received
from events.envelope import Unreadable, decode, encode, make_event
from projections.clocks import ClockKind

DUE = datetime(2026, 3, 9, 10, tzinfo=UTC)


def test_every_clock_has_its_name_on_the_wire() -> None:
    assert {kind.value for kind in ClockKind} <= set(get_args(ClockName))


def test_an_alarm_survives_the_wire_and_the_ledger_does_not_take_it_for_a_fact() -> None:
    event = made(ClockBreached(clock="procedure", due=DUE, rulebook="v1", room="van-tai"), "a")
    assert ALARMS.decode_record(b"D1", encode(event)) == event
    with pytest.raises(Unreadable):
        decode(encode(event))
    fact = make_event(
        Received(office="GL", procedure="P1", channel="direct"), id="1", source="s", subject="D1", time=DUE
    )
    with pytest.raises(Unreadable):
        ALARMS.decode(encode(fact))


@given(
    st.lists(st.text("ab", max_size=3), min_size=4, max_size=4),
    st.lists(st.text("ab", max_size=3), min_size=4, max_size=4),
)
def test_ids_are_the_same_for_the_same_words_only(some: list[str], others: list[str]) -> None:
    assert (alarm_id(*some) == alarm_id(*others)) == (some == others)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12))
def test_of_a_breach_and_its_clearing_the_later_holds(said: list[tuple[str, bool]]) -> None:
    held = dict(said)
    events = [made(_alarm(name, breached), name if breached else f"not-{name}") for name, breached in said]
    assert set(standing_breaches(events)) == {name for name, breached in held.items() if breached}


def _alarm(name: str, breached: bool) -> AnyAlarm:
    if breached:
        return ClockBreached(clock="step", due=DUE, rulebook="v1", name=name)
    return BreachCleared(clock="step", due=DUE, rulebook="v1", name=name, alarm=name)


def made(alarm: AnyAlarm, id: str) -> AlarmEvent:  # noqa: A002  # CloudEvents' own word
    return ALARMS.make(alarm, id=id, source=SOURCE, subject="D1", time=DUE)
