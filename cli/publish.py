"""`dossier publish`: events from a file or a pipe to the ledger."""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import typer

from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, err, number, out
from cli.pipe import Pipe
from schemas.settings import load_settings

if TYPE_CHECKING:
    from events.envelope import Event
    from events.feed import Pace

#: So many bad lines are told one by one; all are counted.
MAX_LISTED: Final = 100
#: An event that came through a pipe waits so long at most for others to be published together with.
PIPE_WAIT_SECONDS: Final = 0.5


def register(app: typer.Typer) -> None:
    app.command()(publish)


def publish(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="CloudEvents in JSON, one a line; -: standard input.")],
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Events a second; default: as fast as possible.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Do not ask the archive what is there already.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Gửi sự kiện vào sổ cái · Publish events, each once: what the archive holds is not published again.

    A line that is no event is reported with its number and the rest goes on; then the exit code is 1. After a crash
    run it again: it goes on where it stopped. What comes through a pipe is published as it comes.

    Example: dossier publish events.jsonl
    """
    from cli.feeding import feed_with_bar, open_feed
    from cli.surroundings import surroundings
    from events.envelope import MAX_EVENT_BYTES
    from events.feed import Arriving

    around = surroundings(load_settings(kafka=kafka))
    with _opened(file) as source, open_feed(around, "dossier-publish", again=again) as (publisher, known):
        lines = _Lines(source if source.seekable() else Pipe(source.fileno(), MAX_EVENT_BYTES + 2))
        pace = at_rate(rate) if rate else None
        events = Arriving(lines.events())
        fed = feed_with_bar(events, publisher, known, "gửi · publishing", _count_lines(source), pace)
    if json:
        counts = {"events": fed.events, "published": fed.published, "duplicates": fed.duplicates}
        emit_json(
            {
                "lines": lines.number,
                **counts,
                "conflicts": fed.conflicts,
                "refused": len(fed.refused),
                "bad_lines": lines.bad_count,
                "bad": lines.bad,
            }
        )
    else:
        told = (
            f"{number(fed.published)} đã gửi · published, {number(fed.duplicates)} đã có từ trước · were there already"
        )
        out.print(told)
        if not fed.events and not lines.bad_count:  # often the wrong file
            err.print("không có sự kiện nào · no events")
    if lines.bad_count > MAX_LISTED:
        err.print(f"… {number(lines.bad_count - MAX_LISTED)} dòng lỗi nữa · more bad lines")
    if lines.bad_count or fed.refused or fed.conflicts:
        err.print(
            f"{number(lines.bad_count)} dòng không phải sự kiện · lines are no events; "
            f"{number(len(fed.refused))} bị từ chối · refused, {number(fed.conflicts)} trùng mã · in conflict",
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_FOUND)


@dataclass
class _Lines:
    """The events of a file, a line each; what is none is remembered with its number, from 1."""

    file: BinaryIO | Pipe
    number: int = 0
    bad_count: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)

    def events(self) -> Iterator[Event | None]:
        """None whenever the next line of a pipe is not there in time."""
        from events.envelope import Unreadable, decode

        for line in self._lines():
            if line is None:
                yield None
                continue
            self.number += 1
            if self.number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line.endswith(b"\n"):
                self._skip_rest()
            if not line.strip():
                continue
            try:
                yield decode(line.rstrip(b"\r\n"))
            except Unreadable as error:
                self._tell(str(error))

    def _lines(self) -> Iterator[bytes | None]:
        from events.envelope import MAX_EVENT_BYTES

        until = time.monotonic() + PIPE_WAIT_SECONDS
        while True:
            if isinstance(self.file, Pipe) and not self.file.has_line(until):
                yield None
                until = time.monotonic() + PIPE_WAIT_SECONDS
            elif line := self.file.readline(MAX_EVENT_BYTES + 2):
                yield line
            else:
                return

    def _skip_rest(self) -> None:
        while (rest := self.file.readline(1024 * 1024)) and not rest.endswith(b"\n"):
            pass

    def _tell(self, reason: str) -> None:
        self.bad_count += 1
        if len(self.bad) < MAX_LISTED:
            self.bad.append({"line": self.number, "reason": reason})
            err.print(f"dòng · line {self.number}: {reason}", markup=False, soft_wrap=True)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as opened:
            yield opened
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {file}", EXIT_USAGE) from error
    except IsADirectoryError as error:
        raise CommandError(f"{file} is a folder, not a file", EXIT_USAGE) from error


def _count_lines(file: BinaryIO) -> int | None:
    """How many lines are to come; None if that can only be known by reading a pipe to its end."""
    if not file.seekable():
        return None
    start = file.tell()
    count = sum(block.count(b"\n") for block in iter(lambda: file.read(1024 * 1024), b""))
    file.seek(start)
    return count


def at_rate(
    events_per_second: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Pace:
    """So many events a second, evenly; the pace goes on from one call of it to the next."""
    due = clock()

    def pace(events: Iterable[Event]) -> Iterator[Event]:
        nonlocal due
        for event in events:
            now = clock()
            due = max(due, now - 1.0)  # a stop of more than a second is not made up for
            if due > now:
                sleep(due - now)
            due += 1 / events_per_second
            yield event

    return pace
