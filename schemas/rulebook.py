"""The rulebook: procedures, offices, calendars and limits of a province, as one document that people write in YAML.

A rulebook is identified by its content: `Rulebook.version` is the hash of its canonical JSON. It is published whole
(`events/rulebook.py`) and compiled for the clocks (`projections/rules.py`). docs/rulebook.md explains every key.

Each model checks itself; `disagreements` checks what only shows when the parts are seen together. A mistake says where
it is, so that `read_rulebook` can tell all mistakes of a file with their lines.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, time, timedelta
from functools import cache, cached_property
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from schemas.lines import Disagreements, Mistake, NotReadable, Place, Written, parse, place_text, read_text
from schemas.mapping import Zone

MAX_RULEBOOK_BYTES: Final = 1024 * 1024
REFERENCE: Final = "docs/rulebook.md"
#: So many days at most in `2026-02-16..2026-02-20`: a slip in the year is not a holiday of a decade.
MAX_RANGE_DAYS: Final = 31
#: Years a rulebook may speak of: those that every reader of the ledger can hold.
FIRST_DAY, LAST_DAY = date(1901, 1, 1), date(2199, 12, 31)

Cause = Literal["supplement", "payment", "consultation"]
#: One-stop, one-stop with other authorities, or not through the one-stop counter at all.
Mechanism = Literal["mot-cua", "mot-cua-lien-thong", "outside"]
#: Working days, working hours, calendar days, months.
Unit = Literal["d", "h", "cd", "mo"]

Code = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]

_TERM: Final = re.compile(r"\s*(\d{1,5})\s*(d|h|cd|mo)\s*")
_WINDOW: Final = re.compile(r"\s*(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})\s*")
_DAYS: Final = re.compile(r"\s*(\d{4}-\d{2}-\d{2})(?:\s*\.\.\s*(\d{4}-\d{2}-\d{2}))?\s*")


class RulebookError(ValueError):
    """The file is no rulebook; one message a mistake, each with its line."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _reasonable_day(day: date) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"{day} is outside {FIRST_DAY.year}-{LAST_DAY.year}")
    return day


def _plain_time(moment: time) -> time:
    if moment.tzinfo is not None or moment.second or moment.microsecond:
        raise ValueError("write hours and minutes, such as 15:00; the zone is the calendar's")
    return moment


Day = Annotated[date, AfterValidator(_reasonable_day)]
Moment = Annotated[time, AfterValidator(_plain_time)]


class WrittenTerm(_Model):
    """A length of time: `5d` working days, `8h` working hours, `15cd` calendar days, `2mo` months."""

    n: Annotated[int, Field(ge=1, le=10_000)]
    unit: Unit

    def __str__(self) -> str:
        return f"{self.n}{self.unit}"


def _term_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if match := _TERM.fullmatch(value):
        return {"n": int(match[1]), "unit": match[2]}
    raise ValueError(f"{value[:40]!r} is no length of time; write 5d, 8h, 15cd or 2mo")


Term = Annotated[WrittenTerm, BeforeValidator(_term_from_text)]


class WrittenWindow(_Model):
    """Working hours from `begins` to `ends` of one day: `07:00-11:30`."""

    begins: Moment
    ends: Moment

    @model_validator(mode="after")
    def _forward(self) -> WrittenWindow:
        if self.begins >= self.ends:
            raise ValueError("a window begins before it ends")
        return self

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}-{self.ends:%H:%M}"


def _window_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if match := _WINDOW.fullmatch(value):
        return {"begins": match[1].zfill(5), "ends": match[2].zfill(5)}
    raise ValueError(f"{value[:40]!r} is no window; write 07:00-11:30")


Window = Annotated[WrittenWindow, BeforeValidator(_window_from_text)]


class WrittenDays(_Model):
    """A day, or all days from `first` to `last`: `2026-01-02`, `2026-02-16..2026-02-20`."""

    first: Day
    last: Day

    @model_validator(mode="after")
    def _short(self) -> WrittenDays:
        if not 0 <= (self.last - self.first).days < MAX_RANGE_DAYS:
            raise ValueError(f"{self} is not 1 to {MAX_RANGE_DAYS} days")
        return self

    def __iter__(self) -> Iterator[date]:  # type: ignore[override]  # its days mean more than pydantic's fields
        return (self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1))

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"


def _days_from_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if match := _DAYS.fullmatch(value):
        return {"first": match[1], "last": match[2] or match[1]}
    raise ValueError(f"{value[:40]!r} is no day; write 2026-01-02, or 2026-02-16..2026-02-20")


