"""A broker that is there and says nothing: clients wait for it without end, and without a word."""

from __future__ import annotations

import time
from collections.abc import Sized
from typing import Final

#: A broker from which nothing has come for so long while there is more does not give it.
SILENCE_SECONDS: Final = 60.0


class Silence:
    """How long nothing has come of what is there; a broker that is well gives it within a second."""

    def __init__(self, seconds: float = SILENCE_SECONDS) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def is_too_long(self, fetched: Sized) -> bool:
        """To be asked after each fetch: has it been longer than `seconds` since the first of those that were empty?"""
        now = time.monotonic()
        if fetched:
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since > self._seconds
