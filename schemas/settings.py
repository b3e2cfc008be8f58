"""The settings of every process: one model, read from `DOSSIER_…` variables and a TOML file.

Precedence, strongest first: command line (passed as arguments), environment, TOML file, defaults. The file is
`DOSSIER_CONFIG` if that is set, else `dossier.toml` in the working directory if it exists.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    HttpUrl,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import SettingsError as NotJson

from schemas.clock import REAL, Clock
from schemas.cluster import SaslMechanism, Security, SecurityProtocol
from schemas.webhook import WebhookEndpoint

_HOST_PORT: Final = re.compile(r"[A-Za-z0-9._\[\]:-]+:\d{1,5}")


def _is_host_port(text: str) -> str:
    if not all(_HOST_PORT.fullmatch(each) for each in text.split(",")):
        raise ValueError("write HOST:PORT, for several brokers HOST:PORT,HOST:PORT")
    return text


HostPort = Annotated[str, AfterValidator(_is_host_port)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")]


def _server_alone(url: HttpUrl) -> HttpUrl:
    """Addresses are shown and logged; passwords have settings of their own, which are not. Nor is more than scheme,
    host and port asked for."""
    if url.username or url.password:
        raise ValueError("give user and password as clickhouse_user and clickhouse_password, not in the address")
    if url.path not in (None, "/") or url.query is not None or url.fragment is not None:
        raise ValueError("write http://HOST:PORT or https://HOST:PORT: nothing behind that would be asked for")
    return url


Address = Annotated[HttpUrl, AfterValidator(_server_alone)]


def _is_clock(text: str) -> str:
    Clock.parse(text)
    return text


ClockText = Annotated[str, StringConstraints(max_length=120), AfterValidator(_is_clock)]


def _unless_never(value: object) -> object:
    """Neither a variable nor TOML has a null."""
    return None if value in ("never", "null", "") else value


def _named_apart(endpoints: tuple[WebhookEndpoint, ...]) -> tuple[WebhookEndpoint, ...]:
    if len({each.name for each in endpoints}) < len(endpoints):
        raise ValueError("two endpoints have one name: each has a name of its own")
    return endpoints


def _loopback(host: str) -> str:
    """The gateway asks nobody who they are: who is to reach it from elsewhere goes through something that does."""
    if host != "localhost" and not re.fullmatch(r"127(\.\d{1,3}){3}", host):
        raise ValueError(
            "not this machine's loopback (127.0.0.1): anybody could read; put a proxy that asks who they are before it"
        )
    return host


def _splits(options: str) -> str:
    try:
        shlex.split(options)
    except ValueError as error:
        raise ValueError(f"not words as a shell splits them: {error}") from error
    return options


class SettingsError(ValueError):
    """The settings are wrong; the message names each setting and what is wrong with it."""


class Settings(BaseSettings):
    """What a process needs to know about its surroundings. `None` means: ask the running `dossier up`."""

    model_config = SettingsConfigDict(
        env_prefix="DOSSIER_", extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(Path(".dossier"), description="where `dossier up` keeps its state")
    kafka: HostPort | None = Field(None, description="bootstrap servers, HOST:PORT[,HOST:PORT]")
    kafka_java_options: Annotated[str, AfterValidator(_splits)] = Field(
        "", description="options for the Java of the embedded Kafka, above ours, such as -Xmx1g"
    )
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="how a Kafka of your own is entered: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        "SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, where the protocol has SASL"
    )
    kafka_user: str = Field("", description="who enters, where the protocol has SASL")
    kafka_password: SecretStr = Field(SecretStr(""), description="its password")
    kafka_ca_file: FilePath | None = Field(
        None, description="who vouches for the brokers' certificates, PEM; default: whom the operating system trusts"
    )
    kafka_cert_file: FilePath | None = Field(None, description="the client's own certificate, where brokers ask, PEM")
    kafka_key_file: FilePath | None = Field(None, description="its private key, PEM, if that is in a file of its own")
    kafka_key_password: SecretStr = Field(SecretStr(""), description="the private key's password, if it has one")
    clickhouse: Address | None = Field(None, description="address of ClickHouse's HTTP interface")
    clickhouse_ca_file: FilePath | None = Field(
        None,
        description="who vouches for its certificate (https), PEM; default: whom the operating system trusts",
    )
    clickhouse_database: Name = Field("default", description="database of the archive")
    clickhouse_user: str = Field("archiver", description="user that may write the archive")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="its password")
    clickhouse_report_user: str = Field("report", description="user that may only read")
    clickhouse_report_password: SecretStr = Field(SecretStr(""), description="its password")
    #: Who takes over looks for a body that comes late for 90 s: by then its sender must not be waiting for it any more.
    clickhouse_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = Field(
        60, description="the archiver asks ClickHouse again after so long without an answer, at most 60"
    )
    gateway_host: Annotated[str, AfterValidator(_loopback)] = Field(
        "127.0.0.1", description="address of this machine alone that the gateway binds to, 127.0.0.1 or another"
    )
    gateway_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        0, description="port the gateway binds to; 0 chooses a free one"
    )
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(
        4, description="partitions of the ledger, fixed when it is created: the key decides the partition"
    )
    replication: Annotated[int, Field(ge=1, le=9)] = Field(1, description="copies of each partition")
    clock: ClockText | None = Field(
        None, description="a simulated clock, START@ANCHORxSPEED, as `dossier up --clock` gives it to its processes"
    )
    webhooks: Annotated[tuple[WebhookEndpoint, ...], AfterValidator(_named_apart)] = Field(
        (), description="endpoints that alarms are posted to: [[webhooks]] with name, url, secret, types, private"
    )
    nightly_at: Annotated[
        Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None, BeforeValidator(_unless_never)
    ] = Field("02:00", description="local time at which live state and archive are compared, HH:MM; or never")
    signing_key: Path | None = Field(None, description="file of `dossier keys new` that checkpoints are signed with")
    ledger_name: Name = Field("dossier-ledger", description="what checkpoints call this ledger")
    checkpoint_records: Annotated[int, Field(ge=1)] = Field(
        10_000, description="a partition's log is signed after so many records at the latest"
    )
    checkpoint_seconds: Annotated[float, Field(gt=0)] = Field(
        10.0, description="or after so many seconds, if there are any"
    )
    checkpoint_file: Path | None = Field(
        None, description="file that gets every checkpoint too, to be copied to another host"
    )
    log_level: Annotated[str, StringConstraints(pattern="^(debug|info|warning|error)$")] = Field(
        "info", description="debug, info, warning or error"
    )

    @model_validator(mode="after")
    def _servers_can_be_entered(self) -> Self:
        """What is given and would not be used is told, or nobody would know; so is what cannot be used."""
        if mistakes := [*self._kafka_mistakes(), *self._clickhouse_mistakes()]:
            raise ValueError("; ".join(f"{_named(name)}: {mistake}" for name, mistake in mistakes))
        return self

    def _clickhouse_mistakes(self) -> Iterator[tuple[str, str]]:
        if self.clickhouse_ca_file is not None:
            if self.clickhouse is not None and self.clickhouse.scheme != "https":
                yield "clickhouse_ca_file", f"clickhouse is {self.clickhouse}, and not https"
            elif why := _does_not_open(Security("SSL", ca_file=self.clickhouse_ca_file)):
                yield "clickhouse_ca_file", f"there is no certificate in it ({why})"

    def _kafka_mistakes(self) -> Iterator[tuple[str, str]]:
        security, protocol = self.kafka_security, f"kafka_security_protocol is {self.kafka_security_protocol}"
        for name in ("kafka_user", "kafka_password"):
            if bool(getattr(self, name)) != security.has_sasl:
                yield name, f"{protocol}, which " + ("needs it" if security.has_sasl else "has none")
        own = [name for name in ("kafka_cert_file", "kafka_key_file", "kafka_key_password") if getattr(self, name)]
        if not security.has_tls:
            yield from ((name, f"{protocol}, which has no TLS") for name in own)
            if self.kafka_ca_file is not None:
                yield "kafka_ca_file", f"{protocol}, which has no TLS"
        elif own and self.kafka_cert_file is None:
            yield own[0], "it belongs to a kafka_cert_file, and there is none"
        elif why := _does_not_open(replace(security, cert_file=None)):
            yield "kafka_ca_file", f"there is no certificate in it ({why})"
        elif why := _does_not_open(security):
            yield "kafka_cert_file", f"certificate, key and password do not fit each other ({why})"

    @property
    def kafka_security(self) -> Security:
        """How a Kafka of the user's own is entered."""
        return Security(
            self.kafka_security_protocol, self.kafka_sasl_mechanism, self.kafka_user, self.kafka_password,
            self.kafka_ca_file, self.kafka_cert_file, self.kafka_key_file, self.kafka_key_password,
        )  # fmt: skip

    @property
    def time(self) -> Clock:
        """What the processes take the time from."""
        return Clock.parse(self.clock) if self.clock else REAL

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_toml_file())


