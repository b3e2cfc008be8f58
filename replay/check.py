"""The comparison of live and recomputed as it is run: read, wait, compare, and look again at what differs.

    live topic ──▶ ┌─────────┐        ┌──────────────┐ yes
    archive    ──▶ │ compare │ ─────▶ │ any differs? │ ────▶ only those again, until each is confirmed or equal
    rulebooks  ──▶ └─────────┘        └──────────────┘

A difference counts when it is seen twice alike. Compaction may take away a record while the topic is being read; and
a dossier that has just been touched is looked at by the projector a little later, which is given its time.

Partitions that are checked together are compared one after the other, so that one is in memory, and wait side by side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from events.alarms import ALARMS, AlarmEvent, ProjectionDiverged, alarm_id
from events.envelope import from_microseconds, microseconds
from events.quarantine import position_text
from projections.live import rulebook_mark
from projections.rules import RuleHistory
from projections.watch import id_of
from replay.alarms import Clocks, Tally
from replay.archive import Archive, History
from replay.live_topic import LivePartition, LiveTopic, NotReached
from replay.rebuild import Bounds, Comparison, Difference, Keep, Mark, bounds, compare

SOURCE: Final = "urn:dossier-ledger:check"
#: The projector waits so long for a dossier to be quiet, and a little, before it says what is long past.
_SETTLE_SECONDS: Final = 12.0
_ASK_AGAIN_SECONDS: Final = 1.0
#: More dossiers than this are not asked for one by one: the whole partition is read.
_MANY: Final = 50_000
#: So many records are read before it is told how many there were.
_TELL_EVERY: Final = 20_000


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome for one partition: how many dossiers were compared, and those of which it is sure that they differ.

    `unsettled`: dossiers that never stood still for long enough; they are for the next check. `rulebook`: the version
    of the newest one that they were compared by.
    """

    rulebook: str
    position: int
    compared: int
    unreadable: int
    differing: dict[str, Difference]
    unsettled: int
    alarms: Tally


@dataclass(frozen=True, slots=True)
class _Look:
    """What one comparison of a partition found, and up to where it went.

    `unsettled`: those that differ and that the projector may still be about to look at. `waited`: seconds for its turn.
    """

    found: Comparison
    position: int
    rulebook: str
    unsettled: frozenset[str]
    waited: float


