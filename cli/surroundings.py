"""Where a command finds Kafka, ClickHouse and the gateway: explicit settings win, else the running `dossier up`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from cli.console import CommandError
from deploy.embedded.kafka import security
from deploy.embedded.runtime import Credentials, Running, find, read_credentials, run_dir
from schemas.clock import REAL, Clock
from schemas.cluster import Cluster, Security
from schemas.settings import Settings

#: urllib3's words, inside an error of the ClickHouse client, for an address where nothing answers.
_NOBODY_THERE: Final = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError")


@dataclass(frozen=True, slots=True)
class Archive:
    """A ClickHouse address with its two users."""

    url: str
    database: str
    user: str
    password: SecretStr
    report_user: str
    report_password: SecretStr
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The addresses a command asks for; asking for one that is not known raises CommandError with what to do.

    `clickhouse` is the URL without credentials; `clickhouse_password` and `report_password` are secrets.
    `clickhouse_timeout_seconds` is for who writes the archive: reports read much, and wait as long as the client does.
    `passed_over` is the Kafka of the `dossier up` that runs here, where another one is named.
    """

    data_dir: Path
    known_kafka: Cluster | None
    archive: Archive | None
    known_gateway: str | None
    clickhouse_timeout_seconds: int
    clock: Clock = REAL
    passed_over: str | None = None

    @property
    def kafka(self) -> Cluster:
        if self.known_kafka is None:
            raise nothing_runs(self.data_dir, "DOSSIER_KAFKA")
        return self.known_kafka

    @property
    def gateway(self) -> str:
        """The gateway's base URL, without a trailing slash."""
        if self.known_gateway is None:
            raise self._not_known("DOSSIER_GATEWAY_PORT")
        return self.known_gateway

    @property
    def clickhouse(self) -> str:
        return self.required_archive().url

    @property
    def clickhouse_database(self) -> str:
        return self.required_archive().database

    @property
    def clickhouse_user(self) -> str:
        return self.required_archive().user

    @property
    def clickhouse_password(self) -> SecretStr:
        return self.required_archive().password

    @property
    def clickhouse_ca_file(self) -> Path | None:
        return self.required_archive().ca_file

    @property
    def report_user(self) -> str:
        return self.required_archive().report_user

    @property
    def report_password(self) -> SecretStr:
        return self.required_archive().report_password

    def required_archive(self) -> Archive:
        """For who asks for it later: that it is not known is told now."""
        if self.archive is None:
            raise self._not_known("DOSSIER_CLICKHOUSE")
        return self.archive

    def _not_known(self, variable: str) -> CommandError:
        if self.passed_over is None:
            return nothing_runs(self.data_dir, variable)
        return CommandError(
            f"the `dossier up` of {self.data_dir} has another Kafka ({self.passed_over}) than {self.known_kafka}, "
            f"so its archive and gateway are not asked about this ledger: set {variable} too"
        )


def nothing_runs(data_dir: Path, variable: str | None = None) -> CommandError:
    """The error of a command that needs a running `dossier up`, or `variable` set instead."""
    return CommandError(
        f"nothing runs for {data_dir}: start `dossier up`, or name the folder of the one that runs "
        "(dossier --data-dir FOLDER …, DOSSIER_DATA_DIR)" + (f", or set {variable}" if variable else "")
    )


def listening_kafka(around: Surroundings, within_seconds: float = 10.0) -> Cluster:
    """The cluster, when it lets us in: a client would go on trying where it does not.

    Raises:
        CommandError: it does not, or no address is known.
    """
    from events.entrance import BrokerUnreachable, require_entry

    try:
        require_entry(around.kafka, within_seconds)
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error
    return around.kafka


def not_answered(around: Surroundings, error: Exception) -> CommandError:
    """What to tell of an error of the ClickHouse client."""
    if any(each in str(error) for each in _NOBODY_THERE):
        return CommandError(f"no ClickHouse answers at {around.clickhouse}: check the address, and that it runs")
    return CommandError(f"ClickHouse at {around.clickhouse}: {str(error)[:400]}")


def surroundings(settings: Settings) -> Surroundings:
    """What `settings` say, completed by the `dossier up` that runs on their data folder."""
    running = find(settings.data_dir)
    passed_over = running.kafka if running is not None and settings.kafka not in (None, running.kafka) else None
    if passed_over is not None:  # its archive is of another ledger
        running = None
    gateway = f"http://{settings.gateway_host}:{settings.gateway_port}" if settings.gateway_port else None
    if gateway is None and running is not None:
        gateway = running.gateway
    clock = settings.clock or (running.clock if running else None)
    return Surroundings(
        settings.data_dir, _find_kafka(settings, running), _find_archive(settings, running), gateway,
        settings.clickhouse_timeout_seconds, Clock.parse(clock) if clock else REAL, passed_over,
    )  # fmt: skip


def _find_kafka(settings: Settings, running: Running | None) -> Cluster | None:
    named = settings.kafka or (running.kafka if running else None)
    if named is None:
        return None
    is_ours = running is not None and running.embedded_kafka and named == running.kafka
    if is_ours and (settings.kafka is None or settings.kafka_security == Security()):  # its address may be written out
        password = _kafka_password(settings)
        return Cluster(named) if password is None else Cluster(named, security(password))
    return Cluster(named, settings.kafka_security)


def _kafka_password(settings: Settings) -> SecretStr | None:
    """Of the embedded Kafka; None: `up` of an earlier release runs, whose Kafka asks nobody."""
    if not (run_dir(settings.data_dir) / "credentials.json").exists():
        return None
    return _passwords(settings).kafka


def _find_archive(settings: Settings, running: Running | None) -> Archive | None:
    if settings.clickhouse is not None:
        return _own_archive(settings, str(settings.clickhouse).rstrip("/"))
    if running is None:
        return None
    if not running.embedded_clickhouse:  # the user's own server: its passwords are the user's settings, never kept
        return _own_archive(settings, running.clickhouse)
    passwords = _passwords(settings)
    return Archive(
        running.clickhouse, settings.clickhouse_database, "archiver", passwords.archiver, "report", passwords.report
    )


def _passwords(settings: Settings) -> Credentials:
    passwords = read_credentials(settings.data_dir)
    if passwords is None:
        raise CommandError(f"{settings.data_dir}/run/credentials.json cannot be read: run as the user of `dossier up`")
    return passwords


def _own_archive(settings: Settings, url: str) -> Archive:
    return Archive(
        url, settings.clickhouse_database,
        settings.clickhouse_user, settings.clickhouse_password,
        settings.clickhouse_report_user, settings.clickhouse_report_password, settings.clickhouse_ca_file,
    )  # fmt: skip
