"""Files with mistakes in them onto the ledger, as a person feeds them: what is good arrives once, what is not is told
with its line; and what was said later than it happened is looked back at by both times.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from cli.past import topic_ends
from events.catalogue import Actor, AnyFact, Received, StepCompleted, Submitted
from events.envelope import MAX_EVENT_BYTES, Event, encode, make_event
from events.ledger import LEDGER_TOPIC
from events.publisher import Delivery, Outcome, Publisher
from events.quarantine import QUARANTINE_TOPIC
from schemas import api
from schemas.cluster import Cluster, Security
from tests.installation import REPOSITORY, Installation, eventually

pytestmark = pytest.mark.integration

MAPPING = str(REPOSITORY / "examples" / "counter.yaml")
BAD_LINE = 4
BAD_ROW = "HS-0001,1.002809,Trực tiếp,32/03/2026 08:50,Ký nhận,Vận tải,cb-07,09/03/2026 17:00,,"
MONDAY = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)  # 08:30 in Việt Nam


@pytest.fixture(scope="module")
def kafka(installation: Installation) -> Cluster:
    return installation.kafka


def on_topic(kafka: Cluster, topic: str = LEDGER_TOPIC) -> int:
    """How many records are on the topic."""
    return sum(topic_ends(kafka, topic).values())


def event(event_id: str, fact: AnyFact, dossier: str, at: datetime = MONDAY) -> Event:
    return make_event(fact, id=event_id, source="urn:feeding", subject=dossier, time=at)


def step(number: int, dossier: str) -> Event:
    return event(f"{dossier}-{number:05d}", StepCompleted(office="GL", step=f"s{number}"), dossier)


def lines(events: Sequence[Event]) -> list[bytes]:
    return [encode(each) + b"\n" for each in events]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counter's book with one row more, at `BAD_LINE`, of a day that no month has."""
    rows = (REPOSITORY / "examples" / "counter.csv").read_text(encoding="utf-8").splitlines()
    rows.insert(BAD_LINE - 1, BAD_ROW)
    path = Path(tmp_path_factory.mktemp("book")) / "book.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_dry_run_of_an_import_tells_all_and_writes_nothing(
    installation: Installation, kafka: Cluster, book: Path
) -> None:
    before = on_topic(kafka), on_topic(kafka, QUARANTINE_TOPIC)
    told = installation.json("import", str(book), "--mapping", MAPPING, "--dry-run")
    assert (told["rows"], told["events"], told["published"]) == (13, 13, 0)
    assert (told["quarantined"], told["dry_run"], told["complete"]) == (1, True, True)
    assert [each["line"] for each in told["bad"]] == [BAD_LINE]
    assert (on_topic(kafka), on_topic(kafka, QUARANTINE_TOPIC)) == before


@pytest.fixture(scope="module")
def imported(installation: Installation, book: Path) -> Any:
    return installation.json("import", str(book), "--mapping", MAPPING)


def test_a_bad_row_of_a_log_is_quarantined_with_its_line_and_the_rest_goes_on(
    installation: Installation, kafka: Cluster, imported: Any
) -> None:
    assert (imported["rows"], imported["quarantined"], imported["complete"]) == (13, 1, True)
    assert (imported["published"], imported["duplicates"], imported["refused"]) == (13, 0, 0)
    assert imported["events_by_source"] == {"row": 12, "case": 1}
    (bad,) = imported["bad"]
    assert bad["line"] == BAD_LINE
    assert "Ngày giờ" in bad["reason"]

    (held,) = installation.json("quarantine", "list")
    assert held["origin"].startswith(f"book.csv:{BAD_LINE}#")
    assert (held["reason"], held["status"], held["recorded_at"]) == (bad["reason"], "held", None)
    assert bytes.fromhex(installation.json("quarantine", "show", held["origin"])["value"]).decode() == BAD_ROW
    assert held["origin"] in installation.run("quarantine", "list").stdout

    assert on_topic(kafka) == 13
    assert len(installation.json("replay", "HS-0001")["timeline"]) == 6
    summary = installation.json("summary")
    assert (summary["dossiers"], summary["quarantined"]) == (3, 1)


