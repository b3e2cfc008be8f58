"""The board: live counts of all dossiers, derived from changes of standing and stored nowhere else.

`Board.change` takes what a dossier counted as before and counts it as what it is now, so that the counts always
equal a recount of the standings (property-tested). Work per change is constant; memory grows with the number of
different queues and months, and with one small row a dossier that the caller keeps.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, TypeVar

from msgspec import Struct

from projections.calendar import local_date
from projections.expectation import Timeliness, steps_timeliness, timeliness
from projections.standing import Queue, Standing, State, queue_of

K = TypeVar("K")

#: What a step can be: one without a due, or without an end, is none of these.
_STEP_CLASSES: Final = (Timeliness.EARLY, Timeliness.ON_THE_DAY, Timeliness.LATE)


class Row(Struct, frozen=True):
    """What one dossier counts as."""

    state: State
    office: str
    timeliness: Timeliness
    received_month: str | None  # YYYY-MM, local; None: not received
    queue: Queue | None
    steps: tuple[int, ...]  # how many of its steps were early, on the day, late; (): none


def row_of(standing: Standing) -> Row:
    """What a dossier with this standing counts as."""
    received = standing.received_at
    return Row(
        standing.state,
        standing.office or "",
        timeliness(standing),
        f"{local_date(received, standing.zone):%Y-%m}" if received is not None else None,
        queue_of(standing),
        _step_counts(standing),
    )


def _step_counts(standing: Standing) -> tuple[int, ...]:
    classes = steps_timeliness(standing)
    return tuple(classes.count(kind) for kind in _STEP_CLASSES) if classes else ()


class Board:
    """Live counts by state, office, timeliness, month of reception and queue; of steps by timeliness."""

    def __init__(self) -> None:
        self.dossiers = 0
        self.by_state: Counter[State] = Counter()
        self.by_office: Counter[tuple[str, State]] = Counter()
        self.by_timeliness: Counter[Timeliness] = Counter()
        self.steps_by_timeliness: Counter[Timeliness] = Counter()
        self.received_by_month: Counter[str] = Counter()
        self.queues: Counter[Queue] = Counter()

    def change(self, before: Row | None, standing: Standing) -> Row:
        """Count a dossier as what it is now instead of `before` (None: it is new). Returns its new row."""
        after = row_of(standing)
        if after != before:
            if before is not None:
                self._count(before, -1)
            self._count(after, +1)
        return after

    def remove(self, row: Row) -> None:
        """Count a dossier no more that counted as `row`."""
        self._count(row, -1)

    def summary(self) -> dict[str, Any]:
        """The figures of `dossier summary`: every state and class is there, an explicit 0 where there is none."""
        return {
            "dossiers": self.dossiers,
            "by_state": {state.value: self.by_state[state] for state in State if state is not State.NONE}
            | ({"NONE": self.by_state[State.NONE]} if self.by_state[State.NONE] else {}),
            "by_timeliness": {kind.value: self.by_timeliness[kind] for kind in Timeliness},
            "steps_by_timeliness": {kind.value: self.steps_by_timeliness[kind] for kind in _STEP_CLASSES},
            "received_by_month": dict(sorted((+self.received_by_month).items())),
        }

    def _count(self, row: Row, by: int) -> None:
        self.dossiers += by
        _add(self.by_state, row.state, by)
        _add(self.by_office, (row.office, row.state), by)
        _add(self.by_timeliness, row.timeliness, by)
        for kind, count in zip(_STEP_CLASSES, row.steps, strict=False):
            _add(self.steps_by_timeliness, kind, by * count)
        if row.received_month is not None:
            _add(self.received_by_month, row.received_month, by)
        if row.queue is not None:
            _add(self.queues, row.queue, by)


def _add(counts: Counter[K], key: K, by: int) -> None:
    counts[key] += by
    if not counts[key]:
        del counts[key]  # an empty queue is no queue: the board must not grow with its past
