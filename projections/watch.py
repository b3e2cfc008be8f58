"""What has been said of a dossier's clocks, and what is to be said now.

The clocks alone (`projections.clocks`) tell which alarms there are. Which of them have been published is remembered in
a `Watch` beside each dossier's state, because it cannot be told from the state: facts come late, rulebooks change, and
a process may die between two writes. What is published is the difference, so in the end it is what the clocks say,
whatever the order in which things were heard and however they were batched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, assert_never
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from events.alarms import (
    ALARMS,
    BREACHES,
    SOURCE,
    AlarmEvent,
    AnyAlarm,
    BreachCleared,
    ClockAlarm,
    ClockBreached,
    ClockWarned,
    HandoffLate,
    IntakeLate,
    SupplementLimitReached,
    alarm_id,
)
from events.envelope import from_microseconds, microseconds
from projections.calendar import DEFAULT_ZONE, zone_named
from projections.clocks import Alarm, AlarmKind, ClockKind, agenda
from projections.rules import RuleHistory
from projections.standing import Standing

WATCH_VERSION: Final = 1


class Watch(Struct, frozen=True, array_like=True, gc=False):
    """What has been published of one dossier's clocks, and when to look at them again; one record of the live topic."""

    version: int = WATCH_VERSION
    wake: int | None = None  # microseconds since 1970 UTC; None: nothing more will come by itself
    said: tuple[Alarm, ...] = ()  # every warning, and the breaches that were not taken back

    @property
    def is_blank(self) -> bool:
        """Nothing to remember: such a watch need not be stored."""
        return self.wake is None and not self.said


BLANK: Final = Watch()
_NOTHING: Final[Mapping[str, Any]] = {}


class Saying(NamedTuple):
    """What comes of a look at a dossier's clocks: alarms to publish, breaches to take back, and the watch after that.

    `held`: there are alarms that were left out because of `not_before`.
    """

    told: tuple[Alarm, ...]
    cleared: tuple[Alarm, ...]
    watch: Watch
    held: bool = False


def look(watch: Watch, standing: Standing, rules: RuleHistory, until: int, *, not_before: int | None = None) -> Saying:
    """What is to be said of a dossier's clocks at `until`, after what has been said already.

    Args:
        until: an instant up to which everything has been heard; microseconds since 1970 UTC.
        not_before: leave alarms of instants before this for another look.
    """
    there, wake = agenda(standing, rules, until)
    if not there and not watch.said:
        return Saying((), (), watch if watch.wake == wake else Watch(wake=wake))
    said = {each.key for each in watch.said}
    new = tuple(each for each in there if each.key not in said)
    told = new if not_before is None else tuple(each for each in new if each.at >= not_before)
    keys = {each.key for each in there}
    cleared = tuple(
        each
        for each in watch.said
        if each.kind is AlarmKind.BREACHED and each.key not in keys and each.at <= until  # a clock may be set back
    )
    kept = tuple(each for each in watch.said if each not in cleared)
    return Saying(told, cleared, Watch(wake=wake, said=(*kept, *told)), held=len(told) < len(new))


def heard_of(watch: Watch, event: AlarmEvent) -> Watch:
    """The watch after an alarm that is on the alarms topic, whoever wrote it there."""
    alarm = alarm_in(event)
    if alarm is None:
        return watch
    others = tuple(each for each in watch.said if each.key != alarm.key)
    said = others if isinstance(event.data, BreachCleared) else (*others, alarm)
    return msgspec.structs.replace(watch, said=said)


def pack_watch(watch: Watch) -> bytes:
    """The watch as the value of its record."""
    return _encoder.encode(watch)


def unpack_watch(data: bytes) -> Watch:
    """The watch of `pack_watch`.

    Raises:
        msgspec.DecodeError: if the bytes are no watch of this version.
    """
    watch = _decoder.decode(data)
    if watch.version != WATCH_VERSION:
        raise msgspec.DecodeError(f"watch of version {watch.version}, this program reads {WATCH_VERSION}")
    return watch


# -- On the wire -----------------------------------------------------------------------------------------------------


def alarm_event(dossier_id: str, standing: Standing, alarm: Alarm, rulebook: str) -> AlarmEvent:
    """An alarm as it is published. `rulebook` is the version by which it was found."""
    return _event(_kind_of(alarm), dossier_id, standing, alarm, rulebook, id_of(dossier_id, alarm))


def cleared_event(dossier_id: str, standing: Standing, alarm: Alarm, rulebook: str) -> AlarmEvent:
    """That a breach which was published is none after all."""
    taken_back = id_of(dossier_id, alarm)
    new_id = alarm_id(dossier_id, "cleared", alarm.clock, alarm.name, alarm.due)
    return _event(BreachCleared, dossier_id, standing, alarm, rulebook, new_id, {"alarm": taken_back})


def id_of(dossier_id: str, alarm: Alarm) -> str:
    """The id of the event that says it."""
    return alarm_id(dossier_id, alarm.kind, alarm.clock, alarm.name, alarm.due)


def alarm_in(event: AlarmEvent) -> Alarm | None:
    """The alarm that an event tells or takes back; None: it is about no clock."""
    data: AnyAlarm = event.data
    if not isinstance(data, ClockAlarm):
        return None
    breached = isinstance(data, (*BREACHES, BreachCleared))
    kind = AlarmKind.BREACHED if breached else AlarmKind.WARNED
    return Alarm(microseconds(event.time), kind, ClockKind(data.clock), data.name or "", microseconds(data.due))


def _event(
    kind: type[ClockAlarm],
    dossier_id: str,
    standing: Standing,
    alarm: Alarm,
    rulebook: str,
    id: str,  # noqa: A002  # CloudEvents' own word
    more: Mapping[str, Any] = _NOTHING,
) -> AlarmEvent:
    zone = zone_named(standing.zone or DEFAULT_ZONE)
    data: Any = kind(
        clock=alarm.clock.value,
        due=_local(alarm.due, zone),
        rulebook=rulebook,
        name=alarm.name or None,
        office=standing.office,
        room=standing.handed_to or standing.room,
        person=standing.person,
        step=standing.step,
        procedure=standing.procedure,
        promised=None if standing.promised is None else _local(standing.promised, zone),
        **more,
    )
    return ALARMS.make(data, id=id, source=SOURCE, subject=dossier_id, time=_local(alarm.at, zone))


def _kind_of(alarm: Alarm) -> type[ClockAlarm]:
    if alarm.kind is AlarmKind.WARNED:
        return ClockWarned
    match alarm.clock:
        case ClockKind.ROUTING:
            return HandoffLate
        case ClockKind.INTAKE:
            return IntakeLate
        case ClockKind.SUPPLEMENT:
            return SupplementLimitReached
        case ClockKind.PROCEDURE | ClockKind.STEP | ClockKind.COLLECTION:
            return ClockBreached
        case _:
            assert_never(alarm.clock)


def _local(instant: int, zone: ZoneInfo) -> datetime:
    return from_microseconds(instant).astimezone(zone)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Watch)