Days = Annotated[WrittenDays, BeforeValidator(_days_from_text)]


class Names(_Model):
    """What people read, in both languages."""

    vi: Text
    en: Text


class ProcedureField(_Model):
    """A field of work (lĩnh vực). `procedures`, if given, is how many there must be: a check on the list."""

    code: Code
    name: Names
    procedures: Annotated[int, Field(ge=0, le=10_000)] | None = None


class Procedure(_Model):
    """One administrative procedure (thủ tục hành chính) and how its time is counted.

    Its legal time is `legal_time`, or the same day up to `same_day_cutoff` (after that the next working day).
    `authority` is the office that decides, where that is not the office that receives.
    """

    code: Code
    name: Names
    field: Code
    mechanism: Mechanism = "mot-cua"
    service_level: Annotated[int, Field(ge=1, le=4)] | None = None
    authority: Code | None = None
    legal_time: Term | None = None
    same_day_cutoff: Moment | None = None
    not_before: Term | None = None
    steps: Annotated[dict[Code, Term], Field(max_length=200)] = {}
    supplement: Literal["restart", "resume", "limit"] = "restart"
    supplement_limit: Term = WrittenTerm(n=15, unit="cd")
    stops: Annotated[frozenset[Cause], PlainSerializer(sorted)] = frozenset({"supplement"})
    reschedule_limit: Annotated[int, Field(ge=0, le=9)] = 1
    after_hours: Literal["same_day", "next_working_day"] = "same_day"
    basis: Text | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Procedure:
        _raise_if_any(self._disagreements())
        return self

    def _disagreements(self) -> Iterator[Mistake]:
        legal = self.legal_time
        if legal is None:
            if self.same_day_cutoff is None:
                yield Mistake((), "neither `legal_time` nor `same_day_cutoff`: no due date could be counted")
        else:
            if self.same_day_cutoff is not None:
                yield Mistake(("same_day_cutoff",), f"due the same day and after {legal}: leave one of the two out")
            for step, term in self.steps.items():
                if term.unit == legal.unit and term.n > legal.n:
                    yield Mistake(("steps", step), f"{term} is longer than the procedure's legal time {legal}")
            wait = self.not_before
            if wait is not None and wait.unit == legal.unit and wait.n > legal.n:
                yield Mistake(("not_before",), f"{wait} is longer than the legal time {legal}: always late")
        if self.supplement != "restart" and "supplement" not in self.stops:
            yield Mistake(("supplement",), f"`{self.supplement}` has no effect unless `stops` lists supplement")


class Room(_Model):
    """A room of an office, by the code that events name."""

    code: Code
    name: Names


class Office(_Model):
    """An office, by the code that events name; `calendar` where it is not the rulebook's."""

    code: Code
    name: Names
    calendar: Code | None = None
    rooms: Annotated[tuple[Room, ...], Field(max_length=1_000)] = ()


class Announcement(_Model):
    """What one document said about days, and when it said so.

    A later announcement may speak of the same day again and then holds. `off`: no working day. `working`: a working
    day to make up for one off. `reception_only`: the counter is open, deadlines do not count it.
    """

    basis: Text
    announced: Day
    off: Annotated[tuple[Days, ...], Field(max_length=400)] = ()
    working: Annotated[tuple[Days, ...], Field(max_length=400)] = ()
    reception_only: Annotated[tuple[Days, ...], Field(max_length=400)] = ()


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Calendar(_Model):
    """Working days and hours, in the dates of `zone`."""

    code: Code
    zone: Zone = "Asia/Ho_Chi_Minh"
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = WEEKDAYS[:5]
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=10)]
    announcements: Annotated[tuple[Announcement, ...], Field(max_length=2_000)] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Calendar:
        _raise_if_any((*self._overlaps(), *self._idle_days()))
        return self

    def is_within(self, moment: time) -> bool:
        """Whether it is working time, the end of a window included."""
        return any(window.begins <= moment <= window.ends for window in self.windows)

    def _overlaps(self) -> Iterator[Mistake]:
        for n, (before, after) in enumerate(zip(self.windows, self.windows[1:], strict=False), start=1):
            if after.begins < before.ends:
                yield Mistake(("windows", n), f"{after} begins before {before} has ended")
        for n, weekday in enumerate(self.weekdays):
            if weekday in self.weekdays[:n]:
                yield Mistake(("weekdays", n), f"`{weekday}` is there twice")

    def _idle_days(self) -> Iterator[Mistake]:
        """Announcements that say nothing new: a sign that a date is wrong."""
        kinds: dict[date, str] = {}
        for n in sorted(range(len(self.announcements)), key=lambda n: self.announcements[n].announced):
            said: dict[date, str] = {}
            for place, kind, day in _days_of(self.announcements[n]):
                where = ("announcements", n, *place)
                works = kinds.get(day, "working" if WEEKDAYS[day.weekday()] in self.weekdays else "off") == "working"
                if day in said:
                    yield Mistake(where, f"{day} is also `{said[day]}` in the same announcement")
                elif works and kind != "off":
                    yield Mistake(where, f"{day} is a {day:%A} and a working day already: `{kind}` says nothing")
                said[day] = kind
            kinds |= said


