"""What the clocks say: the alarms on `dossier.alarms.v1`, in the same envelope and canonical form as the ledger.

An alarm is a consequence, not a fact: whoever has the facts and the rulebook finds the same alarms, with the same ids.
`subject` is the dossier, and the key of the record; `time` is the instant the alarm belongs to, whenever it was sent.

The id says which clock passed which due, so an alarm that is sent twice is one alarm. A breach that a late fact takes
back is followed by a BreachCleared naming it; should yet another fact bring it back, it comes again under its old id.
Of a breach and its clearing the one that stands later on the partition therefore holds (`standing_breaches`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from msgspec import Meta

from events.catalogue import Code, Data, Instant, wire_name
from events.envelope import Codec, Envelope

ALARMS_TOPIC: Final = "dossier.alarms.v1"
SOURCE: Final = "urn:dossier-ledger:projector"

#: The clocks of a dossier, as `projections.clocks.ClockKind` names them.
ClockName = Literal["intake", "routing", "handoff", "procedure", "step", "supplement_limit", "post_collection"]


class ClockAlarm(Data, frozen=True, kw_only=True):
    """What every alarm of a clock says: which clock, which due, and whom it concerns."""

    clock: ClockName
    due: Instant
    rulebook: Code
    #: The step of a step clock.
    name: Code | None = None
    office: Code | None = None
    room: Code | None = None
    person: Code | None = None
    step: Code | None = None
    procedure: Code | None = None
    promised: Instant | None = None


class ClockWarned(ClockAlarm, frozen=True):
    """Sắp đến hạn: most of a clock's time is over."""


class ClockBreached(ClockAlarm, frozen=True):
    """Quá hạn: a clock passed its due."""


class HandoffLate(ClockAlarm, frozen=True):
    """Chậm chuyển hồ sơ: the dossier was not routed on, or not confirmed, in time."""


class IntakeLate(ClockAlarm, frozen=True):
    """Chậm trả lời tiếp nhận: the office did not answer a submission in time."""


class SupplementLimitReached(ClockAlarm, frozen=True):
    """Hết thời gian bổ sung: the applicant did not complete the dossier in time; the officer may close it."""


class BreachCleared(ClockAlarm, frozen=True):
    """Hủy cảnh báo quá hạn: a fact heard of later shows that the clock did not pass its due."""

    #: The id of the alarm that is taken back.
    alarm: Code


class ProjectionDiverged(Data, frozen=True, kw_only=True):
    """Trạng thái không khớp: the live state of a dossier is not what its events in the archive give."""

    #: What differs, by name.
    differs: Annotated[tuple[Code, ...], Meta(max_length=100)]
    #: Ledger position up to which the two were compared.
    position: Code
    #: sha256 of the packed states.
    live: Code
    archived: Code


AnyAlarm = (
    ClockWarned | ClockBreached | HandoffLate | IntakeLate | SupplementLimitReached | BreachCleared | ProjectionDiverged
)
ALARM_CATALOGUE: Final[tuple[type[AnyAlarm], ...]] = get_args(AnyAlarm)
ALARM_WIRE_NAMES: Final[dict[type[AnyAlarm], str]] = {kind: wire_name(kind) for kind in ALARM_CATALOGUE}
#: The kinds that say a clock passed its due.
BREACHES: Final = (ClockBreached, HandoffLate, IntakeLate, SupplementLimitReached)


class AlarmEvent(Envelope, frozen=True):
    """An event of the alarms topic: the envelope around one alarm."""

    if TYPE_CHECKING:  # declared again, it would change its place in the canonical form
        data: AnyAlarm


ALARMS: Final = Codec(AlarmEvent, ALARM_CATALOGUE)


def alarm_id(dossier_id: str, what: str, *said: str | int) -> str:
    """The id of an alarm: the same for the same dossier, kind and particulars, whoever computes it, whenever."""
    words = "\n".join((dossier_id, what, *map(str, said)))
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def standing_breaches(events: Iterable[AlarmEvent]) -> dict[str, AlarmEvent]:
    """The breaches that hold, by id, of alarms in the order of their partition."""
    standing: dict[str, AlarmEvent] = {}
    for event in events:
        if isinstance(event.data, BreachCleared):
            standing.pop(event.data.alarm, None)
        elif isinstance(event.data, BREACHES):
            standing.setdefault(event.id, event)
    return standing
