"""A short run of chaos with a fixed seed, so that the harness itself never rots; `make chaos` is the long one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Some that no other test has, each once: the long run has them all, and tests/integration others one by one.
FAULTS = ("late body", "mid-insert", "withheld", "mid-flush", "two, one", "ClickHouse's disk")


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_nothing_is_lost_nothing_is_doubled_and_all_is_proved(tmp_path: Path) -> None:
    only = [word for name in FAULTS for word in ("--only", name)]
    command = [sys.executable, "-m", "tests.fault.chaos", "--seed", "20260302", "--each", "--events", "60", *only]
    done = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    assert "all of it holds" in done.stdout
    assert re.search(r"\b([2-9]|\d\d+) time-outs", done.stdout), done.stdout  # in both of those that withhold
    assert "of 2 kills, " in done.stdout, done.stdout  # how many cut a flush in two is told, a busy machine may miss it
