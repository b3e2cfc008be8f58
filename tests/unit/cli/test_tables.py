"""Tables on a terminal of 80 columns: nothing that one has to type is cut, colour is never alone."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console, RenderableType
from rich.table import Table

from cli.deadlines import _table as deadlines_table
from cli.queues import _table as queues_table
from cli.reconcile import _table_of_findings, table_of_counts
from cli.watching import identified
from events.access import ACCESS_TOPIC
from events.alarms import ALARMS_TOPIC
from events.ledger import LEDGER_TOPIC
from events.rulebook import RULEBOOKS_TOPIC
from schemas import api

NOW = datetime(2026, 3, 9, 10, tzinfo=UTC)
FRESH = api.Freshness(positions={"0": 1}, recorded_at=NOW, lag=0, complete=True)


def shown(table: RenderableType, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(table)
    return file.getvalue()


def deadline(dossier: str, *, late: bool) -> api.Deadline:
    words = (
        ("quá 3 ngày làm việc", "3 working days late") if late else ("còn 1 ngày 2 giờ làm việc", "1 working day left")
    )
    return api.Deadline(
        dossier=dossier, office="H21.18", room="phong-van-tai", step="tham-dinh", person="cb-017",
        clock="step", clock_name=api.Name(vi="Bước xử lý", en="Processing step"), due=NOW - timedelta(days=3),
        status=api.Status(code="late" if late else "soon", name=api.Name(vi="Quá hạn" if late else "Sắp đến hạn",
                                                                         en="Late" if late else "Due soon")),
        remaining=api.Remaining(late=late, days=3, minutes=0, words=api.Name(vi=words[0], en=words[1])),
    )  # fmt: skip


@pytest.mark.parametrize("width", [80, 140])
def test_deadlines_show_whole_ids_and_say_in_words_what_colour_says(width: int) -> None:
    ids = ["GL1-2005-000123-000456-GTVT", "A"]
    answer = api.Deadlines(at=NOW, deadlines=[deadline(ids[0], late=True), deadline(ids[1], late=False)], total=2,
                           freshness=FRESH)  # fmt: skip
    text = shown(deadlines_table(answer), width)
    assert max(map(len, text.splitlines())) <= width
    for expected in (*ids, "06/03/2026", "H21.18", "cb-017", "Quá hạn", "Sắp đến hạn", "quá 3 ngày"):
        assert expected in text
    words = " ".join(text.split())
    assert words.count("late") >= 2, "the end of `3 working days late` is there too"
    assert "…" not in text


def test_an_id_that_is_too_long_for_its_column_goes_on_in_the_next_line() -> None:
    table = Table(box=None)
    table.add_column(no_wrap=True)
    table.add_row(identified("x" * 100))
    assert shown(table, 60).count("x") == 100


def test_queues_fit_a_terminal() -> None:
    queue = api.QueueCount(office="H21.18", room="phong-van-tai", step="tham-dinh", count=12, late=2, soon=1)
    text = shown(queues_table(api.Queues(queues=[queue], freshness=FRESH)), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "phong-van-tai" in text
    assert "…" not in text


def test_what_was_compared_of_every_topic_fits() -> None:
    counts = api.Reconciled(**dict.fromkeys(api.Reconciled.model_fields, 0) | {"ledger": 123_456_789, "missing": 1})
    topics = dict.fromkeys([LEDGER_TOPIC, ALARMS_TOPIC, RULEBOOKS_TOPIC, ACCESS_TOPIC], counts)
    text = shown(table_of_counts(topics), 80)
    assert text.count("123.456.789") == 4
    assert "…" not in text
    for word in ("events", "alarms", "rulebooks", "access", "trên sổ cái · on the ledger", "thiếu · missing"):
        assert word in text


def test_where_something_differs_is_told_whole() -> None:
    position, columns = "dossier.events.v1/11@123456789", ("occurred_at", "office", "procedure", "channel", "outcome")
    text = shown(_table_of_findings([{"what": "altered", "position": position, "columns": columns}]), 80)
    assert "…" not in text
    assert all(letter in text for letter in columns)
    assert "dossier.events.v1/11@" in text
    assert "56789" in text
