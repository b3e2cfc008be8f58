"""Whatever somebody does to the archive, reconcile finds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.archive.archiving import Archiving
from tests.unit.archive.records import a_record

pytestmark = pytest.mark.integration

HERE = "topic = {topic:String} AND partition = 1 AND offset = 7"


@pytest.fixture
def archived(archiving: Archiving) -> Archiving:
    """Two hundred records in two partitions, archived; the archiver is gone."""
    for partition in (0, 1):
        archiving.publish([a_record(number) for number in range(100)], partition)
    process = archiving.start()
    archiving.require_exact(200)
    assert process.stop() == 0
    return archiving


def change(archived: Archiving, sql: str, **parameters: Any) -> None:
    archived.client.command(sql, {"topic": archived.topic, **parameters}, settings={"mutations_sync": "2"})


def copied(raw: str, offset: str) -> str:
    columns = "topic, partition, offset, recorded_at, key, raw, headers, unreadable, occurred_at, promised, writer"
    values = columns.replace("raw", raw, 1).replace("offset", offset, 1)
    return f"INSERT INTO dossier_events ({columns}) SELECT {values} FROM dossier_events WHERE {HERE}"  # noqa: S608  # constants


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


def test_what_nobody_archived_is_missing(archived: Archiving) -> None:
    archived.publish_events(0, 10)
    found = archived.reconcile(wait_seconds=0)
    assert (found.ledger, found.archived, found.missing) == (210, 200, 10)