class Routing(_Model):
    """Until when a received dossier leaves the counter (R9), and the receiving room confirms it.

    Received up to `cutoff`: by closing time of the day; later: `grace_minutes` after the next opening.
    """

    cutoff: Moment = time(15)
    grace_minutes: Annotated[int, Field(ge=0, le=480)] = 30
    handoff: Term | None = None


class Intake(_Model):
    """Until when an application from afar is noticed and answered (R8)."""

    notify: Term = WrittenTerm(n=2, unit="h")
    answer: Term = WrittenTerm(n=8, unit="h")

    @model_validator(mode="after")
    def _in_order(self) -> Intake:
        if self.notify.unit == self.answer.unit and self.notify.n > self.answer.n:
            mistake = Mistake(("notify",), f"{self.notify} is longer than the {self.answer} there are to answer")
            raise Disagreements([mistake])
        return self


class AlarmPolicy(_Model):
    """When the clocks speak: a warning after this fraction of the time, a breach at the end of the day.

    `day_ends`: `operational`, when the office closes; `legal`, at midnight.
    """

    warn_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.8
    day_ends: Literal["operational", "legal"] = "operational"


class Rulebook(_Model):
    """The whole document. `effective_from` is the first day of reception it holds for.

    `late_calendar` (R18): whether a due date that a later announcement moved back replaces the promise: `if_notified`
    once the applicant was told, `always`, `never`. A promise is never made earlier.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    title: Names
    effective_from: Day
    basis: Text
    calendar: Code
    calendars: Annotated[tuple[Calendar, ...], Field(min_length=1, max_length=100)]
    offices: Annotated[tuple[Office, ...], Field(max_length=5_000)] = ()
    fields: Annotated[tuple[ProcedureField, ...], Field(max_length=1_000)] = ()
    mechanisms: dict[Mechanism, Annotated[int, Field(ge=0)]] = {}
    procedures: Annotated[tuple[Procedure, ...], Field(max_length=10_000)] = ()
    routing: Routing = Routing()
    intake: Intake = Intake()
    post_collection: Term | None = None
    alarms: AlarmPolicy = AlarmPolicy()
    late_calendar: Literal["if_notified", "always", "never"] = "if_notified"

    @model_validator(mode="after")
    def _fits_together(self) -> Rulebook:
        _raise_if_any((*disagreements(self.content), *self._outside_hours()))
        return self

    @cached_property
    def content(self) -> dict[str, Any]:
        """The document as plain JSON values, defaults included."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def version(self) -> str:
        """What identifies it: `sha256-` and the hash of its canonical JSON."""
        return version_of(self.content)

    def _outside_hours(self) -> Iterator[Mistake]:
        moments: list[tuple[Place, time]]
        moments = [(("routing", "cutoff"), self.routing.cutoff)]
        moments += [
            (("procedures", n, "same_day_cutoff"), procedure.same_day_cutoff)
            for n, procedure in enumerate(self.procedures)
            if procedure.same_day_cutoff is not None
        ]
        for calendar in (each for each in self.calendars if each.code == self.calendar):
            hours = ", ".join(map(str, calendar.windows))
            for place, moment in (each for each in moments if not calendar.is_within(each[1])):
                yield Mistake(place, f"{moment:%H:%M} is outside the working hours of {calendar.code} ({hours})")


def version_of(content: dict[str, Any]) -> str:
    """The version of a rulebook with this content."""
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"sha256-{hashlib.sha256(canonical.encode()).hexdigest()}"


def disagreements(content: Any) -> Iterator[Mistake]:
    """What is there twice, names what is not there, or is not as many as it should be.

    `content` is the document as plain values, and may have any mistakes of form: those are told elsewhere.
    """
    for place in (("calendars",), ("offices",), ("fields",), ("procedures",)):
        yield from _twice(place, _list(content, *place))
    for n, office in enumerate(_list(content, "offices")):
        yield from _twice(("offices", n, "rooms"), _list(office, "rooms"))
        yield from _unknown(("offices", n), office, "calendar", _codes(content, "calendars"))
    yield from _unknown((), content, "calendar", _codes(content, "calendars"))
    offices, fields = _codes(content, "offices"), _codes(content, "fields")
    for n, procedure in enumerate(_list(content, "procedures")):
        yield from _unknown(("procedures", n), procedure, "field", fields)
        yield from _unknown(("procedures", n), procedure, "authority", offices)
    yield from _miscounted(content)


