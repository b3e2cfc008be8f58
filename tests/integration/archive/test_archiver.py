"""Law 5 on real parts: the archive is the ledger, whatever dies, pauses or breaks, and when."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from cli.keys import write_keys
from deploy.clickhouse import migrate
from deploy.embedded import ports
from events.catalogue import WIRE_NAMES, Received
from events.envelope import Unreadable, decode_record
from processors.archive_table import ArchiveTable, Count
from processors.archiver import ArchiverFailed
from processors.batches import make_batch
from replay.checkpoint import Signer
from replay.log_table import LogTable, Missing
from schemas.cluster import Cluster
from tests.integration.archive.archiving import Archiving, Process, client_of, eventually
from tests.integration.archive.proxy import CuttingProxy
from tests.integration.clickhouse.conftest import command_line, environment
from tests.integration.conftest import leash
from tests.integration.waiting import answers_ping, records_on, until
from tests.poison import ODD_BUT_GOOD, POISON
from tests.unit.archive.records import Ledgered, a_record

pytestmark = pytest.mark.integration


def verdict(key: bytes | None, value: bytes | None) -> tuple[str, datetime | None]:
    """Why it is no event, or when it happened."""
    try:
        return "", decode_record(key, value).time
    except Unreadable as reason:
        return str(reason), None


def test_every_record_is_archived_with_its_bytes_and_the_decoders_verdict(archiving: Archiving) -> None:
    odd = [Ledgered(0, key=row.key, value=row.value, headers=(("h", b"\xff"),)) for row in (*POISON, *ODD_BUT_GOOD)]
    archiving.publish(odd)
    archiving.publish_events(0, 500)
    archiving.start()
    archiving.require_exact(len(odd) + 500)
    rows = archiving.records()
    for row in rows:
        assert (row.unreadable, row.occurred_at) == verdict(row.key, row.raw)
    assert sum(bool(row.unreadable) for row in rows) == len(POISON)


@pytest.mark.parametrize("table", ["dossier_events", "dossier_events_readable"])
def test_reports_find_what_the_event_says_in_columns(archiving: Archiving, table: str) -> None:
    archiving.publish([a_record(number) for number in range(200)])
    archiving.publish([Ledgered(0, key=row.key, value=row.value) for row in ODD_BUT_GOOD])
    archiving.start()
    archiving.require_exact(200 + len(ODD_BUT_GOOD))
    found = archiving.client.query(
        "SELECT partition, offset, source, id, type, dossier_id, office, actor, room, step, procedure, channel, "
        "outcome, promised FROM {table:Identifier} WHERE topic = {topic:String}",
        {"table": table, "topic": archiving.topic},
        query_tz="UTC",
    ).result_rows
    by_position = {(row.partition, row.offset): row for row in archiving.records()}
    assert len(found) == len(by_position) == 200 + len(ODD_BUT_GOOD)
    for partition, offset, *said, promised in found:
        row = by_position[partition, offset]
        event = decode_record(row.key, row.raw)
        fact = event.data
        actor = fact.actor.id if fact.actor else ""
        texts = [getattr(fact, name, None) or "" for name in ("room", "step", "procedure", "channel", "outcome")]
        assert said == [event.source, event.id, WIRE_NAMES[type(fact)], event.subject, fact.office, actor, *texts]
        assert (promised and promised.replace(tzinfo=UTC)) == (fact.promised if isinstance(fact, Received) else None)


def has_partitions(process: Process) -> bool:
    return bool(process.partitions)


def has_rows(archiving: Archiving, count: int) -> bool:
    return archiving.rows() >= count


def test_kill_minus_nine_at_random_points_loses_and_repeats_nothing(archiving: Archiving) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  # pytest shows it when the test fails
    moments = random.Random(seed)  # noqa: S311  # moments, not secrets
    archiving.publish_events(0, 20_000)
    for turn in range(4):
        process = archiving.start()
        archiving.publish_events(20_000 + turn * 2_000, 22_000 + turn * 2_000)
        eventually(partial(has_partitions, process), "the archiver has partitions")
        goal = min(archiving.rows() + moments.randrange(4_000), 20_000)
        eventually(partial(has_rows, archiving, goal), f"{goal} rows")
        process.kill()
    archiving.start()
    archiving.require_exact(28_000)


def test_a_paused_archiver_wakes_up_and_doubles_nothing(archiving: Archiving) -> None:
    archiving.publish_events(0, 2_000)
    sleeper = archiving.start()
    eventually(lambda: len(sleeper.partitions) == 4, "the first archiver has all partitions")
    archiving.publish_events(2_000, 12_000)
    sleeper.send(signal.SIGSTOP)
    successor = archiving.start()
    eventually(lambda: len(successor.partitions) == 4, "the second archiver has taken over")
    archiving.publish_events(12_000, 14_000)
    sleeper.send(signal.SIGCONT)
    eventually(lambda: len(sleeper.partitions) == len(successor.partitions) == 2, "they share the partitions")
    archiving.publish_events(14_000, 16_000)
    archiving.require_exact(16_000)


def test_partitions_move_to_a_second_archiver_and_back(archiving: Archiving) -> None:
    first = archiving.start()
    archiving.publish_events(0, 3_000)
    eventually(lambda: len(first.partitions) == 4, "one archiver has all partitions")
    second = archiving.start()
    archiving.publish_events(3_000, 6_000)
    eventually(lambda: len(first.partitions) == len(second.partitions) == 2, "two archivers share")
    archiving.publish_events(6_000, 9_000)
    assert second.stop() == 0
    archiving.publish_events(9_000, 12_000)
    eventually(lambda: len(first.partitions) == 4, "one archiver has all partitions again")
    archiving.require_exact(12_000)
    assert first.stop() == 0


def test_an_answer_that_is_lost_is_not_sent_for_twice(archiving: Archiving) -> None:
    archiving.publish_events(0, 3_000)
    with CuttingProxy(archiving.clickhouse, cuts=6) as proxy:
        archiving.start(clickhouse=proxy.url)
        archiving.require_exact(3_000)
        assert proxy.cuts_left == 0


@contextmanager
def own_clickhouse(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with leash(command_line(folder, port), folder / "clickhouse.log", environment()) as process:
        until(lambda: answers_ping(f"http://127.0.0.1:{port}"), process, folder / "clickhouse.log")
        yield process


def test_kill_minus_nine_of_clickhouse_loses_and_repeats_nothing(archiving: Archiving, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    port = ports.choose_ports(folder, {"clickhouse": 0})["clickhouse"]
    archiving.clickhouse = f"http://127.0.0.1:{port}"
    archiving.publish_events(0, 10_000)
    with own_clickhouse(folder, port) as process:
        archiving.client = client_of(archiving.clickhouse)
        migrate(archiving.client)
        archiver = archiving.start()
        eventually(lambda: archiving.rows() > 0, "the first rows")
        archiving.publish_events(10_000, 20_000)
        process.kill()
        process.wait()
    eventually(lambda: bool(archiver.health and archiver.health.health == "failing"), "the archiver says so")
    with own_clickhouse(folder, port):
        archiving.require_exact(20_000)
        archiving.client.close()


def test_rows_of_two_runs_with_other_bounds_are_found_and_one_of_each_stays(archiving: Archiving) -> None:
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    records = [a_record(offset) for offset in range(100)]
    early, late = UUID(int=1), UUID(int=2)
    table.insert(make_batch(archiving.topic, 0, records[:60], late))
    table.insert(make_batch(archiving.topic, 0, records[40:], early))
    assert table.count(0, 0, 99) == Count(rows=120, offsets=100)
    assert table.remove_doubled(0, 0, 99) == 20
    assert table.remove_doubled(0, 0, 99) == 0
    assert table.count(0, 0, 99) == Count(rows=100, offsets=100)
    assert [row.raw for row in archiving.records()] == [each.value for each in records]
    table.close()


def test_two_rows_that_differ_stay_and_nobody_signs_either(archiving: Archiving) -> None:
    """One of them is forged, and which run of the archiver it names is its forger's choice."""
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    records = [a_record(offset) for offset in range(100)]
    forged = [replace(records[40], key=None), replace(records[50], value=b"{}"), replace(records[99], headers=())]
    table.insert(make_batch(archiving.topic, 0, records, UUID(int=2)))
    log = LogTable(archiving.client, archiving.topic)
    assert len(next(log.leaves(0, 0, 100))) == 100
    table.insert(make_batch(archiving.topic, 0, [records[7], *forged], UUID(int=1)))
    assert (table.remove_doubled(0, 0, 99), table.remove_doubled(0, 0, 99)) == (1, 0)
    assert table.disputed(0, 0, 99) == [40, 50, 99]
    assert table.count(0, 0, 99) == Count(rows=103, offsets=100)
    for first, end, offset in ((0, 100, 40), (41, 100, 50), (51, 100, 99)):
        with pytest.raises(Missing, match=f"different rows for offset {offset} "):
            list(log.leaves(0, first, end))
    table.close()


