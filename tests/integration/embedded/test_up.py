"""`dossier up`, `status` and `down` as a person uses them, on the real servers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer
from pydantic import SecretStr

from deploy.embedded.runtime import kept_clock
from events.entrance import BrokerUnreachable, require_entry
from schemas.clock import Clock
from schemas.cluster import Cluster, Security
from tests.installation import Installation, eventually
from tests.integration.waiting import records_on

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

LEDGER = "dossier.events.v1"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Installation]:
    """A data folder of the test's own; whatever runs on it at the end is stopped."""
    installation = Installation(tmp_path)
    yield installation
    if (tmp_path / "run" / "up.json").exists():
        installation.run("down")


def processes(installation: Installation) -> dict[str, psutil.Process]:
    return {each["name"]: psutil.Process(each["pid"]) for each in installation.status()["processes"]}


def test_status_shows_each_process_and_the_addresses(running: Installation) -> None:
    status = running.status()
    assert status["ready"] is True
    by_name = {each["name"]: each for each in status["processes"]}
    assert list(by_name) == ["kafka", "clickhouse", "projector", "archiver", "gateway", "nightly"]
    assert all(each["health"] in ("ok", "behind") for each in by_name.values()), by_name
    assert set(status["addresses"]) == {"kafka", "clickhouse", "gateway"}
    assert status["addresses"].items() <= status.items()
    assert running.run("status").stdout.count("\n") >= len(by_name) + len(status["addresses"])


