"""What only shows when the parts of a rulebook are seen together: things twice, missing, contradicting each other.

It looks at plain values and passes over what has no form, because that is told elsewhere: so all mistakes of a file
are told at once, whichever kind they are of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, time
from itertools import islice, pairwise
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas.lines import Mistake, Place, place_text
from schemas.timewords import WEEKDAYS, Day, Days, Moment, Term, Window, WrittenDays, WrittenTerm, WrittenWindow

T = TypeVar("T")

_TERM: Final[TypeAdapter[WrittenTerm]] = TypeAdapter(Term)
_WINDOW: Final[TypeAdapter[WrittenWindow]] = TypeAdapter(Window)
_DAYS: Final[TypeAdapter[WrittenDays]] = TypeAdapter(Days)
_DAY: Final[TypeAdapter[date]] = TypeAdapter(Day)
_MOMENT: Final[TypeAdapter[time]] = TypeAdapter(Moment)


def disagreements(content: Any) -> Iterator[Mistake]:
    """Every such mistake in a rulebook's content, given as plain values."""
    yield from _twice_or_unknown(content)
    yield from _miscounted(content)
    for n, calendar in enumerate(_list(content, "calendars")):
        yield from _overlapping(("calendars", n), calendar)
        yield from _idle_days(("calendars", n), calendar)
    for n, procedure in enumerate(_list(content, "procedures")):
        yield from _uncountable(("procedures", n), procedure)
    yield from _outside_hours(content)
    yield from _longer(("intake", "notify"), _term(content, "intake", "notify"), _term(content, "intake", "answer"))


def _twice_or_unknown(content: Any) -> Iterator[Mistake]:
    for key in ("calendars", "offices", "fields", "procedures"):
        yield from _twice((key,), _list(content, key))
    calendars, offices, fields = (_codes(content, key) for key in ("calendars", "offices", "fields"))
    yield from _unknown((), content, "calendar", calendars)
    for n, office in enumerate(_list(content, "offices")):
        yield from _twice(("offices", n, "rooms"), _list(office, "rooms"))
        yield from _unknown(("offices", n), office, "calendar", calendars)
    for n, procedure in enumerate(_list(content, "procedures")):
        yield from _unknown(("procedures", n), procedure, "field", fields)
        yield from _unknown(("procedures", n), procedure, "authority", offices)


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


def _miscounted(content: Any) -> Iterator[Mistake]:
    procedures = _list(content, "procedures")
    by_field = Counter(_text(each, "field") for each in procedures)
    for n, field in enumerate(_list(content, "fields")):
        wanted, there = _text(field, "procedures"), by_field[_text(field, "code")]
        if wanted is not None and wanted != str(there):
            yield Mistake(("fields", n, "procedures"), f"{wanted} procedures, and the list has {there}")
    by_mechanism = Counter(_text(each, "mechanism") or "mot-cua" for each in procedures)
    for name, wanted in _dict(content, "mechanisms").items():
        if str(wanted) != str(by_mechanism[name]):
            yield Mistake(("mechanisms", name), f"{wanted} procedures, and the list has {by_mechanism[name]}")


def _overlapping(place: Place, calendar: Any) -> Iterator[Mistake]:
    windows = [(n, window) for n, each in enumerate(_list(calendar, "windows")) if (window := _read(_WINDOW, each))]
    for (_, before), (n, after) in pairwise(windows):
        if after.begins < before.ends:
            yield Mistake((*place, "windows", n), f"{after} begins before {before} has ended")
    weekdays = _list(calendar, "weekdays")
    for n, weekday in enumerate(weekdays):
        if weekday in weekdays[:n]:
            yield Mistake((*place, "weekdays", n), f"`{weekday}` is there twice")


def _idle_days(place: Place, calendar: Any) -> Iterator[Mistake]:
    """Announcements that say nothing new, in the order in which they were made: a sign that a date is wrong."""
    weekdays = _list(calendar, "weekdays") or WEEKDAYS[:5]
    announcements = list(enumerate(_list(calendar, "announcements")))
    works: dict[date, bool] = {}
    for n, announcement in sorted(announcements, key=lambda each: _announced(each[1])):
        said: dict[date, str] = {}
        for where, kind, day in _days_of((*place, "announcements", n), announcement):
            if day in said:
                yield Mistake(where, f"{day} is also in `{said[day]}` of the same announcement")
            elif kind != "off" and works.get(day, WEEKDAYS[day.weekday()] in weekdays):
                yield Mistake(where, f"{day} is a {day:%A} and a working day already: `{kind}` says nothing")
            said[day] = kind
        works |= {day: kind == "working" for day, kind in said.items()}


