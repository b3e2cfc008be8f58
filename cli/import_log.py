"""`dossier import`: a historic log to the ledger, by a mapping file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, err, number, out
from events import quarantine
from events.envelope import Event
from events.importers.log import Tally, find_mapping, read_log
from events.importers.mapped import Mapped
from events.importers.rows import BadRow, BrokenLog, LogError
from schemas.cluster import Cluster
from schemas.mapping import MappingError
from schemas.settings import load_settings

if TYPE_CHECKING:
    from events.feed import Fed
    from events.publisher import Publisher

#: So many rows that cannot be read are listed one by one; all are quarantined.
MAX_LISTED: Final = 20
#: Rows put into quarantine together.
_HELD_TOGETHER: Final = 100


def register(app: typer.Typer) -> None:
    app.command(name="import")(import_log)


def import_log(
    file: Annotated[Path, typer.Argument(help="CSV or XES, plain or gzip.", exists=True, dir_okay=False)],
    mapping: Annotated[str, typer.Option(metavar="NAME|PATH", help="A shipped mapping, or a file of your own.")],
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and map all of it, publish nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Do not ask the archive what is there already.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Nhập nhật ký cũ · Import a log of another system: each row becomes an event, once however often it is imported.

    A mapping file says what the columns mean; docs/mapping.md shows how to write one, with no code. A row that cannot
    be read goes to quarantine with its line number, and the rest goes on.

    Example: dossier import receipt.csv.gz --mapping receipt
    """
    importing = _Importing(file.name)
    try:
        found = _begun(read_log(file, find_mapping(mapping), importing.unmet))
        fed = _count(importing, found) if dry_run else _publish(importing, found, kafka, again=again)
    except MappingError as error:
        raise CommandError(str(error), EXIT_USAGE) from error
    except BrokenLog as error:  # before its first row
        from events.feed import Fed

        importing.broken, fed = error, Fed()
    except LogError as error:
        raise CommandError(f"{file.name}: {error}", EXIT_USAGE) from error
    _report(importing, fed, dry_run=dry_run, json=json)


def _begun(found: Iterator[Mapped | BadRow]) -> Iterator[Mapped | BadRow]:
    """The same, already begun: that the mapping does not fit the file is told before anything is asked for."""
    return chain(list(islice(found, 1)), found)


def _count(importing: _Importing, found: Iterable[Mapped | BadRow]) -> Fed:
    from events.feed import Fed

    return Fed(events=sum(1 for _ in importing.events(found)))


def _publish(importing: _Importing, found: Iterable[Mapped | BadRow], kafka: str | None, *, again: bool) -> Fed:
    from cli.feeding import feed_with_bar, open_feed
    from cli.surroundings import surroundings

    around = surroundings(load_settings(kafka=kafka))
    with open_feed(around, "dossier-import", again=again) as (publisher, known):
        importing.publisher = publisher
        importing.held = _held(around.kafka, importing.file)
        fed = feed_with_bar(importing.events(found), publisher, known, "nhập · importing", None)
        importing.release(fed)
        return fed


def _held(kafka: Cluster, file: str) -> dict[int, list[quarantine.QuarantineRecord]]:
    """The rows of files of this name that no import could read so far, by their lines."""
    from aiokafka.errors import KafkaError

    from events.entrance import BrokerUnreachable
    from processors.quarantine import read_quarantine

    held: dict[int, list[quarantine.QuarantineRecord]] = {}
    try:
        for record in asyncio.run(read_quarantine(kafka)).values():
            origin = record.origin
            # Also what was closed: that it could be read after all, and where it went, is said as well.
            if isinstance(origin, quarantine.FileOrigin) and origin.file == file and record.status != "retried":
                held.setdefault(origin.line, []).append(record)
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error
    except KafkaError as error:
        raise CommandError(
            f"what earlier imports could not read cannot be looked at: {type(error).__name__}"
        ) from error
    except quarantine.NoQuarantineRecord as error:  # a stranger's: it is in nobody's way
        err.print(f"dòng đang giữ vẫn giữ · rows that were held stay so: {error}", markup=False, soft_wrap=True)
    return held


