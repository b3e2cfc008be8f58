"""What `dossier up` starts, by which servers are the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.embedded import kafka, plan
from deploy.embedded.child import Child
from deploy.embedded.plan import Wishes, make_plan
from deploy.embedded.probes import Probe, Sign
from deploy.embedded.runtime import EmbeddedError, read_credentials
from deploy.embedded.supervisor import Plan
from events.entrance import BrokerUnreachable
from schemas.cluster import Cluster
from schemas.settings import load_settings

THEIR_KAFKA, THEIR_CLICKHOUSE = "kafka.example:9092", "http://clickhouse.example:8123"
OURS = ["projector", "archiver", "gateway", "nightly"]


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DOSSIER_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The servers that were asked whether they answer, before anything starts; all of them do."""
    addresses: list[str] = []

    def answering(address: str, _ca_file: Path | None = None) -> Probe:
        async def probe(_pid: int) -> Sign:
            addresses.append(address)
            return "ok"

        return probe

    monkeypatch.setattr(plan, "require_entry", lambda kafka, _seconds: addresses.append(str(kafka)))
    monkeypatch.setattr(plan, "asks_clickhouse", answering)
    return addresses


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded broker's command, without looking for jars and formatting a log."""

    def prepare(
        _folder: Path, port: int, controller: int, _say: object, java_options: str, _password: SecretStr
    ) -> tuple[str, ...]:
        return "java", *java_options.split(), str(port), str(controller)

    monkeypatch.setattr(kafka, "prepare", prepare)


def planned(folder: Path, wishes: Wishes | None = None, **given: Any) -> Plan:
    return make_plan(folder, load_settings(data_dir=folder, **given), wishes or Wishes(), lambda _: None)


def names(children: tuple[Child, ...]) -> list[str]:
    return [child.name for child in children]


def told(made: Plan, name: str) -> Mapping[str, str]:
    """The surroundings of one of our processes."""
    return next(child.environment for child in made.processes if child.name == name)


def after(command: tuple[str, ...], option: str) -> str:
    return command[command.index(option) + 1]


def test_without_servers_of_the_users_own_both_are_embedded(tmp_path: Path, asked: list[str]) -> None:
    made = planned(tmp_path)
    assert names(made.servers) == ["kafka", "clickhouse"]
    assert names(made.processes) == OURS
    assert asked == []
    passwords = read_credentials(tmp_path)
    assert passwords is not None
    assert passwords.kafka is not None
    for name in OURS:
        environment = told(made, name)
        assert environment["DOSSIER_KAFKA_SECURITY_PROTOCOL"] == "SASL_PLAINTEXT"
        assert environment["DOSSIER_KAFKA_PASSWORD"] == passwords.kafka.get_secret_value()


def test_a_kafka_of_the_users_own_alone(tmp_path: Path, asked: list[str]) -> None:
    made = planned(tmp_path, kafka=THEIR_KAFKA)
    assert asked == [THEIR_KAFKA]
    assert names(made.servers) == ["clickhouse"]
    assert names(made.processes) == OURS
    assert (made.kafka, made.embedded_kafka, made.embedded_clickhouse) == (THEIR_KAFKA, False, True)
    (archive,) = made.servers
    assert made.clickhouse == f"http://127.0.0.1:{after(archive.command, '--port')}"
    passwords = read_credentials(tmp_path)
    assert passwords is not None
    for name in OURS:
        environment = told(made, name)
        assert environment["DOSSIER_KAFKA"] == THEIR_KAFKA
        assert "DOSSIER_KAFKA_PASSWORD" not in environment  # it is where `up` has it from
        assert environment["DOSSIER_CLICKHOUSE"] == made.clickhouse
        assert environment["DOSSIER_CLICKHOUSE_USER"] == "archiver"
        assert environment["DOSSIER_CLICKHOUSE_PASSWORD"] == passwords.archiver.get_secret_value()
        assert environment["DOSSIER_CLICKHOUSE_REPORT_PASSWORD"] == passwords.report.get_secret_value()
    assert passwords.archiver.get_secret_value() in archive.environment["DOSSIER_CLICKHOUSE_USERS"]
    assert not (tmp_path / "kafka").exists()


@pytest.mark.usefixtures("asked")
def test_options_for_java_are_those_of_the_embedded_kafka(tmp_path: Path) -> None:
    (broker,) = planned(tmp_path, clickhouse=THEIR_CLICKHOUSE, kafka_java_options="-Xmx1g -Xss1m").servers
    assert broker.command[:3] == ("java", "-Xmx1g", "-Xss1m")


def test_a_clickhouse_of_the_users_own_alone(tmp_path: Path, asked: list[str]) -> None:
    made = planned(
        tmp_path, clickhouse=THEIR_CLICKHOUSE, clickhouse_user="writer", clickhouse_password="w",
        clickhouse_report_user="reader", clickhouse_report_password="r",
    )  # fmt: skip
    assert asked == [THEIR_CLICKHOUSE]
    assert names(made.servers) == ["kafka"]
    assert names(made.processes) == OURS
    assert (made.clickhouse, made.embedded_clickhouse) == (THEIR_CLICKHOUSE, False)
    (broker,) = made.servers
    _, port, controller = broker.command
    assert made.kafka == f"127.0.0.1:{port}"
    assert port != controller
    for name in OURS:
        environment = told(made, name)
        assert environment["DOSSIER_KAFKA"] == made.kafka
        assert environment["DOSSIER_CLICKHOUSE"] == THEIR_CLICKHOUSE
        assert (environment["DOSSIER_CLICKHOUSE_USER"], environment["DOSSIER_CLICKHOUSE_PASSWORD"]) == ("writer", "w")
        assert environment["DOSSIER_CLICKHOUSE_REPORT_USER"] == "reader"
        assert environment["DOSSIER_CLICKHOUSE_REPORT_PASSWORD"] == "r"
    kept = (tmp_path / "run" / "credentials.json").read_text(encoding="utf-8")
    assert '"w"' not in kept, "passwords of the user's own server are the user's settings, never kept"


def test_a_port_wished_for_a_server_that_is_not_embedded_takes_none(tmp_path: Path, asked: list[str]) -> None:
    made = planned(tmp_path, Wishes(kafka_port=1), kafka=THEIR_KAFKA)
    assert made.kafka == THEIR_KAFKA
    assert asked == [THEIR_KAFKA]


def test_a_wrong_address_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shut(kafka: Cluster, _seconds: float) -> None:
        raise BrokerUnreachable(f"no Kafka broker answers at {kafka}: it does not let archiver in")

    monkeypatch.setattr(plan, "require_entry", shut)
    with pytest.raises(EmbeddedError, match=f"no Kafka broker answers at {THEIR_KAFKA}: it does not let archiver in"):
        planned(tmp_path, kafka=THEIR_KAFKA)
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_kafka_asks_nobody(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="kafka_security_protocol is for a Kafka of your own"):
        planned(
            tmp_path, kafka_security_protocol="SASL_PLAINTEXT", kafka_user="archiver", kafka_password="secret"
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_each_of_ours_logs_under_its_name_and_the_simulation_prints_no_table(tmp_path: Path, asked: list[str]) -> None:
    made = planned(tmp_path, Wishes(simulate="gia-lai-2020-h1"), log_level="warning")
    assert asked == []
    (feed,) = made.feeds
    assert "--json" in feed.command
    logged_as = {child.name: child.environment["DOSSIER_LOG_AS"] for child in (*made.processes, *made.feeds)}
    assert logged_as == {name: name for name in [*OURS, "simulate"]}
    assert after(made.servers[1].command, "--log-level") == "warning"
