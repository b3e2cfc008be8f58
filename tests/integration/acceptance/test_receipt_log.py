"""A real log of a real one-stop process, from its file to the figures an independent program found in it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import asdict

from events.envelope import Event, microseconds
from events.importers.log import find_mapping, read_log
from events.importers.mapped import Mapped
from projections.deadlines import Deadlines
from projections.dossier import Dossier, fold, history
from projections.outlook import Urgency
from projections.rules import rule_history
from projections.standing import Queue, queue_of
from replay.described import describe_dossier
from schemas import api
from schemas.rulebook import shipped
from tests.installation import DATA, Installation

LOG = DATA / "receipt.csv.gz"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not LOG.exists(), reason="the public receipt log is not beside the repository"),
]


@pytest.fixture(scope="module")
def reference() -> Any:
    return json.loads((DATA / "receipt.reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def imported(installation: Installation) -> Any:
    return installation.json("import", str(LOG), "--mapping", "receipt")


@pytest.fixture(scope="module")
def summary(installation: Installation, imported: Any) -> Any:
    assert imported
    return installation.json("summary")


def test_every_row_is_accounted_for(imported: Any, reference: Any) -> None:
    ended = reference["deadlines"]["enddate_vs_deadline"]["compared"]
    assert imported["rows"] == reference["counts"]["events"]
    assert imported["dossiers"] == reference["counts"]["cases"]
    assert imported["events_by_source"] == {"row": reference["counts"]["events"], "case": ended}
    assert imported["events"] == imported["published"] == reference["counts"]["events"] + ended
    assert (imported["duplicates"], imported["quarantined"]) == (0, 0)


def test_the_live_state_has_the_figures_of_the_independent_program(summary: Any, reference: Any) -> None:
    dates = reference["deadlines"]["enddate_vs_deadline"]["local_calendar_date"]
    assert summary["dossiers"] == reference["counts"]["cases"]
    assert summary["by_timeliness"] == {
        **dates,
        "no_finish": reference["deadlines"]["cases_without_end_date"],
        "no_promise": 0,
    }
    assert summary["received_by_month"] == reference["received_per_month_local"]["by_event_Confirmation_of_receipt"]
    assert sum(summary["by_state"].values()) == summary["dossiers"]
    assert summary["quarantined"] == 0


def test_importing_again_publishes_nothing_new(installation: Installation, imported: Any, summary: Any) -> None:
    again = installation.json("import", str(LOG), "--mapping", "receipt")
    assert (again["published"], again["duplicates"]) == (0, imported["events"])
    after = installation.json("summary")
    assert {**after, "freshness": None} == {**summary, "freshness": None}


def test_live_equals_replay(installation: Installation, imported: Any) -> None:
    rebuilt = installation.json("rebuild")
    assert (rebuilt["compared"], rebuilt["differing"]) == (imported["dossiers"], 0)


def test_the_archive_equals_the_ledger(installation: Installation, imported: Any) -> None:
    reconciled = installation.json("reconcile")
    assert reconciled["ledger"] == reconciled["archived"] == imported["events"]
    found = {name: reconciled[name] for name in ("quarantined", "missing", "duplicate", "different")}
    assert found == {"quarantined": 0, "missing": 0, "duplicate": 0, "different": 0}


def test_a_dossier_can_be_replayed(installation: Installation, imported: Any) -> None:
    assert imported
    replayed = installation.json("replay", "case-10011")
    assert next(step["type"] for step in replayed["timeline"]) == "dossier.received"


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """The file's rows as events, in the order in which they happened."""
    read = list(read_log(LOG, find_mapping("receipt")))
    assert all(isinstance(each, Mapped) for each in read)
    return sorted((each.event for each in read if isinstance(each, Mapped)), key=lambda event: event.time)


@pytest.mark.parametrize("tenth", range(1, 11))
def test_as_of_an_instant_the_answers_are_the_fold_of_the_file_cut_off_there(
    installation: Installation, imported: Any, events: list[Event], tenth: int
) -> None:
    """Ten instants, each of them when something happened; and at each the dossier it happened to, and the longest."""
    assert imported
    instant = events[len(events) * tenth // 10 - 1].time
    cut: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.time <= instant:
            cut[event.subject].append(event)
    as_of = instant.astimezone(UTC).isoformat()

    answer = installation.json("queues", "--as-of", as_of)
    assert answer["freshness"]["lag"] == 0
    assert by_place(answer["queues"]) == by_place(queues_of(cut, instant))
    assert sum(each["count"] for each in answer["queues"]) > 0

    longest = Counter(event.subject for event in events).most_common(1)[0][0]
    for dossier_id in {longest, events[len(events) * tenth // 10 - 1].subject}:
        replayed = installation.json("replay", dossier_id, "--as-of", as_of)
        dossier = folded(dossier_id, cut[dossier_id])
        steps = [(entry.identity, after.state.value) for entry, after in history(dossier)]
        told = [(f"{step['source']}\n{step['id']}", step["state"]) for step in replayed["timeline"]]
        assert told == steps
        assert (replayed["standing"] is None) == (not steps)
        if steps:
            expected = describe_dossier(dossier, 0, NO_FRESHNESS).model_dump(mode="json")
            assert without_position(replayed["standing"]) == without_position(expected)


NO_FRESHNESS = api.Freshness(positions={}, recorded_at=None, lag=None, complete=None)


def folded(dossier_id: str, events: list[Event]) -> Dossier:
    return fold(dossier_id, [(event, offset, microseconds(event.time)) for offset, event in enumerate(events)])


def queues_of(cut: dict[str, list[Event]], instant: datetime) -> list[dict[str, Any]]:
    """What waits after these events, counted one dossier after the other."""
    deadlines = Deadlines(rule_history(shipped()))
    deadlines.advance(microseconds(instant))
    counts: Counter[Queue] = Counter()
    for dossier_id, events in cut.items():
        standing = folded(dossier_id, events).standing
        deadlines.change(dossier_id, standing)
        queue = queue_of(standing)
        if queue is not None:
            counts[queue] += 1
    return [
        {**asdict(queue), "count": count,
         "late": deadlines.by_queue[queue, Urgency.LATE], "soon": deadlines.by_queue[queue, Urgency.SOON]}
        for queue, count in counts.items()
    ]  # fmt: skip


def by_place(queues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(queues, key=lambda each: (each["office"], each["room"], each["step"], each["waits"]))


def without_position(standing: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in standing.items() if name not in ("position", "freshness")}


def test_a_second_start_continues_with_the_data_of_the_first(installation: Installation, summary: Any) -> None:
    installation.down()
    installation.up()
    after = installation.json("summary")
    assert {**after, "freshness": None} == {**summary, "freshness": None}
