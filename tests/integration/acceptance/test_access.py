"""Reading is recorded before anything is shown, and the record is archived like the ledger."""

from __future__ import annotations

import os
import pwd
from datetime import datetime
from typing import Any

import pytest

from deploy.clickhouse.client import connect
from deploy.embedded.runtime import read_credentials
from events.access import ACCESS, ACCESS_TOPIC, Read
from events.catalogue import Received
from events.envelope import encode, make_event
from tests.installation import Installation, eventually
from tests.integration.waiting import records_on
from tests.unit.clocks.office import ZONE

pytestmark = pytest.mark.integration


def reported(installation: Installation) -> list[tuple[Any, ...]]:
    """The rows of the view, as a report reads them."""
    passwords = read_credentials(installation.data_dir)
    assert passwords is not None
    with connect(
        installation.status()["addresses"]["clickhouse"],
        user="report", password=passwords.report.get_secret_value(), database="default",
    ) as client:  # fmt: skip
        return list(client.query("SELECT command, subject, actor FROM dossier_access ORDER BY at").result_rows)


def test_who_looked_at_what_is_on_record(running: Installation) -> None:

    received = Received(
        office="H21.18", procedure="1.002809", channel="direct", promised=datetime(2026, 3, 9, tzinfo=ZONE)
    )
    event = make_event(
        received, id="read-1", source="urn:access", subject="READ-1", time=datetime(2026, 3, 2, 8, tzinfo=ZONE)
    )
    assert running.run("publish", "-", stdin=f"{encode(event).decode()}\n").returncode == 0
    before = len(reported(running))
    running.json("replay", "READ-1", "--as-of", "03/03/2026")
    running.json("explain", "READ-1")
    running.json("diff", "READ-1", "01/03/2026", "03/03/2026")
    assert running.run("replay", "NOBODY").returncode == 2, "what is not there was asked for too"
    eventually(lambda: len(reported(running)) == before + 4, "the reads are archived")
    account = pwd.getpwuid(os.getuid()).pw_name
    rows = reported(running)[before:]
    assert [(command, subject) for command, subject, _ in rows] == [
        ("replay", "READ-1"), ("explain", "READ-1"), ("diff", "READ-1"), ("replay", "NOBODY"),
    ]  # fmt: skip
    assert {actor.partition("@")[0] for _, _, actor in rows} == {account}
    told = [
        ACCESS.decode_record(each.key, each.value)
        for each in records_on(running.status()["addresses"]["kafka"], ACCESS_TOPIC)
    ]
    assert [each.data.command for each in told[before:]] == [command for command, _, _ in rows]
    read = told[before].data
    assert isinstance(read, Read)
    assert read.as_of is not None


def test_what_cannot_be_recorded_is_not_shown(running: Installation) -> None:
    refused = Installation(running.data_dir, {"DOSSIER_KAFKA": "127.0.0.1:1"}).run("replay", "READ-1")
    assert refused.returncode == 3
    assert refused.stdout == ""
