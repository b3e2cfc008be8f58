"""Steps against the dues they were given, folded from the permit log: figures of an independent program."""

from __future__ import annotations

import json
from typing import Any

import pytest

from events.importers.log import find_mapping, read_log
from events.importers.mapped import Mapped
from projections.board import Board
from projections.dossier import admit, new_dossier
from tests.installation import DATA


@pytest.mark.skipif(not (DATA / "BPIC15_1.csv.gz").exists(), reason="the public logs are not beside the repository")
def test_the_steps_of_the_permit_log_are_early_on_the_day_and_late_as_the_reference_says() -> None:
    reference: Any = json.loads((DATA / "BPIC15_1.reference.json").read_text(encoding="utf-8"))["step_deadlines"]
    dossiers: dict[str, Any] = {}
    for offset, each in enumerate(read_log(DATA / "BPIC15_1.csv.gz", find_mapping("bpic15"))):
        assert isinstance(each, Mapped)
        before = dossiers.get(each.event.subject) or new_dossier(each.event.subject)
        dossiers[each.event.subject] = admit(before, each.event, offset=offset, recorded=offset)
    board = Board()
    for dossier in dossiers.values():
        board.change(None, dossier.standing)
    assert board.summary()["steps_by_timeliness"] == reference["dateFinished_vs_dueDate"]["local_calendar_date"]