def test_importing_again_publishes_and_quarantines_nothing_new(
    installation: Installation, kafka: Cluster, book: Path, imported: Any
) -> None:
    before = on_topic(kafka)
    again = installation.json("import", str(book), "--mapping", MAPPING)
    assert (again["published"], again["duplicates"]) == (0, imported["events"])
    assert (again["quarantined"], again["bad"]) == (1, imported["bad"])
    assert on_topic(kafka) == before
    assert len(installation.json("quarantine", "list")) == 1


def test_a_row_that_a_repaired_mapping_can_read_is_held_no_more(installation: Installation, tmp_path: Path) -> None:
    header = (REPOSITORY / "examples" / "counter.csv").read_text(encoding="utf-8").splitlines()[0]
    book, mapping = tmp_path / "kenh.csv", tmp_path / "kenh.yaml"
    row = "HS-KENH,1.002809,Zalo,02/03/2026 08:10,Tiếp nhận,Một cửa,cb-01,09/03/2026 17:00,,"
    book.write_text(f"{header}\n{row}\n", encoding="utf-8")
    rules = Path(MAPPING).read_text(encoding="utf-8").replace("counter-book", "kenh")
    mapping.write_text(rules, encoding="utf-8")
    installation.json("import", str(book), "--mapping", str(mapping), expect=1)
    (origin,) = (each["origin"] for each in installation.json("quarantine", "list") if "kenh.csv" in each["origin"])
    (still,) = installation.json("quarantine", "retry", origin, expect=1)
    assert still["still"].startswith("a row of a file: import that file again")

    # Read, but with a day in a column of its own that cannot be: held as before.
    repaired = rules.replace("Bưu điện: post", "Bưu điện: post, Zalo: zalo")
    mapping.write_text(repaired + "  - {column: Thủ tục, type: delivered-by-post}\n", encoding="utf-8")
    installation.json("import", str(book), "--mapping", str(mapping))
    assert origin in [each["origin"] for each in installation.json("quarantine", "list")]

    mapping.write_text(repaired, encoding="utf-8")
    assert installation.json("import", str(book), "--mapping", str(mapping))["duplicates"] == 1
    assert origin not in [each["origin"] for each in installation.json("quarantine", "list")]
    (released,) = (each for each in installation.json("quarantine", "list", "--all") if each["origin"] == origin)
    assert (released["status"], released["went_to"][:21]) == ("retried", "urn:log:kenh row-0000")


def test_a_row_that_was_corrected_in_the_file_is_closed_and_a_mapping_that_reads_it_still_releases_it(
    installation: Installation, tmp_path: Path
) -> None:
    header = (REPOSITORY / "examples" / "counter.csv").read_text(encoding="utf-8").splitlines()[0]
    book, mapping = tmp_path / "sua.csv", tmp_path / "sua.yaml"
    wrong = "HS-SUA,1.002809,Zalo,02/03/2026 08:10,Tiếp nhận,Một cửa,cb-01,09/03/2026 17:00,,"
    rules = Path(MAPPING).read_text(encoding="utf-8").replace("counter-book", "sua")
    book.write_text(f"{header}\n{wrong}\n", encoding="utf-8")
    mapping.write_text(rules, encoding="utf-8")
    installation.json("import", str(book), "--mapping", str(mapping), expect=1)
    book.write_text(f"{header}\n{wrong.replace('Zalo', 'Trực tiếp')}\n", encoding="utf-8")
    assert installation.json("import", str(book), "--mapping", str(mapping))["published"] == 1
    held = [each["origin"] for each in installation.json("quarantine", "list")]
    (origin,) = (each for each in held if each.startswith("sua.csv:2#"))
    assert "quarantine close" in installation.json("quarantine", "retry", origin, expect=1)[0]["still"]

    installation.json("quarantine", "close", origin, "--reason", "đã sửa trong tệp, đã nhập lại")
    assert [each["origin"] for each in installation.json("quarantine", "list")] == [
        each for each in held if each != origin
    ]
    eventually(lambda: installation.json("summary")["quarantined"] == len(held) - 1, "one less is counted")

    book.write_text(f"{header}\n{wrong}\n", encoding="utf-8")
    mapping.write_text(rules.replace("Bưu điện: post", "Bưu điện: post, Zalo: zalo"), encoding="utf-8")
    installation.json("import", str(book), "--mapping", str(mapping))
    released = installation.json("quarantine", "show", origin)
    assert (released["status"], released["closed"]["reason"]) == ("retried", "đã sửa trong tệp, đã nhập lại")


