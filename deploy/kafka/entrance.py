"""Is there a Kafka, and are we let in? Asked before a client is made, which would go on trying and not say why."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from schemas.cluster import Cluster

_SETTING: Final = "kafka_security_protocol says how it is entered"


class BrokerUnreachable(ConnectionError):
    """No broker answers at the given address, or it has no such topic; the message says what to do."""


def require_entry(kafka: Cluster, within_seconds: float) -> None:
    """Enter by one of the bootstrap servers, and leave again. Blocking; each may take so long.

    Raises:
        BrokerUnreachable: nothing listens at any of them, or none lets us in; it says why.
    """
    with ThreadPoolExecutor(1) as apart:  # who asks may be in an event loop
        apart.submit(asyncio.run, _enter_one(kafka, within_seconds)).result()


async def _enter_one(kafka: Cluster, within_seconds: float) -> None:
    why = ""
    for server in kafka.servers:
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(within_seconds):
                return await _enter(host.strip("[]"), int(port), kafka)
        except (OSError, KafkaError, ValueError, OverflowError) as error:  # the last two: it is no port
            why = _words(error, kafka, within_seconds)
    raise BrokerUnreachable(f"no Kafka broker answers at {kafka}: {why}")


async def _enter(host: str, port: int, kafka: Cluster) -> None:
    entry = {name: value for name, value in kafka.client.items() if name != "bootstrap_servers"}
    connection = await create_conn(host, port, **entry)
    try:
        await connection.send(MetadataRequest([]))  # versions are told to anybody, this to who is let in
    finally:
        connection.close()


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
    return "check the address (HOST:PORT), and that it runs"
