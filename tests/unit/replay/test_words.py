"""Every code that can appear in an answer has a name in both languages."""

from __future__ import annotations

from events.catalogue import WIRE_NAMES
from projections.expectation import Timeliness
from projections.standing import AnomalyCode, State
from replay.words import ANOMALIES, EVENT_NAMES, STATE_NAMES, TIMELINESS_NAMES


def test_every_code_has_two_names() -> None:
    assert set(STATE_NAMES) == set(State)
    assert set(TIMELINESS_NAMES) == set(Timeliness)
    assert set(ANOMALIES) == set(AnomalyCode)
    assert set(EVENT_NAMES) == set(WIRE_NAMES.values())
    names = [*STATE_NAMES.values(), *TIMELINESS_NAMES.values(), *ANOMALIES.values(), *EVENT_NAMES.values()]
    assert all(name.vi and name.en and name.vi != name.en for name in names)
