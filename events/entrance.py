"""Is there a Kafka, and are we let in? Asked before a client is made, which would go on trying and not say why."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from schemas.cluster import Cluster

#: For the brokers' word that a connection is closed, which nothing hangs on.
_LEAVING_SECONDS: Final = 1.0
_NOBODY: Final = "check the address (HOST:PORT), and that it runs"
_SETTING: Final = "kafka_security_protocol says how it is entered"


class BrokerUnreachable(ConnectionError):
    """No broker answers at the given address, or it has no such topic; the message says what to do."""


class NoSuchTopic(BrokerUnreachable):
    """A broker answers, and does not show the topic."""


def no_topic(kafka: Cluster, topic: str) -> NoSuchTopic:
    """The error of who needs that topic."""
    return NoSuchTopic(f"Kafka at {kafka} does not show the topic {topic}: run `dossier topics apply`")


def require_entry(kafka: Cluster, within_seconds: float) -> None:
    """Enter by one of the bootstrap servers, and leave again. Blocking; each may take so long.

    Raises:
        BrokerUnreachable: nothing listens at any of them, or none lets us in; it says why.
    """
    with _quiet():
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(_enter_one(kafka, within_seconds))
            return
        with ThreadPoolExecutor(1) as apart:  # inside a loop there is no `run`
            apart.submit(asyncio.run, _enter_one(kafka, within_seconds)).result()


@contextmanager
def _quiet() -> Iterator[None]:
    """What the client would log is what we answer."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


async def _enter_one(kafka: Cluster, within_seconds: float) -> None:
    why = ""
    for server in kafka.servers:
        host, _, port = server.rpartition(":")
        if not port.isdecimal() or int(port) > 65_535:
            why = _NOBODY
            continue
        try:
            async with asyncio.timeout(within_seconds):
                return await _enter(host.strip("[]"), int(port), kafka)
        except Exception as error:  # whatever came of it: what answers may be anything
            why = _words(error, kafka, within_seconds)
    raise BrokerUnreachable(f"no Kafka broker answers at {kafka}: {why}")


async def _enter(host: str, port: int, kafka: Cluster) -> None:
    entry = {name: value for name, value in kafka.client.items() if name != "bootstrap_servers"}
    opened: list[object] = []
    connection = AIOKafkaConnection(host, port, on_close=lambda *closing: opened.extend(closing), **entry)
    try:
        await connection.connect()
        await connection.send(MetadataRequest([]))  # versions are told to anybody, this to who is let in
    finally:
        closed = connection.close()
        if opened:  # where nothing came about, that would be waited for in vain
            await asyncio.wait([closed], timeout=_LEAVING_SECONDS)


def _words(error: Exception, kafka: Cluster, within_seconds: float) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused, {error.verify_message} (kafka_ca_file names who vouches for it)"
    if isinstance(error, ssl.SSLError):
        return f"no TLS comes about, {error.reason or error} ({_SETTING})"
    if isinstance(error, TimeoutError):
        return f"it listens and says nothing within {within_seconds:g} s"
    if isinstance(error, KafkaConnectionError | ConnectionResetError):
        return f"it listens and hangs up: is it a Kafka? Does it want TLS, a certificate, a password? ({_SETTING})"
    if isinstance(error, KafkaError):
        return f"it does not let {kafka.security.user or 'us'} in, {error} ({_SETTING})"
    return _NOBODY if isinstance(error, OSError) else f"what it says is not Kafka's ({type(error).__name__})"
