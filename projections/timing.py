"""What the clocks need to know of a dossier: instants that happened, kept by the fold, read by `projections.clocks`.

No rule is applied here: which of these facts start, stop or move a clock is asked of the rulebook when a clock is
read, so that the same facts can be read under another rulebook or calendar. Instants are microseconds since 1970 UTC;
an end that is None has not happened.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from projections.calendar import Unit

Cause = Literal["supplement", "payment", "consultation"]


class Interval(Struct, frozen=True, array_like=True, gc=False):
    begins: int
    ends: int | None = None


class Pause(Struct, frozen=True, array_like=True, gc=False):
    """The office waited for somebody. `limit` is the date it set, if it set one."""

    cause: Cause
    begins: int
    ends: int | None = None
    limit: int | None = None


class StepRun(Struct, frozen=True, array_like=True, gc=False):
    """One run of a step. `begins` is None where nobody said when it began; `due` is the date the office gave it."""

    step: str
    begins: int | None
    ends: int | None = None
    due: int | None = None


class Move(Struct, frozen=True, array_like=True, gc=False):
    """The office gave the dossier another date, at `at`; `recomputed`: because a calendar was announced late (R18)."""

    at: int
    due: int
    recomputed: bool = False


class Timing(Struct, frozen=True, array_like=True, gc=False):
    """All that the clocks of one dossier are computed from, beside the instants of its `Standing`."""

    collected_at: int | None = None  # by the post, from the applicant
    intake: tuple[Interval, ...] = ()  # submitted or supplemented, and not yet answered
    legal_time: tuple[int, Unit] | None = None  # n and unit, as printed on the receipt slip
    routed_at: int | None = None  # the first room after the counter
    pauses: tuple[Pause, ...] = ()
    moves: tuple[Move, ...] = ()
    steps: tuple[StepRun, ...] = ()
