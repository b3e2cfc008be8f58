"""A real log of a real one-stop process, from its file to the figures an independent program found in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

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


def test_a_second_start_continues_with_the_data_of_the_first(installation: Installation, summary: Any) -> None:
    installation.down()
    installation.up()
    after = installation.json("summary")
    assert {**after, "freshness": None} == {**summary, "freshness": None}
