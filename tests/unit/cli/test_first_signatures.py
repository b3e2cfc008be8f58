"""Who verifies a ledger that is seconds old waits for its first checkpoints, and for nothing that will not come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import cli.against
from cli.against import await_first_signatures
from replay.log_table import LogTable


class Young:
    """An archive with rows in two partitions; after `signed_after` seconds both are signed."""

    client: Any = None
    topic = "t"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, age_seconds: float, signed_after: float) -> None:
        self.now, self.signed_after = 1_000.0, signed_after
        self.recorded_ms = round((self.now - age_seconds) * 1_000)
        clock = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(cli.against, "time", clock)
        monkeypatch.setattr(LogTable, "partitions", self._signed)

    def reached(self) -> dict[int, tuple[int, int]]:
        return {0: (5, self.recorded_ms), 1: (7, self.recorded_ms)}

    def _signed(self) -> list[int]:
        return [0, 1] if self.now >= 1_000.0 + self.signed_after else [0]

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("age_seconds", "signed_after", "waited"),
    [(1, 4, 4), (1, 0, 0), (60, 99, 0), (0, 99, 15)],
    ids=["it comes", "it is there", "the rows are old: nobody signs", "it does not come"],
)
def test_new_rows_are_given_the_time_that_a_signature_takes(
    monkeypatch: pytest.MonkeyPatch, age_seconds: float, signed_after: float, waited: float
) -> None:
    young: Any = Young(monkeypatch, age_seconds, signed_after)
    await_first_signatures(young, 15)
    assert young.now - 1_000.0 == waited
