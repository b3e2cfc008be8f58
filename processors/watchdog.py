"""Notices that a process has come to a standstill: there is work, and nothing has moved for too long.

A client library can hang in ways it does not report: a rebalance that never ends, a recovery that waits for an answer
which was lost with a broker, a fetcher that died. Whoever supervises the process can only restart one that ends, so
the process has to notice by itself. Progress is whatever the caller counts; a standstill is no progress while there
is work to do.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

#: Longer than a broker takes to come back and a group to settle, shorter than people take to notice.
STANDSTILL_SECONDS: Final = 60.0


class Watchdog:
    """To be asked regularly. `now` is monotonic, in seconds."""

    def __init__(self, now: float, limit_seconds: float = STANDSTILL_SECONDS) -> None:
        self._limit_seconds = limit_seconds
        self._progress: Hashable = None
        self._moved_at = now

    def standstill_seconds(self, now: float, progress: Hashable, *, has_work: bool) -> float:
        """For how long nothing has moved although there was work; 0 while all is well or the limit is not reached.

        Args:
            now: monotonic seconds.
            progress: anything that differs when there was progress.
            has_work: is there something to do, or is it unknown?
        """
        if progress != self._progress or not has_work:
            self._progress = progress
            self._moved_at = now
        silent = now - self._moved_at
        return silent if silent >= self._limit_seconds else 0.0
