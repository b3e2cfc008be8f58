"""What time it is: the real time, or a simulated one that all processes of an installation share.

`now_us` is the "now" of the domain: whether a due has passed. Time-outs and back-off keep the machine's own timers,
and the broker's append time (recorded_at) is always real.

A simulated clock is one line of text, the same for every process, so that one that is started again goes on in the
same simulated time:

    2026-02-09T08:00:00+07:00@2026-03-02T01:00:00+00:00x600
    └ the simulated start      └ the real instant of it  └ simulated seconds in a real second
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

MAX_SPEED: Final = 100_000.0
#: Years in which a simulated clock may start, so that it ends inside those that an event may have.
FIRST_YEAR, LAST_YEAR = 1950, 2150

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class ClockError(ValueError):
    """This is no clock; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Clock:
    """It was `start` when it really was `anchor`, and passes `speed` times as fast; real time unless told otherwise."""

    start: datetime = _EPOCH
    anchor: datetime = _EPOCH
    speed: float = 1.0

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.anchor.tzinfo is None:
            raise ClockError("an instant has an offset: 2026-02-09T08:00+07:00")
        if not math.isfinite(self.speed) or not 0 < self.speed <= MAX_SPEED:
            raise ClockError(f"the speed is a number above 0, {MAX_SPEED:,.0f} at most")
        if self.is_simulated and not FIRST_YEAR <= self.start.year <= LAST_YEAR:
            raise ClockError(f"the clock starts in a year from {FIRST_YEAR} to {LAST_YEAR}")

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Read what `str` writes of a simulated clock.

        Raises:
            ClockError: it is not that; says what is wrong.
        """
        start, at, rest = text.partition("@")
        anchor, times, speed = rest.partition("x")
        if not at or not times:
            raise ClockError("write START@ANCHORxSPEED, or use `dossier up --clock START --speed N`")
        try:
            factor = float(speed)
        except ValueError:
            raise ClockError("the speed behind the x is no number") from None
        return cls(parse_instant(start), parse_instant(anchor), factor)

    def __str__(self) -> str:
        if not self.is_simulated:
            return "real"
        speed = repr(self.speed).removesuffix(".0")  # exact: who reads it goes as fast
        return f"{self.start.isoformat()}@{self.anchor.isoformat()}x{speed}"

    @property
    def is_simulated(self) -> bool:
        return (self.start, self.anchor, self.speed) != (_EPOCH, _EPOCH, 1.0)

    def now_us(self) -> int:
        """Now, in microseconds since 1970 UTC."""
        return self.at_us(time.time_ns() // 1_000)

    def now(self) -> datetime:
        """Now, in the zone of the start."""
        return (_EPOCH + timedelta(microseconds=self.now_us())).astimezone(self.start.tzinfo)

    def at_us(self, real_us: int) -> int:
        """The simulated instant of a real one, both in microseconds since 1970 UTC."""
        return _microseconds(self.start) + round((real_us - _microseconds(self.anchor)) * self.speed)

    def going_on(self, real: datetime, ahead: timedelta = timedelta(0)) -> Clock:
        """The clock that at `real` shows what this one shows so much real time later, and is as fast.

        Raises:
            ClockError: that is beyond the years in which a simulated clock may start.
        """
        if not self.is_simulated:
            return self
        try:
            shown = _EPOCH + timedelta(microseconds=self.at_us(_microseconds(real + ahead)))
            return replace(self, start=shown.astimezone(self.start.tzinfo), anchor=real)
        except OverflowError as error:
            raise ClockError("the clock has run beyond the years there are") from error

    def seconds_until(self, instant_us: int) -> float:
        """Real seconds until the clock shows that instant; 0 when it has passed."""
        return max(0, instant_us - self.now_us()) / 1e6 / self.speed


def parse_instant(text: str) -> datetime:
    """An RFC 3339 instant with its offset.

    Raises:
        ClockError: it is none.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ClockError(f"{text[:40]!r} is no instant: write 2026-02-09T08:00+07:00") from None
    if instant.tzinfo is None:
        raise ClockError(f"{text[:40]!r} has no offset: write 2026-02-09T08:00+07:00")
    return instant


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


REAL: Final = Clock()
