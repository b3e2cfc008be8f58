"""Seeded tampering with a signed archive of real size: how much is found, and what is found where nothing was done.

    python -m tests.fault.tamper --rows 100000 --times 1000 --clean 20 --seed 1

The rows are made up and held in memory, with the checkpoints that the archive itself keeps of them, and the newest of
them kept elsewhere; how notes, signatures and rows are verified is what `dossier verify --all` does with those of a
partition. Half of the forgers of rows rewrite the stored leaf hashes too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer, parse
from replay.merkle import CompactRange
from replay.verify import signed_checkpoints, verify_rows
from tests.archived import PARTITION, TOPIC, Row, as_read, row, signed

CHECKPOINT_EVERY: Final = 10_000
SIGNER: Final = Signer.from_seed("gia-lai", bytes(range(32)))
STRANGER: Final = Signer.from_seed("gia-lai", bytes(range(1, 33)))

Rows = list[Row]
#: Where a note was found, and its text.
Note = tuple[str, str]


class World(NamedTuple):
    """What a verifier comes to: the rows and notes of the archive, and the newest note, which is kept elsewhere."""

    rows: Rows
    stored: list[Note]
    elsewhere: Note


# -- Changes of rows -------------------------------------------------------------------------------------------------


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


def doubled(rows: Rows, _chance: Random, place: int) -> Rows:
    return [*rows[: place + 1], *rows[place:]]


ROW_CHANGES: Final[tuple[Callable[[Rows, Random, int], Rows], ...]] = (
    edited, deleted, closed_up, inserted, swapped, truncated, part_dropped, doubled,
)  # fmt: skip


# -- Changes of what was signed --------------------------------------------------------------------------------------


def older_copy(world: World, _chance: Random, place: int) -> World:
    """An older copy put back: its notes are as old as its rows."""
    notes = [each for each in world.stored if parse(each[1]).checkpoint.size <= place]
    return world._replace(rows=world.rows[:place], stored=notes)


def forked(world: World, chance: Random, place: int) -> World:
    """Who has the key writes the log anew from a row on, and signs that; or only shows such a note."""
    rows = list(map(signed, edited(world.rows, chance, place)))
    notes = signed_notes(rows)
    if chance.random() < 0.5:
        return world._replace(rows=rows, stored=notes)
    return world._replace(elsewhere=notes[-1])


def other_key(world: World, chance: Random, _place: int) -> World:
    """One of the notes is signed by a stranger, under the own name or as if it were the known key."""
    number = chance.randrange(len(world.stored) + 1)
    where, text = [*world.stored, world.elsewhere][number]
    note = SignedCheckpoint(parse(text).checkpoint).signed_by(STRANGER, 0)
    claimed = chance.choice([SIGNER, STRANGER]).public.id
    forged = SignedCheckpoint(note.checkpoint, (note.signatures[0]._replace(key_id=claimed),)).text
    if number == len(world.stored):
        return world._replace(elsewhere=(where, forged))
    return world._replace(stored=[*world.stored[:number], (where, forged), *world.stored[number + 1 :]])


NoteChange = Callable[[World, Random, int], World]
#: These must be named for what they are.
NOTE_CHANGES: Final[dict[NoteChange, str]] = {
    older_copy: "truncated", forked: "forked", other_key: "signature",
}  # fmt: skip
KINDS: Final = tuple(each.__name__ for each in (*ROW_CHANGES, *NOTE_CHANGES))


def signed_notes(rows: Rows) -> list[Note]:
    """A checkpoint every so many rows, and at the end."""
    log, notes = CompactRange(), []
    for each in rows:
        log.extend([each[5]])
        if log.size % CHECKPOINT_EVERY == 0 or log.size == len(rows):
            checkpoint = Checkpoint(f"dossier-ledger/{TOPIC}/{PARTITION}", log.size, log.root())
            notes.append((f"size {log.size}", SignedCheckpoint(checkpoint).signed_by(SIGNER, 0).text))
    return notes


def intact(count: int) -> World:
    rows = [row(offset) for offset in range(count)]
    notes = signed_notes(rows)
    return World(rows, notes, ("elsewhere", notes[-1][1]))


def found_in(world: World) -> set[str]:
    """The kinds of failures."""
    notes, failures = signed_checkpoints([*world.stored, world.elsewhere], [SIGNER.public], TOPIC)
    verified = verify_rows(PARTITION, [as_read(world.rows)], notes.get(PARTITION, []))
    return {each.kind for each in (*failures, *verified.failures)}


def tampered(world: World, chance: Random) -> tuple[str, bool]:
    """Tamper once: how, and whether that is found."""
    number, place = chance.randrange(len(KINDS)), chance.randrange(len(world.rows))
    if number < len(ROW_CHANGES):
        changed = ROW_CHANGES[number](world.rows, chance, place)
        if chance.random() < 0.5:
            changed = list(map(signed, changed))
        return KINDS[number], bool(found_in(world._replace(rows=changed)))
    change, named = list(NOTE_CHANGES.items())[number - len(ROW_CHANGES)]
    return KINDS[number], named in found_in(change(world, chance, place))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.tamper", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=1_000)
    parser.add_argument("--clean", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chance = Random(chosen.seed)  # noqa: S311  # places, not secrets
    world = intact(chosen.rows)
    as_read(world.rows)  # the leaves are made once
    began = time.monotonic()
    alarms = sum(bool(found_in(world)) for _ in range(chosen.clean))
    speed = chosen.rows * chosen.clean / (time.monotonic() - began) if chosen.clean else 0
    found, missed = Counter[str](), Counter[str]()
    for _ in range(chosen.times):
        kind, seen = tampered(world, chance)
        (found if seen else missed)[kind] += 1
    told = [
        f"seed {chosen.seed}, {chosen.rows:,} rows, {len(world.stored)} checkpoints",
        f"tampered with {chosen.times} times: found {found.total()}, missed {missed.total()} {dict(missed)}",
        *(f"{kind:>14} {found[kind]:>5}" for kind in KINDS),
        f"clean {chosen.clean} times: {alarms} false alarms, {speed:,.0f} leaves/s in one process",
    ]
    sys.stdout.write("\n".join(told) + "\n")
    return 1 if missed or alarms else 0


if __name__ == "__main__":
    sys.exit(main())
