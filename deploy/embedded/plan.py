"""Which processes `dossier up` runs, with which command and surroundings: the plan of the embedded installation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from pydantic import HttpUrl, SecretStr

from deploy.embedded import kafka
from deploy.embedded.child import Child
from deploy.embedded.ports import choose_ports
from deploy.embedded.probes import asks_clickhouse, asks_kafka, reads_health, trusts
from deploy.embedded.runtime import EmbeddedError, credentials, run_dir
from deploy.embedded.supervisor import Plan
from deploy.topics import TopicsError, apply, load_topics
from events.entrance import BrokerUnreachable, require_entry
from schemas.clock import REAL, Clock
from schemas.cluster import Cluster, Security
from schemas.settings import LOG_AS, Settings

PROCESSES = ("projector", "archiver", "gateway")
# Of the simulated province, against real time: a working day passes in about a minute.
SIMULATION_SPEED = 600
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for beyond the settings; port 0 means any."""

    kafka_port: int = 0
    clickhouse_port: int = 0
    simulate: str | None = None
    clock: Clock | None = None  # simulated: shows its start when there is a plan; None: as the settings say


@dataclass(frozen=True, slots=True)
class _Archive:
    url: str
    user: str
    password: SecretStr
    report_user: str
    report_password: SecretStr


def make_plan(data_dir: Path, settings: Settings, wishes: Wishes, say: Callable[[str], None]) -> Plan:
    """The plan for this folder: chooses ports, makes passwords, checks (and the first time downloads) the jars.

    Servers named in the settings are used as they are; the others are embedded. Blocking.

    Raises:
        EmbeddedError: a server of the user's own does not answer, a port is taken, a jar is wrong, an extra is not
            installed.
    """
    _require_answers(settings)
    ports = choose_ports(data_dir, _wanted_ports(settings, wishes))
    cluster = _cluster(data_dir, settings, ports)
    archive = _archive(data_dir, settings, ports)
    gateway = f"http://{settings.gateway_host}:{ports['gateway']}"
    servers: list[Child] = []
    if settings.kafka is None:
        servers.append(_kafka(data_dir, ports, cluster, settings.kafka_java_options, say))
    if settings.clickhouse is None:
        servers.append(_clickhouse(data_dir, ports["clickhouse"], archive, settings.log_level))
    goes_on = None if settings.clock else REAL
    if wishes.clock is not None:
        goes_on = replace(wishes.clock, anchor=datetime.now(UTC))
        settings = settings.model_copy(update={"clock": str(goes_on)})
    environment = _environment(data_dir, settings, cluster, archive, ports["gateway"])
    return Plan(
        kafka=cluster.bootstrap,
        clickhouse=archive.url,
        gateway=gateway,
        servers=tuple(servers),
        prepare=lambda: prepare(settings, cluster, archive),
        processes=tuple(_ours(data_dir, name, (name,), environment) for name in _processes(settings)),
        feeds=(_simulation(wishes.simulate, settings, environment),) if wishes.simulate else (),
        embedded_kafka=settings.kafka is None,
        embedded_clickhouse=settings.clickhouse is None,
        clock=settings.clock,
        goes_on=goes_on,
    )


def _processes(settings: Settings) -> tuple[str, ...]:
    more = {"webhooks": settings.webhooks, "nightly": settings.nightly_at}
    return (*PROCESSES, *(name for name, wanted in more.items() if wanted))


