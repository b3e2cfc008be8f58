"""Ways of changing a running installation's archive: each is named, where it is, and nothing is once it is undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import psutil
import pytest
from kafka import KafkaProducer

from cli.keys import read_signer
from deploy.clickhouse.views import altered_views, definitions
from events.ledger import LEDGER_TOPIC
from events.quarantine import position_text
from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer, read_notes
from replay.log_table import CHECKPOINTS_TOPIC, LogTable
from replay.merkle import CompactRange
from tests.installation import Installation, eventually
from tests.integration.acceptance.tampering import (
    failures,
    kinds,
    own_file,
    publish,
    running,
    signed_sizes,
    wait_until_signed,
    writer,
)

pytestmark = pytest.mark.integration

#: Of one wave of events, a dossier each: some for every partition.
WAVE: Final = 16
#: All that is known of the logs in ClickHouse.
LOG_TABLES: Final = ("dossier_log_nodes", "dossier_checkpoints")
TABLES: Final = ("dossier_events", *LOG_TABLES)
#: What the archiver writes; the rest the table makes from it.
COLUMNS: Final = "recorded_at, key, headers, unreadable, occurred_at, promised"
HERE: Final = "topic = 'dossier.events.v1' AND partition = {partition:UInt32} AND offset"
#: Of the row that is inserted elsewhere.
COPIED: Final = (3, 50)
AT_ONCE: Final = {"mutations_sync": 2}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Signs each second, so that there are several checkpoints soon."""
    fresh = Installation(Path(tmp_path_factory.mktemp("up")), {"DOSSIER_CHECKPOINT_SECONDS": "1"})
    fresh.up()
    yield fresh
    fresh.down()


@pytest.fixture(scope="module")
def signed(installation: Installation) -> Installation:
    """So many events that subtrees are kept of every partition, signed in three steps at least."""
    publish(installation, *(f"first-{number}" for number in range(1_200)))
    assert min(wait_until_signed(installation).values()) > 256
    for name in ("second", "third"):
        publish_wave(installation, name)
    return installation


def publish_wave(installation: Installation, name: str) -> dict[int, int]:
    """More events in every partition, until they are signed; gives how many leaves each has then."""
    before = wait_until_signed(installation)
    publish(installation, *(f"{name}-{number}" for number in range(WAVE)))
    after = wait_until_signed(installation)
    assert sum(after.values()) - sum(before.values()) == WAVE
    assert all(after[each] > before[each] for each in range(4))
    return after


# -- What was signed ---------------------------------------------------------------------------------------------------


def around(installation: Installation, partition: int, offset: int) -> str:
    """The rows from the last checkpoint before `offset` to the first one behind it: no closer does a root tell."""
    known = [0, *signed_sizes(installation, partition)]
    return f"{partition}@{max(n for n in known if n <= offset)}-{min(n for n in known if n > offset) - 1}"


def on_ledger(partition: int, offsets: Iterable[int]) -> list[str]:
    return [position_text(LEDGER_TOPIC, partition, each) for each in offsets]


# -- Rows --------------------------------------------------------------------------------------------------------------


@contextmanager
def archiver_at_rest(installation: Installation) -> Iterator[None]:
    """It looks for rows that are there twice and takes one of them out; and who would start it anew sleeps too."""
    now = running(installation)
    pids = [now.pid, *(each.pid for each in now.processes if each.name == "archiver")]
    processes = [psutil.Process(each) for each in pids]
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in reversed(processes):
            each.resume()


def row_at(client: Any, partition: int, offset: int) -> tuple[str, str]:
    """Key and value."""
    at = {"partition": partition, "offset": offset}
    sql = f"SELECT key, raw FROM dossier_events WHERE {HERE} = {{offset:UInt64}}"  # noqa: S608  # our own words
    ((key, raw),) = client.query(sql, at).result_rows
    return str(key), str(raw)


