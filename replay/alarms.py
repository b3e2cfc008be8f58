"""Are the published alarms those that the clocks give for the archived events? Exact while the projector goes on.

What settles up to which instant a dossier is compared is its own `Watch`: it claims that nothing comes before `wake`
beyond what was said. So every alarm before that instant must be on the alarms topic, and every alarm on the topic must
be there. No clock is needed for that; one is given only (`due_by`) to find a projector that never wakes.

A breach that a late fact or a later rulebook takes back is followed by its clearing, so the breaches that stand are
compared both ways. A warning is not taken back. One that no longer follows from all that is known must have followed
from what was known at some time: from the first events of its dossier, and the first rulebooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from msgspec import Struct

from events.alarms import ALARMS, BreachCleared
from events.envelope import Unreadable
from projections.clocks import Alarm, AlarmKey, AlarmKind, ClockKind, alarms
from projections.rules import RuleHistory
from projections.standing import Standing
from projections.watch import Watch, alarm_in, id_of
from replay.archive import Archived

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
        return Tally(*(mine + its for mine, its in zip(_counts(self), _counts(other), strict=True)))


class AlarmDifference(NamedTuple):
    """One dossier's alarms compared: those not published that should be, those published that should not."""

    missing: tuple[Alarm, ...]
    extra: tuple[Alarm, ...]
    tally: Tally


def standing_alarms(blocks: Iterable[Iterable[Archived]]) -> dict[str, dict[str, Said]]:
    """By dossier and id the alarms that stand, of the archived records of a partition of the alarms topic, in order.

    What was sent twice has one id; of a breach and its clearing the later one holds.
    """
    found: dict[str, dict[str, Said]] = {}
    for _, _, _, raw, _ in (row for block in blocks for row in block):
        try:
            event = ALARMS.decode_again(raw)
        except Unreadable:
            continue  # a stranger's
        alarm = alarm_in(event)
        if alarm is None:
            continue
        of_dossier = found.setdefault(event.subject, {})
        if isinstance(event.data, BreachCleared):
            of_dossier.pop(event.data.alarm, None)
        else:
            of_dossier.setdefault(event.id, Said(alarm, event.data.rulebook))  # type: ignore[union-attr]  # alarm_in
    return found


class Clocks:
    """What one partition's alarms are compared by.

    Args:
        rules: the rulebooks by which the projector has looked at every dossier.
        said: the published alarms, as `standing_alarms` gives them.
        due_by: alarms of instants up to this one must have been published by now; microseconds since 1970 UTC.
        alarmed_until: alarms up to this instant may have been (`Cursor.alarmed_until`).
    """

    def __init__(self, rules: RuleHistory, said: Mapping[str, SaidById], due_by: int, alarmed_until: int) -> None:
        self._rules = rules
        self._said = said
        self._due_by = due_by
        self._alarmed_until = alarmed_until
        #: Keys of warnings of which no knowledge has been found yet that gives them.
        self._unexplained = {dossier_id: doubts for dossier_id in said if (doubts := self._doubts(said[dossier_id]))}
        #: The alarms of where a dossier stands, from when it was doubted until it is compared.
        self._now: dict[str, tuple[Alarm, ...]] = {}

    @property
    def dossiers(self) -> Iterable[str]:
        """Those of which something was said."""
        return self._said.keys()

    def doubted(self, standings: Mapping[str, Standing]) -> set[str]:
        """Of these dossiers those with a warning that does not follow from where they stand now.

        Few: so what was known before is looked at (`heard`) for them alone.
        """
        for dossier_id, keys in self._unexplained.items():
            if dossier_id in standings:
                found = self._now[dossier_id] = _alarms(standings[dossier_id], self._rules)
                keys -= {each.key for each in found}
        return {dossier_id for dossier_id, keys in self._unexplained.items() if keys and dossier_id in standings}

    def recall(self, dossier_id: str, known: Sequence[Standing]) -> None:
        """`heard` of all where a dossier has stood, when it was heard of in the order in which it happened.

        A warning that no longer follows mostly did while its clock ran: so that is looked at first.
        """
        for key in list(self._unexplained[dossier_id]):
            for standing in [each for each in known if _runs(key, each)][-1:]:
                self.heard(dossier_id, standing)
        for standing in known:
            self.heard(dossier_id, standing)

    def heard(self, dossier_id: str, standing: Standing) -> None:
        """This is where the dossier stood after one more of its events, in the order of the ledger."""
        unexplained = self._unexplained.get(dossier_id)
        if unexplained:
            for rules in self._rules_as_they_grew:
                unexplained -= {each.key for each in _alarms(standing, rules)}

    def compare(self, dossier_id: str, standing: Standing | None, watch: Watch) -> AlarmDifference:
        """The published alarms of a dossier with those of where it stands now; None: the archive has no events."""
        until = NEVER if watch.wake is None else max(watch.wake - 1, self._due_by)
        at_most = max(until, self._alarmed_until)  # later than `until` if the clock of the processes was set back
        known = self._now.pop(dossier_id, None)
        found = () if standing is None else _alarms(standing, self._rules) if known is None else known
        there = {id_of(dossier_id, each): each for each in found if each.at <= at_most}
        said = self._said.get(dossier_id, {})
        unexplained = self._unexplained.get(dossier_id, set())
        missing = tuple(each for key, each in there.items() if each.at <= until and key not in said)
        gone = said.keys() - there.keys()
        extra = [said[key].alarm for key in gone if not _is_warning(said[key]) or said[key].alarm.key in unexplained]
        tally = Tally(
            recomputed=len(said) - len(gone) + len(missing), published=len(said),
            missing=len(missing), extra=len(extra), superseded=len(gone) - len(extra),
        )  # fmt: skip
        return AlarmDifference(missing, tuple(sorted(extra)), tally)

    @cached_property
    def _rules_as_they_grew(self) -> list[RuleHistory]:
        published = self._rules.published
        return [RuleHistory(published[:count]) for count in range(len(published), 0, -1)]

    def _doubts(self, said: SaidById) -> set[AlarmKey]:
        """Not those by a rulebook that this program does not have, such as the one shipped with an earlier release."""
        known = {rules.version for _, rules in self._rules.published}
        return {each.alarm.key for each in said.values() if _is_warning(each) and each.rulebook in known}


def _runs(key: AlarmKey, standing: Standing) -> bool:
    """Does, as far as a look can tell, the clock of this alarm run?"""
    _, clock, name, _ = key
    if clock is ClockKind.STEP:
        return any(run.step == name and run.ends is None for run in standing.timing.steps)
    return standing.processed_at is None and standing.ended_at is None


def _is_warning(said: Said) -> bool:
    return said.alarm.kind is AlarmKind.WARNED


def _alarms(standing: Standing, rules: RuleHistory) -> tuple[Alarm, ...]:
    try:
        return alarms(standing, rules, NEVER)
    except Exception:  # of a dossier whose clocks cannot be computed the projector says nothing, and goes on
        return ()


def _counts(tally: Tally) -> tuple[int, ...]:
    return tally.recomputed, tally.published, tally.missing, tally.extra, tally.superseded
