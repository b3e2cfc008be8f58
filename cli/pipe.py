"""Lines of a pipe or terminal, of which is known whether the next one is there yet.

A buffered file cannot tell that without waiting for it. There is no thread: it would hold lines that an interrupt
loses, and the interrupt would not reach it.
"""

from __future__ import annotations

import os
import select
import time
from typing import Final

_READ_BYTES: Final = 64 * 1024


class Pipe:
    """Reads an open file descriptor. Lines are at most `longest` bytes; of a longer one, the rest comes as the next."""

    def __init__(self, descriptor: int, longest: int) -> None:
        self._descriptor = descriptor
        self._longest = longest
        self._held = bytearray()
        self._ended = False

    def has_line(self, until: float) -> bool:
        """Can a line, or the end, be read without waiting? Waits for it up to this instant of `time.monotonic`."""
        while not self._is_whole():
            wait = max(0.0, until - time.monotonic())
            if not select.select([self._descriptor], [], [], wait)[0]:
                return False
            self._read()
        return True

    def readline(self, size: int) -> bytes:
        """As of a buffered file: empty at the end."""
        while not self._is_whole():
            self._read()
        size = min(size, self._longest)
        end = self._held.find(b"\n", 0, size) + 1 or size
        line = bytes(self._held[:end])
        del self._held[:end]
        return line

    def _is_whole(self) -> bool:
        return self._ended or len(self._held) >= self._longest or b"\n" in self._held

    def _read(self) -> None:
        some = os.read(self._descriptor, _READ_BYTES)
        self._held += some
        self._ended = not some