def test_another_fact_under_an_id_that_is_taken_is_told(
    installation: Installation, kafka: Cluster, tmp_path: Path
) -> None:
    first, other = step(1, "HS-TAKEN"), step(2, "HS-TAKEN")
    file = tmp_path / "taken.jsonl"
    file.write_bytes(b"".join(lines([first])))
    assert installation.json("publish", str(file))["published"] == 1
    before = on_topic(kafka)
    file.write_bytes(b"".join(lines([first, event(first.id, other.data, "HS-TAKEN")])))
    told = installation.json("publish", str(file), expect=1)
    assert (told["published"], told["duplicates"], told["conflicts"]) == (0, 1, 1)
    assert on_topic(kafka) == before
    assert installation.json("publish", str(file), "--again")["published"] == 2
    assert "A16" in installation.run("replay", "HS-TAKEN").stdout


def test_lines_that_are_no_events_are_told_with_their_numbers_and_the_rest_is_published(
    installation: Installation, kafka: Cluster, tmp_path: Path
) -> None:
    good = lines([step(number, "HS-LINES") for number in range(4)])
    endless = b'{"note": "' + b"x" * 3 * MAX_EVENT_BYTES + b'"}\n'
    file = tmp_path / "events.jsonl"
    file.write_bytes(good[0] + b'{"type": "dossier.rece\n' + b"\n" + good[1] + endless + good[2] + good[3].rstrip())
    before = on_topic(kafka)

    told = installation.json("publish", str(file), expect=1)
    assert (told["lines"], told["events"], told["published"], told["duplicates"]) == (7, 4, 4, 0)
    assert (told["bad_lines"], told["refused"]) == (2, 0)
    assert [each["line"] for each in told["bad"]] == [2, 5], "a blank line is nothing, and is counted"
    assert str(MAX_EVENT_BYTES) in told["bad"][1]["reason"]
    assert len(installation.json("replay", "HS-LINES")["timeline"]) == 4

    again = installation.run("publish", str(file))
    assert again.returncode == 1
    assert again.stdout == "0 đã gửi · published, 4 đã có từ trước · were there already\n"
    assert re.findall(r"^dòng · line (\d+): ", again.stderr, re.MULTILINE) == ["2", "5"]
    assert "2 dòng không phải sự kiện · lines are no events; 0 bị từ chối · refused" in again.stderr
    assert on_topic(kafka) == before + 4


def interrupted(installation: Installation, kafka: Cluster, file: Path, interrupt: signal.Signals) -> int:
    """Publish for so long that twenty events more are on the ledger; the exit code."""
    before = on_topic(kafka)
    with installation.start("publish", str(file), "--rate", "25") as publishing:
        eventually(lambda: on_topic(kafka) >= before + 20, "some are published")
        publishing.send_signal(interrupt)
        _, said = publishing.communicate(timeout=60)
    assert "Traceback" not in said
    return publishing.returncode


def test_publishing_goes_on_where_it_was_interrupted(
    installation: Installation, kafka: Cluster, tmp_path: Path
) -> None:
    events = [step(number, "HS-STOPPED") for number in range(1_000)]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(lines(events)))
    before = on_topic(kafka)
    assert interrupted(installation, kafka, file, signal.SIGINT) == 130
    assert interrupted(installation, kafka, file, signal.SIGKILL) == -signal.SIGKILL

    arrived = on_topic(kafka) - before
    assert 40 <= arrived < 1_000
    rest = installation.json("publish", str(file))
    assert (rest["duplicates"], rest["published"]) == (arrived, 1_000 - arrived)
    assert on_topic(kafka) == before + 1_000
    replayed = installation.json("replay", "HS-STOPPED")["timeline"]
    assert [each["id"] for each in replayed] == [each.id for each in events]


