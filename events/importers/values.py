"""What a mapping writes as a field's value, made into a function from a row's cells to that value.

None means the row says nothing of it: the columns it is made of are all empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, assert_never
from zoneinfo import ZoneInfo

from schemas.mapping import FieldValue, Lookup, split_template

Cells = dict[str, str]
Reader = Callable[[Cells], Any]


class Unfit(ValueError):
    """A row's cells do not fit the mapping; the message says which, without the value found there."""


def reader(value: FieldValue) -> Reader:
    """The function that gives a field's value: text, a dict or a tuple of texts, or None."""
    match value:
        case str():
            return _template(value)
        case Lookup():
            return _lookup(value)
        case dict():
            return _fields({name: reader(inner) for name, inner in value.items()})
        case list():
            return _items([reader(inner) for inner in value])
        case _:
            assert_never(value)


def constants(value: FieldValue) -> list[Any]:
    """Everything the value can be whatever the row: known before the first row is read."""
    match value:
        case str():
            parts = split_template(value)
            return [] if any(is_column for _, is_column in parts) or not parts else ["".join(text for text, _ in parts)]
        case Lookup():
            return [text for each in (*value.values.values(), value.default) if each for text in constants(each)]
        case dict():
            parts_of = {name: constants(inner) for name, inner in value.items()}
            known = {name: parts[0] for name, parts in parts_of.items() if len(parts) == 1}
            return [known] if len(known) == len(value) else []
        case list():
            return [text for each in value for text in ([part] for part in constants(each))]
        case _:
            assert_never(value)


def instants(formats: Sequence[str], zone: str) -> Callable[[str], datetime]:
    """The function that reads an instant by the first of the formats that fits it.

    A local time that occurs twice is the first of them. The function raises Unfit.
    """
    local = ZoneInfo(zone)
    parsers = [_parser(each) for each in formats]
    told = "no time as " + ", ".join(f"`{each}`" for each in formats)

    def read(text: str) -> datetime:
        for parse in parsers:
            try:
                at = parse(text.strip())
                return at if at.tzinfo is not None else _at_fixed_offset(at.replace(tzinfo=local))
            except (ValueError, ArithmeticError):
                continue
        raise Unfit(told)

    return read


def _parser(format: str) -> Callable[[str], datetime]:  # noqa: A002  # the mapping's own word
    return _PARSERS.get(format) or (lambda text: datetime.strptime(text, format))  # noqa: DTZ007  # aware above


def _at_fixed_offset(at: datetime) -> datetime:
    """What is written must not depend on the host's zone tables; and RFC 3339 has offsets of whole minutes."""
    offset = at.utcoffset()
    assert offset is not None  # noqa: S101  # it has a zone
    return at.astimezone(timezone(timedelta(minutes=offset // timedelta(minutes=1))))


def _epoch(units_a_second: int) -> Callable[[str], datetime]:
    def parse(text: str) -> datetime:
        number = Decimal(text)
        if not number.is_finite() or number.adjusted() > _DIGITS:
            raise ValueError("no instant of a calendar")
        return _EPOCH + timedelta(microseconds=int(number * 1_000_000 / units_a_second))

    return parse


#: No time has so many digits; `1E+999990` would be made one with a million of them first.
_DIGITS: Final = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARSERS: dict[str, Callable[[str], datetime]] = {
    "iso": datetime.fromisoformat, "epoch_s": _epoch(1), "epoch_ms": _epoch(1_000),
}  # fmt: skip


def _template(template: str) -> Reader:
    parts = split_template(template)
    columns = [text for text, is_column in parts if is_column]
    if len(parts) == 1 and columns:
        column = columns[0]
        return lambda cells: cells.get(column)
    if not columns:
        constant = "".join(text for text, _ in parts) or None
        return lambda _: constant

    def read(cells: Cells) -> str | None:
        if not any(column in cells for column in columns):
            return None
        return "".join(cells.get(text, "") if is_column else text for text, is_column in parts)

    return read


def _lookup(lookup: Lookup) -> Reader:
    readers = {theirs: _template(ours) for theirs, ours in lookup.values.items()}
    default = None if lookup.default is None else _template(lookup.default)

    def read(cells: Cells) -> Any:
        cell = cells.get(lookup.column)
        found = readers.get(cell) if cell is not None else None
        if found is None:
            found = default
        if found is not None:
            return found(cells)
        if cell is None:
            return None
        raise Unfit(f"{lookup.column} has a value that the mapping does not list")

    return read


def _fields(readers: dict[str, Reader]) -> Reader:
    def read(cells: Cells) -> dict[str, Any] | None:
        values = {name: value for name, read in readers.items() if (value := read(cells)) is not None}
        return values or None

    return read


def _items(readers: list[Reader]) -> Reader:
    def read(cells: Cells) -> tuple[Any, ...] | None:
        return tuple(value for read in readers if (value := read(cells)) is not None) or None

    return read
