"""What the README tells a newcomer to type does what it says, in a clone of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.installation import REPOSITORY, Installation, eventually

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def block_after(marker: str) -> list[str]:
    """The lines of the first code block behind a marker, without comments."""
    found = re.search(re.escape(marker) + r".*?```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no code block after {marker!r}"
    return [line.split("  #")[0].strip() for line in found[1].splitlines() if line.strip()]


def test_the_two_commands_are_the_makefiles_first_words() -> None:
    commands = re.findall(r"^(make \w+)", README, re.MULTILINE)
    assert commands == ["make demo", "make test"]
    for command in commands:
        planned = subprocess.run([*command.split(), "--dry-run"], cwd=REPOSITORY, capture_output=True, check=False)
        assert planned.returncode == 0, planned.stderr


def test_every_link_and_folder_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    folders = re.findall(r"^\| `([a-z]+/)`", README, re.MULTILINE)
    assert links
    assert folders
    for path in (*links, *folders):
        assert (REPOSITORY / path).exists(), path


def test_the_tour(installation: Installation) -> None:
    environment = {
        **os.environ,
        "DOSSIER_DATA_DIR": str(installation.data_dir),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    lines = block_after("<!-- tour")
    assert len(lines) == 10
    folder = installation.data_dir / "tour"
    shutil.copytree(REPOSITORY / "examples", folder / "examples")
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}\n{installation.logs()}"
        assert done.stdout + done.stderr, f"{line} says nothing"


@contextmanager
def demo(clone: Path, log: Path) -> Iterator[str]:
    """`make demo` until the board answers, then Ctrl-C; nothing it started may be left."""
    with log.open("wb") as output:
        make = subprocess.Popen(["make", "demo"], cwd=clone, stdout=output, stderr=output, start_new_session=True)
    try:
        yield _board(make, log)
        started = psutil.Process(make.pid).children(recursive=True)
        assert len(started) >= 5, "broker, archive, projector, archiver and gateway"
        os.killpg(make.pid, signal.SIGINT)
        _, alive = psutil.wait_procs(started, timeout=60)
        assert not alive, [process.cmdline() for process in alive]
        make.wait(30)
    finally:
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGKILL)


def _board(make: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and make.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text(encoding="utf-8", errors="replace"))
        if found and _dossiers(found[0]) is not None:
            return found[0]
        time.sleep(0.2)  # a poll with a deadline
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace")[-4000:])


def _dossiers(board: str) -> int | None:
    try:
        return int(httpx.get(f"{board}/v1/summary", timeout=5, trust_env=False).json()["dossiers"])
    except (httpx.HTTPError, ValueError, KeyError):
        return None


def test_make_demo_from_a_clone_shows_moving_counts_and_continues(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
    with demo(clone, tmp_path / "first.log") as board:
        seen = _dossiers(board) or 0
        eventually(lambda: (_dossiers(board) or 0) > seen, "counts move", 120)  # a weekend takes one of them
        reached = _dossiers(board) or 0
    with demo(clone, tmp_path / "second.log") as board:
        eventually(lambda: (_dossiers(board) or 0) >= reached, "the second run has the first one's data", 60)
