"""The servers of one run: the real ones, in a folder that goes when the run ends, on the leash of this process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from bench.peers.archive import PASSWORD, USER
from deploy import topics
from deploy.clickhouse import migrate
from deploy.clickhouse.client import connect
from deploy.embedded import kafka, ports
from deploy.embedded.leash import leashed
from schemas.cluster import Cluster

START_SECONDS = 60.0


@contextlib.contextmanager
def kafka_broker(prefixes: tuple[str, ...], partitions: int) -> Iterator[str]:
    """Apache Kafka with a set of our topics for each prefix; gives its address."""
    with tempfile.TemporaryDirectory(prefix="dossier-bench-") as folder:
        home = Path(folder)
        chosen = ports.choose_ports(home, {"kafka": 0, "controller": 0})
        command = kafka.prepare(home, chosen["kafka"], chosen["controller"], print)
        with (home / "kafka.log").open("ab") as log:
            process = subprocess.Popen(leashed(command), stdout=log, stderr=log, env=kafka.java_environment())
        try:
            address = f"127.0.0.1:{chosen['kafka']}"
            _apply_when_up(address, prefixes, partitions)
            yield address
        finally:
            process.terminate()
            process.wait(30)


@contextlib.contextmanager
def clickhouse() -> Iterator[str]:
    """ClickHouse's engine behind its HTTP interface, with the archive's tables; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="dossier-bench-") as folder:
        home = Path(folder)
        port = ports.choose_ports(home, {"clickhouse": 0})["clickhouse"]
        command = (
            sys.executable, "-P", "-m", "deploy.embedded.clickhouse",
            "--data-dir", str(home / "data"), "--temp-dir", str(home / "temp"), "--port", str(port),
        )  # fmt: skip
        users = json.dumps({USER: {"password": PASSWORD, "access": "write"}})
        with (home / "clickhouse.log").open("ab") as log:
            environment = {**kafka.java_environment(), "DOSSIER_CLICKHOUSE_USERS": users}
            process = subprocess.Popen(leashed(command), stdout=log, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            _migrate_when_up(url)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _migrate_when_up(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        assert time.monotonic() < deadline, f"no ClickHouse at {url}"
        time.sleep(0.3)
    with connect(url, user=USER, password=PASSWORD, database="default") as client:
        migrate(client)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _apply_when_up(address: str, prefixes: tuple[str, ...], partitions: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    for prefix in prefixes:
        while True:
            try:
                topics.apply(Cluster(address), topics.load_topics(partitions, 1, prefix))
                break
            except topics.TopicsError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
