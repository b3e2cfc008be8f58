"""Whatever somebody does to the archive, reconcile finds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from replay.columns import NAMES
from tests.integration.archive.archiving import Archiving

pytestmark = pytest.mark.integration

COLUMNS = "topic, partition, offset, recorded_at, key, raw, headers, unreadable, occurred_at, promised, writer"
HERE = "topic = {topic:String} AND partition = 1 AND offset = 7"


def change(archived: Archiving, sql: str, **parameters: Any) -> None:
    archived.client.command(sql, {"topic": archived.topic, **parameters}, settings={"mutations_sync": "2"})


def copied(raw: str, offset: str) -> str:
    values = COLUMNS.replace("raw", raw, 1).replace("offset", offset, 1)
    return f"INSERT INTO dossier_events ({COLUMNS}) SELECT {values} FROM dossier_events WHERE {HERE}"  # noqa: S608  # constants


def test_a_deleted_row_is_missing(archived: Archiving) -> None:
    change(archived, f"DELETE FROM dossier_events WHERE {HERE}")  # noqa: S608  # constants
    found = archived.reconcile(wait_seconds=0)
    assert (found.ledger, found.archived, found.missing, found.duplicate, found.different) == (200, 199, 1, 0, 0)
    assert [each.position for each in found.findings] == [f"{archived.topic}/1@7"]


def test_a_row_that_is_there_twice_is_duplicate(archived: Archiving) -> None:
    change(archived, copied("raw", "offset"))
    found = archived.reconcile(wait_seconds=0)
    assert (found.archived, found.missing, found.duplicate, found.different) == (200, 0, 1, 0)


def test_a_row_the_ledger_does_not_have_is_different(archived: Archiving) -> None:
    change(archived, copied("raw", "offset + 1000"))
    found = archived.reconcile(wait_seconds=0)
    assert (found.archived, found.missing, found.duplicate, found.different) == (200, 0, 0, 1)
    assert [each.position for each in found.findings] == [f"{archived.topic}/1@1007"]


def test_an_edited_byte_is_different(archived: Archiving) -> None:
    change(archived, f"ALTER TABLE dossier_events UPDATE raw = replaceOne(raw, 'GL', 'GX') WHERE {HERE}")
    found = archived.reconcile(wait_seconds=0)
    assert (found.archived, found.missing, found.duplicate, found.different) == (200, 0, 0, 1)


def test_a_row_that_no_archiver_can_have_written_is_different(archived: Archiving) -> None:
    change(
        archived,
        copied("raw", "offset")
        .replace("headers", "[(unhex('ff'), NULL)]", 2)
        .replace("[(unhex('ff'), NULL)]", "headers", 1),
    )
    change(archived, f"ALTER TABLE dossier_events UPDATE unreadable = unhex('ff') WHERE {HERE}")
    found = archived.reconcile(wait_seconds=0)
    assert (found.missing, found.duplicate, found.different, found.altered) == (0, 1, 1, 2)


def test_what_nobody_archived_is_missing(archived: Archiving) -> None:
    archived.publish_events(0, 10)
    found = archived.reconcile(wait_seconds=0)
    assert (found.ledger, found.archived, found.missing) == (210, 200, 10)


FORGER = UUID(int=1)
_DATA = ("office", "room", "step", "actor", "procedure", "channel", "outcome")


def other(column: str) -> tuple[str, str]:
    """What somebody who wants another report may write: which column of the table, and what into it."""
    shape = {each: f"event.{each}" for each in ("type", "source", "id")} | {
        each: f"event.data.{each}" for each in _DATA
    }
    shape[column] = "tuple('other')" if column == "actor" else "'other'"
    event = f"({shape['type']}, {shape['source']}, {shape['id']}, ({', '.join(shape[each] for each in _DATA)}))"
    return {
        "unreadable": ("unreadable", "'nothing to see here'"),
        "occurred_at": ("occurred_at", "occurred_at + INTERVAL 1 DAY"),
        "promised": ("promised", "if(isNull(promised), occurred_at, NULL)"),
        "dossier_id": ("dossier_id", "'D-OTHER'"),
    }.get(column, ("event", f"CAST({event}, toTypeName(event))"))


def forge(archived: Archiving, offset: int, column: str, said: str) -> None:
    """Put another row in the place of one: its record as it was, another content of one column."""
    columns = [*COLUMNS.split(", "), "dossier_id", "event"]
    values = ", ".join({column: said, "writer": "{forger:UUID}"}.get(each, each) for each in columns)
    here = f"topic = {{topic:String}} AND partition = 1 AND offset = {offset}"
    copying = f"INSERT INTO dossier_events ({', '.join(columns)}) SELECT {values} FROM dossier_events WHERE {here}"  # noqa: S608  # constants
    change(archived, f"{copying} SETTINGS insert_allow_materialized_columns = 1", forger=FORGER)
    change(archived, f"DELETE FROM dossier_events WHERE {here} AND writer != {{forger:UUID}}", forger=FORGER)  # noqa: S608  # constants


def test_a_column_that_says_something_else_than_the_record_is_altered(archived: Archiving) -> None:
    for offset, column in enumerate(NAMES):
        forge(archived, offset, *other(column))
    found = archived.reconcile(wait_seconds=0)
    assert (found.missing, found.duplicate, found.different, found.altered) == (0, 0, 0, len(NAMES))
    assert {each.position: each.columns for each in found.findings} == {
        f"{archived.topic}/1@{offset}": (column,) for offset, column in enumerate(NAMES)
    }