def test_every_port_is_on_loopback_only(running: Installation) -> None:
    listening = {
        connection.laddr.ip
        for process in processes(running).values()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_second_up_on_the_same_folder_is_refused(running: Installation) -> None:
    before = running.status()
    for arguments in (["up"], ["up", "--detach"]):
        refused = running.run(*arguments)
        assert refused.returncode == 3
        assert f"(pid {before['pid']})" in refused.stderr
        assert "dossier down" in refused.stderr
    assert running.status()["pid"] == before["pid"]


def test_other_commands_find_it(running: Installation) -> None:
    assert running.json("topics", "apply") == {"dry_run": False, "changes": []}


def test_an_account_of_this_machine_that_has_not_the_password_does_not_get_in(running: Installation) -> None:
    """By neither door: who speaks to the controller could have topics deleted."""
    own = running.kafka
    require_entry(own, 10.0)
    ports = json.loads((running.data_dir / "run" / "ports.json").read_text(encoding="utf-8"))
    guess = replace(own.security, password=SecretStr("a-guess"))
    for port in (ports["kafka"], ports["controller"]):
        for security in (Security(), guess):
            with pytest.raises(BrokerUnreachable):
                require_entry(Cluster(f"127.0.0.1:{port}", security), 10.0)
    for name in ("kafka/server.properties", "run/credentials.json"):
        assert (running.data_dir / name).stat().st_mode & 0o077 == 0
    assert own.security.password.get_secret_value() not in running.logs()


def test_another_number_of_partitions_is_refused_with_the_one_that_is(running: Installation) -> None:
    running.settings["DOSSIER_PARTITIONS"] = "7"
    try:
        refused = running.run("topics", "apply")
    finally:
        del running.settings["DOSSIER_PARTITIONS"]
    assert refused.returncode == 3
    assert "DOSSIER_PARTITIONS=4" in refused.stderr


def test_a_second_run_continues_after_a_kill_and_down_leaves_nothing(own: Installation) -> None:
    own.up()
    first = own.status()
    pids = processes(own)
    with_producer(own.kafka, b"D-1")
    psutil.Process(first["pid"]).kill()
    psutil.wait_procs(pids.values(), timeout=10)
    assert still_there(pids) == []
    assert own.run("status").returncode == 3

    own.up()
    second = own.status()
    pids = processes(own)
    assert second["addresses"] == first["addresses"]
    assert [record.key for record in records_on(own.kafka, LEDGER)] == [b"D-1"]
    own.down()
    assert still_there(pids) == []
    assert own.run("status").returncode == 3
    assert own.run("down").returncode == 3


def test_a_simulated_clock_is_gone_by_everywhere_and_the_next_run_goes_on(own: Installation) -> None:
    """By real time every dossier of 2020 would be overdue."""
    start = "2020-01-06T07:00:00+07:00"
    own.up("--clock", start, "--speed", "60", "--simulate", "gia-lai-2020-h1")

    def in_time() -> bool:
        """What lies before the start comes at once, but its ends a moment after its beginnings."""
        summary = own.json("summary")
        return bool(summary["pending_in_time"] > summary["overdue"])

    eventually(in_time, "dossiers that are in time")
    due = own.json("due", "--within", "30d")
    assert due["at"].startswith("2020-01-06")
    assert own.json("explain", due["deadlines"][0]["dossier"])["at"].startswith("2020-01-06")

    def clock() -> Clock:
        return Clock.parse(own.status()["clock"]["setting"])

    before = clock()
    shown = before.now()
    own.down()
    stopped = kept_clock(own.data_dir)
    assert stopped is not None
    assert shown <= stopped.start <= before.now()
    own.up()
    assert (clock().start, clock().speed) == (stopped.start, 60), "not by what passed between"
    shown = clock().now()
    psutil.Process(own.status()["pid"]).kill()
    own.up("--clock", start, "--speed", "1")
    assert clock().start >= shown
    assert clock().speed == 1


def test_a_killed_broker_and_a_killed_archive_come_back(running: Installation) -> None:
    for name in ("kafka", "clickhouse"):
        kill_until_back(running, name)
    told = [json.loads(line) for line in (running.data_dir / "logs" / "up.log").read_text("utf-8").splitlines()]
    assert any("works again" in each["event"] for each in told)
    crashes = [each["level"] for each in told if "SIGKILL; khởi động lại" in each["event"]]
    assert len(crashes) >= 2
    assert set(crashes) == {"warning"}


def test_every_log_of_ours_is_json_line_by_line(own: Installation) -> None:
    """Through a kill of the servers and the end of all; Kafka's own log is Kafka's."""
    own.up("--simulate", "gia-lai-2020-h1")
    for name in ("clickhouse", "kafka"):
        kill_until_back(own, name)
    eventually(lambda: bool(own.status()["ready"]), f"all of it again: {own.logs()}")
    own.down()
    logs = {path.stem: path.read_text("utf-8").splitlines() for path in (own.data_dir / "logs").glob("*.log")}
    del logs["kafka"]
    assert {name for name, lines in logs.items() if lines} >= {"up", "clickhouse", "projector", "archiver", "gateway"}
    for name, lines in logs.items():
        for line in lines:
            told = json.loads(line)
            assert {"timestamp", "level", "event"} <= told.keys(), line
            assert told["process"] == name


def test_servers_of_the_users_own_are_used_instead(own: Installation, running: Installation) -> None:
    """The servers of another run stand for the user's own."""
    theirs = running.status()["addresses"]
    passwords = json.loads((running.data_dir / "run" / "credentials.json").read_text(encoding="utf-8"))
    own.settings |= {
        "DOSSIER_CLICKHOUSE_PASSWORD": passwords["archiver"],
        "DOSSIER_CLICKHOUSE_REPORT_PASSWORD": passwords["report"],
        "DOSSIER_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "DOSSIER_KAFKA_SASL_MECHANISM": "PLAIN",
        "DOSSIER_KAFKA_USER": "dossier",
        "DOSSIER_KAFKA_PASSWORD": passwords["kafka"],
    }
    own.up("--kafka", theirs["kafka"], "--clickhouse", theirs["clickhouse"])
    status = own.status()
    assert status["addresses"]["kafka"] == theirs["kafka"]
    assert status["addresses"]["clickhouse"] == theirs["clickhouse"]
    assert [each["name"] for each in status["processes"]] == ["projector", "archiver", "gateway", "nightly"]


@pytest.mark.parametrize(
    ("arguments", "settings", "reason"),
    [
        ([], {"DOSSIER_PARTITIONS": "many"}, "DOSSIER_PARTITIONS"),
        (["--kafka", "nowhere"], {}, "DOSSIER_KAFKA"),
        (["--kafka", "127.0.0.1:9"], {}, "no Kafka broker answers at 127.0.0.1:9"),
        (["--clickhouse", "http://127.0.0.1:9"], {}, "no ClickHouse answers at http://127.0.0.1:9"),
        (["--gateway-port", "70000"], {}, "--gateway-port"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_line_that_names_it(
    own: Installation, arguments: list[str], settings: dict[str, str], reason: str
) -> None:
    own.settings |= settings
    for detach in ([], ["--detach"]):
        done = own.run("up", *detach, *arguments)
        assert done.returncode in (2, 3)
        [error] = [line for line in done.stderr.splitlines() if line.startswith("error ")]
        assert reason in error
        assert "Traceback" not in done.stderr
    assert not (own.data_dir / "run" / "up.json").exists()


def test_a_port_that_is_taken_is_named(own: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = own.run("up", "--detach", "--kafka-port", str(port))
    assert refused.returncode == 3
    assert f"port {port} for kafka is taken" in refused.stderr


def kill_until_back(installation: Installation, name: str) -> None:
    old = installation.pid(name)
    installation.kill(name)

    def is_back() -> bool:
        process = next(each for each in installation.status()["processes"] if each["name"] == name)
        return bool(process["health"] == "ok" and process["pid"] != old)

    eventually(is_back, f"{name} back: {installation.logs()}")


def still_there(processes: dict[str, psutil.Process]) -> list[str]:
    return [name for name, process in processes.items() if process.is_running()]


def with_producer(kafka: Cluster, key: bytes) -> None:
    """One record on the ledger, not readable as an event."""
    producer = KafkaProducer(**kafka.client, acks="all")
    producer.send(LEDGER, key=key, value=b"not an event").get(timeout=30)
    producer.close()
