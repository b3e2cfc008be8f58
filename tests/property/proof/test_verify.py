"""Every way of changing an archive that was signed is found, and nothing is found in one that was not changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.checkpoint import Checkpoint, PublicKey, SignedCheckpoint, Signer
from replay.merkle import EMPTY_ROOT, CompactRange
from replay.verify import Signed, signed_checkpoints, verify_rows
from tests.archived import PARTITION, TOPIC, Row, as_read, row, signed

SIGNER = Signer.from_seed("gia-lai", bytes(range(32)))
STRANGER = Signer.from_seed("gia-lai", bytes(range(1, 33)))


@dataclass
class World:
    """An archive, and the checkpoints that were kept of it."""

    rows: list[Row]
    checkpoints: list[Signed]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    rows = [row(offset) for offset in range(draw(st.integers(4, 120)))]
    sizes = sorted({len(rows), *draw(st.lists(st.integers(1, len(rows)), max_size=5))})
    log, checkpoints = CompactRange(), []
    for each in rows:
        log.extend((each[5],))
        if log.size in sizes:
            checkpoints.append(Signed(log.size, log.root(), "file"))
    return World(rows, checkpoints)


def failures(rows: list[Row], checkpoints: list[Signed]) -> set[str]:
    blocks = [as_read(rows[start : start + 50]) for start in range(0, len(rows), 50)]
    return {each.kind for each in verify_rows(PARTITION, blocks, checkpoints).failures}


@given(world=worlds(), more=st.integers(0, 5))
def test_an_archive_that_only_grew_is_as_it_was_signed(world: World, more: int) -> None:
    grown = [*world.rows, *(row(len(world.rows) + number) for number in range(more))]
    verified = verify_rows(PARTITION, [as_read(grown)], world.checkpoints)
    assert verified == (len(grown), len(world.checkpoints), (), len(world.rows))


def edited(rows: list[Row], draw: st.DataObject, place: int) -> list[Row]:
    offset, at, key, value, headers, leaf = rows[place]
    other: Row = draw.draw(
        st.sampled_from(
            [
                (offset, at + 1, key, value, headers, leaf), (offset, at, b"D-another", value, headers, leaf),
                (offset, at, None, value, headers, leaf), (offset, at, key, (value or b"") + b" ", headers, leaf),
                (offset, at, key, None, headers, leaf), (offset, at, key, value, (), leaf),
                (offset, at, key, value, (*headers, ("x", None)), leaf),
            ]
        )
    )  # fmt: skip
    return [*rows[:place], other, *rows[place + 1 :]]


def deleted(rows: list[Row], _draw: st.DataObject, place: int) -> list[Row]:
    return [*rows[:place], *rows[place + 1 :]]


def deleted_and_closed_up(rows: list[Row], _draw: st.DataObject, place: int) -> list[Row]:
    """Deleted, and all that follows moved up by one."""
    return [*rows[:place], *((each[0] - 1, *each[1:]) for each in rows[place + 1 :])]


def inserted(rows: list[Row], _draw: st.DataObject, place: int) -> list[Row]:
    later = ((each[0] + 1, *each[1:]) for each in rows[place:])
    return [*rows[:place], row(place, b',"forged":1'), *later]


def doubled(rows: list[Row], _draw: st.DataObject, place: int) -> list[Row]:
    return [*rows[: place + 1], *rows[place:]]


def swapped(rows: list[Row], draw: st.DataObject, place: int) -> list[Row]:
    other = draw.draw(st.integers(0, len(rows) - 1).filter(lambda number: number != place))
    found = list(rows)
    found[place], found[other] = (place, *rows[other][1:]), (other, *rows[place][1:])
    return found


def truncated(rows: list[Row], _draw: st.DataObject, place: int) -> list[Row]:
    return rows[:place]


def part_dropped(rows: list[Row], draw: st.DataObject, place: int) -> list[Row]:
    return [*rows[:place], *rows[draw.draw(st.integers(place + 1, len(rows))) :]]


CHANGES = [edited, deleted, deleted_and_closed_up, inserted, doubled, swapped, truncated, part_dropped]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@settings(max_examples=200)
@given(world=worlds(), draw=st.data(), covers_up=st.booleans())
def test_a_changed_archive_is_found_even_if_the_leaves_are_changed_with_it(
    change: Callable[[list[Row], st.DataObject, int], list[Row]],
    world: World, draw: st.DataObject, covers_up: bool,
) -> None:  # fmt: skip
    changed = change(world.rows, draw, draw.draw(st.integers(0, len(world.rows) - 1)))
    assert failures([signed(each) for each in changed] if covers_up else changed, world.checkpoints)


@given(world=worlds())
def test_a_forked_log_is_found(world: World) -> None:
    other = Signed(world.checkpoints[0].size, sha256(b"another").digest(), "topic")
    assert "forked" in failures(world.rows, [*world.checkpoints, other])


def logged(rows: list[Row], *sizes: int) -> list[Signed]:
    """What was signed of the logs of these sizes."""
    logs = {size: CompactRange() for size in sizes}
    for size, log in logs.items():
        log.extend([each[5] for each in rows[:size]])
    return [Signed(size, log.root(), "file") for size, log in logs.items()]


def told(rows: list[Row], checkpoints: list[Signed]) -> tuple[list[tuple[str, str]], int]:
    """Kind and position of each failure, and how many checkpoints were compared."""
    found = verify_rows(PARTITION, [as_read(rows)], checkpoints)
    return [(each.kind, each.position) for each in found.failures], found.checkpoints


ROWS = [row(offset) for offset in range(20)]
CHANGED = [*ROWS[:12], row(12, b',"forged":1'), *ROWS[13:]]


def false(size: int, root: bytes = bytes(32)) -> list[Signed]:
    return [Signed(size, root, where) for where in ("held", "held too")]


@pytest.mark.parametrize("root", [bytes(32), b"\xff" * 32], ids=["sorted before the true one", "and behind it"])
@pytest.mark.parametrize("size", [8, 20])
def test_a_fork_is_named_once(size: int, root: bytes) -> None:
    true = logged(ROWS, 8, 20) * 3
    assert told(ROWS, [*true, *false(size, root)]) == ([("forked", f"{PARTITION}@{size}")], 8)


def test_false_statements_keep_no_later_one_from_being_compared() -> None:
    true = logged(ROWS, 5, 10, 20)
    forged = [*false(6), *false(8), *false(15)]
    forks = [("forked", f"{PARTITION}@{size}") for size in (6, 8, 15)]
    assert told(ROWS, [*true, *forged]) == (forks, 9)
    assert told(CHANGED, [*true, *forged]) == ([*forks[:2], ("root", f"{PARTITION}@10-14")], 9)


def test_a_row_that_was_changed_is_named_once_however_many_roots_differ() -> None:
    assert told(CHANGED, logged(ROWS, *range(1, 21))) == ([("root", f"{PARTITION}@12-12")], 20)


def test_beyond_a_row_that_is_gone_nothing_was_compared() -> None:
    gone = [*ROWS[:10], *ROWS[11:]]
    assert told(gone, logged(ROWS, 8, 16, 20)) == ([("missing", f"{PARTITION}@10")], 1)


@given(world=worlds(), draw=st.data())
def test_an_archive_restored_from_an_older_copy_ends_too_soon(world: World, draw: st.DataObject) -> None:
    older = draw.draw(st.integers(0, len(world.rows) - 1))
    kept = [each for each in world.checkpoints if each.size <= older]  # those in the copy go back with it
    elsewhere = world.checkpoints[-1]
    assert failures(world.rows[:older], kept) == (set() if kept or not older else {"unsigned"})
    assert failures(world.rows[:older], [*kept, elsewhere]) == {"truncated"}


def note(signer: Signer, origin: str = f"dossier-ledger/{TOPIC}/{PARTITION}", root: bytes = bytes(32)) -> str:
    return SignedCheckpoint(Checkpoint(origin, 5, root)).signed_by(signer, 0).text


def test_only_checkpoints_of_this_ledger_that_a_known_key_signed_count() -> None:
    keys: list[PublicKey] = [SIGNER.public]
    notes = [
        ("a", note(SIGNER)),
        ("b", note(SIGNER, "dossier-ledger/another.topic/3")),
        ("c", note(STRANGER)),
        ("d", "x"),
    ]
    signed, failed = signed_checkpoints(notes, keys, TOPIC)
    assert signed == {3: [Signed(5, bytes(32), "a")]}
    assert [(each.kind, each.position) for each in failed] == [("signature", "c"), ("signature", "d")]


@given(world=worlds())
def test_rows_of_which_nothing_was_signed_are_no_evidence(world: World) -> None:
    assert failures(world.rows, []) == {"unsigned"}
    assert failures(world.rows, [Signed(0, EMPTY_ROOT, "file")]) == {"unsigned"}
    assert failures([], []) == set()


@given(world=worlds())
def test_a_checkpoint_of_an_empty_log_keeps_no_later_one_from_being_compared(world: World) -> None:
    empty = Signed(0, EMPTY_ROOT, "file")
    assert failures(world.rows, [empty, *world.checkpoints]) == set()
    assert failures(world.rows, [Signed(0, sha256(b"another").digest(), "file")]) == {"root", "unsigned"}
    assert failures([row(0, b',"forged":1'), *world.rows[1:]], [empty, *world.checkpoints]) == {"root"}
