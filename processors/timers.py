"""One timer for each dossier whose clocks have something to say by themselves.

A heap of (instant, key), and the instant that counts for each key. Setting a timer again leaves the old entry in the
heap, to be passed over when its turn comes; when most entries are such, the heap is made anew. So setting a timer
costs a push, and asking what is due costs what is due, however many are set.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final

#: Below this many entries it is not worth while to make the heap anew.
_SMALL: Final = 1_000


class Timers:
    """Instants in microseconds since 1970 UTC, by key."""

    def __init__(self, instants: Mapping[bytes, int]) -> None:
        self._instants = dict(instants)
        self._heap = [(instant, key) for key, instant in self._instants.items()]
        heapify(self._heap)

    def __len__(self) -> int:
        return len(self._instants)

    def set(self, key: bytes, instant: int | None) -> None:
        """Let the timer of a key go off at that instant and no other; None: not at all."""
        if instant is None:
            self._instants.pop(key, None)
        elif self._instants.get(key) != instant:
            self._instants[key] = instant
            heappush(self._heap, (instant, key))
        if len(self._heap) > 2 * len(self._instants) + _SMALL:
            self._heap = [(each, key) for key, each in self._instants.items()]
            heapify(self._heap)

    def hasten(self, key: bytes, instant: int) -> None:
        """Let it go off at that instant at the latest."""
        if self._instants.get(key, instant) >= instant:
            self.set(key, instant)

    def next(self) -> int | None:
        """When the next timer goes off."""
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def take_due(self, until: int) -> bytes | None:
        """The key whose timer goes off first, up to and including `until`; it is set no more."""
        self._drop_stale()
        if not self._heap or self._heap[0][0] > until:
            return None
        _, key = heappop(self._heap)
        del self._instants[key]
        return key

    def _drop_stale(self) -> None:
        while self._heap and self._instants.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
