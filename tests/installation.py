"""A whole installation as its user has it: `dossier` commands against one data folder."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy.clickhouse.client import connect
from deploy.embedded.kafka import security
from deploy.embedded.runtime import read_credentials
from schemas.cluster import Cluster

REPOSITORY = Path(__file__).resolve().parent.parent
#: Public event logs and their independent reference figures; not part of this repository.
DATA = Path(os.environ.get("DOSSIER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))

#: For the Java of a Kafka that lives for minutes: what the second compiler makes of it costs more than it saves.
ONE_COMPILER = "-XX:TieredStopAtLevel=1"
#: What `tests.kafka_cache` makes; where it is not, or of another Java, a broker takes longer to start.
KAFKA_CACHE = Path(sys.prefix) / "kafka.aot"


def java_options() -> str:
    """For the Java of a Kafka that a test starts."""
    cached = f" {shlex.quote(f'-XX:AOTCache={KAFKA_CACHE}')} -Xlog:aot*=off" if KAFKA_CACHE.exists() else ""
    return ONE_COMPILER + cached


@dataclass
class Installation:
    """One data folder and the commands run against it."""

    data_dir: Path
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout_seconds: float = 300, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `dossier ARGUMENTS` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY, env=self.environment(), input=stdin, capture_output=True, text=True,
            timeout=timeout_seconds, check=False,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin `dossier ARGUMENTS`, to be interrupted."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def json(self, *arguments: str, expect: int = 0, timeout_seconds: float = 300) -> Any:
        """Run a command with `--json` and read its answer."""
        done = self.run(*arguments, "--json", timeout_seconds=timeout_seconds)
        assert done.returncode == expect, (
            f"{arguments}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return json.loads(done.stdout)

    def up(self, *arguments: str) -> None:
        done = self.run("up", "--detach", *arguments)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.logs()}"

    def down(self) -> None:
        done = self.run("down")
        assert done.returncode == 0, done.stderr

    def pid(self, process: str) -> int:
        """The pid of one of the processes of `dossier status`."""
        return next(int(each["pid"]) for each in self.status()["processes"] if each["name"] == process)

    def status(self) -> Any:
        """`dossier status`, also while something does not work."""
        done = self.run("status", "--json")
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def select(self, sql: str) -> Sequence[Sequence[Any]]:
        """What the archive tells the user that may only read; ask for bytes as `hex(…)`."""
        passwords = read_credentials(self.data_dir)
        assert passwords is not None
        url = self.status()["addresses"]["clickhouse"]
        with connect(url, user="report", password=passwords.report.get_secret_value(), database="default") as client:
            rows: Sequence[Sequence[Any]] = client.query(sql).result_rows
        return rows

    def kill(self, process: str) -> None:
        """kill -9, and wait until the operating system has it."""
        victim = psutil.Process(self.pid(process))
        victim.send_signal(signal.SIGKILL)
        psutil.wait_procs([victim], timeout=10)

    @property
    def kafka(self) -> Cluster:
        """Its embedded Kafka, as its user enters it."""
        passwords = read_credentials(self.data_dir)
        assert passwords is not None
        assert passwords.kafka is not None
        return Cluster(self.status()["addresses"]["kafka"], security(passwords.kafka))

    def environment(self) -> dict[str, str]:
        """What its commands are given."""
        ours = {
            "DOSSIER_DATA_DIR": str(self.data_dir),
            "DOSSIER_KAFKA_JAVA_OPTIONS": java_options(),
            "DOSSIER_DEBUG": "",
        }
        return {**os.environ, **ours, **self.settings}

    def logs(self) -> str:
        """The ends of all logs, for the message of a failed test."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-1500:]}"
            for path in sorted((self.data_dir / "logs").glob("*"))
            if path.is_file()
        )


def eventually(condition: Callable[[], bool], what: str, within_seconds: float = 60) -> None:
    """Poll until `condition` holds.

    Raises:
        AssertionError: naming `what` did not happen in time.
    """
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_seconds} s: {what}"
        time.sleep(0.1)  # a poll with a deadline, not a guess of how long it takes
