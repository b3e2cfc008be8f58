"""Seeded tampering with a signed archive of real size: how much is found, and what is found where nothing was done.

    python -m tests.fault.tamper --rows 100000 --times 1000 --clean 20 --seed 1

The rows are made up and held in memory; how they are verified is what `dossier verify --all` does with those of a
partition. Half of the forgers rewrite the stored leaf hashes too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random

from replay.merkle import CompactRange
from replay.verify import Signed, verify_rows
from tests.archived import PARTITION, Row, as_read, row, signed

CHECKPOINT_EVERY = 10_000

Rows = list[Row]


def edited(rows: Rows, chance: Random, place: int) -> Rows:
    offset, at, key, value, headers, leaf = rows[place]
    other = chance.choice(
        [
            (offset, at + 1, key, value, headers, leaf), (offset, at, b"D-x", value, headers, leaf),
            (offset, at, key, (value or b"").replace(b"routed", b"stopped"), headers, leaf),
            (offset, at, key, None, headers, leaf), (offset, at, key, value, (), leaf),
        ]
    )  # fmt: skip
    return [*rows[:place], other, *rows[place + 1 :]]


def deleted(rows: Rows, _chance: Random, place: int) -> Rows:
    return [*rows[:place], *rows[place + 1 :]]


def closed_up(rows: Rows, _chance: Random, place: int) -> Rows:
    return [*rows[:place], *((each[0] - 1, *each[1:]) for each in rows[place + 1 :])]


def inserted(rows: Rows, _chance: Random, place: int) -> Rows:
    return [*rows[:place], row(place, b',"forged":1'), *((each[0] + 1, *each[1:]) for each in rows[place:])]


def swapped(rows: Rows, chance: Random, place: int) -> Rows:
    other = (place + chance.randrange(1, len(rows))) % len(rows)
    found = list(rows)
    found[place], found[other] = (rows[place][0], *rows[other][1:]), (rows[other][0], *rows[place][1:])
    return found


def truncated(rows: Rows, _chance: Random, place: int) -> Rows:
    return rows[:place]


def part_dropped(rows: Rows, chance: Random, place: int) -> Rows:
    return [*rows[:place], *rows[min(len(rows), place + chance.randrange(1, 20_000)) :]]


CHANGES: list[Callable[[Rows, Random, int], Rows]] = [
    edited, deleted, closed_up, inserted, swapped, truncated, part_dropped,
]  # fmt: skip


def checkpoints(rows: Rows) -> list[Signed]:
    log, found = CompactRange(), []
    for each in rows:
        log.extend([each[5]])
        if log.size % CHECKPOINT_EVERY == 0 or log.size == len(rows):
            found.append(Signed(log.size, log.root(), "file"))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.tamper", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=1_000)
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chance = Random(chosen.seed)  # noqa: S311  # places, not secrets
    rows = [row(offset) for offset in range(chosen.rows)]
    kept, clean = checkpoints(rows), as_read(rows)
    began = time.monotonic()
    alarms = sum(bool(verify_rows(PARTITION, [clean], kept).failures) for _ in range(chosen.clean))
    speed = chosen.rows * chosen.clean / (time.monotonic() - began) if chosen.clean else 0
    missed: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for _ in range(chosen.times):
        change = chance.choice(CHANGES)
        changed = change(rows, chance, chance.randrange(chosen.rows))
        if chance.random() < 0.5:
            changed = list(map(signed, changed))
        failures = verify_rows(PARTITION, [as_read(changed)], kept).failures
        (found if failures else missed)[change.__name__] += 1
    told = [
        f"seed {chosen.seed}, {chosen.rows:,} rows, {len(kept)} checkpoints",
        f"tampered with {chosen.times} times: found {found.total()}, missed {missed.total()} {dict(found)}",
        f"clean {chosen.clean} times: {alarms} false alarms, {speed:,.0f} leaves/s in one process",
    ]
    sys.stdout.write("\n".join(told) + "\n")
    return 1 if missed or alarms else 0


if __name__ == "__main__":
    sys.exit(main())
