"""What a process in bulk does with the memory it has freed."""

import platform
import subprocess
import sys
from typing import Final

import pytest

SIZE: Final = 40 * 1024 * 1024
#: Ten blocks, as fetches and batches are, taken and freed: how many bytes the process still holds. Page faults would
#: say little where the kernel gives huge pages.
BACKLOG: Final = f"""
import psutil
def held(): return psutil.Process().memory_info().rss
before = held()
for _ in range(3): [bytes([1]) * {SIZE // 10} for _ in range(10)]
print(held() - before)
"""


def kept(setup: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", setup + BACKLOG], text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept() -> None:
    assert kept("") < SIZE / 2, "glibc keeps it by itself: work_in_bulk need not"
    assert kept("from cli.memory import work_in_bulk; work_in_bulk()\n") > SIZE / 2
