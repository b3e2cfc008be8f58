"""Tampering by a seed, at a small size: every kind is tried, and found and named; at full size it is run by hand."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.fault import tamper
from tests.fault.tamper import KINDS, NOTE_CHANGES, NoteChange, forked, found_in, intact, older_copy, tampered

SEED = 20_260_302


@pytest.fixture(autouse=True)
def many_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tamper, "CHECKPOINT_EVERY", 100)


def test_every_kind_of_tampering_is_found() -> None:
    world, chance = intact(1_050), Random(SEED)  # noqa: S311  # places, not secrets
    assert (len(world.stored), found_in(world)) == (11, set())
    found: Counter[str] = Counter()
    for _ in range(300):
        kind, seen = tampered(world, chance)
        assert seen, f"{kind} is not found (seed {SEED})"
        found[kind] += 1
    assert {*found} == {*KINDS}
    assert len(KINDS) == 11


@pytest.mark.parametrize("change", [older_copy, forked], ids=lambda change: change.__name__)
def test_what_agrees_with_itself_is_told_by_the_note_that_was_kept_elsewhere(change: NoteChange) -> None:
    world, chance = intact(1_050), Random(SEED)  # noqa: S311  # places, not secrets
    for changed in (change(world, chance, 700) for _ in range(20)):
        assert NOTE_CHANGES[change] in found_in(changed)
        assert found_in(changed._replace(elsewhere=changed.stored[-1])) == set()
