"""Unreadable records among good ones: all of them in quarantine, none lost, and the stream goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from events.catalogue import Received
from events.envelope import encode, make_event
from tests.installation import Installation, eventually
from tests.poison import ODD_BUT_GOOD, POISON

pytestmark = pytest.mark.integration


#: More than the quarantine takes; a broker looks at what is sent, which is a few kilobytes.
LARGE = 3 * 1024 * 1024


class OddName(str):
    """The name of a header as other clients may send it: bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"\xff\xfe"


def test_poison_goes_to_quarantine_and_stops_nothing(installation: Installation, tmp_path: Path) -> None:
    kafka = installation.kafka
    producer = KafkaProducer(**kafka.client, acks="all", max_request_size=2_000_000)
    for number, row in enumerate(POISON):
        nothing = row.key is None and row.value is None  # kafka-python does not send that: an empty key comes closest
        producer.send("dossier.events.v1", key=b"" if nothing else row.key, value=row.value)
        good = make_event(
            Received(office="GL", procedure="P1", channel="direct"),
            id=f"good-{number}", source="urn:test", subject=f"D-{number}", time=datetime(2026, 3, 2, tzinfo=UTC),
        )  # fmt: skip
        producer.send("dossier.events.v1", key=good.subject.encode(), value=encode(good))
    for row in ODD_BUT_GOOD:
        producer.send("dossier.events.v1", key=row.key, value=row.value)
    named = make_event(
        Received(office="GL", procedure="P1", channel="direct"),
        id="named", source="urn:test", subject="D-NAMED", time=datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip
    good_header, bad_header = [(OddName("x"), b"1")], [("\x01" * 400_000, b"")]
    producer.send("dossier.events.v1", key=b"D-NAMED", value=encode(named), headers=good_header)
    producer.send("dossier.events.v1", key=b"D-NAMED", value=b"no event", headers=good_header)
    producer.send("dossier.events.v1", key=b"D-NAMED", value=b"no event", headers=bad_header)
    producer.flush()
    producer.close()
    small = KafkaProducer(**kafka.client, acks="all", max_request_size=20_000_000, compression_type="gzip")
    large = small.send("dossier.events.v1", key=b"D-LARGE", value=b" " * LARGE).get(30)
    small.close()

    summary = installation.json("summary")
    held = installation.json("quarantine", "list")
    reconciled = installation.json("reconcile")
    readable, unreadable = len(POISON) + len(ODD_BUT_GOOD) + 1, len(POISON) + 3
    assert summary["dossiers"] == len(POISON) + len({row.key for row in ODD_BUT_GOOD}) + 1
    assert summary["quarantined"] == len(held) == unreadable
    assert all(record["reason"] for record in held)
    assert (reconciled["ledger"], reconciled["archived"]) == (readable + unreadable, readable)
    assert reconciled["quarantined"] == unreadable
    assert (reconciled["different"], reconciled["missing"]) == (0, 0)
    assert installation.json("rebuild")["differing"] == 0

    cut = {each["origin"]: each["cut"] for each in held if "cut" in each}
    place = f"dossier.events.v1/{large.partition}@{large.offset}"
    assert len(cut) == 2
    assert cut[place]["value_bytes"] == LARGE
    (again,) = installation.json("quarantine", "retry", place, expect=1)
    assert "the archive has all of it" in again["still"]
    assert "3.145.728 byte" in installation.run("quarantine", "show", place).stdout

    pack = tmp_path / "named.zip"
    eventually(lambda: installation.run("prove", "D-NAMED", "--out", str(pack)).returncode == 0, "it is signed")
    (key,) = (installation.data_dir / "keys").glob("*.pub")
    assert installation.json("verify", str(pack), "--key", str(key))["ok"] is True
