"""The run: faults drawn from a seed, one or some at a time; healing, progress; and everything checked now and then."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.fault.chaos.check import Found, check
from tests.fault.chaos.faults import Fault
from tests.fault.chaos.world import NoProgress, World, world

#: Further faults at the same time, and so often each number: mostly none, so that what one did can be told.
_MORE_AT_ONCE: Final = (0, 0, 0, 1, 1, 2)
_CHECK_EVERY_SECONDS: Final = 300.0


@dataclass(slots=True)
class Report:
    """What was done and what came of it."""

    seed: int
    seconds: float = 0.0
    checks: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    mid_flush: list[frozenset[str]] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    skipped: tuple[str, ...] = ()
    stopped: str = ""

    @property
    def ok(self) -> bool:
        return not self.stopped and not self.found.faults and self.checks > 0

    @property
    def text(self) -> str:
        """One page."""
        found = self.found
        lines = [
            f"seed {self.seed}, {self.seconds / 60:.1f} minutes of faults, {self.checks} checks",
            "",
            *(f"{count:>7}  {name}" for name, count in sorted(self.faults.items())),
            *(f"{'-':>7}  {name}: not run, it needs the right to mount a file system" for name in self.skipped),
            "",
            f"faults      {self.faults.total()}: {_told(self.counts)}",
            *([f"mid-flush   {_told_of_flushes(self.mid_flush)}"] if self.mid_flush else []),
            f"ends        of processes by themselves, started again: {_told(self.ended)}",
            f"events      {_told(self.outcomes)}",
            f"ledger      {found.ledger:,} records, {found.quarantined:,} of them in quarantine",
            f"archive     {found.archived:,} rows: lost {found.lost}, duplicate {found.duplicate}",
            f"live        {found.dossiers:,} dossiers, {found.alarms:,} alarms: {found.differing} differ from replay",
            f"proofs      {found.leaves:,} leaves, {found.checkpoints:,} checkpoints",
            "",
            *(f"FAULT  {each}" for each in found.faults[:20]),
            *([f"STOPPED  {self.stopped}"] if self.stopped else []),
            "all of it holds" if self.ok else f"IT DOES NOT HOLD ({len(found.faults)} faults found)",
        ]
        return "\n".join(lines)


def run(
    folder: Path,
    seed: int,
    seconds: float | None,
    events_a_second: int,
    faults: Sequence[Fault],
    say: Callable[[str], object],
) -> Report:
    """Faults for `seconds` in a world in `folder`; without a time each once by itself, in the order they have."""
    report = Report(seed)
    with world(folder, seed, events_a_second) as around:
        possible = [each for each in faults if around.disks or not each.needs_disks]
        report.skipped = tuple(each.name for each in faults if each not in possible)
        began = checked = time.monotonic()
        try:
            for chosen in (
                [[each] for each in possible] if seconds is None else _drawn(possible, around.chance, seconds)
            ):
                say(f"{time.monotonic() - began:7.1f} s  {' + '.join(each.name for each in chosen)}")
                _break_and_heal(around, chosen)
                report.faults.update(each.name for each in chosen)
                if time.monotonic() - checked > _CHECK_EVERY_SECONDS:
                    _check(around, report, say)
                    checked = time.monotonic()
                if report.found.faults:
                    break
            report.seconds = time.monotonic() - began
            if not report.found.faults:  # what was found stays found, even if it would have healed by now
                _check(around, report, say)
        except NoProgress as stopped:
            report.stopped = str(stopped)
        report.seconds = report.seconds or time.monotonic() - began
        report.counts, report.outcomes, report.mid_flush = around.counts, around.load.outcomes, around.mid_flush
        for each in around.processes:
            report.ended.update({f"{each.name} {how}": count for how, count in each.ended.items()})
    return report


def draw(deck: list[Fault], faults: Sequence[Fault], chance: Random) -> list[Fault]:
    """The next fault of a shuffled deck, and sometimes others that do not get into its way.

    A deck, so that every fault comes before one comes again; it is shuffled anew when it is used up.
    """
    if not deck:
        deck += chance.sample(list(faults), len(faults))
    chosen = [deck.pop()]
    for _ in range(chance.choice(_MORE_AT_ONCE)):
        touched = frozenset[str]().union(*(each.touches for each in chosen))
        other = next((each for each in deck if not each.touches & touched), None)
        if other is not None:
            deck.remove(other)
            chosen.append(other)
    return chosen


def _drawn(faults: Sequence[Fault], chance: Random, seconds: float) -> Iterator[list[Fault]]:
    deck: list[Fault] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield draw(deck, faults, chance)


def _break_and_heal(around: World, chosen: Sequence[Fault]) -> None:
    with contextlib.ExitStack() as broken:
        for each in chosen:
            broken.enter_context(each.run(around))
            around.dwell(0, 1)
        around.dwell(0.5, 4)
    around.require_progress()


def _check(around: World, report: Report, say: Callable[[str], object]) -> None:
    say("           checking")
    around.load.rest()
    report.found = check(around)
    report.checks += 1
    around.load.paused.clear()


def _told_of_flushes(left: Sequence[frozenset[str]]) -> str:
    """What the kills in mid-flush left on the broker."""
    written = Counter(what for each in left for what in each)
    before = ", ".join(f"{what} {count} times" for what, count in sorted(written.items())) or "nothing"
    return f"of {len(left)} kills, {sum(map(bool, left))} left a flush without its cursor; written: {before}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"