@pytest.mark.parametrize("value", [None, b"{}"], ids=["the same row again", "rows that differ"])
def test_an_archiver_goes_on_beside_rows_that_no_archiver_wrote(archiving: Archiving, value: bytes | None) -> None:
    archiver = archiving.start()
    archiving.publish_events(0, 400)
    eventually(partial(has_rows, archiving, 400), "all is archived")
    row = next(row for block in archiving.archive.stream_partition(0) for row in block)
    sql = "SELECT writer FROM dossier_events WHERE topic = {topic:String} AND partition = 0 AND offset = 0"
    ((writer,),) = archiving.client.query(sql, {"topic": archiving.topic}).result_rows
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    forged = Ledgered(row.offset, row.recorded_ms, row.key, value or row.raw, row.headers)
    table.insert(make_batch(archiving.topic, 0, [forged], writer, ":forged"))
    archiving.publish_events(400, 800)
    eventually(partial(has_rows, archiving, 801), "all is archived, and both rows are there")
    eventually(lambda: archiver.says("two rows for one offset"), "it says so")
    assert table.disputed(0, 0, row.offset) == [row.offset]
    assert archiver.popen.poll() is None
    table.close()


def test_what_is_not_signed_is_said_until_it_is(archiving: Archiving, tmp_path: Path) -> None:
    key, _ = write_keys(Signer.from_seed("gia-lai", bytes(32)), tmp_path)
    log = LogTable(archiving.client, archiving.topic)
    archiving.publish_events(0, 400)
    unsigned = archiving.start()
    archiving.require_exact(400)
    assert unsigned.stop() == 0
    row = next(row for block in archiving.archive.stream_partition(2) for row in block)
    table, forger = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic), UUID(int=1)
    table.insert(make_batch(archiving.topic, 2, [Ledgered(row.offset, row.recorded_ms, row.key, b"{}")], forger))
    table.close()

    archiver = archiving.start(DOSSIER_SIGNING_KEY=str(key), DOSSIER_CHECKPOINT_SECONDS="0.1")
    eventually(lambda: log.partitions() == [0, 1, 3], "the others are signed")
    said = "not signed, see dossier verify --all: different rows for offset 0 of partition 2"
    eventually(lambda: health_of(archiver) == ("behind", said), "it says which is not, and why")
    archiving.client.command("DELETE FROM dossier_events WHERE writer = {forger:UUID}", {"forger": forger})
    eventually(lambda: log.partitions() == [0, 1, 2, 3], "it is signed")
    eventually(lambda: health_of(archiver) == ("ok", ""), "all is well")