def insert(client: Any, mark: UUID, partition: int, offset: int, topic: str = LEDGER_TOPIC) -> None:
    """A row for this place, with what another row has and one space more."""
    client.command(
        f"INSERT INTO dossier_events (topic, partition, offset, raw, writer, {COLUMNS}) "  # noqa: S608  # our own words
        f"SELECT {{topic:String}}, {{to:UInt32}}, {{at:UInt64}}, concat(raw, ' '), {{mark:UUID}}, {COLUMNS} "
        f"FROM dossier_events WHERE {HERE} = {{offset:UInt64}}",
        {"partition": COPIED[0], "offset": COPIED[1], "topic": topic, "to": partition, "at": offset, "mark": mark},
        settings={"insert_deduplication_token": uuid4().hex},
    )


def test_a_row_that_no_record_has_is_named(signed: Installation) -> None:
    ends, mark = wait_until_signed(signed), uuid4()
    with archiver_at_rest(signed), writer(signed) as client:
        for partition, offset in ((0, ends[0]), (1, 100), (99, 0)):
            insert(client, mark, partition, offset)
        insert(client, mark, 0, 7, f"another.{LEDGER_TOPIC}")
        dossier_id, _ = row_at(client, *COPIED)
        found = failures(signed)
        shown = client.query("SELECT count() FROM dossier_events_readable WHERE endsWith(raw, ' ')").result_rows
        client.command("DELETE FROM dossier_events WHERE writer = {mark:UUID}", {"mark": mark})
    assert failures(signed) == {}
    assert shown == [(4,)], "reports show all of them"
    assert found.pop("partition") == [f"0, 1, 3, 99: {dossier_id}"]
    # Of two rows for one offset either is the first that is read.
    assert found.pop("root", []) in ([], [around(signed, 1, 100)])
    assert found == {
        "duplicate": ["1@100"],
        "unsigned": ["99@0-0"],
        "stranger": [f"another.{LEDGER_TOPIC}/0@7-7"],
        "ledger: duplicate": on_ledger(1, [100]),
        "ledger: different": [*on_ledger(1, [100]), *on_ledger(0, [ends[0]]), *on_ledger(99, [0])],
        "live": [f"1: {dossier_id}"],
    }


def swap(client: Any, partition: int, one: int, other: int) -> list[str]:
    """Exchange what the rows at two offsets say, and of whom; gives these dossiers."""
    both = {"partition": partition, "one": one, "other": other}
    (key, raw), (other_key, other_raw) = row_at(client, partition, one), row_at(client, partition, other)
    client.command(
        "ALTER TABLE dossier_events UPDATE key = if(offset = {one:UInt64}, {other_key:String}, {key:String}), "
        "raw = if(offset = {one:UInt64}, {other_raw:String}, {raw:String}) "
        f"WHERE {HERE} IN ({{one:UInt64}}, {{other:UInt64}})",
        {**both, "key": key, "raw": raw, "other_key": other_key, "other_raw": other_raw}, settings=AT_ONCE,
    )  # fmt: skip
    return [key, other_key]


def test_rows_that_changed_places_are_named(signed: Installation) -> None:
    one, other = signed_sizes(signed, 2)[0], wait_until_signed(signed)[2] - 1
    with writer(signed) as client:
        dossiers = swap(client, 2, one, other)
        found = failures(signed)
        swap(client, 2, one, other)
    assert failures(signed) == {}
    assert found == {
        "root": [around(signed, 2, one)],
        "ledger: different": on_ledger(2, [one, other]),
        "ledger: altered": on_ledger(2, [one, other]),  # when it happened stands beside the record, and was left
        "live": [f"2: {each}" for each in sorted(dossiers)],
    }


