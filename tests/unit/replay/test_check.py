"""Partitions that are checked together: one in memory at a time, and none waits for what another waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from projections.live import new_cursor, rulebook_mark
from projections.rules import rule_history
from replay.archive import NO_RECORDS, History
from replay.check import Check, Checked
from replay.live_topic import LivePartition
from replay.rebuild import Mark, mark_of
from schemas.rulebook import shipped

RULES = rule_history(shipped())
PARTITIONS = (0, 1, 2)


class Installation:
    """A live topic and an archive in one. Each partition has a live state that the archive knows nothing of."""

    topic = "ledger"

    def __init__(self) -> None:
        self.looks: list[int] = []  # partitions, in the order in which their live states were read
        self.compared: list[int] = []  # and in which their comparison was over

    async def partition(self, number: int, _ledger_end: int, _within: float) -> LivePartition[Mark]:
        self.looks.append(number)
        await asyncio.sleep(0)
        assert len(self.looks) == len(self.compared) + 1, "two partitions are in memory"
        cursor = replace(new_cursor(number), rulebook=rulebook_mark(RULES))
        return LivePartition(cursor, {f"GL-{number}": mark_of(b"")})

    async def ledger_end(self, _number: int) -> int:
        return 0

    def wait_until_archived(self, _ends: dict[int, int], _within: float) -> bool:
        return True

    def by_dossier(self, number: int, *_bounds: Any) -> Iterator[History]:
        yield History(b"", NO_RECORDS, (), doubtful=False)
        self.compared.append(number)


async def checked(there: Installation) -> list[Checked]:
    at_all: Any = there
    turn = asyncio.Lock()
    checks = [
        Check(at_all, at_all, at_all, lambda: RULES, 60.0, 0, None, lambda *_: None, turn).partition(each, 0)
        for each in PARTITIONS
    ]
    return await asyncio.gather(*checks)


def test_all_are_compared_before_any_is_looked_at_again() -> None:
    there = Installation()
    found = asyncio.run(checked(there))
    assert there.looks == [*PARTITIONS, *PARTITIONS]
    assert [list(each.differing) for each in found] == [[f"GL-{number}"] for number in PARTITIONS]
