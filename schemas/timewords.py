"""How people write time in a rulebook: lengths `5d`, working hours `07:00-11:30`, days `2026-02-16..2026-02-20`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

#: So many days at most in `2026-02-16..2026-02-20`: a slip in the year is not a holiday of a decade.
MAX_RANGE_DAYS: Final = 31
#: Years a rulebook may speak of: those that every reader of the ledger can hold.
FIRST_DAY, LAST_DAY = date(1901, 1, 1), date(2199, 12, 31)

#: Working days, working hours, calendar days, months.
Unit = Literal["d", "h", "cd", "mo"]

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_TERM: Final = re.compile(r"\s*(\d{1,5})\s*(d|h|cd|mo)\s*")
_WINDOW: Final = re.compile(r"\s*(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})\s*")
_DAYS: Final = re.compile(r"\s*(\d{4}-\d{2}-\d{2})(?:\s*\.\.\s*(\d{4}-\d{2}-\d{2}))?\s*")


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
Moment = Annotated[
    time,
    AfterValidator(_plain_time),
    PlainSerializer(lambda moment: f"{moment:%H:%M}"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}(:00)?$"}),
]


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


Term = Annotated[
    WrittenTerm,
    BeforeValidator(_term_from_text),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,5}(d|h|cd|mo)$"}),
]


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


Window = Annotated[
    WrittenWindow,
    BeforeValidator(_window_from_text),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}-[0-9]{1,2}:[0-9]{2}$"}),
]


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


Days = Annotated[
    WrittenDays,
    BeforeValidator(_days_from_text),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}(\.\.\d{4}-\d{2}-\d{2})?$"}),
]
