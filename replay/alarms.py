"""Are the published alarms those that the clocks give for the archived events? Exact while the projector goes on.

What settles up to which instant a dossier is compared is its own `Watch`: it claims that nothing comes before `wake`
beyond what was said. So every alarm before that instant must be on the alarms topic, and every alarm on the topic must
be there. No clock is needed for that; one is given only (`due_by`) to find a projector that never wakes.

A breach that a late fact or a later rulebook takes back is followed by its clearing, so the breaches that stand are
compared both ways. A warning is not taken back. One that no longer follows from all that is known must have followed
from what was known at some time: from the first events of its dossier, and the first rulebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from events.alarms import ALARMS, BreachCleared
from events.envelope import Unreadable
from projections.clocks import Alarm, AlarmKey, AlarmKind, ClockKind, alarms
from projections.rules import RuleHistory
from projections.standing import Standing
from projections.watch import Watch, alarm_in, id_of

_STEP: Final = ClockKind.STEP
_WARNED: Final = AlarmKind.WARNED
#: Beyond every instant: all alarms that there are and, if nothing more is heard, will be.
NEVER: Final = 2**63 - 1


class Said(NamedTuple):
    """An alarm that was published and stands, and the version of the rulebook by which it was found."""

    alarm: Alarm
    rulebook: str


SaidById = Mapping[str, Said]


class Tally(Struct, frozen=True):
    """Alarms by what came of comparing them: published + missing = recomputed + extra + superseded."""

    recomputed: int = 0
    published: int = 0
    missing: int = 0
    extra: int = 0
    superseded: int = 0  # warnings that were right when they were said, and that later facts or rules overtook

    def plus(self, other: Tally) -> Tally:
        if other is NO_ALARMS:
            return self
        return Tally(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))


#: Of a dossier that has none, as most have.
NO_ALARMS: Final = Tally()


class AlarmDifference(NamedTuple):
    """One dossier's alarms compared: those not published that should be, those published that should not."""

    missing: tuple[Alarm, ...]
    extra: tuple[Alarm, ...]
    tally: Tally


_NO_DIFFERENCE: Final = AlarmDifference((), (), NO_ALARMS)


def said_of(dossier_id: str, values: Sequence[bytes]) -> dict[str, Said]:
    """By id the alarms of a dossier that stand, of what is archived of it of the alarms topic, in order.

    What was sent twice has one id; of a breach and its clearing the later one holds.
    """
    found: dict[str, Said] = {}
    if not values:  # nothing was said of most dossiers
        return found
    for event in ALARMS.decode_all_again(values):
        if type(event) is Unreadable or event.subject != dossier_id or (alarm := alarm_in(event)) is None:
            continue  # a stranger's, or about no clock
        if isinstance(event.data, BreachCleared):
            found.pop(event.data.alarm, None)
        else:
            found.setdefault(event.id, Said(alarm, event.data.rulebook))  # type: ignore[union-attr]  # alarm_in
    return found


class Clocks:
    """What one partition's alarms are compared by.

    Args:
        rules: the rulebooks by which the projector has looked at every dossier.
        due_by: alarms of instants up to this one must have been published by now; microseconds since 1970 UTC.
        alarmed_until: alarms up to this instant may have been (`Cursor.alarmed_until`).
    """

    def __init__(self, rules: RuleHistory, due_by: int, alarmed_until: int) -> None:
        self._rules = rules
        self._due_by = due_by
        self._alarmed_until = alarmed_until
        self._versions = {rulebook.version for _, rulebook in rules.published}

    def compare(
        self,
        dossier_id: str,
        said: SaidById,
        standing: Standing | None,
        watch: Watch,
        heard: Callable[[], Iterable[Standing]],
    ) -> AlarmDifference:
        """The alarms that were said of a dossier with those of where it stands now; None: the archive has no events.

        Args:
            heard: where it stood after each of its events, in the order of the ledger; asked for, once or twice, if a
                warning was said that does not follow from where it stands now, which is seldom.
        """
        until = NEVER if watch.wake is None else max(watch.wake - 1, self._due_by)
        at_most = max(until, self._alarmed_until)  # later than `until` if the clock of the processes was set back
        found = () if standing is None else _alarms(standing, self._rules)
        if not found and not said:
            return _NO_DIFFERENCE
        there = {id_of(dossier_id, each): each for each in found if each.at <= at_most}
        missing = tuple(each for key, each in there.items() if each.at <= until and key not in said)
        gone = [said[key] for key in said.keys() - there.keys()]
        doubted = {each.alarm.key for each in gone if self._must_follow(each)} - {each.key for each in found}
        unexplained = self._unexplained(doubted, heard) if doubted else doubted
        extra = sorted(each.alarm for each in gone if not _is_warning(each) or each.alarm.key in unexplained)
        tally = Tally(
            recomputed=len(said) - len(gone) + len(missing), published=len(said),
            missing=len(missing), extra=len(extra), superseded=len(gone) - len(extra),
        )  # fmt: skip
        return AlarmDifference(missing, tuple(extra), tally)

    def _unexplained(self, doubted: set[AlarmKey], heard: Callable[[], Iterable[Standing]]) -> set[AlarmKey]:
        """Those of the doubted warnings that do not follow from anything that was known at some time.

        One that no longer follows mostly did while its clock ran: so that is looked at first. Where that is not enough
        all is folded once more; to keep every standing instead would take memory in the square of its events.
        """
        rest, likely = set(doubted), dict[AlarmKey, Standing]()
        for standing in heard():
            likely.update((key, standing) for key in doubted if _runs(key, standing))
        for standing in chain(likely.values(), heard()):
            for rules in self._rules_as_they_grew:
                if not rest:
                    return rest
                rest -= {each.key for each in _alarms(standing, rules)}
        return rest

    @cached_property
    def _rules_as_they_grew(self) -> list[RuleHistory]:
        published = self._rules.published
        return [RuleHistory(published[:count]) for count in range(len(published), 0, -1)]

    def _must_follow(self, said: Said) -> bool:
        """Not one by a rulebook that this program does not have, such as the one shipped with an earlier release."""
        return _is_warning(said) and said.rulebook in self._versions


def _runs(key: AlarmKey, standing: Standing) -> bool:
    """Does, as far as a look can tell, the clock of this alarm run?"""
    _, clock, name, _ = key
    if clock is _STEP:
        return any(run.step == name and run.ends is None for run in standing.timing.steps)
    return standing.processed_at is None and standing.ended_at is None


def _is_warning(said: Said) -> bool:
    return said.alarm.kind is _WARNED


def _alarms(standing: Standing, rules: RuleHistory) -> tuple[Alarm, ...]:
    try:
        return alarms(standing, rules, NEVER)
    except Exception:  # of a dossier whose clocks cannot be computed the projector says nothing, and goes on
        return ()
