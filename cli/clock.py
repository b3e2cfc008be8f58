"""`dossier clock`: counting time as the clocks do, without a dossier, with the reason of every day."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import typer
from rich.table import Table
from rich.text import Text

from cli.console import EXIT_USAGE, CommandError, emit_json, err, out

if TYPE_CHECKING:
    from projections.calendar import DayKind, Due, Term, WorkingCalendar
    from schemas.rulebook import Rulebook

MAX_N, MAX_YEARS = 10_000, 100  # every day is listed
FIRST_YEAR, LAST_YEAR = 1901, 2199  # those of a rulebook
_TERM: Final = re.compile(r"\s*(\d{1,6})\s*(d|h|cd|mo)\s*")
_LOCAL_FORMATS: Final = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")
_DAY_FORMATS: Final = ("%d/%m/%Y", "%Y-%m-%d")
_WEEKDAYS: Final = ("T2 Mon", "T3 Tue", "T4 Wed", "T5 Thu", "T6 Fri", "T7 Sat", "CN Sun")

_CalendarName = Annotated[
    str | None, typer.Option("--calendar", metavar="NAME", help="A calendar of the rulebook; default: its main one.")
]
_Book = Annotated[
    Path | None, typer.Option("--rulebook", metavar="FILE", help="Default: the rulebook that comes with the ledger.")
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


class Mark(Enum):
    """Whether a day counts: a word in both languages, and a colour beside it."""

    COUNTED = ("có", "yes", "green")
    LEFT_OUT = ("không", "no", "yellow")
    MOVED_TO = ("chuyển", "moved", "cyan")


class Why(NamedTuple):
    rule: str
    vi: str
    en: str


class Line(NamedTuple):
    """What one day adds: `days` of the term, `worked` µs of office hours."""

    day: date
    mark: Mark
    why: Why
    days: int
    worked: int


class Moment(NamedTuple):
    """A day, or (`instant`, µs since 1970 UTC) a point of it."""

    day: date
    instant: int | None


class Named(NamedTuple):
    """A calendar of a rulebook, and the document behind each day it names."""

    code: str
    calendar: WorkingCalendar
    basis: dict[date, str]

    def written(self, instant: int) -> str:
        return self._local(instant).isoformat()

    def shown(self, instant: int) -> str:
        return f"{self._local(instant):%d/%m/%Y %H:%M}"

    def _local(self, instant: int) -> datetime:
        from events.envelope import from_microseconds

        return from_microseconds(instant).astimezone(ZoneInfo(self.calendar.zone))


def register(app: typer.Typer) -> None:
    clock = typer.Typer(no_args_is_help=True, help="Tính thời hạn · When is it due, and how long was it: day by day.")
    clock.command()(due)
    clock.command()(count)
    app.add_typer(clock, name="clock")


def due(
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="When it starts; that day is not counted.")],
    length: Annotated[
        str, typer.Option("--for", metavar="TERM", help="3d working days, 8h working hours, 15cd calendar days, 2mo.")
    ],
    calendar: _CalendarName = None,
    rulebook: _Book = None,
    json: _Json = False,
) -> None:
    """Hạn giải quyết · When a term is over, and why each day up to then counts or does not.

    TIME is 09/02/2026, 2026-02-09, "09/02/2026 15:30" (in the calendar's zone) or RFC 3339.

    Example: dossier clock due --from 2026-02-09T15:30+07:00 --for 3d
    """
    term, named = _term(length), _named(calendar, rulebook)
    begins = _moment(start, "--from", named.calendar)
    ended = _ended(named.calendar, begins, term)
    _check_span(begins.day, ended.day)
    lines = list(_due_lines(named.calendar, begins, term, ended))
    silent = _silent_years(named, begins.day, ended.day)
    if json:
        emit_json(
            {
                **_asked(named, begins),
                "for": str(term),
                "due": named.written(ended.operational),
                "day": ended.day,
                "legal_end": named.written(ended.legal),
                "years_without_holidays": silent,
                "days": _described(lines, named, days=term.unit != "h", hours=term.unit == "h"),
            }
        )
        return
    _print_days(lines, named, days=term.unit != "h", hours=term.unit == "h")
    out.print(Text(f"hạn · due: {named.shown(ended.operational)} ({_WEEKDAYS[ended.day.weekday()]})", style="bold"))
    if term.unit != "h":
        out.print(f"theo luật · in law: 24:00 {ended.day:%d/%m/%Y}", style="dim")
    _warn(silent)


def count(
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="A day alone is not counted itself.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="A day alone is counted to its end.")],
    calendar: _CalendarName = None,
    rulebook: _Book = None,
    json: _Json = False,
) -> None:
    """Đếm thời gian làm việc · The working days after --from up to --to, and the working hours between them.

    TIME is 09/02/2026, 2026-02-09, "09/02/2026 15:30" (in the calendar's zone) or RFC 3339.

    Example: dossier clock count --from 2026-02-09 --to 2026-02-23
    """
    named = _named(calendar, rulebook)
    begins, ends = _moment(start, "--from", named.calendar), _moment(end, "--to", named.calendar)
    first, last = _end(named.calendar, begins), _end(named.calendar, ends)
    if last < first:
        raise CommandError(f"--to {end} is before --from {start}: swap them", EXIT_USAGE)
    _check_span(begins.day, ends.day)
    lines = list(_count_lines(named.calendar, begins.day, ends.day, first, last))
    silent = _silent_years(named, begins.day, ends.day)
    days, worked = named.calendar.count(begins.day, ends.day), named.calendar.time_between(first, last)
    if json:
        emit_json(
            {
                **_asked(named, begins),
                "to": _rfc3339(named, ends),
                "working_days": days,
                "working_hours": _hours(worked),
                "years_without_holidays": silent,
                "days": _described(lines, named, days=True, hours=True),
            }
        )
        return
    _print_days(lines, named, days=True, hours=True)
    out.print(Text(f"{days} ngày làm việc · working days, {_clock(worked)} giờ làm việc · working hours", style="bold"))
    _warn(silent)


# Day by day ----------------------------------------------------------------------------------------------------------

_FIRST_DAY: Final = Why("R2", "ngày đầu", "first day")
_CALENDAR_DAY: Final = Why("R4", "ngày theo lịch", "calendar day")
_DAY_OF_MONTHS: Final = Why("R5", "ngày theo lịch", "calendar day")
_NEXT_WORKING_DAY: Final = Why("R4", "kế tiếp", "next working day")


def _due_lines(calendar: WorkingCalendar, begins: Moment, term: Term, ended: Due) -> Iterator[Line]:
    from projections.calendar import add_months

    match term.unit:
        case "h":
            yield from _hour_lines(calendar, begins.day, ended.day, _end(calendar, begins), ended.operational)
        case "d":
            yield from _count_lines(calendar, begins.day, ended.day, 0, 0)
        case "cd":
            last = begins.day + timedelta(days=term.n)
            yield from _calendar_lines(calendar, begins.day, ended.day, last, _CALENDAR_DAY)
        case "mo":
            yield from _calendar_lines(calendar, begins.day, ended.day, add_months(begins.day, term.n), _DAY_OF_MONTHS)


def _count_lines(calendar: WorkingCalendar, first: date, last: date, begins: int, ends: int) -> Iterator[Line]:
    """Working days after `first`, and the office hours of [begins, ends) that fall on each day."""
    for day in _days(first, last):
        worked = _worked(calendar, day, begins, ends)
        if day == first:
            yield Line(day, Mark.LEFT_OUT, _FIRST_DAY, 0, worked)
        else:
            counts = calendar.is_working(day)
            yield Line(day, _mark(counts), _why(calendar.kind(day), "R3"), int(counts), worked)


def _hour_lines(calendar: WorkingCalendar, first: date, last: date, begins: int, ends: int) -> Iterator[Line]:
    for day in _days(first, last):
        worked = _worked(calendar, day, begins, ends)
        outside = calendar.is_working(day) and not worked
        why = Why("R6", "ngoài giờ", "after hours") if outside else _why(calendar.kind(day), "R6")
        yield Line(day, _mark(worked > 0), why, 0, worked)


def _calendar_lines(calendar: WorkingCalendar, first: date, due: date, last: date, counted: Why) -> Iterator[Line]:
    """Every day after `first` up to `last`; if that is no working day, the due day is the next one."""
    for day in _days(first, due):
        if day == first:
            yield Line(day, Mark.LEFT_OUT, _FIRST_DAY, 0, 0)
        elif day <= last:
            yield Line(day, Mark.COUNTED, counted, 1, 0)
        elif day < due:
            yield Line(day, Mark.LEFT_OUT, _why(calendar.kind(day), counted.rule), 0, 0)
        else:
            yield Line(day, Mark.MOVED_TO, _NEXT_WORKING_DAY._replace(rule=counted.rule), 0, 0)


def _worked(calendar: WorkingCalendar, day: date, begins: int, ends: int) -> int:
    return calendar.time_between(max(begins, calendar.opening(day)), min(ends, calendar.closing(day)))


def _why(kind: DayKind, rule: str) -> Why:
    words = {
        "working": ("ngày làm việc", "working day"),
        "made_up": ("ngày làm bù", "made up"),
        "weekend": ("nghỉ hằng tuần", "weekend"),
        "off": ("ngày nghỉ", "day off"),
    }
    return Why(rule, *words[kind.value])


def _mark(counts: bool) -> Mark:
    return Mark.COUNTED if counts else Mark.LEFT_OUT


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


# What was asked ------------------------------------------------------------------------------------------------------


def _term(text: str) -> Term:
    from projections.calendar import Term

    match = _TERM.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= MAX_N:
        raise CommandError(
            f"--for {text[:40]!r} is no term: write 3d (working days), 8h (working hours), 15cd (calendar days) or "
            f"2mo (months), 1 to {MAX_N}",
            EXIT_USAGE,
        )
    return Term(int(match[1]), match[2])  # type: ignore[arg-type]  # the pattern has the four units


def _moment(text: str, option: str, calendar: WorkingCalendar) -> Moment:
    from events.envelope import microseconds

    read = _read(text, ZoneInfo(calendar.zone))
    if read is None:
        raise CommandError(
            f'{option} "{text[:40]}" is no time: write 09/02/2026, "09/02/2026 15:30" or 2026-02-09T15:30:00+07:00',
            EXIT_USAGE,
        )
    if not FIRST_YEAR <= read.year <= LAST_YEAR:
        raise CommandError(f"{option} {text[:40]}: years are {FIRST_YEAR} to {LAST_YEAR}", EXIT_USAGE)
    if not isinstance(read, datetime):
        return Moment(read, None)
    instant = microseconds(read)
    return Moment(calendar.local_date(instant), instant)


def _read(text: str, zone: ZoneInfo) -> datetime | date | None:
    """An aware datetime, a day, or None for what is neither."""
    for shape in _LOCAL_FORMATS:
        try:
            return datetime.strptime(text, shape).replace(tzinfo=zone)
        except ValueError:
            continue
    for shape in _DAY_FORMATS:
        try:
            return datetime.strptime(text, shape).date()  # noqa: DTZ007  (a day has no zone)
        except ValueError:
            continue
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo is not None else None


def _ended(calendar: WorkingCalendar, begins: Moment, term: Term) -> Due:
    from projections.calendar import due_day, due_of, end_of

    if begins.instant is not None:
        return due_of(calendar, begins.instant, term)
    if term.unit == "h":
        raise CommandError(
            f'--for {term} runs from an hour: write --from "{begins.day:%d/%m/%Y} 07:00", or a time of your own',
            EXIT_USAGE,
        )
    return end_of(calendar, due_day(calendar, begins.day, term))


def _end(calendar: WorkingCalendar, moment: Moment) -> int:
    return calendar.midnight_after(moment.day) if moment.instant is None else moment.instant


def _named(name: str | None, file: Path | None) -> Named:
    """The calendar of that name, as far as all is known that the rulebook says.

    Raises:
        CommandError: there is no such calendar, or no such rulebook.
    """
    from projections.rules import compile_rules

    book = _rulebook(file)
    rules = compile_rules(book)
    code = name if name is not None else book.calendar
    calendar = rules.calendar_named(code)
    if calendar is None:
        raise CommandError(f"no calendar {code[:64]}; there are: {', '.join(rules.calendar_codes)}", EXIT_USAGE)
    announcements = next(each for each in book.calendars if each.code == code).announcements
    basis: dict[date, str] = {}
    for each in sorted(announcements, key=attrgetter("announced")):
        basis |= {day: each.basis for days in (*each.off, *each.reception_only, *each.working) for day in days}
    return Named(code, calendar, basis)


def _rulebook(file: Path | None) -> Rulebook:
    from cli.rulebook_file import rulebook_in
    from schemas.rulebook import shipped

    return shipped() if file is None else rulebook_in(file)


def _check_span(first: date, last: date) -> None:
    if last.year - first.year > MAX_YEARS:
        raise CommandError(
            f"{first:%d/%m/%Y} to {last:%d/%m/%Y} is more than {MAX_YEARS} years to list by the day", EXIT_USAGE
        )


def _silent_years(named: Named, first: date, last: date) -> list[int]:
    """Years of which the calendar names no day: their holidays are not known, and so are counted."""
    spoken = {day.year for day in named.basis}
    return [year for year in range(first.year, last.year + 1) if year not in spoken]


# Answers -------------------------------------------------------------------------------------------------------------


def _asked(named: Named, begins: Moment) -> dict[str, Any]:
    return {"calendar": named.code, "zone": named.calendar.zone, "from": _rfc3339(named, begins)}


def _rfc3339(named: Named, moment: Moment) -> str:
    return f"{moment.day}" if moment.instant is None else named.written(moment.instant)


def _described(lines: Sequence[Line], named: Named, *, days: bool, hours: bool) -> list[dict[str, Any]]:
    return [
        {
            "day": line.day,
            "counted": line.mark is Mark.COUNTED,
            **({"days": line.days} if days else {}),
            **({"hours": _hours(line.worked)} if hours else {}),
            "rule": line.why.rule,
            "vi": line.why.vi,
            "en": line.why.en,
            "basis": named.basis.get(line.day),
        }
        for line in lines
    ]


def _print_days(lines: Sequence[Line], named: Named, *, days: bool, hours: bool) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("ngày\nday", no_wrap=True)
    table.add_column("tính?\ncounted?", no_wrap=True)
    if days:
        table.add_column("thứ\nno.", justify="right")
    if hours:
        table.add_column("giờ\nhours", justify="right")
    if hours and not days:  # 80 columns are wide enough for one sum
        table.add_column("cộng\nsum", justify="right")
    table.add_column("vì sao\nwhy")
    sums = zip(accumulate(line.days for line in lines), accumulate(line.worked for line in lines), strict=True)
    for line, (day_sum, hour_sum) in zip(lines, sums, strict=True):
        cells = [Text(f"{line.day:%d/%m/%Y} {_WEEKDAYS[line.day.weekday()]}"), _told(line.mark)]
        if days:
            cells.append(Text(f"{day_sum}" if line.days else ""))
        if hours:
            cells.append(Text(_clock(line.worked) if line.worked else ""))
        if hours and not days:
            cells.append(Text(_clock(hour_sum) if line.worked else ""))
        table.add_row(*cells, Text(f"{line.why.vi} · {line.why.en} ({line.why.rule})"))
    out.print(table)
    _print_basis([line.day for line in lines], named)


def _told(mark: Mark) -> Text:
    vi, en, colour = mark.value
    return Text(f"{vi} · {en}", style=colour)


def _print_basis(days: Sequence[date], named: Named) -> None:
    """Each document once, with the days it decided."""
    by_document: dict[str, list[date]] = {}
    for day in days:
        if day in named.basis:
            by_document.setdefault(named.basis[day], []).append(day)
    for document, decided in by_document.items():
        listed = ", ".join(f"{day:%d/%m}" for day in decided)
        out.print(Text(f"căn cứ · basis {listed}: {document}", style="dim"))


def _warn(silent: Sequence[int]) -> None:
    if silent:
        years = ", ".join(map(str, silent))
        err.print(
            f"[yellow]⚠ lưu ý · note[/]: lịch chưa có ngày lễ năm {years} · "
            f"the calendar names no holidays of {years}, so they were counted as working days",
            soft_wrap=True,
        )


def _hours(worked: int) -> float:
    return worked / 3_600_000_000


def _clock(worked: int) -> str:
    """Hours and minutes, as both languages read them: 7:30."""
    minutes, seconds = divmod(worked // 1_000_000, 60)
    return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