def _require_answers(settings: Settings) -> None:
    """A wrong address, or a wrong password, is told at once, before anything is started for it."""
    if settings.kafka is None and settings.kafka_security_protocol != "PLAINTEXT":
        raise EmbeddedError("kafka_security_protocol is for a Kafka of your own: name it (--kafka), or take that out")
    if settings.kafka is not None:
        try:
            require_entry(Cluster(settings.kafka, settings.kafka_security), _ANSWER_SECONDS)
        except BrokerUnreachable as error:
            raise EmbeddedError(str(error)) from error
    if settings.clickhouse is None and settings.clickhouse_ca_file is not None:
        raise EmbeddedError(
            "clickhouse_ca_file is for a ClickHouse of your own: name it (--clickhouse), or take that out"
        )
    if settings.clickhouse is not None:
        asks = asks_clickhouse(_url(settings.clickhouse), settings.clickhouse_ca_file)
        if asyncio.run(asks(0)) != "ok":
            tls = " (clickhouse_ca_file names who vouches for it)" if settings.clickhouse.scheme == "https" else ""
            raise EmbeddedError(
                f"no ClickHouse answers at {settings.clickhouse}: check the address, and that it runs{tls}"
            )


def _url(address: HttpUrl) -> str:
    return str(address).rstrip("/")


def prepare(settings: Settings, cluster: Cluster, archive: _Archive) -> None:
    """Our topics on the ledger's cluster and our tables in the archive; nothing is done where all is well.

    Raises:
        EmbeddedError: a server does not answer or refuses.
    """
    try:
        apply(cluster, load_topics(settings.partitions, settings.replication))
    except TopicsError as error:
        raise EmbeddedError(str(error)) from error
    _migrate(settings, archive)


def _migrate(settings: Settings, archive: _Archive) -> None:
    from clickhouse_connect.driver.exceptions import ClickHouseError  # half a second, which `--help` does not pay

    from deploy.clickhouse import MigrationError, migrate
    from deploy.clickhouse.client import connect

    try:
        with contextlib.closing(
            connect(
                archive.url,
                user=archive.user,
                password=archive.password.get_secret_value(),
                database=settings.clickhouse_database,
                ca_file=settings.clickhouse_ca_file,
            )
        ) as client:
            migrate(client)
    except MigrationError as error:
        raise EmbeddedError(f"tables of the archive: {error}") from error
    except ClickHouseError as error:
        raise EmbeddedError(f"ClickHouse at {archive.url} as user {archive.user}: {str(error)[:400]}") from error


def _wanted_ports(settings: Settings, wishes: Wishes) -> dict[str, int]:
    wanted = {"gateway": settings.gateway_port}
    if settings.kafka is None:
        wanted |= {"kafka": wishes.kafka_port, "controller": 0}
    if settings.clickhouse is None:
        wanted |= {"clickhouse": wishes.clickhouse_port}
    return wanted


def _cluster(data_dir: Path, settings: Settings, ports: Mapping[str, int]) -> Cluster:
    if settings.kafka is not None:
        return Cluster(settings.kafka, settings.kafka_security)
    password = credentials(data_dir).kafka
    assert password is not None  # noqa: S101  # `credentials` makes what is not there
    return Cluster(f"127.0.0.1:{ports['kafka']}", kafka.security(password))


def _archive(data_dir: Path, settings: Settings, ports: Mapping[str, int]) -> _Archive:
    if settings.clickhouse is not None:
        return _Archive(
            _url(settings.clickhouse),
            settings.clickhouse_user, settings.clickhouse_password,
            settings.clickhouse_report_user, settings.clickhouse_report_password,
        )  # fmt: skip
    kept = credentials(data_dir)
    return _Archive(f"http://127.0.0.1:{ports['clickhouse']}", "archiver", kept.archiver, "report", kept.report)


def _kafka(
    data_dir: Path, ports: Mapping[str, int], cluster: Cluster, java_options: str, say: Callable[[str], None]
) -> Child:
    return Child(
        "kafka",
        kafka.prepare(data_dir, ports["kafka"], ports["controller"], say, java_options, cluster.security.password),
        kafka.java_environment(),
        asks_kafka(cluster),
        first_sign_seconds=120,  # a large log that was not closed is read again first
        silence_seconds=30,
        stop_seconds=20,
    )