@dataclass(frozen=True, slots=True)
class Check:
    """What a comparison reads, and how long it waits for it.

    `due_by`: alarms of instants up to this one (microseconds since 1970 UTC) must have been published by now.
    `since`: compare the dossiers of which something was written since; None: all. Real time.
    `seen`: told how many records of a partition have been read (partition, how many, of how many).
    `turn`: held by the partition that is being compared.
    `keep`: given each dossier as folded; only where all are (`since`).
    """

    topic: LiveTopic[Mark]
    ledger: Archive
    alarms: Archive
    read_rules: Callable[[], RuleHistory]
    wait_seconds: float
    due_by: int
    since: datetime | None
    seen: Callable[[int, int, int], None]
    turn: asyncio.Lock
    keep: Keep | None = None

    async def partition(self, number: int, ledger_end: int) -> Checked:
        """Compare a partition as of the end of the ledger, at least.

        Raises:
            NotReached: live state or archive did not get there in time.
        """
        look = first = await self._look(number, ledger_end, None)
        if self.keep is not None:
            await asyncio.to_thread(self.keep.finish)  # while the next partition has its turn
        confirmed: dict[str, Difference] = {}
        suspects, tally = first.found.differing, first.found.alarms
        deadline = time.monotonic() + max(self.wait_seconds, 2 * _SETTLE_SECONDS)
        while suspects and time.monotonic() < deadline:
            if not look.unsettled.isdisjoint(suspects):
                await asyncio.sleep(_SETTLE_SECONDS)
            look = await self._look(number, ledger_end, suspects)
            deadline += look.waited
            sure = {key: each for key, each in look.found.differing.items() if each == suspects[key]}
            confirmed |= sure
            tally = tally.plus(look.found.alarms)
            suspects = {key: each for key, each in look.found.differing.items() if key not in sure}
        for each in (*confirmed.values(), *suspects.values()):
            tally = tally.plus(each.alarms)
        compared, unreadable = first.found.compared, first.found.unreadable
        return Checked(look.rulebook, look.position, compared, unreadable, confirmed, len(suspects), tally)

    async def _look(self, number: int, ledger_end: int, suspects: Collection[str] | None) -> _Look:
        """Compare the whole partition, or the suspects again, when it is its turn."""
        asked = time.monotonic()
        async with self.turn:
            waited = time.monotonic() - asked
            live, rules = await self._snapshot(number, ledger_end)
            until = bounds(live, await self.topic.ledger_end(number))
            await self._archived(self.ledger, number, until.end)
            await self._archived(self.alarms, number, live.cursor.alarms_offset)
            found = await asyncio.to_thread(self._compare_archived, live, until, rules, suspects)
        unsettled = frozenset(key for key, each in found.differing.items() if _may_settle(live, each))
        return _Look(found, live.next_offset, rules.newest.version, unsettled, waited)

    def _compare_archived(
        self, live: LivePartition[Mark], until: Bounds, rules: RuleHistory, suspects: Collection[str] | None
    ) -> Comparison:
        cursor = live.cursor
        only = self._changed(live) if suspects is None else set(suspects)
        asked = None if only is not None and len(only) > _MANY else only
        alarms = self.alarms.topic, cursor.alarms_offset
        archived = self.ledger.by_dossier(cursor.partition, until.end, alarms, asked)
        watched = self._watched(cursor.partition, until.end, archived)
        clocks = Clocks(rules, self.due_by, cursor.alarmed_until)
        return compare(live, watched, until, clocks, only, self.keep if only is None else None)

    async def _snapshot(self, number: int, ledger_end: int) -> tuple[LivePartition[Mark], RuleHistory]:
        """The live records, when every dossier has been looked at by the newest rulebook, and that rulebook."""
        deadline = time.monotonic() + self.wait_seconds
        while True:
            live, rules = await asyncio.gather(
                self.topic.partition(number, ledger_end, self.wait_seconds), asyncio.to_thread(self.read_rules)
            )
            if live.cursor.rulebook == rulebook_mark(rules) or not live.states:
                return live, rules
            if time.monotonic() > deadline:
                raise NotReached(f"the projector has not looked at all dossiers of partition {number} by the newest "
                                 f"rulebook ({rules.newest.version})")  # fmt: skip
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def _archived(self, archive: Archive, number: int, end: int) -> None:
        if not await asyncio.to_thread(archive.wait_until_archived, {number: end}, self.wait_seconds):
            raise NotReached(f"the archive has not got to offset {end} of {archive.topic}, partition {number}")

    def _changed(self, live: LivePartition[Mark]) -> set[str] | None:
        """Every dossier whose live records, events or alarms are new, and those whose alarm has not come."""
        if self.since is None:
            return None
        since_ms, number = microseconds(self.since) // 1_000, live.cursor.partition
        written = {dossier for dossier, at in live.written_ms.items() if at >= since_ms}
        overdue = {dossier for dossier in live.watches if (live.watch(dossier).wake or self.due_by) < self.due_by}
        recorded = self.ledger.dossiers_since(number, self.since) | self.alarms.dossiers_since(number, self.since)
        return written | overdue | recorded

    def _watched(self, number: int, end: int, archived: Iterable[History]) -> Iterator[History]:
        read, told = 0, 0
        for history in archived:
            yield history
            read += len(history.records.offsets)
            if read >= told + _TELL_EVERY:
                told = read
                self.seen(number, read, end)
        self.seen(number, end, end)


def diverged_event(dossier_id: str, partition: int, found: Difference, topic: str) -> AlarmEvent:
    """The alarm that a dossier differs: the same, with the same id, whenever the same difference is found.

    `topic` is the ledger.
    """
    position = position_text(topic, partition, found.last)
    differs = tuple(fault.replace(" ", "-") for fault in found.faults)
    alarms = (id_of(dossier_id, each) for each in (*found.missing, *found.extra))
    return ALARMS.make(
        ProjectionDiverged(differs=differs, position=position, live=found.live, archived=found.archived),
        id=alarm_id(dossier_id, "diverged", position, found.live, found.archived, *differs, *alarms),
        source=SOURCE, subject=dossier_id, time=from_microseconds(found.at),
    )  # fmt: skip


def _may_settle(live: LivePartition[Mark], found: Difference) -> bool:
    """May the projector still be about to look at this dossier's clocks?"""
    return bool(found.missing or found.extra) and found.last >= live.cursor.looked_offset