def health_of(process: Process) -> tuple[str, str] | None:
    return (process.health.health, process.health.detail) if process.health else None


def test_a_body_that_comes_when_all_is_archived_is_found_though_nothing_follows_it(archiving: Archiving) -> None:
    """Sent by a run that died, held up on its way, and arriving after its successor has written everything."""
    archiving.start()
    archiving.publish_events(0, 400)
    eventually(partial(has_rows, archiving, 400), "all is archived")
    rows = [row for block in archiving.archive.stream_partition(0) for row in block]
    late = [Ledgered(row.offset, row.recorded_ms, row.key, row.raw, row.headers) for row in rows[-20:-5]]
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    table.insert(make_batch(archiving.topic, 0, late, UUID(int=(1 << 128) - 1)))
    assert archiving.rows() == 415
    eventually(lambda: archiving.rows() == 400, "its rows are taken out")
    archiving.require_exact(400)
    table.close()


def test_the_same_batch_of_another_run_is_nothing(archiving: Archiving) -> None:
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    records = [a_record(offset) for offset in range(100)]
    for writer in (UUID(int=1), UUID(int=2)):
        table.insert(make_batch(archiving.topic, 0, records, writer))
    assert table.count(0, 0, 99) == Count(rows=100, offsets=100)
    assert table.cursor(0) == 100
    assert table.cursor(1) == 0
    table.close()


