"""Flush soon when caught up, late when behind, at once when full."""

from __future__ import annotations

import pytest

from processors.flush import FlushPolicy

POLICY = FlushPolicy(soon_seconds=0.02, late_seconds=1.0, max_dirty=100, max_pending_bytes=1_000, behind_records=50)


@pytest.mark.parametrize(
    ("waited", "lag", "expected"),
    [
        (0.0, 0, 0.02),
        (0.0, 49, 0.02),
        (0.015, 0, 0.005),
        (0.02, 0, 0.0),
        (5.0, 0, 0.0),
        (0.0, 50, 1.0),
        (0.02, 50, 0.98),
        (1.0, 10**9, 0.0),
    ],
)
def test_waits_soon_when_caught_up_and_late_when_behind(waited: float, lag: int, expected: float) -> None:
    assert POLICY.wait_seconds(waited_seconds=waited, dirty=1, pending_bytes=1, lag=lag) == pytest.approx(expected)


@pytest.mark.parametrize(("dirty", "pending_bytes"), [(100, 1), (1, 1_000)])
def test_a_full_flush_does_not_wait_however_far_behind(dirty: int, pending_bytes: int) -> None:
    assert POLICY.wait_seconds(waited_seconds=0, dirty=dirty, pending_bytes=pending_bytes, lag=10**9) == 0


def test_catching_up_ends_a_late_wait() -> None:
    behind = POLICY.wait_seconds(waited_seconds=0.3, dirty=1, pending_bytes=1, lag=50)
    caught_up = POLICY.wait_seconds(waited_seconds=0.3, dirty=1, pending_bytes=1, lag=0)
    assert behind == pytest.approx(0.7)
    assert caught_up == 0


@pytest.mark.parametrize(
    ("dirty", "pending_bytes", "full"), [(199, 1, False), (200, 1, True), (1, 1_999, False), (1, 2_000, True)]
)
def test_folding_stops_when_a_second_flush_is_ready_while_the_first_is_on_its_way(
    dirty: int, pending_bytes: int, full: bool
) -> None:
    assert POLICY.is_full(dirty=dirty, pending_bytes=pending_bytes) is full
