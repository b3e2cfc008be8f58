"""What worker processes are forked from has imported what they need."""

from __future__ import annotations

import importlib
import multiprocessing.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.workers import NEEDED


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_imported_beforehand_is_there(name: str) -> None:
    """The one that imports it passes over what it does not find."""
    assert importlib.import_module(name).__name__ == name


_JOBS = """
from cli.workers import run_jobs

def work(job, seen):
    import events
    return events.__file__

if __name__ == "__main__":
    print(*run_jobs(work, [1, 2], 2, print), sep="\\n")
"""


def run_in(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The jobs, of a script that is elsewhere."""
    script = folder / "elsewhere" / "jobs.py"
    script.parent.mkdir()
    script.write_text(_JOBS, encoding="utf-8")
    return subprocess.run(
        [sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), **variables},
    )  # fmt: skip


def test_modules_of_the_folder_one_is_in_are_not_taken(tmp_path: Path) -> None:
    (tmp_path / "events.py").write_text("raise SystemExit('a stranger')", encoding="utf-8")
    done = run_in(tmp_path)
    found = done.stdout.split()
    assert (done.returncode, len(found), done.stderr) == (0, 2, "")
    assert not any(str(tmp_path) in each for each in found)


def test_where_no_processes_can_be_started_one_is_told_what_to_do(tmp_path: Path) -> None:
    """The name of a socket is a hundred bytes or so."""
    deep = tmp_path / ("x" * 110)
    deep.mkdir()
    done = run_in(tmp_path, TMPDIR=str(deep))
    if hasattr(multiprocessing.util, "_get_base_temp_dir"):  # Python 3.14 takes a shorter folder by itself
        assert (done.returncode, len(done.stdout.split()), done.stderr) == (0, 2, "")
    else:
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].endswith("try --workers 1")