def test_the_example_for_publishers_in_python_publishes(installation: Installation, kafka: Cluster) -> None:
    page = (REPOSITORY / "docs" / "events.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (entered,) = re.findall(r"^`(Cluster\(address, Security\(.*?\)\)\))`", page, re.MULTILINE)
    known = {"address": str(kafka), "password": kafka.security.password.get_secret_value()}
    assert eval(entered, {**known, "Cluster": Cluster, "Security": Security, "SecretStr": SecretStr}) == kafka  # noqa: S307  # our own page
    there = 'Cluster("localhost:9092")'
    assert there in example
    names: dict[str, Any] = {"kafka": kafka}
    exec(example.replace(there, "kafka"), names)  # noqa: S102  # our own page
    delivery, made = names["delivery"], names["event"]
    assert isinstance(delivery, Delivery)
    assert delivery.outcome is Outcome.CONFIRMED
    with Publisher(kafka) as publisher:
        assert publisher.publish(made).outcome is Outcome.CONFIRMED
    (told,) = installation.json("replay", made.subject)["timeline"]
    assert (told["id"], told["repeats"]) == (made.id, 1), "sent again it is the same event"
    assert UUID(told["id"]).version == 7


@pytest.fixture(scope="module")
def told_late(installation: Installation) -> Any:
    """A dossier of which the first thing that happened was recorded last; its replay."""
    clerk = Actor(id="cb-01")
    received = Received(office="GL", actor=clerk, room="mot-cua", procedure="1.002809", channel="post")
    submitted = Submitted(office="GL", procedure="1.002809", channel="post")
    for each in (
        event("received", received, "HS-LATE"),
        event("submitted", submitted, "HS-LATE", MONDAY - timedelta(minutes=30)),
    ):
        assert installation.run("publish", "-", stdin=encode(each).decode() + "\n").returncode == 0
    return installation.json("replay", "HS-LATE")


def test_a_replay_tells_each_event_and_the_state_after_it(told_late: Any) -> None:
    replayed = api.Replay.model_validate(told_late)
    first, second = replayed.timeline
    assert [(each.id, each.type, each.state) for each in replayed.timeline] == [
        ("submitted", "dossier.submitted", "SUBMITTED"),
        ("received", "dossier.received", "RECEIVED"),
    ], "in the order in which they happened"
    assert (first.occurred_at, second.occurred_at) == (MONDAY - timedelta(minutes=30), MONDAY)
    assert first.recorded_at > second.recorded_at
    assert (first.position.partition, first.position.offset) == (second.position.partition, second.position.offset + 1)
    assert (second.source, second.office, second.room, second.actor) == ("urn:feeding", "GL", "mot-cua", "cb-01")
    assert (second.name.vi, second.name.en) == ("Tiếp nhận và hẹn trả", "Received")
    assert second.data == {
        "office": "GL", "actor": {"id": "cb-01"}, "room": "mot-cua", "procedure": "1.002809", "channel": "post",
    }  # fmt: skip
    assert [each.repeats for each in replayed.timeline] == [0, 0]
    standing = replayed.standing
    assert standing is not None
    assert (standing.dossier, standing.state, standing.events) == ("HS-LATE", "RECEIVED", 2)
    assert (standing.submitted_at, standing.received_at) == (first.occurred_at, MONDAY)
    assert replayed.freshness.lag == 0
    assert (replayed.as_of, replayed.known_at) == (None, None)


def test_a_replay_as_it_was_known_then_leaves_out_what_was_recorded_later(
    installation: Installation, told_late: Any
) -> None:
    known = api.TimelineStep.model_validate(told_late["timeline"][1])

    def replayed(*options: str) -> tuple[list[str], api.Replay]:
        answer = api.Replay.model_validate(installation.json("replay", "HS-LATE", *options))
        return [each.id for each in answer.timeline], answer

    by_then = known.recorded_at.isoformat()
    ids, answer = replayed("--known-at", by_then)
    assert ids == ["received"]
    assert answer.known_at == known.recorded_at
    assert answer.standing is not None
    assert (answer.standing.events, answer.standing.submitted_at) == (1, None)
    assert replayed("--as-of", "02/03/2026 08:15")[0] == ["submitted"], "what was true then, as is known now"
    ids, answer = replayed("--as-of", "02/03/2026 08:15", "--known-at", by_then)
    assert (ids, answer.standing) == ([], None), "what was thought then: nothing had happened"
    shown = installation.run("replay", "HS-LATE", "--known-at", "01/03/2026")
    assert shown.returncode == 0
    assert "chưa có gì" in shown.stdout