@dataclass
class _Importing:
    """One import on its way: counts what comes, and puts into quarantine what cannot be read."""

    file: str
    publisher: Publisher | None = None
    tally: Tally = field(default_factory=Tally)
    broken: LogError | None = None
    bad_listed: list[dict[str, Any]] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)  # activities of the mapping that no row has
    held: dict[int, list[quarantine.QuarantineRecord]] = field(default_factory=dict)
    _read: dict[str, tuple[quarantine.QuarantineRecord, list[str]]] = field(default_factory=dict)
    _unread: set[str] = field(default_factory=set)
    _bad: list[quarantine.QuarantineRecord] = field(default_factory=list)

    def events(self, found: Iterable[Mapped | BadRow]) -> Iterator[Event]:
        """The events; what a broken file gave before it broke is kept, and `broken` says so."""
        try:
            for each in found:
                self.tally.add(each)
                if isinstance(each, Mapped):
                    self._reads(each)
                    yield each.event
                else:
                    self._hold(each)
        except LogError as error:
            if not self.tally.rows:
                raise
            self.broken = error
        self._flush()

    def _hold(self, row: BadRow) -> None:
        if len(self.bad_listed) < MAX_LISTED:
            self.bad_listed.append({"line": row.line, "reason": row.reason})
            err.print(f"dòng · line {row.line}: {row.reason}", markup=False, soft_wrap=True)
        now = datetime.now(UTC)
        record = quarantine.from_file(
            file=self.file, line=row.line, value=row.raw, reason=row.reason, quarantined_at=now
        )
        self._unread.add(quarantine.origin_text(record))
        self._bad.append(record)
        if len(self._bad) >= _HELD_TOGETHER:
            self._flush()

    def _reads(self, found: Mapped) -> None:
        for record in self.held.get(found.line, ()):
            if record.value == found.raw:
                _, events = self._read.setdefault(quarantine.origin_text(record), (record, []))
                events.append(f"{found.event.source} {found.event.id}")

    def release(self, fed: Fed) -> None:
        """Hold no longer what an earlier import could not read and this one could, if all it gave is on the ledger."""
        if self.publisher is None or self.broken or fed.conflicts or fed.refused:
            return
        whole = (each for origin, each in self._read.items() if origin not in self._unread)
        self.publisher.hold([quarantine.retried(record, ", ".join(events)) for record, events in whole])

    def _flush(self) -> None:
        if self.publisher is not None and self._bad:
            self.publisher.hold(self._bad)
        self._bad.clear()


def _report(importing: _Importing, fed: Fed, *, dry_run: bool, json: bool) -> None:
    tally = importing.tally
    quarantined = sum(tally.quarantined.values())
    if json:
        emit_json(
            {
                "rows": tally.rows,
                "events": sum(tally.events.values()),
                "published": fed.published,
                "duplicates": fed.duplicates,
                "conflicts": fed.conflicts,
                "refused": len(fed.refused),
                "quarantined": quarantined,
                "dossiers": len(tally.dossiers),
                "events_by_source": tally.events,
                "quarantined_by_source": tally.quarantined,
                "bad": importing.bad_listed,
                "unmet": importing.unmet,
                "dry_run": dry_run,
                "complete": importing.broken is None,
            }
        )
    else:
        out.print(f"{number(tally.rows)} dòng · rows, {number(len(tally.dossiers))} hồ sơ · dossiers")
        if dry_run:
            out.print(f"{number(fed.events)} sự kiện sẽ được gửi · events would be published")
        else:
            out.print(
                f"{number(fed.published)} sự kiện đã gửi · events published, "
                f"{number(fed.duplicates)} đã có từ trước · were there already"
            )
        out.print(f"{number(quarantined)} dòng không đọc được, cách ly · rows unreadable, in quarantine")
        if not tally.rows and importing.broken is None:  # often the wrong file
            err.print("không có dòng nào · no rows")
        for each in importing.unmet[:MAX_LISTED] if tally.rows else ():
            err.print(f"quy tắc không dùng đến · unused rule: {each}", markup=False, soft_wrap=True)
    if importing.broken is not None:
        raise CommandError(f"{importing.file}: {importing.broken}", EXIT_FOUND)
    if tally.rows and not tally.events["row"]:
        raise CommandError("no row could be read: does the mapping fit this file?", EXIT_FOUND)
    if fed.refused or fed.conflicts:
        raise typer.Exit(EXIT_FOUND)
