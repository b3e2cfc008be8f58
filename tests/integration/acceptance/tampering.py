"""An installation in the hands of somebody who has broken in, and what `dossier verify --all` says of it then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.against import own_notes
from cli.past import ledger_ends
from deploy.clickhouse.client import connect
from deploy.embedded.runtime import Running, find, read_credentials
from events.catalogue import Received
from events.envelope import encode, make_event
from events.ledger import LEDGER_TOPIC
from replay.checkpoint import parse
from schemas.settings import Settings
from tests.installation import Installation, eventually


def running(installation: Installation) -> Running:
    """Where its servers are, and who looks after its processes."""
    found = find(installation.data_dir)
    assert found is not None
    return found


@contextmanager
def writer(installation: Installation) -> Iterator[Any]:
    """A client that may change the archive, as somebody who has broken in."""
    passwords = read_credentials(installation.data_dir)
    assert passwords is not None
    password = passwords.archiver.get_secret_value()
    with connect(running(installation).clickhouse, user="archiver", password=password, database="default") as client:
        yield client


def publish(installation: Installation, *dossier_ids: str) -> None:
    """One event for each of these dossiers. It happens now: no clock runs out while a test is at work."""
    received, at = Received(office="H21.18", procedure="1.002809", channel="direct"), datetime.now(UTC)
    events = [make_event(received, id=f"{each}-1", source="urn:proof", subject=each, time=at) for each in dossier_ids]
    done = installation.run("publish", "-", stdin="".join(f"{encode(each).decode()}\n" for each in events))
    assert done.returncode == 0, done.stderr


def wait_until_signed(installation: Installation) -> dict[int, int]:
    """Until all that is on the ledger is signed; gives how many leaves each partition has."""
    ends = {each: end for each, end in ledger_ends(installation.kafka).items() if end}

    def is_signed() -> bool:
        return {each: max(signed_sizes(installation, each), default=0) for each in ends} == ends

    eventually(is_signed, "everything is signed")
    return ends


def own_file(installation: Installation) -> Path:
    """The installation's own file of all that it has signed."""
    return installation.data_dir / "checkpoints.txt"


def signed_sizes(installation: Installation, partition: int) -> list[int]:
    """Of the partition's checkpoints, the smallest first, by the installation's own file."""
    notes = [parse(text).checkpoint for _, text in own_notes(Settings(data_dir=installation.data_dir))]
    return sorted({each.size for each in notes if each.partition_of(LEDGER_TOPIC) == partition})


def failures(installation: Installation, *arguments: str, wait: int = 5) -> dict[str, list[str]]:
    """The failures of `verify --all` by kind: their positions. `wait`: for rows that are not there."""
    done = installation.run("verify", "--all", "--json", "--wait", str(wait), *arguments)
    found = kinds(json.loads(done.stdout))
    assert done.returncode == bool(found), done.stderr
    return found


def kinds(answer: Any) -> dict[str, list[str]]:
    """The failures of an answer by kind: their positions."""
    found: dict[str, list[str]] = {}
    for each in answer["failures"]:
        found.setdefault(each["kind"], []).append(each["position"])
    assert answer["ok"] is not bool(found)
    return found
