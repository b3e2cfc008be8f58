"""The proof on a whole installation: what was signed is verified, every tampering is named, a pack needs no server."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from aiokafka import TopicPartition
from clickhouse_connect.driver.exceptions import ClickHouseError
from kafka import KafkaProducer
from msgspec import structs

from cli.console import number
from cli.restore import _taking_all
from deploy.topics import apply, found_config, load_topics
from events.ledger import LEDGER_TOPIC
from processors.archive_table import ArchiveTable
from processors.same_ledger import agrees
from replay.archive import Archive, ArchiveRow
from replay.checkpoint import Checkpoint, SignedCheckpoint, parse, read_notes
from replay.leaf import LEAF_SQL, leaf_bytes, leaf_hash
from replay.pack import read_pack, write_pack
from replay.restore import Restoring
from schemas.cluster import Cluster
from tests.installation import Installation, eventually
from tests.integration.acceptance.tampering import failures, kinds, publish, wait_until_signed, writer
from tests.integration.waiting import records_on
from tests.poison import ODD_BUT_GOOD, POISON

pytestmark = pytest.mark.integration

#: Bytes of a record: more than the ledger's topic lets a batch have.
LARGE = 3_000_000
SET_FOR_RESTORING = ("max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms")


def key_of(installation: Installation) -> str:
    return str(installation.data_dir / "keys" / "dossier-ledger.pub")


@pytest.fixture(scope="module")
def signed(installation: Installation) -> Installation:
    """Some hundred events and what is none, archived and signed to the last one."""
    producer = KafkaProducer(**installation.kafka.client, acks="all")
    for row in (*POISON[::20], *ODD_BUT_GOOD[::5]):
        producer.send(LEDGER_TOPIC, row.value, row.key, [("odd", b""), ("odd", row.value or b"")]).get(20)
    producer.close()
    installation.json("simulate", "--profile", "gia-lai-2020-h1", "--dossiers", "60", "--speed", "max")
    packing = KafkaProducer(**installation.kafka.client, compression_type="gzip", max_request_size=LARGE * 2)
    packing.send(LEDGER_TOPIC, b" " * LARGE, b"small while it is compressed").get(20)
    packing.close()
    installation.json("rebuild", "--compare-only")  # live state is there, and what was late has been said
    wait_until_signed(installation)
    return installation


class FirstRows(Archive):
    """The archive, as far as a restore came that was interrupted."""

    def stream_partition(self, partition: int, first: int = 0, end: int | None = None) -> Iterator[list[ArchiveRow]]:
        return super().stream_partition(partition, first, 30)


def test_a_ledger_that_is_lost_is_restored_to_the_last_bit(
    signed: Installation, start_broker: Callable[[], AbstractContextManager[str]]
) -> None:
    with start_broker() as address, writer(signed) as client:
        wanted = [each for each in load_topics(4, 1) if each.name == LEDGER_TOPIC]
        own_times = {"message.timestamp.type": "CreateTime"}
        apply(Cluster(address), [replace(each, config=each.config | own_times) for each in wanted])
        interrupted = Restoring(Cluster(address), FirstRows(client), lambda _: None)
        before = asyncio.run(interrupted.write(dict.fromkeys(range(4), 0)))
        assert before > 100
        as_found = settings_of(address)

        refuses_what_is_not_the_ledger(signed, client, address)
        assert (settings_of(address), len(everything_on(Cluster(address)))) == (as_found, before)
        restored = signed.json("restore", "--to", address)
        assert restored["ok"]
        rows = dict(client.query("SELECT topic, count() FROM dossier_events GROUP BY topic").result_rows)
        assert restored["written"] == {topic: rows.get(topic, 0) for topic in restored["written"]} | {
            LEDGER_TOPIC: rows[LEDGER_TOPIC] - before
        }
        assert settings_of(address) == as_found
        lost = signed.kafka
        assert everything_on(Cluster(address)) == everything_on(lost)
        table = ArchiveTable(lambda: client, LEDGER_TOPIC)
        for tp in (TopicPartition(LEDGER_TOPIC, partition) for partition in range(4)):
            newest = table.newest(tp.partition, 16)
            assert asyncio.run(agrees(Cluster(address), tp, newest)), "the archiver would not go on"
            assert not asyncio.run(agrees(Cluster(address), tp, {each - 1: rows for each, rows in newest.items()}))

        used = signed.run("restore", "--to", address)
        assert (used.returncode, "is in use" in used.stderr) == (1, True)
        producer = KafkaProducer(bootstrap_servers=address, acks="all")
        asked_at = time.time()
        told = producer.send(LEDGER_TOPIC, b"x", b"x", timestamp_ms=1).get(20)
        producer.close()
        assert told.timestamp / 1000 > asked_at - 5, "the broker's own time again"


def settings_of(address: str) -> list[str | None]:
    return [found_config(Cluster(address), [LEDGER_TOPIC], each)[LEDGER_TOPIC] for each in SET_FOR_RESTORING]


def refuses_what_is_not_the_ledger(signed: Installation, client: Any, address: str) -> None:
    """A forged row beside the true one, and one instead of it."""
    settings = {"mutations_sync": 2}
    row = f"WHERE topic = '{LEDGER_TOPIC}' AND partition = 0 AND offset = 40"
    columns = "topic, partition, offset, recorded_at, key, headers, unreadable, occurred_at, promised, writer"
    client.command(
        f"INSERT INTO dossier_events ({columns}, raw) SELECT {columns}, concat(raw, ' ') FROM dossier_events {row}"  # noqa: S608  # our own words
    )
    doubled = signed.run("restore", "--to", address)
    assert (doubled.returncode, "more rows than one for each of" in doubled.stderr) == (1, True), doubled.stderr
    client.command(f"ALTER TABLE dossier_events DELETE {row} AND endsWith(raw, ' ')", settings=settings)

    client.command(f"ALTER TABLE dossier_events UPDATE raw = concat(raw, ' ') {row}", settings=settings)
    answer = signed.json("restore", "--to", address, expect=1)
    assert (answer["ok"], answer["written"], answer["failures_found"] > 0) == (False, {}, True)
    client.command(f"ALTER TABLE dossier_events UPDATE raw = trimRight(raw) {row}", settings=settings)


def test_a_broker_that_has_something_else_is_left_alone(
    signed: Installation, start_broker: Callable[[], AbstractContextManager[str]]
) -> None:
    with start_broker() as address:
        wanted = [each for each in load_topics(4, 1) if each.name == LEDGER_TOPIC]
        apply(Cluster(address), wanted)
        before = settings_of(address)
        ahead = int(time.time() * 1000) + 7_200_000  # of the broker's clock, by more than an hour
        with suppress(InterruptedError), _taking_all(Cluster(address), wanted, {LEDGER_TOPIC: 2 * LARGE}):
            producer = KafkaProducer(bootstrap_servers=address, acks="all", max_request_size=2 * LARGE)
            producer.send(LEDGER_TOPIC, b"\0" * LARGE, b"x", partition=2, timestamp_ms=ahead).get(20)
            producer.close()
            raise InterruptedError
        assert settings_of(address) == before
        refused = signed.run("restore", "--to", address)
        assert (refused.returncode, "other records than the archive" in refused.stderr) == (1, True)
        assert len(records_on(Cluster(address), LEDGER_TOPIC)) == 1


def everything_on(kafka: Cluster) -> set[tuple[Any, ...]]:
    return {
        (each.partition, each.offset, each.timestamp, each.key, each.value, tuple(each.headers))
        for each in records_on(kafka, LEDGER_TOPIC)
    }


def test_the_table_computes_the_leaves_that_the_program_does(signed: Installation) -> None:
    with writer(signed) as client:
        rows = client.query(
            "SELECT topic, partition, offset, toUnixTimestamp64Milli(recorded_at), key, raw, headers.name, "  # noqa: S608  # our own words
            f"headers.value, leaf, {LEAF_SQL} FROM dossier_events", query_formats={"String": "bytes"},
        ).result_rows  # fmt: skip
    assert len(rows) > 500
    for topic, partition, offset, at, key, raw, names, values, leaf, in_sql in rows:
        headers = [(name.decode(), value) for name, value in zip(names, values, strict=True)]
        name = topic.decode() if isinstance(topic, bytes) else topic
        assert leaf_bytes(name, partition, offset, at, key, raw, headers) == in_sql
        assert leaf_hash(in_sql) == leaf


def test_what_was_signed_is_verified_and_tampering_is_named(signed: Installation) -> None:
    clean = signed.json("verify", "--all")
    assert clean["ok"]
    assert clean["leaves"] > 500
    assert clean["checkpoints"] >= 4
    assert clean["leaves"] <= clean["ledger"] == clean["archived"] + clean["quarantined"]
    assert clean["beside"].keys() == {"dossier.alarms.v1", "dossier.rulebooks.v1", "dossier.access.v1"}
    assert min(clean["dossiers_compared"], clean["alarms_compared"], clean["quarantined"]) > 0
    assert clean["failures_found"] == 0

    with writer(signed) as client:
        settings = {"mutations_sync": 2}
        ((partition, offset, raw),) = client.query(
            "SELECT partition, offset, raw FROM dossier_events WHERE topic = 'dossier.events.v1' AND unreadable = '' "
            "ORDER BY partition, offset LIMIT 1 OFFSET 10"
        ).result_rows
        at = {"partition": partition, "offset": offset, "raw": raw}
        row = "WHERE topic = 'dossier.events.v1' AND partition = {partition:UInt32} AND offset = {offset:UInt64}"
        client.command(f"ALTER TABLE dossier_events UPDATE raw = concat(raw, ' ') {row}", at, settings=settings)
        changed = failures(signed)
        ranges = [each.partition("@")[2].split("-") for each in changed["root"] if each.startswith(f"{partition}@")]
        assert any(int(first) <= offset <= int(last) for first, last in ranges)
        assert any(each.endswith(f"/{partition}@{offset}") for each in changed["ledger: different"])
        evidence = signed.json("repair", "--from-ledger", expect=1)
        assert (evidence["written"], {each["kind"] for each in evidence["failures"]} >= {"ledger: different"}) == (
            0,
            True,
        )
        client.command(f"ALTER TABLE dossier_events UPDATE raw = {{raw:String}} {row}", at, settings=settings)
        assert failures(signed) == {}

        client.command("ALTER TABLE dossier_events DETACH PARTITION ALL")
        gone = failures(signed)
        assert gone["detached part"]
        assert gone["truncated"]
        answer = signed.json("verify", "--all", "--wait", "0", expect=1)
        listed = [each["position"] for each in answer["failures"] if each["kind"] == "ledger: missing"]
        missing = {LEDGER_TOPIC: answer["missing"]} | {t: each["missing"] for t, each in answer["beside"].items()}
        assert len(listed) == sum(min(20, each) for each in missing.values())
        assert answer["failures_found"] == len(answer["failures"]) - len(listed) + sum(missing.values())
        assert min(missing[LEDGER_TOPIC], missing["dossier.alarms.v1"]) > 20
        said = signed.run("verify", "--all", "--wait", "0").stdout
        assert f"đầu trong {number(answer['failures_found'])} ·" in said
        ((left,),) = client.query("SELECT count() FROM dossier_events").result_rows
    assert left < 100  # of thousands: what came after the parts had been taken out

    looked = signed.json("repair", "--from-ledger", "--dry-run", expect=1)
    repaired = signed.json("repair", "--from-ledger")
    assert repaired["missing"] == looked["missing"]
    assert repaired["written"] == sum(each["rows"] for each in looked["missing"]) > 500
    assert {each["topic"] for each in repaired["missing"]} == {"dossier.events.v1", "dossier.alarms.v1"}
    assert failures(signed) == {}
    assert signed.json("repair", "--from-ledger")["written"] == 0
    assert signed.json("reconcile", "--alarms")["findings"] == []


def detach_a_read(client: Any) -> tuple[str, int]:
    """Take out a part that has rows of the access log alone: its name, and the offset of one of them.

    Not the part with the last read: that may not have been counted yet, and the archiver writes again what it finds
    gone before it has.
    """
    found = client.query(
        "SELECT _part, max(offset) AS last FROM dossier_events GROUP BY _part "
        "HAVING min(topic) = 'dossier.access.v1' AND max(topic) = 'dossier.access.v1' "
        "AND last < (SELECT max(offset) FROM dossier_events WHERE topic = 'dossier.access.v1')"
    ).result_rows
    for part, offset in found:
        with suppress(ClickHouseError):  # it has just been merged with others
            client.command(f"ALTER TABLE dossier_events DETACH PART '{part}'")
            return str(part), int(offset)
    return "", 0


def test_rows_that_are_gone_are_found_whichever_topic_they_are_of(signed: Installation) -> None:
    with writer(signed) as client:
        ((partition, offset),) = client.query(
            "SELECT partition, offset FROM dossier_events WHERE topic = 'dossier.alarms.v1' "
            "ORDER BY partition, offset LIMIT 1"
        ).result_rows
        at = {"partition": partition, "offset": offset}
        here = "WHERE topic = 'dossier.alarms.v1' AND partition = {partition:UInt32} AND offset = {offset:UInt64}"
        settings = {"mutations_sync": 2}
        client.command(f"ALTER TABLE dossier_events UPDATE raw = concat(raw, ' ') {here}", at, settings=settings)
        position = f"dossier.alarms.v1/{partition}@{offset}"
        assert position in failures(signed)["ledger: different"]
        assert signed.json("repair", "--from-ledger", expect=1)["failures"][0]["position"] == position
        client.command(f"ALTER TABLE dossier_events DELETE {here}", at, settings=settings)
        answer = signed.json("verify", "--all", "--wait", "5", expect=1)
        assert {"ledger: missing": [position]}.items() <= kinds(answer).items()
        assert answer["beside"]["dossier.alarms.v1"]["missing"] == 1
        assert answer["missing"] == 0
        assert signed.json("repair", "--from-ledger")["written"] == 1

        taken: list[tuple[str, int]] = []

        def is_taken() -> bool:
            signed.run("replay", "NOBODY")
            taken[:] = [detach_a_read(client)]
            return bool(taken[0][0])

        eventually(is_taken, "a part with nothing but reads is taken out")
        ((part, read),) = taken
        gone = failures(signed)
        assert f"dossier.access.v1/0@{read}" in gone["ledger: missing"]
        assert part in gone["detached part"]
        assert signed.json("repair", "--from-ledger")["written"] > 0
    assert failures(signed) == {}


def test_columns_that_do_not_say_what_the_record_says_are_put_right(signed: Installation) -> None:
    """What reports read can be changed with the record, and so every signature, left as it is."""
    ids = "SELECT DISTINCT id FROM dossier_events_readable ORDER BY id"
    with writer(signed) as client:
        before = client.query(ids).result_rows
        rows = client.query(
            "SELECT partition, offset, raw FROM dossier_events WHERE topic = 'dossier.events.v1' AND unreadable = '' "
            "ORDER BY partition, offset LIMIT 2 OFFSET 20"
        ).result_rows
        (hidden, edited) = [f"dossier.events.v1/{partition}@{offset}" for partition, offset, _ in rows]

        def update(row: int, what: str) -> None:
            at = dict(zip(("partition", "offset", "raw"), rows[row], strict=True))
            here = "WHERE topic = 'dossier.events.v1' AND partition = {partition:UInt32} AND offset = {offset:UInt64}"
            client.command(f"ALTER TABLE dossier_events UPDATE {what} {here}", at, settings={"mutations_sync": 2})

        update(0, "unreadable = 'nothing to see here'")
        update(1, "raw = concat(raw, ' '), occurred_at = occurred_at - INTERVAL 1 YEAR")
        assert len(client.query(ids).result_rows) == len(before) - 1
        found = failures(signed)
        assert found["ledger: altered"] == [hidden, edited]
        assert found["ledger: different"] == [edited]
        looked = signed.json("repair", "--from-ledger", "--dry-run", expect=1)
        assert sum(each["rows"] for each in looked["altered"]) == 2

        repaired = signed.json("repair", "--from-ledger", expect=1)
        assert (repaired["rewritten"], repaired["written"], repaired["signed"]) == (1, 0, True)
        assert {each["position"] for each in repaired["failures"] if each["kind"].startswith("ledger")} == {edited}
        assert client.query(ids).result_rows == before
        update(1, "raw = {raw:String}")
        assert signed.json("repair", "--from-ledger", "--key", key_of(signed))["rewritten"] == 1
    assert failures(signed) == {}


def test_a_checkpoint_that_another_key_signed_is_none(signed: Installation, tmp_path: Path) -> None:
    signed.json("keys", "new", "dossier-ledger", "--out", str(tmp_path))
    answer = signed.json("verify", "--all", "--key", str(tmp_path / "dossier-ledger.pub"), expect=1)
    assert {each["kind"] for each in answer["failures"]} == {"signature", "unsigned"}
    repaired = signed.json("repair", "--from-ledger", "--key", str(tmp_path / "dossier-ledger.pub"), expect=1)
    assert {each["kind"] for each in repaired["failures"]} == {"signature", "unsigned"}


def test_a_checkpoint_held_elsewhere_is_compared_beside_the_installations_own(
    signed: Installation, tmp_path: Path
) -> None:
    held = tmp_path / "held.txt"
    assert signed.run("checkpoint", "export", str(held)).returncode == 0
    text = held.read_text(encoding="utf-8")
    without, beside = signed.json("verify", "--all"), signed.json("verify", "--all", "--checkpoints", str(held))
    assert beside["checkpoints"] >= without["checkpoints"] + len(read_notes(text))
    for cut in (text[:-30], text[: text.rindex("\n\n", 0, -2) + 1], ""):
        held.write_text(cut, encoding="utf-8")
        refused = signed.run("verify", "--all", "--checkpoints", str(held))
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr


def test_one_dossier_is_proved_without_a_server(signed: Installation, tmp_path: Path) -> None:
    with writer(signed) as client:
        ((dossier_id,),) = client.query(
            "SELECT dossier_id FROM dossier_events WHERE topic = 'dossier.events.v1' AND unreadable = '' "
            "ORDER BY offset LIMIT 1"
        ).result_rows
    made = signed.json("prove", dossier_id, "--out", str(tmp_path / "pack.zip"))
    key = tmp_path / "ledger.pub"
    shutil.copy(key_of(signed), key)
    alone = Installation(tmp_path / "nothing runs here")
    page = tmp_path / "page.html"
    checked = alone.json("verify", str(tmp_path / "pack.zip"), "--key", str(key), "--page", str(page))
    assert (checked["ok"], checked["leaves"]) == (True, made["events"])
    with ZipFile(tmp_path / "pack.zip") as pack:
        assert page.read_bytes() == pack.read("dossier.html")
    alone.json("keys", "new", "stranger", "--out", str(tmp_path))
    refused = alone.json("verify", str(tmp_path / "pack.zip"), "--key", str(tmp_path / "stranger.pub"), expect=1)
    assert {each["kind"] for each in refused["failures"]} == {"signature"}
    assert alone.run("verify", "--all", "--key", str(key), "--page", str(page)).returncode == 2
    assert signed.run("prove", "NOBODY", "--out", str(tmp_path / "none.zip")).returncode == 1


def test_a_pack_shows_that_the_log_which_the_auditor_knows_was_continued(signed: Installation, tmp_path: Path) -> None:
    export, key, pack = tmp_path / "export.txt", tmp_path / "ledger.pub", tmp_path / "pack.zip"
    shutil.copy(key_of(signed), key)
    assert signed.run("checkpoint", "export", str(export)).returncode == 0
    dossier_id = "PROOF-1"
    publish(signed, dossier_id)
    eventually(lambda: signed.run("prove", dossier_id, "--out", str(pack)).returncode == 0, "the new event is signed")
    alone = Installation(tmp_path / "nothing runs here")
    verify = ("verify", str(pack), "--key", str(key))
    unknown = alone.json(*verify, "--checkpoints", str(export), expect=1)
    assert {each["kind"] for each in unknown["failures"]} == {"inconsistent"}

    partition = signed.json("prove", dossier_id, "--out", str(pack), "--since", str(export))["partition"]
    shown = alone.json(*verify, "--checkpoints", str(export))
    assert (shown["ok"], shown["checkpoints"]) == (True, 3)
    held = next(
        each
        for each in read_notes(export.read_text(encoding="utf-8"))
        if each.checkpoint.partition_of(LEDGER_TOPIC) == partition
    ).checkpoint
    newest = parse(read_pack(pack.read_bytes()).checkpoint).checkpoint
    assert 0 < held.size < newest.size

    everything = tmp_path / "everything.txt"
    shutil.copy(signed.data_dir / "checkpoints.txt", everything)  # as it is copied to another host
    signed.json("prove", dossier_id, "--out", str(pack), "--since", str(everything))
    assert alone.json(*verify, "--checkpoints", str(everything))["ok"]

    forged = structs.replace(read_pack(pack.read_bytes()), consistency=("AAAA",))
    pack.write_bytes(write_pack(forged, ""))
    refused = alone.json(*verify, "--checkpoints", str(everything), expect=1)
    assert {each["kind"] for each in refused["failures"]} == {"consistency"}

    beyond = SignedCheckpoint(Checkpoint(held.origin, 10**9, held.root)).text + "— x AAAAAAAA\n"
    for text, told in ((beyond, "a log of 1000000000 leaves is held"), ("half a note", "no file of checkpoints")):
        export.write_text(text, encoding="utf-8")
        mistaken = signed.run("prove", dossier_id, "--out", str(pack), "--since", str(export))
        assert (mistaken.returncode in (1, 2), told in mistaken.stderr) == (True, True), mistaken.stderr
        assert mistaken.stderr.count("\n") == 1


def test_a_witness_signs_a_log_that_has_grown(signed: Installation, tmp_path: Path) -> None:
    before, new, key = tmp_path / "signed.txt", tmp_path / "new.txt", tmp_path / "watcher.key"
    signed.json("keys", "new", "watcher", "--witness", "--out", str(tmp_path))

    def cosign(file: Path, *since: str) -> int:
        keys = ("--key", str(key), "--log-key", key_of(signed))
        return signed.run("checkpoint", "cosign", str(file), *keys, *since).returncode

    assert signed.run("checkpoint", "export", str(before)).returncode == 0
    assert cosign(before) == 0
    publish(signed, "WITNESSED-1")
    known = {each.checkpoint for each in read_notes(before.read_text(encoding="utf-8"))}

    def has_grown() -> bool:
        assert signed.run("checkpoint", "export", str(new)).returncode == 0
        return {each.checkpoint for each in read_notes(new.read_text(encoding="utf-8"))} != known

    eventually(has_grown, "the new event is signed")
    assert cosign(new, "--since", str(before)) == 1, "without a proof"
    assert signed.run("checkpoint", "export", str(new), "--since", str(before)).returncode == 0
    assert cosign(new, "--since", str(before)) == 0
    assert signed.json("verify", "--all", "--checkpoints", str(new))["ok"]


def test_a_citizen_checks_a_receipt_without_a_server(signed: Installation, tmp_path: Path) -> None:
    with writer(signed) as client:
        ((dossier_id,),) = client.query(
            "SELECT dossier_id FROM dossier_events WHERE topic = 'dossier.events.v1' AND type = 'dossier.received' "
            "ORDER BY offset LIMIT 1"
        ).result_rows
    text, code, pack = tmp_path / "receipt.txt", tmp_path / "receipt.svg", tmp_path / "pack.zip"
    given = signed.json("receipt", dossier_id, "--out", str(text), "--svg", str(code))
    assert given["text"] == text.read_text(encoding="utf-8")
    assert code.read_text(encoding="utf-8").count("<svg") == 1
    signed.json("prove", dossier_id, "--out", str(pack))
    key = tmp_path / "ledger.pub"
    shutil.copy(key_of(signed), key)
    alone = Installation(tmp_path / "nothing runs here")
    checked = alone.json("verify-receipt", str(text), "--key", str(key), "--pack", str(pack))
    assert (checked["ok"], checked["in_pack"], checked["dossier"]) == (True, True, dossier_id)
    scanned = alone.run("verify-receipt", "-", "--key", str(key), stdin=given["text"])
    assert (scanned.returncode, "signed" in scanned.stdout) == (0, True)
    text.write_text(given["text"].replace("T", "T0", 1), encoding="utf-8")
    assert alone.json("verify-receipt", str(text), "--key", str(key), expect=1)["ok"] is False
    assert signed.run("receipt", "NOBODY").returncode == 1
