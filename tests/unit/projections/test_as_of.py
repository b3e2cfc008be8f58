"""A dossier as of an instant is the fold of what had happened by then: on a real log, at ten instants."""

from __future__ import annotations

from collections import defaultdict

import pytest

from events.envelope import Event, microseconds
from events.importers.log import find_mapping, read_log
from events.importers.mapped import Mapped
from projections.board import Board
from projections.dossier import Dossier, fold, history
from tests.installation import DATA


@pytest.mark.skipif(not (DATA / "receipt.csv.gz").exists(), reason="the public logs are not beside the repository")
def test_as_of_ten_instants_the_receipt_log_is_the_fold_of_the_file_cut_off_there() -> None:
    events: list[Event] = []
    for each in read_log(DATA / "receipt.csv.gz", find_mapping("receipt")):
        assert isinstance(each, Mapped)
        events.append(each.event)
    whole = folded(events)
    times = sorted(microseconds(each.time) for each in events)
    instants = [times[len(times) * tenth // 10 - 1] for tenth in range(1, 11)]
    assert len(set(instants)) == 10
    for instant in instants:
        cut = folded([each for each in events if microseconds(each.time) <= instant])
        board, expected = Board(), Board()
        for dossier_id, dossier in whole.items():
            steps = history(dossier, instant)
            assert bool(steps) == (dossier_id in cut)
            if steps:
                assert steps[-1][1] == cut[dossier_id].standing
                board.change(None, steps[-1][1])
                expected.change(None, cut[dossier_id].standing)
        assert board.summary() == expected.summary()


def folded(events: list[Event]) -> dict[str, Dossier]:
    by_dossier: dict[str, list[tuple[Event, int, int]]] = defaultdict(list)
    for offset, event in enumerate(events):
        by_dossier[event.subject].append((event, offset, microseconds(event.time)))
    return {dossier_id: fold(dossier_id, records) for dossier_id, records in by_dossier.items()}