def _does_not_open(security: Security) -> str:
    """Why its files cannot be used; empty: they can."""
    try:
        security.tls()
    except OSError as error:
        return str(error)
    return ""


def _toml_file() -> Path | None:
    named = os.environ.get("DOSSIER_CONFIG")
    if named is not None and not Path(named).is_file():
        raise SettingsError(f"DOSSIER_CONFIG names {named}, which is not a file")
    path = Path(named or "dossier.toml")
    return path if path.is_file() else None


def load_settings(**overrides: object) -> Settings:
    """The effective settings. `overrides` are the command line's; those that are None are not given.

    Raises:
        SettingsError: naming every wrong setting.
    """
    _refuse_unknown_variables()
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]  # validated by pydantic right here
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(each) for each in error.errors())) from error
    except NotJson as error:  # it names the setting and not the value
        raise SettingsError(f"{error}: as a variable it is written as JSON") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_toml_file()} is not TOML: {error}") from error


#: Tells a `dossier` process that its standard error is a log, from the first line on, and its name there.
LOG_AS: Final = "DOSSIER_LOG_AS"
#: Variables with our prefix that are no settings: they are for one process, for debugging, or for the tests.
_OTHER_VARIABLES = frozenset(
    {"DOSSIER_CONFIG", "DOSSIER_DEBUG", "DOSSIER_HEALTH_FILE", "DOSSIER_CLICKHOUSE_USERS", "DOSSIER_BROWSER", LOG_AS}
)


