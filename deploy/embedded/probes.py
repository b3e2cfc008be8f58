"""Does a process do its work? Each probe asks in the process's own way; the supervisor acts on the answers.

A probe takes the process's pid and answers `ok` (works), `alive` (shows a sign of life, does not work yet or now) or
`silent`. It never raises and answers within `PROBE_TIMEOUT_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from schemas.cluster import Cluster
from schemas.health import read_health

Sign = Literal["ok", "alive", "silent"]
Probe = Callable[[int], Coroutine[Any, Any, Sign]]

PROBE_TIMEOUT_SECONDS = 5.0


def asks_kafka(kafka: Cluster) -> Probe:
    """A broker is in the cluster's metadata (a fenced one is not)."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # "unable to connect" is the answer `silent`, not news

    async def probe(_pid: int) -> Sign:
        client = AIOKafkaClient(**kafka.client, request_timeout_ms=int(PROBE_TIMEOUT_SECONDS * 1000))
        try:
            await asyncio.wait_for(client.bootstrap(), PROBE_TIMEOUT_SECONDS)
            return "ok" if client.cluster.brokers() else "alive"
        except (TimeoutError, KafkaError, OSError):
            return "silent"
        finally:
            await client.close()

    return probe


def asks_clickhouse(url: str, ca_file: Path | None = None) -> Probe:
    """`GET /ping` answers `Ok.`; `ca_file` as `deploy.clickhouse.client.connect` has it."""
    # Without TLS there is nothing to verify, and reading the world's certificates costs more than the question.
    tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https:") else False

    async def probe(_pid: int) -> Sign:
        try:
            # trust_env=False: a proxy for the outside world is no way to loopback.
            async with httpx.AsyncClient(verify=tls, timeout=PROBE_TIMEOUT_SECONDS, trust_env=False) as client:
                return "ok" if (await client.get(f"{url}/ping")).text.strip() == "Ok." else "alive"
        except httpx.HTTPError:
            return "silent"

    return probe


def reads_health(path: Path) -> Probe:
    """The process's own health report, if it is this process's and fresh."""

    async def probe(pid: int) -> Sign:
        report = read_health(path)
        if report is None or report.pid != pid or report.is_stale(datetime.now(UTC)):
            return "silent"
        return "ok" if report.health in ("ok", "behind") else "alive"

    return probe


async def trusts(_pid: int) -> Sign:
    """For a process that reports nothing: it is there, and that is all we know."""
    return "ok"