def _miscounted(content: Any) -> Iterator[Mistake]:
    procedures = _list(content, "procedures")
    by_field = Counter(_text(each, "field") for each in procedures)
    for n, field in enumerate(_list(content, "fields")):
        code, wanted = _text(field, "code"), _text(field, "procedures")
        if code is not None and wanted is not None and wanted != str(by_field[code]):
            yield Mistake(("fields", n, "procedures"), f"{wanted} in {code}, and the list has {by_field[code]}")
    by_mechanism = Counter(_text(each, "mechanism") or "mot-cua" for each in procedures)
    mechanisms = content.get("mechanisms") if isinstance(content, dict) else None
    for name, count in mechanisms.items() if isinstance(mechanisms, dict) else ():
        if str(count) != str(by_mechanism[name]):
            yield Mistake(("mechanisms", name), f"{count} procedures, and the list has {by_mechanism[name]}")


def _twice(place: Place, items: list[Any]) -> Iterator[Mistake]:
    first: dict[str, int] = {}
    for n, item in enumerate(items):
        code = _text(item, "code")
        if code is not None and first.setdefault(code, n) != n:
            yield Mistake((*place, n, "code"), f"`{code}` is there twice: also {place_text((*place, first[code]))}")


def _unknown(place: Place, item: Any, key: str, known: dict[str, None]) -> Iterator[Mistake]:
    code = _text(item, key)
    if code is not None and code not in known:
        listed = ", ".join(islice(known, 10)) + (", …" if len(known) > 10 else "")
        yield Mistake((*place, key), f"there is no {key} `{code}`; there are: {listed or 'none'}")


def _codes(content: Any, key: str) -> dict[str, None]:
    """In the order of the document."""
    return {code: None for each in _list(content, key) if (code := _text(each, "code")) is not None}


def _list(item: Any, key: str) -> list[Any]:
    value = item.get(key) if isinstance(item, dict) else None
    return value if isinstance(value, list) else []


def _text(item: Any, key: str) -> str | None:
    value = item.get(key) if isinstance(item, dict) else None
    return str(value) if isinstance(value, str | int) else None


def _days_of(announcement: Announcement) -> Iterator[tuple[Place, str, date]]:
    kinds: tuple[tuple[str, tuple[WrittenDays, ...]], ...] = (
        ("off", announcement.off),
        ("working", announcement.working),
        ("reception_only", announcement.reception_only),
    )
    return (((kind, n), kind, day) for kind, listed in kinds for n, days in enumerate(listed) for day in days)


def _raise_if_any(mistakes: Iterator[Mistake] | tuple[Mistake, ...]) -> None:
    if found := list(mistakes):
        raise Disagreements(found)


def load_rulebook(path: Path) -> Rulebook:
    """Read a rulebook file.

    Raises:
        RulebookError: with every mistake and its line.
        OSError: it cannot be read.
    """
    try:
        text = read_text(path, MAX_RULEBOOK_BYTES, "rulebook")
    except NotReadable as error:
        raise RulebookError([str(error)]) from error
    return parse_rulebook(text, path.name)


def parse_rulebook(text: str, where: str) -> Rulebook:
    """A rulebook from its YAML text.

    Raises:
        RulebookError: with every mistake and its line, in the order of the lines.
    """
    try:
        written = parse(text, where)
    except NotReadable as error:
        raise RulebookError([str(error)]) from error
    try:
        return Rulebook.model_validate(written.content)
    except ValidationError as error:
        raise RulebookError(_all_mistakes(written, error)) from error


def _all_mistakes(written: Written, error: ValidationError) -> list[str]:
    """Those of form, and those of parts that do not fit together, which pydantic looks for only when all is formed."""
    found = {*written.mistakes(error, REFERENCE), *disagreements(written.content)}
    return [written.told(mistake) for mistake in sorted(found, key=lambda each: (written.line(each.place), each[1]))]


@cache
def shipped() -> Rulebook:
    """The rulebook that comes with the ledger: it begins every history. Read when first asked for."""
    text = files("schemas.rulebooks").joinpath("gia-lai.yaml").read_text(encoding="utf-8")
    return parse_rulebook(text, "gia-lai.yaml")