def _refuse_unknown_variables() -> None:
    """A setting with a slip in its name would silently not hold; pydantic-settings finds it in the file only."""
    known = _OTHER_VARIABLES | {f"DOSSIER_{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(
        name
        for name in os.environ
        if name.upper().startswith("DOSSIER_") and not name.upper().startswith("DOSSIER_TEST_")
        if name.upper() not in known
    )
    if unknown:
        raise SettingsError(f"{', '.join(unknown)}: no such setting; `dossier config` lists all")


def _explain(error: object) -> str:
    assert isinstance(error, dict)  # noqa: S101  # narrows pydantic's ErrorDetails for mypy
    if not error["loc"]:  # of several settings together: it names them
        return str(error["msg"]).removeprefix("Value error, ")
    where, says = ".".join(str(part) for part in error["loc"]), str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:  # only the file can name one: see above
        return f"{where} (in {_toml_file()}): no such setting; `dossier config` lists all"
    advice = "; write http://HOST:PORT" if error["type"] == "url_parsing" else ""
    return f"{_named(where)}: {says}{advice}"


def _named(setting: str) -> str:
    """With its variable: of a part of a setting (`webhooks.0.secret`) that of the whole."""
    return f"{setting} (DOSSIER_{setting.partition('.')[0].upper()})"
