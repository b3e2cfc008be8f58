"""The way into quarantine and out of it, as an operator goes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from events.ledger import LEDGER_TOPIC
from events.quarantine import QUARANTINE_TOPIC, LedgerOrigin
from processors.quarantine import QuarantineWriter, read_quarantine
from schemas.cluster import Cluster
from tests.installation import Installation
from tests.unit.archive.records import Ledgered, a_record

pytestmark = pytest.mark.integration


GOOD = a_record(1)
RECORDS = (
    Ledgered(7, value=b"\xff[bold]", headers=(("a", None), ("h", b"\xff"))),
    Ledgered(8, key=GOOD.key, value=GOOD.value, headers=GOOD.headers),  # an earlier program could not read it
    Ledgered(9, key=b"D", value=None),
)


async def put_twice(broker: str, topic: str) -> None:
    async with QuarantineWriter(Cluster(broker), topic) as writer:
        for _ in range(2):
            for record in RECORDS:
                await writer.put(LedgerOrigin("dossier.events.v1", 2, record.offset), record, "unknown type")


def test_what_can_be_read_goes_back_to_the_ledger_and_the_rest_stays(
    broker: str, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    prefix = make_topics()
    asyncio.run(put_twice(broker, prefix + QUARANTINE_TOPIC))
    dossier = Installation(tmp_path, {"DOSSIER_KAFKA": broker})
    held = dossier.json("quarantine", "list", "--prefix", prefix)
    assert [each["origin"] for each in held] == [f"dossier.events.v1/2@{offset}" for offset in (7, 8, 9)]
    assert [each["bytes"] for each in held] == [7, len(GOOD.value or b""), None]

    shown = dossier.json("quarantine", "show", "dossier.events.v1/2@7", "--prefix", prefix)
    assert (shown["value"], shown["headers"]) == (b"\xff[bold]".hex(), [["a", None], ["h", "ff"]])
    assert "ff 5b 62" in dossier.run("quarantine", "show", "dossier.events.v1/2@7", "--prefix", prefix).stdout

    tried = dossier.json("quarantine", "retry", "--all", "--prefix", prefix, expect=1)
    assert [bool(each["still"]) for each in tried] == [True, False, True]
    assert tried[1]["went_to"].startswith(prefix + LEDGER_TOPIC)
    assert len(dossier.json("quarantine", "list", "--prefix", prefix)) == 2
    assert len(dossier.json("quarantine", "list", "--all", "--prefix", prefix)) == 3
    assert dossier.json("quarantine", "retry", "dossier.events.v1/2@8", "--prefix", prefix) == []


def test_what_was_closed_is_held_no_more_and_can_still_go_to_the_ledger(
    broker: str, make_topics: Callable[..., str], tmp_path: Path
) -> None:
    prefix = make_topics()
    asyncio.run(put_twice(broker, prefix + QUARANTINE_TOPIC))
    dossier = Installation(tmp_path, {"DOSSIER_KAFKA": broker})
    unreadable, readable = "dossier.events.v1/2@7", "dossier.events.v1/2@8"
    for origin in (unreadable, readable):
        told = dossier.json("quarantine", "close", origin, "--reason", "được báo lại", "--prefix", prefix)
        assert (told["status"], told["closed"]["reason"], told["already"]) == ("closed", "được báo lại", False)
    again = dossier.json("quarantine", "close", unreadable, "--reason", "other", "--prefix", prefix)
    assert (again["closed"]["reason"], again["already"]) == ("được báo lại", True)

    (held,) = dossier.json("quarantine", "list", "--prefix", prefix)
    assert held["origin"] == "dossier.events.v1/2@9"
    assert "đã đóng" in dossier.run("quarantine", "list", "--all", "--prefix", prefix).stdout
    shown = dossier.json("quarantine", "show", unreadable, "--prefix", prefix)
    assert (shown["value"], shown["closed"]) == (b"\xff[bold]".hex(), again["closed"])

    tried = dossier.json("quarantine", "retry", "--all", "--prefix", prefix, expect=1)
    assert [each["origin"] for each in tried] == ["dossier.events.v1/2@9"], "what is closed is left alone"
    failed = dossier.run("quarantine", "retry", unreadable, "--prefix", prefix)
    assert failed.returncode == 1
    assert f"{unreadable} vẫn đóng · still closed: " in failed.stdout
    (done,) = dossier.json("quarantine", "retry", readable, "--prefix", prefix)
    assert (done["status"], done["closed"]["reason"]) == ("retried", "được báo lại")
    refused = dossier.run("quarantine", "close", readable, "--reason", "x", "--prefix", prefix)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_mistake_is_one_clear_line(broker: str, make_topics: Callable[..., str], tmp_path: Path) -> None:
    dossier = Installation(tmp_path, {"DOSSIER_KAFKA": broker})
    prefix = make_topics()
    wrong = (("show", "nowhere/0@1"), ("retry",), ("retry", "x", "--all"), ("close", "nowhere/0@1", "--reason", "x"))
    for arguments in wrong:
        done = dossier.run("quarantine", *arguments, "--prefix", prefix)
        assert done.returncode == 2
        assert done.stderr.startswith("error ")
    assert "empty" in dossier.run("quarantine", "list", "--prefix", prefix).stdout
    assert asyncio.run(read_quarantine(Cluster(broker), prefix + QUARANTINE_TOPIC)) == {}
