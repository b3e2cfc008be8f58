"""`dossier simulate`: a simulated department, onto the ledger or into a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, err, number, out
from cli.surroundings import surroundings
from schemas.clock import Clock
from schemas.settings import load_settings

if TYPE_CHECKING:
    from events.envelope import Event
    from events.feed import Known
    from events.simulation import Profile

    Pace = Callable[[Iterator[Event]], Iterator[Iterable[Event]]]

_FIGURES: Final = {
    "profile": "mô hình · profile",
    "seed": "mầm ngẫu nhiên · seed",
    "events": "sự kiện · events",
    "received": "tiếp nhận · received",
    "resolved": "đã giải quyết · resolved",
    "pending_in_time": "đang giải quyết, trong hạn · pending in time",
    "overdue": "quá hạn · overdue",
    "resolved_late": "giải quyết trễ hạn · resolved late",
    "same_day": "trong ngày · on the same day",
    "supplements": "yêu cầu bổ sung · supplements asked",
    "by_channel": "theo kênh · by channel",
    "postal_movements": "bưu chính · postal movements",
    "published": "đã gửi · published",
    "duplicates": "đã có từ trước · were there already",
    "conflicts": "trùng mã, khác nội dung · in conflict",
    "refused": "bị từ chối · refused",
}
#: Events published together when paced: what falls into so long a moment.
MOMENT_SECONDS = 0.25


def register(app: typer.Typer) -> None:
    app.command()(simulate)


def simulate(
    profile: Annotated[str, typer.Option(help="What to simulate.")] = "gia-lai-2020-h1",
    dossiers: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="How many, in the profile's proportions; default: all.")
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            help="1 real time, 600 a working day in a minute, nights and days off left out; max as fast as "
            "possible; clock: when the simulated clock of `dossier up --clock` reaches their time, those before its "
            "start at once."
        ),
    ] = "max",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same events.")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="Write JSON lines there (- standard output), not the ledger.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object with the counts.")] = False,
) -> None:
    """Giả lập một sở · Simulate a department with the figures it published; run again to continue.

    Where an earlier release gave events of the same ids other contents, those stay: the new ones are in conflict.

    Example: dossier simulate --profile gia-lai-2020-h1 --dossiers 500 --speed max
    """
    from events.simulation import PROFILES, Tally, simulate

    require_profile(profile)
    if output is not None and speed != "max":
        raise CommandError("--output writes all of it at once: leave out --speed", EXIT_USAGE)
    pace = _pace(speed, PROFILES[profile])
    tally = Tally(PROFILES[profile].end)
    events = _counted(simulate(PROFILES[profile], dossiers=dossiers, seed=seed), tally.add)
    expected = _expected(PROFILES[profile], dossiers)
    if output is not None:
        feeding = {"published": 0, "duplicates": 0, "conflicts": 0, "refused": 0}
        with _progress(expected) as advance:
            _write(events, output, advance)
    else:
        with _progress(expected) as advance:
            feeding = _publish(events, pace, advance)
        if feeding["conflicts"]:
            err.print(
                f"[yellow]{number(feeding['conflicts'])} sự kiện không gửi[/] · events were not published: this ledger "
                "has others under their ids, from an earlier release; for all of one kind name another folder "
                "(--data-dir of `dossier up`)",
                soft_wrap=True,
            )
    figures = {"profile": profile, "seed": seed, **tally.figures(), **feeding}
    if json:
        emit_json(figures)
    elif str(output) != "-":
        _show(figures)
    if feeding["refused"]:
        raise typer.Exit(EXIT_FOUND)


def require_profile(name: str) -> None:
    """See that there is such a profile, before anything starts.

    Raises:
        CommandError: there is none; names those there are.
    """
    from events.simulation import PROFILES

    if name not in PROFILES:
        raise CommandError(f"no profile {name}; there are: {', '.join(PROFILES)}", EXIT_USAGE)


def _pace(speed: str, profile: Profile) -> Pace:
    """How the events are given out in time."""
    if speed == "max":
        return lambda events: iter([events])
    if speed == "clock":
        clock = surroundings(load_settings()).clock
        if not clock.is_simulated:
            raise CommandError("--speed clock: no simulated clock runs; start `dossier up --clock START`", EXIT_USAGE)
        return lambda events: _by_clock(events, clock)
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1_000_000:
        raise CommandError(f"--speed {speed}: give a number such as 1 or 600, max or clock", EXIT_USAGE)
    return lambda events: _by_office_time(events, factor, profile.office_time())


def _publish(events: Iterator[Event], pace: Pace, advance: Callable[[int], None]) -> dict[str, int]:
    from cli.feeding import open_known, open_publisher, tell_refused
    from events.feed import Fed, Undelivered, feed

    around = surroundings(load_settings())
    total = Fed()

    def skipped(duplicates: int, conflicts: int) -> None:
        total.duplicates += duplicates
        total.conflicts += conflicts
        advance(duplicates + conflicts)

    with open_known(around) as known, open_publisher(around, "simulate") as publisher:
        try:
            for batch in pace(_new(events, known, skipped)):
                fed = feed(batch, publisher, None, progress=advance)
                total.published += fed.published
                total.refused += fed.refused
                tell_refused(fed.refused)
        except Undelivered as error:
            raise CommandError(str(error)) from error
    counts = {"published": total.published, "duplicates": total.duplicates, "conflicts": total.conflicts}
    return {**counts, "refused": len(total.refused)}


def _by_clock(
    events: Iterable[Event], clock: Clock, sleep: Callable[[float], None] = time.sleep
) -> Iterator[list[Event]]:
    """Each event when the clock has reached its time: nights and holidays last as long as they do."""
    from events.envelope import microseconds

    return _when_due(events, lambda at: clock.seconds_until(microseconds(at)), sleep)


def _by_office_time(
    events: Iterable[Event],
    speed: float,
    open_by: Callable[[datetime], timedelta],
    timer: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[list[Event]]:
    """The first event at once, each later one after as much office time as lies between them, so many times as fast.

    Args:
        open_by: how long the office has been open by an instant.
        timer: seconds, from any start; what publishing takes is not waited for once more.
    """
    began: tuple[timedelta, float] | None = None  # with the first event: by the office's time, and by the timer's

    def seconds_until(at: datetime) -> float:
        nonlocal began
        if began is None:
            began = open_by(at), timer()
        return max(0.0, (open_by(at) - began[0]).total_seconds() / speed - (timer() - began[1]))

    return _when_due(events, seconds_until, sleep)


def _when_due(
    events: Iterable[Event], seconds_until: Callable[[datetime], float], sleep: Callable[[float], None]
) -> Iterator[list[Event]]:
    """Events in chunks, each event when its time has come: `seconds_until` says how long that takes from now."""
    from events.feed import CHUNK

    chunk: list[Event] = []
    for event in events:
        wait_seconds = seconds_until(event.time)
        if chunk and (wait_seconds or len(chunk) >= CHUNK):
            yield chunk
            chunk = []
            wait_seconds = seconds_until(event.time)  # the chunk was published meanwhile
        if wait_seconds:
            sleep(max(wait_seconds, MOMENT_SECONDS))  # never early; what falls into a moment goes together
        chunk.append(event)
    yield chunk


def _new(events: Iterator[Event], known: Known, skipped: Callable[[int, int], None]) -> Iterator[Event]:
    """The events that are not there already: a second run continues at once.

    The archive is asked about a chunk ahead, or it would be asked about each event when that is due: of what another
    run of the same seed publishes meanwhile, some goes twice.

    Args:
        skipped: told how many are there already, and in the place of how many another event is.
    """
    from events.feed import CHUNK

    while chunk := list(islice(events, CHUNK)):
        there = known([(event.source, event.id) for event in chunk])
        new = [event for event in chunk if (event.source, event.id) not in there]
        same = sum(event in there.get((event.source, event.id), ()) for event in chunk)
        skipped(same, len(chunk) - len(new) - same)
        yield from new


def _write(events: Iterable[Event], output: Path, advance: Callable[[int], None]) -> None:
    from events.envelope import encode

    with _open(output) as file:
        for event in events:
            file.write(encode(event) + b"\n")
            advance(1)


@contextmanager
def _open(output: Path) -> Iterator[IO[bytes]]:
    if str(output) == "-":
        yield sys.stdout.buffer
        return
    try:
        with output.open("wb") as file:
            yield file
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}", EXIT_USAGE) from error


def _counted(events: Iterable[Event], count: Callable[[Event], None]) -> Iterator[Event]:
    for event in events:
        count(event)
        yield event


def _expected(profile: Profile, dossiers: int | None) -> int:
    """About how many events there will be, for the progress bar."""
    return round(11.65 * (dossiers or profile.dossiers))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("giả lập"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task("events", total=total)
        yield lambda done: progress.advance(task, done)
        progress.update(task, completed=total)


def _show(figures: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False)
    for name, value in figures.items():
        table.add_row(_FIGURES[name], Text(_shown(value)))
    out.print(table)


def _shown(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {number(count)}" for name, count in value.items()) or "–"
        case int():
            return number(value)
        case _:
            return str(value)