def test_a_tail_that_was_cut_off_is_named(signed: Installation) -> None:
    end = wait_until_signed(signed)[3]
    first = end - 5
    with writer(signed) as client:
        tail = f"{HERE} >= {{first:UInt64}}"
        client.command(f"ALTER TABLE dossier_events DELETE WHERE {tail}", {"partition": 3, "first": first}, AT_ONCE)
    found = failures(signed, wait=0)
    assert found == {"truncated": [f"3@{first}"], "ledger: missing": on_ledger(3, range(first, end)), "live": [""]}
    repair(signed, {3: (first, end - 1)})
    assert failures(signed) == {}


def test_a_row_far_beyond_the_ledger_keeps_nothing_from_being_written_again(signed: Installation) -> None:
    """How far the archive goes is its forger's word, here; what the ledger does not have cannot be repaired."""
    end, mark, far = wait_until_signed(signed)[3], uuid4(), 10**9
    with writer(signed) as client:
        client.command(f"ALTER TABLE dossier_events DELETE WHERE {HERE} = {end - 2}", {"partition": 3}, AT_ONCE)
        insert(client, mark, 3, far)
        looked = signed.json("repair", "--from-ledger", "--dry-run", expect=1)
        answer = signed.json("repair", "--from-ledger", expect=1)
        client.command("DELETE FROM dossier_events WHERE writer = {mark:UUID}", {"mark": mark})
    assert failures(signed) == {}
    assert (looked["missing"], answer["written"]) == (answer["missing"], 1)
    assert [(each["first"], each["last"]) for each in answer["missing"]] == [(end - 2, end - 2)]
    assert kinds(answer) == {"missing": [f"3@{end}-{far - 1}"], "ledger: different": on_ledger(3, [far])}


@pytest.mark.parametrize("far", [2**62, 2**63, 2**64 - 1], ids=["2^62", "2^63", "2^64-1"])
def test_a_row_at_an_offset_that_no_ledger_has_is_named(signed: Installation, far: int) -> None:
    mark = uuid4()
    with archiver_at_rest(signed), writer(signed) as client:
        insert(client, mark, 3, far)
        found, reconciled = failures(signed, wait=0), signed.json("reconcile", expect=1)
        client.command("DELETE FROM dossier_events WHERE writer = {mark:UUID}", {"mark": mark})
    assert failures(signed) == {}
    assert found["ledger: different"] == on_ledger(3, [far])
    assert reconciled["different"] == 1
    assert {"missing", "unsigned"} & found.keys(), "by what was signed too"


def repair(installation: Installation, gaps: Mapping[int, tuple[int, int]]) -> None:
    """Write what is missing again, from the ledger: of its own rows these."""
    answer = installation.json("repair", "--from-ledger")
    ours = [each for each in answer["missing"] if each["topic"] == LEDGER_TOPIC]
    assert {each["partition"]: (each["first"], each["last"]) for each in ours} == gaps
    assert answer["written"] == sum(each["rows"] for each in answer["missing"])


# -- Parts -------------------------------------------------------------------------------------------------------------


def test_parts_that_were_dropped_are_named_and_written_again(signed: Installation) -> None:
    before = wait_until_signed(signed)
    with writer(signed) as client:
        client.command("OPTIMIZE TABLE dossier_events FINAL")
        after = publish_wave(signed, "in-parts-of-their-own")
        largest = "SELECT _part FROM dossier_events GROUP BY _part ORDER BY count() DESC LIMIT 1"
        ((part,),) = client.query(largest).result_rows
        client.command(f"ALTER TABLE dossier_events DROP PART '{part}'")
        found = failures(signed, wait=0)
        assert found["missing"] == [f"{each}@0-{end - 1}" for each, end in sorted(before.items())]
        assert found["ledger: missing"] == on_ledger(0, range(20)), "so many are named"
        assert "truncated" not in found
        repair(signed, {each: (0, end - 1) for each, end in before.items()})

        client.command("ALTER TABLE dossier_events DROP PARTITION ALL")
    found = failures(signed, wait=0)
    assert found["truncated"] == [f"{each}@0" for each in sorted(after)]
    assert found["ledger: missing"] == on_ledger(0, range(20))
    assert "missing" not in found
    repair(signed, {each: (0, end - 1) for each, end in after.items()})
    assert failures(signed) == {}


