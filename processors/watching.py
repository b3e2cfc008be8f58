"""The clocks of one ledger partition's dossiers: which alarms to publish, and when to look again. No I/O, no clock.

What was published of a dossier lies beside its state in the live topic, as its `Watch`, and is written behind the
alarms it tells of. So after a crash there may be alarms on their topic that no watch remembers; the cursor says where
these begin, and `remember` is given them before anything else is said. Then nothing is said twice, and nothing that
was said and does not hold is left standing.

A dossier is looked at when its timer goes off, and once after each flush that touched it; not for each event. Only
what has been *heard* counts: an alarm is said when everything that was on the ledger at its instant has been folded.
While the projector is behind, therefore, nothing is said, and nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import structlog

from events.alarms import AlarmEvent
from processors.timers import Timers
from projections.live import Cursor, is_state_key, peek_last, rulebook_mark, watch_key, watched_key
from projections.rules import RuleHistory
from projections.standing import Standing
from projections.watch import BLANK, Watch, alarm_event, cleared_event, heard_of, look, pack_watch, unpack_watch

#: An alarm waits this long after its instant, so that an event recorded before it is read first.
GRACE_US: Final = 200_000
#: History on its way: an alarm whose instant lies further back than this when its dossier was last heard of ...
LATE_US: Final = 3_600_000_000
#: ... waits until the dossier has been quiet for this long: what ended its clock may be the next record.
QUIET_US: Final = 10_000_000
#: Alarms one flush carries at most, nearly; there is another flush soon.
_MANY: Final = 5_000

log = structlog.get_logger(__name__)


class News(NamedTuple):
    """What a flush makes durable of the clocks: `alarms` to their topic, then `watches` (by live key; None: forget)."""

    alarms: list[AlarmEvent]
    watches: dict[bytes, bytes | None]


class Horizon:
    """Up to which instant a partition has been heard: the last at which all that was on the ledger has been folded."""

    def __init__(self) -> None:
        self.until = 0  # microseconds since 1970 UTC; 0: not heard yet
        self._asked: tuple[int, int] | None = None  # an instant, and where the ledger ended then

    def hear(self, now: int, end: int, folded: int) -> None:
        """At `now` the partition was known to end at `end`; `folded` is the next offset to fold."""
        if folded >= end:
            self.until, self._asked = max(self.until, now - GRACE_US), None
        elif self._asked is None:
            self._asked = now, end
        elif folded >= self._asked[1]:
            self.until, self._asked = max(self.until, self._asked[0] - GRACE_US), (now, end)


class PartitionWatch:
    """`stored`: the live records of the partition by key; read here, and changed by the fold when it takes the news.

    `standing_of` gives where a dossier stands as it has been folded so far, None if nothing of it has been.
    """

    def __init__(
        self,
        cursor: Cursor,
        stored: Mapping[bytes, bytes],
        standing_of: Callable[[bytes], Standing | None],
        now: int,
    ) -> None:
        self.horizon = Horizon()
        self._partition = cursor.partition
        self._stored = stored
        self._standing_of = standing_of
        self._alarmed_until = cursor.alarmed_until
        self._rulebook = cursor.rulebook
        self._rules: RuleHistory | None = None
        self._again: Iterator[bytes] | None = None  # dossiers still to be looked at by another rulebook
        self._alarms: list[AlarmEvent] = []
        self._watches: dict[bytes, Watch] = {}
        self._has_marks = False
        #: Touched and not looked at since: an offset not behind the first event that did, and the instant of the last.
        self._touched: dict[bytes, tuple[int, int]] = {}
        self.timers = Timers(_wakes(stored))
        # States may be ahead of the cursor, after a crash between the two: all of them are asked.
        self.touch(_heard_of_since(stored, cursor.looked_offset), cursor.looked_offset, now)

    # What happens -------------------------------------------------------------------------------------------------

    def touch(self, keys: Iterable[bytes], offset: int, now: int) -> None:
        """Something new is known of these dossiers, from `offset` of the ledger on: look at them again."""
        touched, hasten = self._touched, self.timers.hasten
        for key in keys:
            first = touched.get(key)
            touched[key] = (offset, now) if first is None else (first[0], now)
            hasten(key, now)

    def remember(self, events: Iterable[AlarmEvent], now: int) -> None:
        """These alarms are on their topic, and the watches may not say so."""
        for event in events:
            key = event.subject.encode()
            self._watches[key] = heard_of(self._watch(key), event)
            self.timers.hasten(key, now)

    def use(self, rules: RuleHistory) -> None:
        """From now on this rulebook holds; if it is another one, every dossier is looked at by it, little by little."""
        self._rules = rules
        if rulebook_mark(rules) == self._rulebook:
            self._again = None
        else:
            self._again = iter([key for key in self._stored if is_state_key(key)])

    # What follows -------------------------------------------------------------------------------------------------

    def look(self, limit: int) -> int:
        """Look at dossiers whose time has come, or which another rulebook concerns, `limit` at most; gives how many.

        Nothing is looked at before the partition has been heard and a rulebook is known.
        """
        until = self.horizon.until
        if self._rules is None or not until or len(self._alarms) >= _MANY:
            return 0
        for count in range(limit):
            key = self.timers.take_due(until)
            if key is None:
                key = self._next_again()
            if key is None:
                return count
            self._look_at(key, self._rules, until)
        return limit

    @property
    def has_news(self) -> bool:
        return bool(self._alarms or self._watches or self._has_marks)

    def take(self) -> News:
        """The news since the last take, to be made durable."""
        watches: dict[bytes, bytes | None] = {}
        for key, watch in self._watches.items():
            live_key = watch_key(key)
            if not watch.is_blank:
                watches[live_key] = pack_watch(watch)
            elif live_key in self._stored:
                watches[live_key] = None
        news = News(self._alarms, watches)
        self._alarms, self._watches, self._has_marks = [], {}, False
        return news

    def looked_offset(self, next_offset: int) -> int:
        """The dossiers whose newest event is before this have been looked at since."""
        return next(iter(self._touched.values()), (next_offset, 0))[0]

    @property
    def alarmed_until(self) -> int:
        """Alarms of instants up to this one have been said, as far as the facts are known."""
        due = self.timers.next()
        until = self.horizon.until if due is None else min(self.horizon.until, due - 1)
        self._alarmed_until = max(self._alarmed_until, until)
        return self._alarmed_until

    @property
    def rulebook(self) -> str:
        """By which rulebooks every dossier has been looked at, as the cursor says it."""
        return self._rulebook

    def _look_at(self, key: bytes, rules: RuleHistory, until: int) -> None:
        standing = self._standing_of(key)
        if standing is None:
            return
        before, touched = self._watch(key), self._touched.get(key)
        quiet_at = touched[1] + QUIET_US if touched else 0
        not_before = touched[1] - LATE_US if touched and quiet_at > until else None
        try:
            saying = look(before, standing, rules, until, not_before=not_before)
            version, dossier_id = rules.newest.version, key.decode()
            told = [alarm_event(dossier_id, standing, each, version) for each in saying.told]
            cleared = [cleared_event(dossier_id, standing, each, version) for each in saying.cleared]
        except Exception as error:  # whatever one dossier does to the arithmetic, the others' clocks go on
            log.exception("clocks not computed", partition=self._partition, error=type(error).__name__)
            self._touched.pop(key, None)
            return
        self._alarms += told + cleared
        if saying.watch != before:
            self._watches[key] = saying.watch
        self.timers.set(key, saying.watch.wake)
        if saying.held:
            self.timers.hasten(key, quiet_at)
        else:
            self._touched.pop(key, None)

    def _next_again(self) -> bytes | None:
        if self._again is None or self._rules is None:
            return None
        key = next(self._again, None)
        if key is None:
            self._again, self._rulebook, self._has_marks = None, rulebook_mark(self._rules), True
        return key

    def _watch(self, key: bytes) -> Watch:
        watch = self._watches.get(key)
        if watch is None:
            packed = self._stored.get(watch_key(key))
            watch = BLANK if packed is None else unpack_watch(packed)
        return watch


def _wakes(stored: Mapping[bytes, bytes]) -> dict[bytes, int]:
    wakes: dict[bytes, int] = {}
    for live_key, packed in stored.items():
        key = watched_key(live_key)
        if key is not None and (wake := unpack_watch(packed).wake) is not None:
            wakes[key] = wake
    return wakes


def _heard_of_since(stored: Mapping[bytes, bytes], offset: int) -> Iterator[bytes]:
    return (key for key, packed in stored.items() if is_state_key(key) and peek_last(packed) >= offset)
