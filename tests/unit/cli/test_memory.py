"""What a process in bulk does with the memory it has freed."""

import platform
import subprocess
import sys
from typing import Final

import pytest

#: Ten blocks of four mebibytes, as fetches and batches are, taken and freed again and again.
BACKLOG: Final = """
import resource
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def backlog(): [bytes([1]) * 4_194_304 for _ in range(10)]
backlog()
before = faults()
for _ in range(5): backlog()
print(faults() - before)
"""
PAGES: Final = 10 * 4_194_304 // 4096


def pages_taken_anew(setup: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", setup + BACKLOG], text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept() -> None:
    assert pages_taken_anew("") > 4 * PAGES, "glibc keeps it by itself: work_in_bulk need not"
    assert pages_taken_anew("from cli.memory import work_in_bulk; work_in_bulk()\n") < PAGES