# -- Copies and forks --------------------------------------------------------------------------------------------------


def keep_copy(client: Any, tables: Iterable[str]) -> None:
    for table in tables:
        client.command(f"CREATE TABLE copy_of_{table} CLONE AS {table}")


def put_back(client: Any, tables: Iterable[str]) -> None:
    for table in tables:
        client.command(f"EXCHANGE TABLES {table} AND copy_of_{table}")
        client.command(f"DROP TABLE copy_of_{table}")


class Evidence(NamedTuple):
    """What the installation itself keeps of checkpoints beside the archive: its file, and the newest on the topic."""

    file: str
    newest: list[SignedCheckpoint]


def evidence(installation: Installation, exported: Path) -> Evidence:
    """As it is now; `exported` has the newest checkpoints then, for somebody elsewhere."""
    done = installation.run("checkpoint", "export", str(exported))
    assert done.returncode == 0, done.stderr
    return Evidence(
        own_file(installation).read_text(encoding="utf-8"), read_notes(exported.read_text(encoding="utf-8"))
    )


def replace_evidence(installation: Installation, by: Evidence) -> None:
    own_file(installation).write_text(by.file, encoding="utf-8")
    producer = KafkaProducer(**installation.kafka.client, acks="all")
    for each in by.newest:
        producer.send(CHECKPOINTS_TOPIC, each.text.encode(), each.checkpoint.origin.encode()).get(20)
    producer.close()


def test_an_older_copy_put_back_is_named_by_what_was_signed_since(signed: Installation, tmp_path: Path) -> None:
    held = tmp_path / "held.txt"
    before, older = wait_until_signed(signed), evidence(signed, held)
    with writer(signed) as client:
        keep_copy(client, TABLES)
        after, newer = publish_wave(signed, "since"), evidence(signed, held)
        put_back(client, TABLES)
    missing = [each for number in sorted(after) for each in on_ledger(number, range(before[number], after[number]))]
    ends_early = {
        "truncated": [f"{each}@{end}" for each, end in sorted(before.items())],
        "ledger: missing": missing,
        "live": [""],
    }
    assert failures(signed, wait=0) == ends_early

    # Where what the installation keeps beside the archive is put back too, only what is held elsewhere can tell.
    replace_evidence(signed, older)
    assert failures(signed, wait=0) == {"ledger: missing": missing, "live": [""]}
    assert failures(signed, "--checkpoints", str(held), wait=0) == ends_early

    replace_evidence(signed, newer)
    repair(signed, {each: (before[each], end - 1) for each, end in after.items()})
    publish_wave(signed, "after-the-repair")
    assert failures(signed, "--checkpoints", str(held)) == {}


def own_key(installation: Installation) -> Signer:
    return read_signer(installation.data_dir / "keys" / "dossier-ledger.key")


def own_public(installation: Installation) -> Path:
    return installation.data_dir / "keys" / "dossier-ledger.pub"


def rewrite(client: Any, partition: int, offset: int, raw: str) -> None:
    client.command(
        f"ALTER TABLE dossier_events UPDATE raw = {{raw:String}} WHERE {HERE} = {{offset:UInt64}}",
        {"partition": partition, "offset": offset, "raw": raw}, settings=AT_ONCE,
    )  # fmt: skip


def sign_anew(client: Any, signer: Signer, true: Checkpoint, since: int) -> SignedCheckpoint:
    """The log that the rows have now in place of the `true` one; all that was signed behind `since` is forgotten."""
    table, partition = LogTable(client), true.partition_of(LEDGER_TOPIC)
    assert partition is not None
    for name, which in (("dossier_log_nodes", "true"), ("dossier_checkpoints", f"size > {since}")):
        client.command(f"ALTER TABLE {name} DELETE WHERE partition = {partition} AND {which}", settings=AT_ONCE)
    log = CompactRange()
    for leaves in table.leaves(partition, 0, true.size):
        table.keep(partition, log.extend(leaves))
    note = SignedCheckpoint(Checkpoint(true.origin, log.size, log.root())).signed_by(signer, 0)
    table.add(partition, log, note.text)
    return note


