"""The process itself: what survives a kill, who may start it, how it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.embedded.clickhouse.__main__ import STOP_SECONDS
from tests.installation import eventually
from tests.integration.clickhouse.conftest import Running, client_of, command_line, environment, http_of

pytestmark = pytest.mark.integration

Start = Callable[..., AbstractContextManager[Running]]
# The package's docstring: within 12 seconds. The rest is for a machine that is slow to see that the process is gone.
PROMISED_SECONDS = STOP_SECONDS + 3
ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 7 SETTINGS max_threads = 1"
QUERY_WAS_CANCELLED = "394"
TABLE = "CREATE TABLE t (n Int64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"


def refused_start(folder: Path, *more: str, users: str | None = None) -> subprocess.CompletedProcess[str]:
    variables = environment() if users is None else {**environment(), "DOSSIER_CLICKHOUSE_USERS": users}
    command = (*command_line(folder, 1), *more)
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_what_was_acknowledged_survives_a_kill(start_process: Start) -> None:
    """Kill it without warning in the midst of inserts: all acknowledged rows are there once, after a retry too."""
    acknowledged = 0
    with start_process() as running:
        client = client_of(running.port)
        client.command(TABLE)
        for batch in range(20):
            rows = [[batch * 1000 + n] for n in range(1000)]
            client.insert("t", rows, column_names=["n"], settings={"insert_deduplication_token": str(batch)})
            acknowledged += len(rows)
        with http_of(running.url) as http, pytest.raises(httpx.TransportError):
            http.post("/", params={"query": "INSERT INTO t FORMAT CSV"}, content=half_a_body(running))
        running.process.wait(20)
    with start_process() as running:
        client = client_of(running.port)
        assert client.query("SELECT count(), uniqExact(n), max(n) FROM t").result_rows == [(20_000, 20_000, 19_999)]
        rows = [[19_000 + n] for n in range(1000)]
        client.insert("t", rows, column_names=["n"], settings={"insert_deduplication_token": "19"})
        assert client.command("SELECT count() FROM t") == acknowledged


def half_a_body(running: Running) -> Iterator[bytes]:
    """Rows, then a kill where the next would come."""
    yield b"1000000\n" * 1000
    running.process.send_signal(signal.SIGKILL)
    yield b"1000001\n" * 100_000


def test_every_database_comes_back_with_its_tables(start_process: Start) -> None:
    """Through starts that find nothing, an empty `default`, one with tables, and one whose tables were dropped."""
    with start_process():
        pass
    with start_process() as running:
        client = client_of(running.port)
        for statement in (
            "CREATE TABLE a (n Int8) ENGINE = Log",
            "CREATE DATABASE other",
            "CREATE VIEW other.v AS SELECT 5",
        ):
            client.command(statement)
        client.insert("a", [[1]], column_names=["n"])
    with start_process() as running:
        client = client_of(running.port)
        assert client.query("SELECT n FROM a").result_rows == [(1,)]
        assert client.command("SELECT * FROM other.v") == 5
        client.command("DROP TABLE a")
    with start_process() as running:
        client = client_of(running.port)
        assert client.command("EXISTS a") == 0
        client.command("CREATE TABLE a (n Int8) ENGINE = Log")
        running.process.kill()
        running.process.wait(20)
    with start_process() as running:
        assert client_of(running.port).command("EXISTS a") == 1


def test_a_client_that_dies_in_its_insert_leaves_nothing(start_process: Start) -> None:
    with start_process() as running:
        client = client_of(running.port)
        client.command(TABLE)
        head = b"POST /?user=archiver&password=writes&query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: x\r\n"
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(head + b"Content-Length: 9999999\r\n\r\n" + b"1\n" * 10_000)
        client.insert("t", [[7]], column_names=["n"])
        assert client.query("SELECT n FROM t").result_rows == [(7,)]


def test_one_data_folder_has_one_process(start_process: Start, tmp_path: Path) -> None:
    with start_process():
        second = refused_start(tmp_path)
    assert second.returncode == 3
    [line] = second.stderr.splitlines()
    assert json.loads(line)["event"] == f"{tmp_path / 'data'} belongs to another running ClickHouse process"


def test_a_second_process_leaves_the_files_of_the_first_alone(start_process: Start, tmp_path: Path) -> None:
    with start_process() as running:
        before = sorted(running.temp_dir.rglob("*"))
        refused_start(tmp_path)
        assert sorted(running.temp_dir.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_when_told(start_process: Start, number: signal.Signals) -> None:
    with start_process() as running:
        client_of(running.port).command(TABLE)
        running.process.send_signal(number)
        assert running.process.wait(20) == 0
    assert list(running.temp_dir.iterdir()) == []


def test_a_query_without_end_does_not_keep_it_from_stopping(start_process: Start) -> None:
    with start_process() as running, http_of(running.url) as http, ThreadPoolExecutor(1) as pool:
        query = pool.submit(http.post, "/", content=ENDLESS)
        processes = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(%' AND query NOT LIKE '%system%'"
        while http.post("/", content=processes).text != "1\n":
            assert not query.done()
        running.process.terminate()
        assert running.process.wait(PROMISED_SECONDS) == 0
        assert query.result().status_code == 500
        assert query.result().headers["X-ClickHouse-Exception-Code"] == QUERY_WAS_CANCELLED


def test_nor_do_more_endless_queries_than_it_has_threads(start_process: Start) -> None:
    """Some wait for a thread when the first are killed; all are told."""
    with start_process() as running, http_of(running.url) as http, ThreadPoolExecutor(20) as pool:
        queries = [pool.submit(http.post, "/", content=ENDLESS) for _ in range(20)]
        until_connected(running, len(queries))
        running.process.terminate()
        assert running.process.wait(PROMISED_SECONDS) == 0
        codes = [query.result().headers.get("X-ClickHouse-Exception-Code") for query in queries]
    assert codes == [QUERY_WAS_CANCELLED] * len(queries)


def until_connected(running: Running, number: int) -> None:
    """Wait until the process holds that many connections."""

    def connected() -> bool:
        held = psutil.Process(running.process.pid).net_connections("tcp")
        return sum(each.status == psutil.CONN_ESTABLISHED for each in held) >= number

    eventually(connected, f"{number} connections")


def test_nor_does_a_client_that_stops_in_the_middle_of_its_request(start_process: Start) -> None:
    head = b"POST /?user=archiver&password=writes&query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: x\r\n"
    with start_process() as running:
        with http_of(running.url) as http:
            http.post("/", content=TABLE).raise_for_status()
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(head + b"Content-Length: 9999999\r\n\r\n" + b"1\n" * 10_000)
            until_connected(running, 1)
            running.process.terminate()
            assert running.process.wait(PROMISED_SECONDS) == 0
    with start_process() as running:
        assert client_of(running.port).command("SELECT count() FROM t") == 0


def test_an_engine_that_hangs_is_ended_and_nothing_acknowledged_is_lost(start_process: Start, tmp_path: Path) -> None:
    """The real engine, made to hang when it is to close: the last resort, with a shorter wait than in earnest."""
    stuck = (
        "import sys, threading\n"
        "from deploy.embedded.clickhouse import __main__ as process\n"
        "process.STOP_SECONDS = 2\n"
        "process.ChdbEngine.close = lambda engine: threading.Event().wait()\n"
        "sys.exit(process.main())\n"
    )
    program = [sys.executable, "-P", "-c", stuck]
    with start_process(program) as running:
        client = client_of(running.port)
        client.command(TABLE)
        client.insert("t", [[7]], column_names=["n"])
        client.close()
        running.process.terminate()
        assert running.process.wait(PROMISED_SECONDS) == -signal.SIGALRM
    assert "in main" in (tmp_path / "clickhouse.log").read_text(encoding="utf-8"), "the log says where it stood"
    with start_process() as running:
        assert client_of(running.port).query("SELECT n FROM t").result_rows == [(7,)]


def test_what_a_killed_process_spilled_is_gone_at_the_next_start(start_process: Start) -> None:
    with start_process() as running:
        running.process.kill()
        running.process.wait(20)
    left = running.temp_dir / "clickhouse" / "tmp_rows"
    left.write_text("plain text", encoding="utf-8")
    with start_process():
        assert not left.exists()


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """The parent prints the pid of its child and dies; the child must not stay behind."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    parent = (
        "import subprocess, sys, time, urllib.request\n"
        "child = subprocess.Popen(sys.argv[2:], stdout=sys.stderr)\n"
        "opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))\n"
        "for _ in range(300):\n"
        "    try: opener.open(sys.argv[1]); break\n"
        "    except OSError: time.sleep(0.1)\n"
        "print(child.pid, flush=True)\n"
    )
    command = [sys.executable, "-c", parent, f"http://127.0.0.1:{port}/ping", *command_line(tmp_path, port)]
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, stderr=log, timeout=60, check=True)
    descriptor = pidfd_or_none(int(done.stdout))
    if descriptor is not None:
        ready, _, _ = select.select([descriptor], [], [], 20)
        assert ready, "the child outlived its parent"


