"""Only work without progress is a standstill."""

from __future__ import annotations

import pytest

from processors.watchdog import Watchdog


def test_no_progress_for_the_limit_while_there_is_work_is_a_standstill() -> None:
    dog = Watchdog(0.0, 60.0)
    assert dog.standstill_seconds(0.0, (1,), has_work=True) == 0.0
    assert dog.standstill_seconds(59.9, (1,), has_work=True) == 0.0
    assert dog.standstill_seconds(61.0, (1,), has_work=True) == 61.0


@pytest.mark.parametrize(("progress", "has_work"), [((2,), True), ((1,), False)])
def test_progress_and_rest_start_the_time_anew(progress: tuple[int], has_work: bool) -> None:
    dog = Watchdog(0.0, 60.0)
    dog.standstill_seconds(0.0, (1,), has_work=True)
    assert dog.standstill_seconds(50.0, progress, has_work=has_work) == 0.0
    assert dog.standstill_seconds(100.0, progress, has_work=True) == 0.0
    assert dog.standstill_seconds(111.0, progress, has_work=True) == 61.0
