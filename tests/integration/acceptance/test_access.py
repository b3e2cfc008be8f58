"""Reading is recorded before anything is shown, and the record is archived like the ledger."""

from __future__ import annotations

import os
import pwd
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from kafka import KafkaProducer

from deploy.clickhouse.client import connect
from deploy.embedded.runtime import read_credentials
from events.access import ACCESS, ACCESS_TOPIC, Read
from events.catalogue import Received
from events.envelope import encode, make_event, microseconds
from events.ledger import LEDGER_TOPIC
from schemas.rulebook import shipped
from tests.installation import Installation, eventually
from tests.integration.waiting import records_on
from tests.unit.clocks.office import ZONE

pytestmark = pytest.mark.integration


class Row(NamedTuple):
    """A row of the view, as a report reads it; the actor without the host."""

    command: str
    subject: str
    account: str


def reported(installation: Installation, since: datetime) -> list[Row]:
    """What was read since then."""
    passwords = read_credentials(installation.data_dir)
    assert passwords is not None
    with connect(
        installation.status()["addresses"]["clickhouse"],
        user="report", password=passwords.report.get_secret_value(), database="default",
    ) as client:  # fmt: skip
        rows = client.query(
            "SELECT command, subject, actor FROM dossier_access "
            "WHERE at >= fromUnixTimestamp64Micro({since:Int64}) ORDER BY at",
            {"since": microseconds(since)},
        ).result_rows
    return [Row(command, subject, actor.partition("@")[0]) for command, subject, actor in rows]


def require_reported(installation: Installation, since: datetime, *reads: tuple[str, str]) -> None:
    """These commands looked at these subjects, in this order, and nothing else did: this account, or the gateway."""
    eventually(lambda: len(reported(installation, since)) >= len(reads), "the reads are archived")
    account = pwd.getpwuid(os.getuid()).pw_name
    assert reported(installation, since) == [
        Row(command, subject, "gateway" if command.startswith("gateway") else account) for command, subject in reads
    ]


def receive(installation: Installation, dossier_id: str) -> None:
    received = Received(
        office="H21.18", procedure="1.002809", channel="direct", promised=datetime(2026, 3, 9, tzinfo=ZONE)
    )
    event = make_event(
        received, id=dossier_id, source="urn:access", subject=dossier_id, time=datetime(2026, 3, 2, 8, tzinfo=ZONE)
    )
    assert installation.run("publish", "-", stdin=f"{encode(event).decode()}\n").returncode == 0


def test_who_looked_at_what_is_on_record(running: Installation) -> None:
    receive(running, "READ-1")
    began = datetime.now(UTC)
    running.json("replay", "READ-1", "--as-of", "03/03/2026")
    running.json("explain", "READ-1")
    running.json("diff", "READ-1", "01/03/2026", "03/03/2026")
    assert running.run("replay", "NOBODY").returncode == 1, "what is not there was asked for too"
    reads = [
        ("replay", "READ-1"), ("explain", "READ-1"), ("gateway clocks", "READ-1"),
        ("diff", "READ-1"), ("diff", "READ-1"), ("replay", "NOBODY"),
    ]  # fmt: skip
    require_reported(running, began, *reads)
    told = [ACCESS.decode_record(each.key, each.value) for each in records_on(running.kafka, ACCESS_TOPIC)]
    mine = sorted((each for each in told if each.time >= began), key=lambda each: each.time)
    assert [(each.data.command, each.subject) for each in mine] == reads
    read = mine[0].data
    assert isinstance(read, Read)
    assert read.as_of is not None
    both = [each.data.as_of for each in mine if isinstance(each.data, Read) and each.data.command == "diff"]
    assert [each.day for each in both if each] == [1, 3], "a look at two instants is a look at each of them"


def test_who_looks_at_the_past_of_all_dossiers_looks_at_the_ledger(running: Installation) -> None:
    procedure = next(each["code"] for each in shipped().content["procedures"] if each.get("legal_time"))
    began = datetime.now(UTC)
    running.json("queues", "--as-of", "03/03/2026")
    running.json("queues", "--known-at", began.isoformat())
    running.json("summary", "--as-of", "03/03/2026")
    running.json("summary", "--known-at", began.isoformat())
    running.json("what-if", "--procedure", procedure, "--legal-time", "3d")
    running.json("queues")
    running.json("summary")
    looked = (
        "queues",
        "queues",
        "summary",
        "gateway summary",
        "summary",
        "what-if",
    )  # the present is on the board for everybody
    require_reported(running, began, *((command, LEDGER_TOPIC) for command in looked))


def test_what_the_board_shows_of_the_past_is_on_record(running: Installation) -> None:
    receive(running, "BOARD-1")
    running.json("summary")
    gateway = running.status()["addresses"]["gateway"]
    began = datetime.now(UTC)
    for path in ("", "/events", "/clocks"):
        httpx.get(f"{gateway}/v1/dossiers/BOARD-1{path}", trust_env=False).raise_for_status()
    require_reported(running, began, ("gateway events", "BOARD-1"), ("gateway clocks", "BOARD-1"))


def test_what_is_taken_away_is_on_record(running: Installation, tmp_path: Path) -> None:
    receive(running, "TAKEN-1")
    ends = running.json("rebuild", "--compare-only")["positions"]

    def is_signed() -> bool:
        signed = {each["partition"]: each["size"] for each in running.json("checkpoint", "show")["checkpoints"]}
        return all(signed.get(int(partition), 0) >= end for partition, end in ends.items())

    eventually(is_signed, "all of the ledger is signed")
    began = datetime.now(UTC)
    running.json("prove", "TAKEN-1", "--out", str(tmp_path / "pack.zip"))
    running.json("receipt", "TAKEN-1")
    assert running.run("prove", "NOBODY", "--out", str(tmp_path / "none.zip")).returncode == 1
    require_reported(running, began, ("prove", "TAKEN-1"), ("receipt", "TAKEN-1"), ("prove", "NOBODY"))


def test_whose_unreadable_bytes_were_looked_at_is_on_record(running: Installation) -> None:
    producer = KafkaProducer(**running.kafka.client, acks="all")
    at = producer.send(LEDGER_TOPIC, b"no event: access", b"D-1").get(20)
    producer.close()
    origin = f"{LEDGER_TOPIC}/{at.partition}@{at.offset}"
    running.json("summary")  # waits until it is held
    began = datetime.now(UTC)
    assert origin in {each["origin"] for each in running.json("quarantine", "list", "--all")}
    assert bytes.fromhex(running.json("quarantine", "show", origin)["value"]) == b"no event: access"
    require_reported(running, began, ("quarantine show", origin))


def test_what_cannot_be_recorded_is_not_shown(running: Installation) -> None:
    refused = Installation(running.data_dir, {"DOSSIER_KAFKA": "127.0.0.1:1"}).run("replay", "READ-1")
    assert refused.returncode == 3
    assert refused.stdout == ""