def pidfd_or_none(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None  # gone already


@pytest.mark.parametrize(
    ("users", "says"),
    [
        ("", "DOSSIER_CLICKHOUSE_USERS"),
        ("{}", "no users"),
        ('{"a": {"password": "", "access": "read"}}', "a password"),
        ('{"a": {"password": "p", "access": "all"}}', "access"),
    ],
)
def test_users_that_make_no_sense_are_a_usage_error(tmp_path: Path, users: str, says: str) -> None:
    refused = refused_start(tmp_path, users=users)
    assert refused.returncode == 2
    assert says in json.loads(refused.stderr)["event"]
    assert "Traceback" not in refused.stderr


def test_what_goes_wrong_is_a_line_of_its_log(start_process: Start, tmp_path: Path) -> None:
    """What uvicorn says of a stranger's bytes, and an engine that does not start."""
    with start_process() as running, socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    lines = [json.loads(line) for line in (tmp_path / "clickhouse.log").read_text(encoding="utf-8").splitlines()]
    assert "Invalid HTTP request received." in [line["event"] for line in lines]
    assert {line["process"] for line in lines} == {"clickhouse"}

    broken = (
        "import sys\n"
        "from deploy.embedded.clickhouse import __main__ as process\n"
        "def engine(*_): raise RuntimeError('Code: 41')\n"
        "process.ChdbEngine = engine\n"
        "sys.exit(process.main())\n"
    )
    command = command_line(tmp_path, 1, [sys.executable, "-P", "-c", broken])
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert json.loads(done.stderr)["exception"][0]["exc_value"] == "Code: 41"


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.1", "example.org", "::"])  # noqa: S104 - to be refused
def test_only_loopback_is_served(tmp_path: Path, address: str) -> None:
    refused = refused_start(tmp_path, "--host", address)
    assert refused.returncode == 2
    assert "not a loopback address" in refused.stderr


def test_passwords_are_not_on_the_command_line_nor_left_in_the_environment(start_process: Start) -> None:
    with start_process() as running:
        assert b"writes" not in Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
        assert b"writes" not in b"".join(path.read_bytes() for path in running.temp_dir.rglob("*.xml"))