def test_a_token_that_other_data_was_written_under_loses_no_rows(archiving: Archiving) -> None:
    """ClickHouse takes the archiver's batch for one that it has, and says that all is well."""
    archiving.publish_events(0, 400)
    mine = [each for each in records_on(Cluster(archiving.broker), archiving.topic) if each.partition == 0]
    batch = make_batch(archiving.topic, 0, mine, UUID(int=1))
    foreign = make_batch("foreign", 0, [a_record(0, mine[0].timestamp)], UUID(int=1))  # a token is known by the month
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), "foreign")
    table.insert(replace(foreign, token=batch.token))
    process = archiving.start()
    archiving.require_exact(400)
    assert process.says("rows were missing")
    table.close()


def test_an_archive_of_another_ledger_is_refused(archiving: Archiving) -> None:
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    table.insert(make_batch(archiving.topic, 0, [replace(a_record(1), offset=5)], UUID(int=1)))
    process = archiving.start()
    assert process.popen.wait(60) != 0
    assert process.says("not the ledger this archive was made from")
    table.close()


def test_an_archive_of_another_ledger_is_refused_though_the_ledger_is_longer(archiving: Archiving) -> None:
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    theirs = [a_record(number) for number in range(5)]
    table.insert(make_batch(archiving.topic, 0, theirs, UUID(int=1)))
    archiving.publish(theirs, 0)  # the same events, but at another time
    archiving.publish([a_record(number) for number in range(5, 19)], 0)
    with pytest.raises(ArchiverFailed, match=r"other records at 0-4 .* not the ledger this archive was made from"):
        archiving.archive_here(19)
    assert archiving.rows() == 5
    table.close()


def test_newest_rows_that_are_changed_taken_out_or_made_up_stop_no_archiver(archived: Archiving) -> None:
    table = ArchiveTable(lambda: client_of(archived.clickhouse), archived.topic)
    table.remove(0, [90, *range(95, 100)])
    forged = [a_record(93), a_record(94), a_record(105)]
    table.insert(make_batch(archived.topic, 0, forged, UUID(int=1)))
    table.remove(1, range(1, 100))
    archived.publish([a_record(number) for number in range(100, 120)], 0)
    archived.archive_here(120 + 100)
    assert (table.cursor(0), table.cursor(1)) == (120, 100)
    table.close()


def test_the_archive_knows_which_events_it_has(archiving: Archiving) -> None:
    archiving.publish_events(0, 100)
    archiving.start()
    archiving.require_exact(100)
    assert archiving.archive.known_ids("urn:test", [f"e{n}" for n in range(90, 6_000)]) == {
        f"e{n}" for n in range(90, 100)
    }
    assert archiving.archive.known_ids("urn:other", ["e1"]) == set()
    history = archiving.archive.events_of("D-3")
    assert [row.key for row in history] == [b"D-3"] * len(history)
    assert len(history) == len([n for n in range(100) if n % 7 == 3])
