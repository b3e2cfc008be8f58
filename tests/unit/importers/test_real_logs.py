"""Real logs through their mappings, row by row, against figures of an independent program."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from events.catalogue import Processed, Received, StepCompleted
from events.importers.log import Tally, find_mapping, read_log
from events.importers.mapped import Mapped
from tests.installation import DATA

LOGS = {
    "receipt": "receipt",
    "bpic13": "BPIC13_incidents",
    "bpic15": "BPIC15_1",
    "bpic20": "BPIC20_DomesticDeclarations",
}
AMSTERDAM = ZoneInfo("Europe/Amsterdam")
pytestmark = pytest.mark.skipif(
    not (DATA / "receipt.csv.gz").exists(), reason="the public logs are not beside the repository"
)


@pytest.mark.parametrize(("mapping", "log"), LOGS.items())
def test_every_row_is_an_event_in_the_order_of_the_file(mapping: str, log: str) -> None:
    reference: Any = json.loads((DATA / f"{log}.reference.json").read_text(encoding="utf-8"))
    path = DATA / f"{log}.csv.gz"
    tally = Tally()
    before = ""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        for each in read_log(path, find_mapping(mapping)):
            tally.add(each)
            assert isinstance(each, Mapped)
            if each.by == "row":
                row = {column: cell for column, cell in next(rows).items() if cell}
                assert each.event.data.attributes == row, "every column is kept as it was written"
                assert each.event.id > before
                before = each.event.id
    assert tally.rows == tally.events["row"] == reference["counts"]["events"]
    assert len(tally.dossiers) == reference["counts"]["cases"]


def test_dues_and_finishes_of_steps_of_the_permit_log_compare_as_the_reference_says() -> None:
    reference: Any = json.loads((DATA / "BPIC15_1.reference.json").read_text(encoding="utf-8"))["step_deadlines"]
    compared: Counter[str] = Counter()
    for each in read_log(DATA / "BPIC15_1.csv.gz", find_mapping("bpic15")):
        assert isinstance(each, Mapped)
        fact = each.event.data
        if isinstance(fact, StepCompleted) and fact.step_due and fact.finished:
            days = (fact.finished.astimezone(AMSTERDAM).date() - fact.step_due.astimezone(AMSTERDAM).date()).days
            compared["early" if days < 0 else "late" if days else "on_the_day"] += 1
    assert compared == reference["dateFinished_vs_dueDate"]["local_calendar_date"]


@pytest.fixture(scope="module")
def receipt() -> list[Mapped]:
    found = [each for each in read_log(DATA / "receipt.csv.gz", find_mapping("receipt")) if isinstance(each, Mapped)]
    assert found
    return found


def test_promises_and_ends_of_the_receipt_log_compare_as_the_reference_says(receipt: list[Mapped]) -> None:
    reference: Any = json.loads((DATA / "receipt.reference.json").read_text(encoding="utf-8"))["deadlines"]
    promised = {each.event.subject: fact.promised for each in receipt if isinstance(fact := each.event.data, Received)}
    ended = {each.event.subject: each.event.time for each in receipt if isinstance(each.event.data, Processed)}
    compared: Counter[str] = Counter()
    for case, end in ended.items():
        promise = promised[case]
        assert promise is not None
        days = (end.astimezone(AMSTERDAM).date() - promise.astimezone(AMSTERDAM).date()).days
        compared["early" if days < 0 else "late" if days else "on_the_day"] += 1
    assert compared == reference["enddate_vs_deadline"]["local_calendar_date"]
    assert len(promised) - len(ended) == reference["cases_without_end_date"]


def test_rooms_channels_and_steps_of_the_receipt_log(receipt: list[Mapped]) -> None:
    reference: Any = json.loads((DATA / "receipt.reference.json").read_text(encoding="utf-8"))
    rows = [each.event.data for each in receipt if each.by == "row"]
    rooms = Counter(fact.room for fact in rows)
    assert rooms == reference["events_per_org:group_top15"]
    channels = reference["cases_per"]["case:channel"]
    received = Counter(fact.channel for fact in rows if isinstance(fact, Received))
    assert received == {
        "online": channels["Internet"] + channels["e-mail"], "direct": channels["Desk"], "post": channels["Post"],
        "other": channels["Intern"],
    }  # fmt: skip
    steps = Counter(fact.step for fact in rows if isinstance(fact, StepCompleted))
    activities = dict(reference["events_per_activity"])
    assert steps.pop("print-and-send") == activities.pop("T05 Print and send confirmation of receipt")
    assert received.total() == activities.pop("Confirmation of receipt")
    assert steps == activities
