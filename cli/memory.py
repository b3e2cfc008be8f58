"""The memory of processes that take records in bulk: looked through for cycles seldom, and kept when it is free."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from typing import Final

_EVERY_SECONDS: Final = 60.0
#: Settings of glibc (`mallopt`, malloc.h), each its number and its bytes: so much may lie free at the end of the heap
#: before the kernel has it back, and blocks below this size come from the heap.
_M_TRIM_THRESHOLD: Final = -1, 256 * 1024 * 1024
_M_MMAP_THRESHOLD: Final = -3, 32 * 1024 * 1024


def work_in_bulk() -> None:
    """From now on cycles are looked for only where it is asked for (`look_for_cycles`), and freed memory is kept.

    Records, events and states hold no cycles, but each header of a record is an object: a backlog makes Python look
    through all of them again and again, a twentieth of the projector's time, a tenth of the archiver's. And glibc
    gives the memory of each fetch and each batch back at once, so that the kernel has to clear pages for the next:
    another tenth of the archiver's. One that has caught up may hold so much more than it needs (`_M_TRIM_THRESHOLD`).
    """
    gc.freeze()  # what is there already: our modules
    gc.disable()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # else another C library, with ways of its own
        mallopt(*_M_TRIM_THRESHOLD)
        mallopt(*_M_MMAP_THRESHOLD)


async def look_for_cycles() -> None:
    """Once a minute, until cancelled: what tasks and errors leave behind can wait so long."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        gc.collect()
