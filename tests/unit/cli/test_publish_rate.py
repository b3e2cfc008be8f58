"""`dossier publish --rate`: events come evenly, and a stop is not made up for."""

from __future__ import annotations

from datetime import UTC, datetime

from cli.publish import at_rate
from events.catalogue import StepCompleted
from events.envelope import make_event

EVENT = make_event(
    StepCompleted(office="so", step="s"), id="e", source="t", subject="d", time=datetime(2020, 1, 2, tzinfo=UTC)
)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_events_come_evenly_over_several_chunks() -> None:
    clock = Clock()
    pace = at_rate(4, lambda: clock.now, clock.sleep)
    times = [clock.now for _ in range(3) for _ in pace([EVENT, EVENT])]
    assert times == [100.0, 100.25, 100.5, 100.75, 101.0, 101.25]


def test_a_long_stop_is_not_made_up_for() -> None:
    clock = Clock()
    pace = at_rate(4, lambda: clock.now, clock.sleep)
    list(pace([EVENT]))
    clock.now += 60
    times = [clock.now for _ in pace([EVENT] * 8)]
    assert times[:5] == [160.0] * 5, "a second's worth comes at once"
    assert times[-1] > 160.0
