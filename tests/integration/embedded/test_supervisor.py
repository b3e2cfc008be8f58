"""The supervisor's promises, each with real processes and real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.embedded.runtime import ProcessEntry, Running, find, is_alive, read_last
from tests.installation import REPOSITORY, eventually

pytestmark = pytest.mark.integration


class Supervising:
    """A supervisor in a process of its own, and what it has said."""

    def __init__(self, folder: Path, *processes: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.embedded.small_plan", str(folder), *processes],
                cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def running(self) -> Running:
        running = find(self.folder)
        assert running is not None, self.said
        return running

    def entry(self, name: str) -> ProcessEntry:
        return next(each for each in self.running().processes if each.name == name)

    def until_ready(self) -> None:
        eventually(lambda: (running := find(self.folder)) is not None and running.ready, f"ready: {self.said}", 30)

    def until_replaced(self, old: ProcessEntry) -> None:
        def replaced() -> bool:
            now = self.entry(old.name)
            return now.state == "ok" and now.pid != old.pid

        eventually(replaced, f"{old.name} replaced: {self.said}", 30)


@pytest.fixture
def supervising(tmp_path: Path) -> Iterator[Supervising]:
    started = Supervising(tmp_path, "server-a=steady", "server-b=steady", "one=steady", "two=steady")
    try:
        started.until_ready()
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def test_a_crashed_process_is_started_again_and_it_says_so(supervising: Supervising) -> None:
    before = supervising.entry("one")
    assert before.pid is not None
    psutil.Process(before.pid).kill()
    supervising.until_replaced(before)
    assert supervising.entry("one").restarts == 1
    assert "one was ended by SIGKILL; khởi động lại sau · starting it again in 0.5 s" in supervising.said
    assert "one hoạt động lại · works again" in supervising.said


def test_a_hung_process_is_killed_and_started_again(supervising: Supervising) -> None:
    before = supervising.entry("two")
    assert before.pid is not None
    psutil.Process(before.pid).suspend()
    supervising.until_replaced(before)
    assert not is_alive(before.pid, before.created)
    assert "two gave no sign of life for 2 s and was killed" in supervising.said


def test_stopping_stops_everything_in_reverse(supervising: Supervising) -> None:
    entries = supervising.running().processes
    supervising.process.terminate()
    assert supervising.process.wait(30) == 0, supervising.said
    assert not [each for each in entries if is_alive(each.pid, each.created)]
    stopped = (supervising.folder / "stopped").read_text(encoding="utf-8").split()
    assert set(stopped[:2]) == {"one", "two"}
    assert stopped[2:] == ["server-b", "server-a"]
    assert read_last(supervising.folder) is None


def test_killing_the_supervisor_leaves_no_process(supervising: Supervising) -> None:
    entries = supervising.running().processes
    supervising.process.kill()
    supervising.process.wait()
    eventually(lambda: not [each for each in entries if is_alive(each.pid, each.created)], "all have died", 10)


def test_a_second_one_on_the_same_folder_is_refused_and_names_the_first(supervising: Supervising) -> None:
    second = Supervising(supervising.folder, "one=steady")
    assert second.process.wait(30) == 1
    assert f"already runs on {supervising.folder} (pid {supervising.process.pid})" in second.said
    assert supervising.entry("one").state == "ok"


def test_what_ignores_being_told_is_killed(tmp_path: Path) -> None:
    started = Supervising(tmp_path, "server-a=steady", "mule=stubborn")
    started.until_ready()
    entries = started.running().processes
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(30) == 0, started.said
    assert "mule không dừng, bị tắt ngang · did not stop within 1 s: killed" in started.said
    assert not [each for each in entries if is_alive(each.pid, each.created)]


@pytest.mark.parametrize(
    ("behaviour", "ending", "restarts"), [("crashing", "exit code 1", 2), ("wrong", "exit code 2", 0)]
)
def test_what_cannot_start_ends_the_start_with_its_own_reason(
    tmp_path: Path, behaviour: str, ending: str, restarts: int
) -> None:
    started = Supervising(tmp_path, "server-a=steady", f"weak={behaviour}")
    assert started.process.wait(60) == 1
    assert f"error weak ended with {ending}: error the reason it gives" in started.said
    assert started.said.count("starting it again") == restarts
    assert (tmp_path / "stopped").read_text(encoding="utf-8").split() == ["server-a"]


def test_what_an_earlier_run_left_is_stopped_before_the_start(tmp_path: Path) -> None:
    """Where no leash holds (another system than Linux), a killed run leaves its processes."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as left:
        created = psutil.Process(left.pid).create_time()
        entry = ProcessEntry(name="left", state="ok", pid=left.pid, created=created)
        other = ProcessEntry(name="other", state="ok", pid=psutil.Process().pid, created=created - 1000)
        dead = Running(pid=2**22 - 1, created=1.0, kafka="", clickhouse="", processes=(entry, other))
        dead.write(tmp_path)
        started = Supervising(tmp_path, "server-a=steady")
        assert left.wait(30) == -signal.SIGKILL
        started.until_ready()
        assert "left over: left\n" in started.said
        started.process.terminate()
        assert started.process.wait(30) == 0