def _announced(announcement: Any) -> date:
    return _read(_DAY, _text(announcement, "announced")) or date.min


def _days_of(place: Place, announcement: Any) -> Iterator[tuple[Place, str, date]]:
    for kind in ("off", "working", "reception_only"):
        for n, each in enumerate(_list(announcement, kind)):
            for day in _read(_DAYS, each) or ():
                yield (*place, kind, n), kind, day


def _uncountable(place: Place, procedure: Any) -> Iterator[Mistake]:
    legal, same_day = _term(procedure, "legal_time"), _text(procedure, "same_day_cutoff")
    if _text(procedure, "legal_time") is None and same_day is None:
        yield Mistake(place, "neither `legal_time` nor `same_day_cutoff`: no due date could be counted")
    if legal is not None and same_day is not None:
        yield Mistake((*place, "same_day_cutoff"), f"due the same day and after {legal}: leave one of the two out")
    for step in _dict(procedure, "steps"):
        yield from _longer((*place, "steps", step), _term(procedure, "steps", step), legal)
    yield from _longer((*place, "not_before"), _term(procedure, "not_before"), legal)
    supplement, stops = _text(procedure, "supplement"), _dict(procedure).get("stops", ["supplement"])
    if supplement in {"resume", "limit"} and isinstance(stops, list) and "supplement" not in stops:
        yield Mistake((*place, "supplement"), f"`{supplement}` has no effect unless `stops` lists supplement")


def _longer(place: Place, part: WrittenTerm | None, whole: WrittenTerm | None) -> Iterator[Mistake]:
    """Lengths in different units are not compared: only a calendar could."""
    if part is not None and whole is not None and part.unit == whole.unit and part.n > whole.n:
        yield Mistake(place, f"{part} is longer than the {whole} there are in all")


def _outside_hours(content: Any) -> Iterator[Mistake]:
    default = _text(content, "calendar")
    calendar = next((each for each in _list(content, "calendars") if _text(each, "code") == default), None)
    windows = [_read(_WINDOW, each) for each in _list(calendar, "windows")]
    if not windows or None in windows:
        return
    hours = ", ".join(map(str, windows))
    places: list[Place] = [("routing", "cutoff")]
    places += [("procedures", n, "same_day_cutoff") for n in range(len(_list(content, "procedures")))]
    for place in places:
        moment = _read(_MOMENT, _at(content, place))
        if moment is not None and not any(each.begins <= moment <= each.ends for each in windows if each):
            yield Mistake(place, f"{moment:%H:%M} is outside the working hours of {default} ({hours})")


def _read(kind: TypeAdapter[T], value: Any) -> T | None:
    """The value as that kind; None if it is not there, or has another form."""
    if value is None:
        return None
    try:
        return kind.validate_python(value)
    except ValidationError:
        return None


def _term(item: Any, *place: str) -> WrittenTerm | None:
    return _read(_TERM, _at(item, place))


def _at(item: Any, place: Place) -> Any:
    for part in place:
        if isinstance(part, int):
            item = item[part] if isinstance(item, list) and part < len(item) else None
        else:
            item = _dict(item).get(part)
    return item


def _codes(content: Any, key: str) -> dict[str, None]:
    """In the order of the document."""
    return {code: None for each in _list(content, key) if (code := _text(each, "code")) is not None}


def _dict(item: Any, key: str | None = None) -> dict[str, Any]:
    value = item if key is None else _dict(item).get(key)
    return value if isinstance(value, dict) else {}


def _list(item: Any, key: str) -> list[Any]:
    value = _dict(item).get(key)
    return value if isinstance(value, list) else []


def _text(item: Any, key: str) -> str | None:
    value = _dict(item).get(key)
    return str(value) if isinstance(value, str | int) else None
