"""Real servers for the integration tests: one broker and one archive for the whole session.

`broker`        bootstrap address of a real Kafka, our topics applied (4 partitions)
`make_topics`   private copies of our topics under a prefix of the test's own: cheap isolation
`start_broker`  a whole broker of the test's own, for tests that kill it
`clickhouse`    address and users of the real ClickHouse engine
`running`       a whole `dossier up --detach`, shared
`installation`  the same, fresh for each module
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import topics
from deploy.embedded import kafka, ports
from deploy.embedded.leash import leashed
from schemas.cluster import Cluster
from tests.installation import Installation, java_options
from tests.integration.waiting import answers_ping, is_kafka, until

PARTITIONS = 4


@dataclass(frozen=True)
class ClickHouse:
    """The embedded archive: its URL and the passwords of its two users."""

    url: str
    port: int
    user: str = "archiver"
    password: str = "writes"
    report_user: str = "report"
    report_password: str = "reads"


@contextlib.contextmanager
def leash(command: tuple[str, ...], log: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for the length of a `with`; it dies with this process whatever happens."""
    with log.open("ab") as file:
        process = subprocess.Popen(leashed(command), stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def run_broker(folder: Path, *overrides: str) -> Iterator[str]:
    """A Kafka of its own in `folder`; gives its bootstrap address. `overrides`: broker settings, NAME=VALUE."""
    chosen = ports.choose_ports(folder, {"kafka": 0, "controller": 0})
    command = kafka.prepare(folder, chosen["kafka"], chosen["controller"], print, java_options())
    for each in overrides:
        command = (*command, "--override", each)
    log = folder / "kafka.log"
    with leash(command, log, kafka.java_environment()) as process:
        address = f"127.0.0.1:{chosen['kafka']}"
        until(lambda: is_kafka(address), process, log)
        yield address


@pytest.fixture
def start_broker(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[str]]:
    """Starts the broker of this test's own folder, with `overrides`; a second start continues with its data."""
    return lambda *overrides: run_broker(tmp_path, *overrides)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_broker(Path(tmp_path_factory.mktemp("broker"))) as address:
        topics.apply(Cluster(address), topics.load_topics(PARTITIONS, 1))
        yield address


@pytest.fixture
def make_topics(broker: str) -> Callable[..., str]:
    """`make_topics(partitions=4)` creates private copies of our topics and gives their prefix.

    The ledger of prefix "t1a2." is "t1a2.dossier.events.v1".
    """

    def make(partitions: int = PARTITIONS) -> str:
        prefix = f"t{uuid.uuid4().hex[:10]}."
        topics.apply(Cluster(broker), topics.load_topics(partitions, 1, prefix))
        return prefix

    return make


@contextlib.contextmanager
def run_clickhouse(folder: Path) -> Iterator[ClickHouse]:
    """An archive of its own in `folder`."""
    server = ClickHouse("", ports.choose_ports(folder, {"clickhouse": 0})["clickhouse"])
    server = ClickHouse(f"http://127.0.0.1:{server.port}", server.port)
    users = {
        server.user: {"password": server.password, "access": "write"},
        server.report_user: {"password": server.report_password, "access": "read"},
    }
    command = (
        sys.executable, "-P", "-m", "deploy.embedded.clickhouse",
        "--data-dir", str(folder / "data"), "--temp-dir", str(folder / "temp"), "--port", str(server.port),
    )  # fmt: skip
    environment = {**kafka.java_environment(), "DOSSIER_CLICKHOUSE_USERS": json.dumps(users)}
    log = folder / "clickhouse.log"
    with leash(command, log, environment) as process:
        until(lambda: answers_ping(server.url), process, log)
        yield server


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with run_clickhouse(Path(tmp_path_factory.mktemp("clickhouse"))) as server:
        yield server


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A fresh `dossier up --detach` for one module: what is counted there is what the module put in."""
    fresh = Installation(Path(tmp_path_factory.mktemp("up")))
    fresh.up()
    yield fresh
    fresh.down()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(Path(tmp_path_factory.mktemp("running")))
    installation.up()
    yield installation
    installation.down()