def test_a_fork_that_the_right_key_has_signed_is_named_by_what_is_held(signed: Installation, tmp_path: Path) -> None:
    held, pack = tmp_path / "held.txt", str(tmp_path / "pack.zip")
    end, place = wait_until_signed(signed)[1], signed_sizes(signed, 1)[1]
    true, sizes = evidence(signed, tmp_path / "newest.txt"), signed_sizes(signed, 1)
    held.write_text(true.file, encoding="utf-8")
    with writer(signed) as client:
        keep_copy(client, LOG_TABLES)
        dossier_id, raw = row_at(client, 1, place)
        rewrite(client, 1, place, f"{raw} ")
        newest = list(true.newest)
        newest[1] = sign_anew(client, own_key(signed), true.newest[1].checkpoint, place)
        replace_evidence(signed, Evidence("".join(f"{each.text}\n" for each in newest), newest))

        different = {"ledger: different": on_ledger(1, [place])}
        assert failures(signed) == different, "it agrees with itself"
        told = {"forked": [f"1@{end}", *(f"1@{size}" for size in sizes if place < size < end)]}
        assert failures(signed, "--checkpoints", str(held)) == told | different
        signed.json("prove", dossier_id, "--out", pack)
        signed.json("verify", pack)
        refused = signed.json("verify", pack, "--checkpoints", str(held), expect=1)
        assert "forked" in kinds(refused)

        rewrite(client, 1, place, raw)
        put_back(client, LOG_TABLES)
        replace_evidence(signed, true)
    assert failures(signed, "--checkpoints", str(held)) == {}


def test_what_is_stored_beside_the_leaves_is_compared_put_right_and_relied_on_by_nobody(
    signed: Installation, tmp_path: Path
) -> None:
    pack, slip = str(tmp_path / "pack.zip"), str(tmp_path / "receipt.txt")
    end = wait_until_signed(signed)[2]
    larger = end + 1_000_000
    with writer(signed) as client:
        client.command(
            "ALTER TABLE dossier_log_nodes UPDATE hash = reverse(hash) WHERE partition = 2", settings=AT_ONCE
        )
        client.command(
            f"INSERT INTO dossier_checkpoints (topic, partition, size, root, hashes, note) "  # noqa: S608  # our own words
            f"SELECT topic, partition, {larger}, root, hashes, note FROM dossier_checkpoints "
            f"WHERE partition = 2 AND size = {end} LIMIT 1"
        )
        dossier_id, raw = row_at(client, 2, end - 1)
        wrong = {"node": ["2@0-255"], "checkpoint": [f"2@{larger}"]}
        assert failures(signed) == wrong
        assert signed.run("checkpoint", "export", str(tmp_path / "newest.txt")).returncode == 0
        signed.json("prove", dossier_id, "--out", pack)
        assert signed.json("verify", pack)["ok"]
        signed.json("receipt", dossier_id, "--out", slip)
        assert signed.json("verify-receipt", slip, "--pack", pack, "--key", str(own_public(signed)))["in_pack"]

        rewrite(client, 2, end - 1, raw.replace('"direct"', '"direct","promised":"2099-12-31T17:00:00+07:00"'))
        for words in (("prove", dossier_id, "--out", str(tmp_path / "none.zip")), ("receipt", dossier_id)):
            refused = signed.run(*words)
            assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
            assert "not what was signed" in refused.stderr
        assert not (tmp_path / "none.zip").exists()
        rewrite(client, 2, end - 1, raw)

        looked = signed.json("repair", "--from-ledger", "--dry-run", expect=1)
        assert (looked["nodes"], looked["checkpoints"], kinds(looked)) == (["2@0-255"], [f"2@{larger}"], wrong)
        repaired = signed.json("repair", "--from-ledger")
        assert (repaired["nodes"], repaired["checkpoints"]) == (["2@0-255"], [f"2@{larger}"])
    assert failures(signed) == {}