def _clickhouse(data_dir: Path, port: int, archive: _Archive, log_level: str) -> Child:
    if find_spec("chdb") is None:  # looked for and not imported: that is the process's to do
        raise EmbeddedError(
            "the embedded ClickHouse needs the extra: pip install '.[embedded]' in the checkout, or --clickhouse URL"
        )
    users = {
        archive.user: {"password": archive.password.get_secret_value(), "access": "write"},
        archive.report_user: {"password": archive.report_password.get_secret_value(), "access": "read"},
    }
    folder = data_dir / "clickhouse"
    return Child(
        "clickhouse",
        _python(
            "deploy.embedded.clickhouse",
            "--data-dir", str(folder / "data"), "--temp-dir", str(folder / "temp"), "--port", str(port),
            "--log-level", log_level,
        ),
        {**kafka.java_environment(), "DOSSIER_CLICKHOUSE_USERS": json.dumps(users)},
        asks_clickhouse(archive.url),
        first_sign_seconds=120,
        silence_seconds=30,
        stop_seconds=20,
    )  # fmt: skip


def _ours(data_dir: Path, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Child:
    health = run_dir(data_dir) / f"{name}.health.json"
    return Child(
        name,
        _python("cli", *arguments),
        {**environment, LOG_AS: name, "DOSSIER_HEALTH_FILE": str(health)},
        reads_health(health),
    )


def _simulation(profile: str, settings: Settings, environment: Mapping[str, str]) -> Child:
    speed = "clock" if settings.clock else str(SIMULATION_SPEED)
    command = _python("cli", "simulate", "--profile", profile, "--speed", speed, "--json")
    return Child("simulate", command, {**environment, LOG_AS: "simulate"}, trusts, ends=True)


def _environment(
    data_dir: Path, settings: Settings, cluster: Cluster, archive: _Archive, gateway_port: int
) -> dict[str, str]:
    """This process's own surroundings, and where the servers are: what every `dossier` process reads."""
    return {
        **kafka.java_environment(),
        "PYTHONUNBUFFERED": "1",
        "DOSSIER_DATA_DIR": str(data_dir),
        "DOSSIER_KAFKA": cluster.bootstrap,
        **(_entering(cluster.security) if settings.kafka is None else {}),
        "DOSSIER_CLICKHOUSE": archive.url,
        "DOSSIER_CLICKHOUSE_USER": archive.user,
        "DOSSIER_CLICKHOUSE_PASSWORD": archive.password.get_secret_value(),
        "DOSSIER_CLICKHOUSE_REPORT_USER": archive.report_user,
        "DOSSIER_CLICKHOUSE_REPORT_PASSWORD": archive.report_password.get_secret_value(),
        "DOSSIER_GATEWAY_HOST": settings.gateway_host,
        "DOSSIER_GATEWAY_PORT": str(gateway_port),
        "DOSSIER_PARTITIONS": str(settings.partitions),
        "DOSSIER_REPLICATION": str(settings.replication),
        "DOSSIER_LEDGER_NAME": settings.ledger_name,
        **_given("DOSSIER_CLOCK", settings.clock),
        **_given("DOSSIER_SIGNING_KEY", settings.signing_key),
        **_given("DOSSIER_CHECKPOINT_FILE", settings.checkpoint_file),
    }


def _entering(security: Security) -> dict[str, str]:
    """The settings by which the embedded Kafka is entered; one of the user's own is by theirs, which are there."""
    return {
        "DOSSIER_KAFKA_SECURITY_PROTOCOL": security.protocol,
        "DOSSIER_KAFKA_SASL_MECHANISM": security.mechanism,
        "DOSSIER_KAFKA_USER": security.user,
        "DOSSIER_KAFKA_PASSWORD": security.password.get_secret_value(),
    }


def _given(name: str, value: str | Path | None) -> dict[str, str]:
    return {} if value is None else {name: str(value)}


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    # -P: whatever folder the user stands in, a `cli` there is not ours.
    return (sys.executable, "-P", "-m", module, *arguments)
