"""On a Kafka that asks who they are, each process does its work under the rules of docs/kafka.md, and no more; the
archive is behind TLS too."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from kafka import KafkaProducer
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import KafkaError

from deploy.embedded import ports
from events import quarantine
from events.entrance import BrokerUnreachable, require_entry
from schemas.cluster import Cluster, SaslMechanism, Security
from schemas.health import read_health
from tests.installation import REPOSITORY, Installation, eventually
from tests.integration.conftest import ClickHouse, leash, run_clickhouse
from tests.integration.secured import Secured, run_secured_broker, tls_before
from tests.integration.waiting import records_on

pytestmark = pytest.mark.integration

PAGE: Final = (REPOSITORY / "docs" / "kafka.md").read_text(encoding="utf-8")
PASSWORD: Final = "known-to-one"
DOSSIERS: Final = 30


def rules() -> list[ACL]:
    """The rules of the page, as its commands say them."""
    block = PAGE.split("<!-- rules", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return [rule for line in block.splitlines() if line.startswith("kafka-acls.sh") for rule in _rules_of(line)]


def _rules_of(command: str) -> Iterator[ACL]:
    words = shlex.split(command)[2:]
    given = list(zip(words[::2], words[1::2], strict=True))
    (who,) = (value for name, value in given if name == "--allow-principal")
    pattern = next((value for name, value in given if name == "--resource-pattern-type"), "literal")
    resources = [(name, value) for name, value in given if name in ("--topic", "--group")]
    for operation in (value for name, value in given if name == "--operation"):
        for kind, name in resources:
            resource = ResourcePattern(
                ResourceType[kind.removeprefix("--").upper()], name, ACLResourcePatternType[pattern.upper()]
            )
            yield ACL(who, "*", ACLOperation[_screaming(operation)], ACLPermissionType.ALLOW, resource)


def _screaming(operation: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operation).upper()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with run_secured_broker(Path(tmp_path_factory.mktemp("secured"))) as server:
        wanted = rules()
        for name in {each.principal.removeprefix("User:") for each in wanted}:
            server.add_user(name, PASSWORD)
        admin = KafkaAdminClient(bootstrap_servers=[server.open])
        try:
            done = admin.create_acls(wanted)
            assert (len(done["succeeded"]), done["failed"]) == (len(wanted), [])
        finally:
            admin.close()
        yield server


@dataclass
class Office:
    """Everything apart, each process as a user of its own."""

    kafka: Secured
    settings: dict[str, str]
    data_dir: Path

    def user(self, name: str) -> Installation:
        """The commands as that user has them."""
        return Installation(self.data_dir, {**self.settings, **_entry(self.kafka, name)})


def _entry(kafka: Secured, user: str) -> dict[str, str]:
    return {
        "DOSSIER_KAFKA": kafka.sasl,
        "DOSSIER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "DOSSIER_KAFKA_USER": user,
        "DOSSIER_KAFKA_PASSWORD": PASSWORD,
        "DOSSIER_KAFKA_CA_FILE": str(kafka.ca_file),
    }


@pytest.fixture(scope="module")
def office(kafka: Secured, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = Path(tmp_path_factory.mktemp("office"))
    with ExitStack() as stack:
        archive = stack.enter_context(run_clickhouse(folder))
        address = stack.enter_context(tls_before(archive.port, kafka))
        office = Office(kafka, _settings(replace(archive, url=address), kafka, folder), folder)
        _do(office.user("installer"), "keys", "new", "office", "--out", str(folder))
        _do(office.user("installer"), "topics", "apply")
        _do(office.user("installer"), "migrate")
        for name in ("projector", "archiver", "gateway"):
            process = (sys.executable, "-P", "-m", "cli", name)
            stack.enter_context(leash(process, folder / f"{name}.log", office.user(name).environment()))
        yield office


def _settings(archive: ClickHouse, kafka: Secured, folder: Path) -> dict[str, str]:
    return {
        "DOSSIER_CLICKHOUSE": archive.url,
        "DOSSIER_CLICKHOUSE_CA_FILE": str(kafka.ca_file),
        "DOSSIER_CLICKHOUSE_USER": archive.user,
        "DOSSIER_CLICKHOUSE_PASSWORD": archive.password,
        "DOSSIER_CLICKHOUSE_REPORT_USER": archive.report_user,
        "DOSSIER_CLICKHOUSE_REPORT_PASSWORD": archive.report_password,
        "DOSSIER_GATEWAY_PORT": str(ports.choose_ports(folder, {"gateway": 0})["gateway"]),
        "DOSSIER_SIGNING_KEY": str(folder / "office.key"),
        "DOSSIER_LEDGER_NAME": "office",
        "DOSSIER_CHECKPOINT_SECONDS": "1",
    }


def _do(user: Installation, *command: str) -> None:
    done = user.run(*command)
    assert done.returncode == 0, done.stderr


def dossiers_on_the_board(user: Installation) -> int:
    """0 also while the gateway does not answer yet, or has not read to the end."""
    done = user.run("summary", "--json")
    return int(json.loads(done.stdout)["dossiers"]) if done.returncode == 0 else 0


def test_each_does_its_work_under_the_rules_of_the_page(office: Office, tmp_path: Path) -> None:
    publisher, auditor = office.user("publisher"), office.user("auditor")
    file = tmp_path / "events.jsonl"
    simulated = publisher.json(
        "simulate", "--profile", "gia-lai-2020-h1", "--dossiers", str(DOSSIERS), "--speed", "max", "--output", str(file)
    )
    assert publisher.json("publish", str(file))["published"] == simulated["events"]
    eventually(lambda: dossiers_on_the_board(auditor) == DOSSIERS, "the board has all of them")
    assert auditor.json("rebuild", "--compare-only")["compared"] == DOSSIERS
    assert auditor.json("reconcile")["findings"] == []
    assert auditor.json("verify", "--all", "--key", str(office.data_dir / "office.pub"))["ok"]
    dossier = json.loads(file.read_text(encoding="utf-8").splitlines()[0])["subject"]
    assert auditor.json("replay", dossier)
    assert [
        record
        for record in records_on(Cluster(office.kafka.open), "dossier.access.v1")
        if record.key == dossier.encode()
    ]
    _do(office.user("clerk"), "rulebook", "publish", str(REPOSITORY / "schemas" / "rulebooks" / "gia-lai.yaml"))
    # What the process `nightly` runs, and it may publish what it finds.
    assert office.user("nightly").json("rebuild", "--compare-only", "--announce")["differing"] == 0
    _may_write(
        office.kafka.as_user("nightly", PASSWORD), "dossier.alarms.v1", b"{}"
    )  # no alarm: nobody takes it for one


def test_alarms_are_posted_by_a_user_who_may_do_no_more(office: Office, tmp_path: Path) -> None:
    endpoint = '[{"name": "board", "url": "http://127.0.0.1:9/", "secret": "whsec_' + "A" * 32 + '", "private": true}]'
    webhooks = office.user("webhooks")
    webhooks.settings["DOSSIER_WEBHOOKS"] = endpoint
    health, log = tmp_path / "health.json", tmp_path / "webhooks.log"
    environment = {**webhooks.environment(), "DOSSIER_HEALTH_FILE": str(health)}
    with leash((sys.executable, "-P", "-m", "cli", "webhooks"), log, environment):
        eventually(lambda: _health(health) == "ok", "it reads the alarms")
    held = quarantine.from_file(file="log.csv", line=1, value=b"x", reason="a test", quarantined_at=datetime.now(UTC))
    _may_write(office.kafka.as_user("webhooks", PASSWORD), "dossier.quarantine.v1", quarantine.encode(held))


def _health(file: Path) -> str | None:
    report = read_health(file)
    return None if report is None else report.health


def _may_write(kafka: Cluster, topic: str, value: bytes) -> None:
    producer = KafkaProducer(**kafka.client, acks="all")
    try:
        assert producer.send(topic, value, b"D-1").get(20).offset >= 0
    finally:
        producer.close(1)


def test_a_log_is_imported_and_what_cannot_be_read_waits(office: Office, tmp_path: Path) -> None:
    importer, operator = office.user("importer"), office.user("operator")
    rows = (REPOSITORY / "examples" / "counter.csv").read_text(encoding="utf-8").splitlines()
    book = tmp_path / "book.csv"
    book.write_text("\n".join([*rows, rows[1].replace("Trực tiếp", "Zalo")]) + "\n", encoding="utf-8")
    mapping = str(REPOSITORY / "examples" / "counter.yaml")
    for published in (13, 0):  # the second time something is in quarantine, which it looks at
        told = importer.json("import", str(book), "--mapping", mapping)
        assert (told["published"], told["quarantined"]) == (published, 1)
    assert "book.csv:14" in operator.run("quarantine", "list").stdout
    assert operator.json("repair", "--from-ledger", "--dry-run", "--key", str(office.data_dir / "office.pub"))["ok"]


def test_nobody_does_the_work_of_another(office: Office) -> None:
    for user, topic in (
        ("publisher", "dossier.live.v1"), ("publisher", "dossier.alarms.v1"), ("projector", "dossier.events.v1"),
        ("archiver", "dossier.events.v1"), ("gateway", "dossier.events.v1"), ("auditor", "dossier.events.v1"),
        ("auditor", "dossier.checkpoints.v1"), ("clerk", "dossier.events.v1"), ("webhooks", "dossier.alarms.v1"),
        ("nightly", "dossier.live.v1"), ("installer", "dossier.events.v1"), ("importer", "dossier.live.v1"),
        ("operator", "dossier.checkpoints.v1"),
    ):  # fmt: skip
        producer = KafkaProducer(**office.kafka.as_user(user, PASSWORD).client, acks="all")
        try:
            with pytest.raises(KafkaError, match="AuthorizationFailed"):
                producer.send(topic, b"{}", b"not allowed", partition=0).get(20)
        finally:
            producer.close(1)
        assert b"not allowed" not in [each.key for each in records_on(Cluster(office.kafka.open), topic)]


def test_all_of_it_runs_as_one_user_who_has_a_certificate(tmp_path: Path) -> None:
    installation = Installation(tmp_path / "up")
    with run_secured_broker(tmp_path) as kafka:
        kafka.allow_everything("owner")
        security = kafka.with_certificate("owner").security
        installation.settings |= {
            "DOSSIER_KAFKA_SECURITY_PROTOCOL": security.protocol,
            "DOSSIER_KAFKA_CA_FILE": str(security.ca_file),
            "DOSSIER_KAFKA_CERT_FILE": str(security.cert_file),
        }
        refused = installation.run("up", "--detach")
        assert refused.returncode != 0
        assert "kafka_security_protocol is for a Kafka of your own" in refused.stderr
        installation.up("--kafka", kafka.tls, "--simulate", "gia-lai-2020-h1")
        try:
            eventually(lambda: dossiers_on_the_board(installation) > 0, "what is simulated arrives")
        finally:
            installation.down()


def test_who_is_not_let_in_is_told_why_and_soon(kafka: Secured) -> None:
    kafka.add_user("known", PASSWORD)
    known = kafka.as_user("known", PASSWORD).security
    for cluster, why in (
        (kafka.as_user("known", "a guess"), "does not let known in"),
        (kafka.as_user("known", PASSWORD, "PLAIN"), "does not let known in"),
        (Cluster(kafka.sasl), "want TLS, a certificate, a password"),
        (Cluster(kafka.sasl, Security("SSL", ca_file=kafka.ca_file)), "want TLS, a certificate, a password"),
        (Cluster(kafka.tls, Security("SSL", ca_file=kafka.ca_file)), "want TLS, a certificate, a password"),
        (Cluster(kafka.sasl, replace(known, ca_file=None)), "kafka_ca_file names who vouches for it"),
        (Cluster(kafka.sasl.replace("127.0.0.1", "127.0.0.2"), known), "check the address"),
        (Cluster(kafka.open, known), "hangs up"),
    ):  # fmt: skip
        with pytest.raises(BrokerUnreachable, match=why):
            require_entry(cluster, 10.0)
    mechanisms: tuple[SaslMechanism, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    for mechanism in mechanisms:
        name, password = ("plain", "plain-secret") if mechanism == "PLAIN" else ("known", PASSWORD)
        require_entry(kafka.as_user(name, password, mechanism), 10.0)
