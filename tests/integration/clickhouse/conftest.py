"""The embedded ClickHouse process seen from outside.

`archiver`, `report`  clickhouse-connect clients of the session's server, one for each user
`http`                an httpx client that speaks as the archiver
`start_process`       a process on this test's own folder, for tests that stop or kill it
`table`               the name of a fresh table `(n Int64, s String)`, in a database of its own
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest

from deploy.embedded import kafka, ports
from tests.integration.conftest import ClickHouse, leash
from tests.integration.waiting import answers_ping, until

# Pretend users of throw-away servers; the same as in the parent conftest.
USERS = {
    "archiver": {"password": "writes", "access": "write"},
    "report": {"password": "reads", "access": "read"},
}


@dataclass(frozen=True)
class Running:
    """A process of the test's own."""

    process: subprocess.Popen[bytes]
    url: str
    port: int
    data_dir: Path
    temp_dir: Path


def client_of(port: int, user: str = "archiver", **options: Any) -> Any:
    """A clickhouse-connect client (the library is not typed)."""
    return clickhouse_connect.get_client(
        host="127.0.0.1", port=port, username=user, password=USERS[user]["password"], **options
    )


def http_of(url: str, user: str = "archiver") -> httpx.Client:
    return httpx.Client(base_url=url, auth=(user, USERS[user]["password"]), trust_env=False, timeout=60)


PROGRAM = (sys.executable, "-P", "-m", "deploy.embedded.clickhouse")


def command_line(folder: Path, port: int, program: Sequence[str] = PROGRAM) -> tuple[str, ...]:
    return (
        *program,
        "--data-dir", str(folder / "data"), "--temp-dir", str(folder / "temp"), "--port", str(port),
    )  # fmt: skip


def environment() -> dict[str, str]:
    return {**kafka.java_environment(), "DOSSIER_CLICKHOUSE_USERS": json.dumps(USERS)}


@pytest.fixture
def start_process(tmp_path: Path) -> Callable[..., AbstractContextManager[Running]]:
    """Starts the process (or a `program` like it) on this test's folder; a second start continues with its data."""

    @contextlib.contextmanager
    def start(program: Sequence[str] = PROGRAM) -> Iterator[Running]:
        port = ports.choose_ports(tmp_path, {"clickhouse": 0})["clickhouse"]
        url, log = f"http://127.0.0.1:{port}", tmp_path / "clickhouse.log"
        with leash(command_line(tmp_path, port, program), log, environment()) as process:
            until(lambda: answers_ping(url), process, log)
            yield Running(process, url, port, tmp_path / "data", tmp_path / "temp")

    return start


@pytest.fixture(scope="session")
def archiver(clickhouse: ClickHouse) -> Iterator[Any]:
    client = client_of(clickhouse.port)
    yield client
    client.close()


@pytest.fixture(scope="session")
def report(clickhouse: ClickHouse) -> Iterator[Any]:
    client = client_of(clickhouse.port, "report")
    yield client
    client.close()


@pytest.fixture(scope="session")
def http(clickhouse: ClickHouse) -> Iterator[httpx.Client]:
    with http_of(clickhouse.url) as client:
        yield client


@pytest.fixture
def table(archiver: Any) -> Iterator[str]:
    database = f"t{uuid.uuid4().hex}"
    archiver.command(f"CREATE DATABASE {database}")
    archiver.command(
        f"CREATE TABLE {database}.facts (n Int64, s String) ENGINE = MergeTree ORDER BY n "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    yield f"{database}.facts"
    archiver.command(f"DROP DATABASE {database}")
