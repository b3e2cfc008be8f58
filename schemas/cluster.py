"""A Kafka cluster as its clients see it: where it is, and how they are let in."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import SecretStr

#: Kafka's own names (`security.protocol`, `sasl.mechanism`).
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_NONE: Final = SecretStr("")
#: Who enters the Kafka of `dossier up`.
EMBEDDED_USER: Final = "dossier"
_THEIR_LOGS: Final = ("aiokafka.conn", "kafka.net.sasl.plain")


@dataclass(frozen=True, slots=True)
class Security:
    """How a client proves who it is, and knows whom it speaks to. By default neither.

    Args:
        mechanism, user, password: SASL's, for the two protocols that have it in their names.
        ca_file: who vouches for the brokers, PEM; None: whom the operating system trusts.
        cert_file, key_file, key_password: the client's own certificate, PEM, where brokers ask for one.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    user: str = ""
    password: SecretStr = _NONE
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr = _NONE

    @property
    def has_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    @property
    def has_sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    def tls(self) -> ssl.SSLContext | None:
        """What is spoken through; None: nothing. A broker's certificate must be good for the name it is called by.

        Raises:
            OSError: a file cannot be read, or is not what it should be (ssl.SSLError).
        """
        if not self.has_tls:
            return None
        files = (each for each in (self.ca_file, self.cert_file, self.key_file) if each is not None)
        return _tls(self, tuple(each.stat().st_mtime_ns for each in files))


@dataclass(frozen=True, slots=True)
class Cluster:
    """Bootstrap servers, HOST:PORT[,HOST:PORT], and how they are entered. As text: the servers alone."""

    bootstrap: str
    security: Security = Security()

    def __str__(self) -> str:
        return self.bootstrap

    @property
    def servers(self) -> list[str]:
        return self.bootstrap.split(",")

    @property
    def client(self) -> dict[str, Any]:
        """The arguments that make a client of this cluster; aiokafka and kafka-python have the same words for them."""
        if self.security.user == EMBEDDED_USER and all(each.startswith("127.0.0.1:") for each in self.servers):
            for name in _THEIR_LOGS:
                logging.getLogger(name).addFilter(_says_more)
        _ask_only()
        return {"bootstrap_servers": self.servers, **_entry(self.security)}


def _ask_only() -> None:
    """From now on no client of this process makes a topic by asking for it.

    Brokers do so by default, as they think fit: a ledger of one partition, deleted after a week. The clients can tell
    them not to, and have no way to be told: aiokafka has no setting for it, and kafka-python 3.0.12 does not pass its
    own on. So their defaults are others.
    """
    from aiokafka.protocol.metadata import MetadataRequest
    from kafka.cluster import ClusterMetadata

    MetadataRequest.__init__.__defaults__ = (None, False)  # topics: all; allow_auto_topic_creation
    ClusterMetadata.DEFAULT_CONFIG["allow_auto_create_topics"] = False


def _says_more(record: logging.LogRecord) -> bool:
    """Than that a password goes as it is, at each connection: over loopback nobody listens who may not read it."""
    return "in the clear" not in record.getMessage()


def _entry(security: Security) -> dict[str, Any]:
    if security.protocol == "PLAINTEXT":
        return {}
    entry: dict[str, Any] = {"security_protocol": security.protocol, "ssl_context": security.tls()}
    if security.has_sasl:
        entry |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.user,
            "sasl_plain_password": security.password.get_secret_value(),
        }
    return entry


@lru_cache(maxsize=8)
def _tls(security: Security, _written: tuple[int, ...]) -> ssl.SSLContext:
    """Made once for each state of its files: many clients are made, and reading whom the system trusts takes long."""
    context = ssl.create_default_context(cafile=security.ca_file)
    if security.cert_file is not None:
        # A password is always given: where one is wanted and there is none, OpenSSL would ask at the terminal.
        context.load_cert_chain(security.cert_file, security.key_file, security.key_password.get_secret_value)
    return context
