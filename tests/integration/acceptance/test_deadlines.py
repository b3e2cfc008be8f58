"""Deadlines asked for as a person does: explained, listed, watched, as of a day, under a rulebook not yet in force."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from events.catalogue import AnyFact, LegalTime, Processed, Received, Routed
from events.envelope import encode, make_event
from events.rulebook import RULEBOOKS_TOPIC
from schemas.cluster import Cluster
from schemas.rulebook import shipped
from tests.installation import REPOSITORY, Installation

pytestmark = pytest.mark.integration

DONE = Processed(office="H21.18", outcome="issued")
RECEIVED_AT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)  # Monday 08:30 in Việt Nam


def publish(installation: Installation, dossier_id: str, *facts: AnyFact, at: datetime = RECEIVED_AT) -> None:
    events = [
        make_event(
            fact,
            id=f"{dossier_id}-{at:%d%H}-{n}",
            source="urn:deadlines",
            subject=dossier_id,
            time=at + timedelta(hours=n),
        )
        for n, fact in enumerate(facts)
    ]
    done = installation.run("publish", "-", stdin="".join(f"{encode(event).decode()}\n" for event in events))
    assert done.returncode == 0, done.stderr


def received(promised: datetime) -> Received:
    five_days = LegalTime(n=5, unit="d")
    return Received(
        office="H21.18", procedure="1.002809", channel="direct", promised=promised, room="mot-cua", legal_time=five_days
    )


@pytest.fixture(scope="module")
def asked(installation: Installation) -> Installation:
    """One dossier long overdue, one done in time, one that is due tomorrow."""
    now = datetime.now(UTC)
    publish(installation, "LATE-1", received(RECEIVED_AT + timedelta(days=5)), Routed(office="H21.18", to="van-tai"))
    publish(installation, "DONE-1", received(RECEIVED_AT + timedelta(days=5)), DONE)
    publish(installation, "SOON-1", received(now + timedelta(days=4)), at=now - timedelta(days=1))
    installation.json("summary")
    return installation


def named(answer: Any) -> set[str]:
    return {each["dossier"] for each in answer["deadlines"]}


def test_what_is_past_its_due_and_what_soon_will_be(asked: Installation) -> None:
    late, soon = asked.json("breaches"), asked.json("due", "--within", "10d")
    assert "LATE-1" in named(late)
    assert not {"DONE-1", "SOON-1"} & {each["dossier"] for each in late["deadlines"] if each["clock"] == "procedure"}
    assert "SOON-1" in named(soon)
    assert "LATE-1" not in {each["dossier"] for each in soon["deadlines"] if each["clock"] == "procedure"}
    queues = {(each["room"], each["late"]) for each in asked.json("queues")["queues"]}
    assert ("van-tai", 1) in queues
    for words in (("breaches",), ("due", "--within", "10d"), ("queues",)):
        text = asked.run(*words).stdout
        assert max(map(len, text.splitlines())) <= 80, "a pipe has the width of a terminal of 80 columns"
    assert "LATE-1" in asked.run("breaches").stdout


def test_watching_draws_on_a_terminal_until_it_is_interrupted(asked: Installation) -> None:
    terminal, theirs = os.openpty()
    environment = os.environ | {
        "DOSSIER_DATA_DIR": str(asked.data_dir),
        "TERM": "xterm",
        "COLUMNS": "100",
        "LINES": "40",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "breaches", "--watch"],
        cwd=REPOSITORY, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    drawn = bytearray()
    try:
        while drawn.count(b"LATE-1") < 2:  # drawn again, not once
            ready, _, _ = select.select([terminal], [], [], 60)
            assert ready, f"nothing more is drawn: {drawn.decode(errors='replace')[-2000:]}"
            drawn += os.read(terminal, 1 << 16)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130)
    finally:
        process.kill()
        process.wait()
        os.close(theirs)
        os.close(terminal)


def test_looking_back_by_what_was_known_then(asked: Installation) -> None:
    now = datetime.now(UTC).isoformat()
    told = asked.json("explain", "LATE-1", "--as-of", now, "--known-at", now)
    live = asked.json("explain", "LATE-1", "--as-of", now)
    assert told.pop("known_at") is not None
    assert live.pop("known_at") is None
    assert [each.pop("freshness")["lag"] for each in (told, live)] == [0, 0]
    assert told == live
    assert asked.json("queues", "--known-at", now)["queues"] == asked.json("queues")["queues"]
    before = "2026-01-01T00:00:00+07:00"
    assert asked.json("queues", "--known-at", before)["queues"] == []
    then, live = asked.json("summary", "--as-of", now, "--known-at", now), asked.json("summary", "--as-of", now)
    assert (then.pop("known_at"), live.pop("known_at")) == (now.replace("+00:00", "Z"), None)
    assert [each.pop("freshness")["lag"] for each in (then, live)] == [0, 0]
    assert then == live
    assert then["dossiers"] > 0
    assert asked.json("summary", "--as-of", now, "--known-at", before)["dossiers"] == 0
    assert asked.json("queues", "--as-of", "2026-03-02T09:00:00+07:00")["queues"] != []
    assert (
        "by then nothing had happened to dossier LATE-1" in asked.run("explain", "LATE-1", "--known-at", before).stderr
    )
    assert asked.run("queues", "--watch", "--known-at", now).returncode == 2


def test_a_due_is_explained_day_by_day_as_of_any_time(asked: Installation) -> None:
    told = asked.json("explain", "LATE-1", "--as-of", "2026-03-05T10:00+07:00")
    assert [(each["first"], each["last"], each["counted"]) for each in told["clock"]["stretches"]] == [
        ("2026-03-02", "2026-03-02", False), ("2026-03-03", "2026-03-05", True),
    ]  # fmt: skip
    assert told["clock"]["remaining"]["late"] is False
    assert asked.json("explain", "LATE-1")["clock"]["status"]["code"] == "late"
    assert asked.json("explain", "DONE-1")["clock"]["official_class"] == "early"
    assert asked.run("explain", "NOBODY-1").returncode != 0


def test_what_became_of_a_dossier_between_two_instants_and_what_became_known(asked: Installation) -> None:
    told = asked.json("diff", "DONE-1", "2026-03-02T08:45+07:00", "2026-03-03T08:00+07:00")
    assert told["freshness"]["lag"] == 0
    assert told["changes"]["state"] == ["RECEIVED", "RESULT_READY"]
    assert told["changes"]["outcome"] == [None, "issued"]
    assert [each["type"] for each in told["events"]] == ["dossier.processed"]
    later = datetime.now(UTC).isoformat()
    assert asked.json("diff", "DONE-1", "2026-03-03T08:00+07:00", later)["changes"] == {}
    learned = asked.json("diff", "DONE-1", "2026-03-03T08:00+07:00", later, "--known")
    assert len(learned["events"]) == 2, "all of it was recorded today"
    assert asked.run("diff", "DONE-1", "03/03/2026", "02/03/2026").returncode == 2
    shown = asked.run("diff", "DONE-1", "02/03/2026 08:45", "03/03/2026").stdout
    assert "Đã xử lý xong" in shown
    assert "RESULT_READY" not in shown, "names for people"


def test_history_under_other_rules_counts_otherwise_and_nothing_is_published(asked: Installation) -> None:
    """One dossier of a procedure with five days took four: with three days it would have been late."""
    code = next(each["code"] for each in shipped().content["procedures"] if each.get("legal_time") == "5d")
    fact = Received(office="H21.18", procedure=code, channel="direct", room="mot-cua")
    april = datetime(2026, 4, 6, 1, 30, tzinfo=UTC)  # a Monday
    publish(asked, "WHAT-1", fact, at=april)
    publish(asked, "WHAT-1", DONE, at=april + timedelta(days=4))
    kafka = asked.kafka
    before = end_offsets(kafka, RULEBOOKS_TOPIC)
    told = asked.json(
        "what-if", "--procedure", code, "--legal-time", "3d", "--from", "01/04/2026", "--to", "30/04/2026"
    )
    assert told["by_office"]["H21.18"] == {
        "before": {"early": 1, "on_the_day": 0, "late": 0}, "after": {"early": 0, "on_the_day": 0, "late": 1},
    }  # fmt: skip
    assert told["freshness"]["lag"] == 0, "it waits for what is on the ledger"
    assert told["first_changed"] == [{"dossier": "WHAT-1", "before": "early", "after": "late"}]
    assert asked.json("what-if", "--procedure", code, "--legal-time", "3d", "--to", "01/01/2026")["dossiers"] == 0
    assert asked.run("what-if", "--legal-time", "3d").returncode == 2
    assert end_offsets(kafka, RULEBOOKS_TOPIC) == before


def test_the_balance_is_that_of_any_day(asked: Installation) -> None:
    before = asked.json("summary", "--as-of", "2026-03-02T08:00+07:00")
    during = asked.json("summary", "--as-of", "2026-03-02T09:00+07:00")
    after = asked.json("summary", "--as-of", "2026-03-20T17:00+07:00")
    assert (before["received"], during["received"], during["resolved"]) == (0, 2, 0)
    assert (after["resolved"], after["overdue"]) == (1, 1)


def test_what_a_rulebook_would_move_is_told_and_nothing_is_published(asked: Installation, tmp_path: Path) -> None:
    kafka = asked.kafka
    before = end_offsets(kafka, RULEBOOKS_TOPIC)
    in_force = files("schemas").joinpath("rulebooks", "gia-lai.yaml").read_text(encoding="utf-8")
    storm = "    announcements:\n      - {basis: storm, announced: 2026-03-03, off: [2026-03-04]}\n"
    file = tmp_path / "amended.yaml"
    file.write_text(in_force, encoding="utf-8")
    assert asked.json("rulebook", "impact", str(file))["affected"] == 0, "the rulebook in force moves nothing"
    file.write_text(in_force.replace("    announcements:\n", storm, 1), encoding="utf-8")
    told = {each["dossier"]: each for each in asked.json("rulebook", "impact", str(file))["dossiers"]}
    assert told["LATE-1"]["before"]["computed"] == "2026-03-09"
    assert told["LATE-1"]["after"]["computed"] == "2026-03-10"
    assert "DONE-1" not in told
    assert end_offsets(kafka, RULEBOOKS_TOPIC) == before


def end_offsets(kafka: Cluster, topic: str) -> dict[TopicPartition, int]:
    consumer = KafkaConsumer(**kafka.client)
    try:
        found: dict[TopicPartition, int] = consumer.end_offsets(
            [TopicPartition(topic, each) for each in consumer.partitions_for_topic(topic) or ()]
        )
    finally:
        consumer.close()
    return found