def test_two_checkpoints_of_one_size_are_a_fork(signed: Installation, tmp_path: Path) -> None:
    held, ends = tmp_path / "held.txt", wait_until_signed(signed)
    one, _, other, _ = (each.checkpoint for each in evidence(signed, held).newest)
    notes = [
        SignedCheckpoint(Checkpoint(true.origin, true.size, root)).signed_by(own_key(signed), 0)
        for true, root in ((one, bytes(32)), (other, b"\xff" * 32))
    ]
    held.write_text("".join(f"{each.text}\n" for each in notes), encoding="utf-8")
    assert failures(signed, "--checkpoints", str(held)) == {"forked": [f"0@{ends[0]}", f"2@{ends[2]}"]}


def not_signed(installation: Installation) -> str:
    """What `dossier status` says of the archiver."""
    return next(str(each["detail"]) for each in installation.status()["processes"] if each["name"] == "archiver")


def test_an_archiver_that_is_started_again_signs_no_history_but_its_own(signed: Installation) -> None:
    ends, place = wait_until_signed(signed), signed_sizes(signed, 1)[1]
    with writer(signed) as client:
        keep_copy(client, LOG_TABLES)
        _, raw = row_at(client, 1, place)
        rewrite(client, 1, place, f"{raw} ")
        client.command("ALTER TABLE dossier_checkpoints DELETE WHERE partition = 1", settings=AT_ONCE)
        signed.kill("archiver")
        eventually(lambda: "not those of the checkpoint" in not_signed(signed), "what is forged is not signed")
        publish(signed, *(f"while-forged-{number}" for number in range(WAVE)))
        eventually(lambda: signed_sizes(signed, 2)[-1] > ends[2], "what is not forged is signed")
        assert signed_sizes(signed, 1)[-1] == ends[1]

        rewrite(client, 1, place, raw)
        signed.kill("archiver")  # it would look again too, in a minute
        assert wait_until_signed(signed)[1] > ends[1]
        client.command(
            "INSERT INTO dossier_checkpoints SELECT * FROM copy_of_dossier_checkpoints AS copy WHERE partition = 1 "
            "AND size NOT IN (SELECT size FROM dossier_checkpoints WHERE partition = 1)"
        )
        for name in LOG_TABLES:
            client.command(f"DROP TABLE copy_of_{name}")
    assert not not_signed(signed)
    assert failures(signed) == {}


def test_views_that_hide_something_are_named_and_defined_again(signed: Installation) -> None:
    """Every row may be as it was signed, and no report show it."""
    readable = definitions()["dossier_events_readable"]
    with writer(signed) as client:

        def shown() -> Any:
            return client.query("SELECT count() > 0 FROM dossier_events_readable").result_rows

        def redefine(old: str, new: str) -> None:
            assert readable.count(old) == 1
            client.command(readable.replace(old, new))

        assert (altered_views(client), shown()) == ([], [(1,)])
        redefine("'dossier.events.v1'", "'default.dossier.events.v1'")  # the database, but in a text
        assert (altered_views(client), shown()) == (["dossier_events_readable"], [(0,)])
        client.command("DROP VIEW dossier_alarms")
        assert failures(signed)["view"] == ["dossier_events_readable", "dossier_alarms"]
        looked = signed.json("repair", "--from-ledger", "--dry-run", expect=1)
        assert looked["views"] == ["dossier_events_readable", "dossier_alarms"]
        assert signed.json("repair", "--from-ledger")["views"] == looked["views"]
        assert (altered_views(client), shown()) == ([], [(1,)])
    assert failures(signed) == {}
