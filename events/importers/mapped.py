"""A mapping at work: it is checked against the catalogue and the file once, then turns each row into events.

A row gives exactly one event, and now and then those that its case's columns tell. What no rule names is a
StepCompleted with the activity's own name: no row is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, assert_never, get_args, get_origin, get_type_hints

import msgspec

from events.catalogue import WIRE_NAMES, AnyFact, Received, StepCompleted, StepStarted
from events.envelope import Event, Unreadable, make_event
from events.importers.rows import BadRow, Row
from events.importers.values import Cells, Reader, Unfit, constants, instants, reader
from schemas.lines import Place
from schemas.mapping import CaseRule, FieldValue, MappingFile, RowRule, columns_of

#: What a case tells comes after its rows of the same instant, or before them if the rule says so: ids decide then.
_BEFORE_ROWS_ID: Final = "first-{number:02d}-{digest}"
_ROW_ID: Final = "row-{number:09d}-{digest}"
_AFTER_ROWS_ID: Final = "then-{number:02d}-{digest}"
_DEFAULT_ZONE: Final = "Asia/Ho_Chi_Minh"
_WHOLE: Final = re.compile(r"-?[0-9]+")
#: A value as msgspec shows it: in double quotes if it has single ones.
_FOUND: Final = re.compile(r"value (['\"]).*\1 - at", re.DOTALL)
#: Where in the whole a mistake is, at the end of what msgspec says of it.
_AT: Final = re.compile(r" - at `\$([^`]*)`$")
#: What tables are separated by, as a mapping writes it.
_DELIMITERS: Final = {",": '","', ";": '";"', "\t": '"\\t"'}
_KINDS: Final[dict[str, type[AnyFact]]] = {name.removeprefix("dossier."): kind for kind, name in WIRE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Mapped:
    """An event, whether a row or a case-level column said so, and where the row begins, with its bytes as they are."""

    event: Event
    by: Literal["row", "case"]
    line: int
    raw: bytes


class Mapper:
    """Turns rows into events. It remembers the cases it has seen; use it for one file.

    Args:
        file: the mapping.
        columns: the columns of the log.

    Raises:
        MappingError: it does not fit the catalogue or the columns; names its line and what is missing.
    """

    def __init__(self, file: MappingFile, columns: Collection[str]) -> None:
        for path, column in file.columns:
            if column not in columns:
                there = ", ".join(sorted(columns)) + _other_delimiter(columns, file.mapping.delimiter)
                raise file.error(path, f"no column `{column}` in the log; it has: {there}")
        mapping = file.mapping
        self._file, self._mapping = file, mapping
        self._case = reader(mapping.case)
        self._instant = instants(mapping.time.format, mapping.time.zone or mapping.zone)
        self._rules = [
            _Rule(rule, _builder(file, ("events", n), rule, self._instant)) for n, rule in enumerate(mapping.events)
        ]
        self._unnamed = _builder(file, (), RowRule(type="step-completed"), self._instant)
        self._case_rules = [
            (rule, _builder(file, ("case_events", n), rule, self._instant))
            for n, rule in enumerate(mapping.case_events)
        ]
        self._fitting: dict[str, list[_Rule]] = {}
        self._told: set[tuple[int, str]] = set()

    def events(self, row: Row) -> Iterator[Mapped | BadRow]:
        """The row's event, and those of its case's columns that no earlier row told; or why there is none."""
        try:
            case, event = self._of_row(row)
        except (Unfit, Unreadable) as error:
            yield BadRow(row.number, row.line, row.raw, str(error))
            return
        yield Mapped(event, "row", row.line, row.raw)
        for number, (rule, build) in enumerate(self._case_rules):
            if rule.column in row.cells and (number, case) not in self._told:
                self._told.add((number, case))
                try:
                    yield Mapped(self._of_case(number, rule, build, case, row), "case", row.line, row.raw)
                except (Unfit, Unreadable) as error:
                    yield BadRow(row.number, row.line, row.raw, f"{rule.column}: {error}", "case")

    def unmet(self) -> Iterator[str]:
        """Each activity of a rule that no row so far has had, with its line in the mapping: a slip in it shows so."""
        for number, each in enumerate(self._rules):
            for place, activity in enumerate(each.rule.activity):
                if activity not in self._fitting:
                    yield str(
                        self._file.error(("events", number, "activity", place), f"no readable row has `{activity}`")
                    )

    def _of_row(self, row: Row) -> tuple[str, Event]:
        case: str | None = self._case(row.cells)
        activity = row.cells.get(self._mapping.activity)
        at = row.cells.get(self._mapping.time.column)
        if case is None or activity is None or at is None:
            wanted = {self._mapping.case: case, self._mapping.activity: activity, self._mapping.time.column: at}
            raise Unfit("empty: " + ", ".join(name for name, value in wanted.items() if value is None))
        time = self._read_instant(self._mapping.time.column, at)
        fact = self._builder_for(activity, case, row.cells)(row.cells)
        event_id = _ROW_ID.format(number=row.number, digest=row.digest)
        return case, self._event(fact, event_id, case, time)

    def _of_case(self, number: int, rule: CaseRule, build: _Build, case: str, row: Row) -> Event:
        """Its id comes from what is said, not from where: the same of two halves of a log."""
        cell = row.cells[rule.column]
        digest = sha256(f"{case}\n{rule.column}\n{cell}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
        time = self._read_instant(rule.column, cell)
        event_id = (_BEFORE_ROWS_ID if rule.before_rows else _AFTER_ROWS_ID).format(number=number, digest=digest)
        return self._event(build(row.cells), event_id, case, time)

    def _read_instant(self, column: str, cell: str) -> datetime:
        try:
            return self._instant(cell)
        except Unfit as error:
            raise Unfit(f"{column}: {error}") from error

    def _event(self, fact: AnyFact, event_id: str, case: str, time: datetime) -> Event:
        mapping = self._mapping
        return make_event(
            fact, id=event_id, source=mapping.event_source, subject=case, time=time, sourcerank=mapping.sourcerank
        )

    def _builder_for(self, activity: str, case: str, cells: Cells) -> _Build:
        fitting = self._fitting.get(activity)
        if fitting is None:
            fitting = [each for each in self._rules if not each.rule.activity or activity in each.rule.activity]
            self._fitting[activity] = fitting
        return next((each.build for each in fitting if each.fits(case, cells)), self._unnamed)


_Build = Callable[[Cells], AnyFact]


class _Rule:
    def __init__(self, rule: RowRule, build: _Build) -> None:
        self.rule = rule
        self.build = build
        self._where = {
            column: {wanted} if isinstance(wanted, str) else set(wanted) for column, wanted in rule.where.items()
        }
        self._cases: set[str] = set()

    def fits(self, case: str, cells: Cells) -> bool:
        if any(cells.get(column, "") not in wanted for column, wanted in self._where.items()):
            return False
        if self.rule.first:
            if case in self._cases:
                return False
            self._cases.add(case)
        return True


def _other_delimiter(columns: Collection[str], delimiter: str) -> str:
    """What to set where a whole header was taken for one column."""
    if len(columns) != 1:
        return ""
    (header,) = columns
    likely = max(_DELIMITERS.keys() - {delimiter}, key=header.count)
    return f"; the mapping lacks `delimiter: {_DELIMITERS[likely]}`" if likely in header else ""


def _own_name(file: MappingFile) -> dict[str, FieldValue]:
    return {"step": f"{{{file.mapping.activity}}}"}


def _builder(file: MappingFile, path: Place, rule: RowRule | CaseRule, instant: Callable[[str], datetime]) -> _Build:
    """The function from a row's cells to a rule's fact; the rule is checked against the catalogue.

    Raises:
        MappingError: unknown type, unknown or missing field, or a constant that the field cannot be.
        Unfit: by the function, if the cells do not fit.
    """
    kind = _KINDS.get(rule.type)
    if kind is None:
        raise file.error((*path, "type"), f"no event `{rule.type}`; there are: {', '.join(sorted(_KINDS))}")
    hints = _hints(kind)
    fields = _all_fields(file, kind, rule)
    _check_fields(file, path, kind, fields, hints, instant)
    readers = {name: _typed(reader(value), name, hints[name], instant) for name, value in fields.items()}
    numbers = [place for name in fields for place in _whole_numbers((name,), hints[name])]
    optional = {name: needs for name in fields if (needs := _needs(kind, name, hints[name]))}
    kept = _attribute_reader(file, rule, fields)

    def build(cells: Cells) -> AnyFact:
        values = {name: value for name, read in readers.items() if (value := read(cells)) is not None}
        for name, needs in optional.items():
            if name in values and not needs <= values[name].keys():
                del values[name]  # a cell that must not be empty is: nobody is named, or no time
        for place in numbers:
            _require_whole(values, place)
        if "attributes" not in values:
            values["attributes"] = kept(cells)
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Unfit(f"{rule.type}: {_words(error)}{_instead(error, kind)}") from error

    return build


def _all_fields(file: MappingFile, kind: type[AnyFact], rule: RowRule | CaseRule) -> dict[str, FieldValue]:
    """The rule's own fields over those that the mapping gives to every event.

    Room and actor are the row's: of what a column says of the whole case they are not known.
    """
    mapping = file.mapping
    common: dict[str, FieldValue | None] = {"office": mapping.office}
    if isinstance(rule, RowRule):
        common |= {"room": mapping.room, "actor": mapping.actor}
    if kind is Received and mapping.zone != _DEFAULT_ZONE:
        common["zone"] = mapping.zone
    if kind in (StepStarted, StepCompleted):
        common |= _own_name(file)
    return {name: value for name, value in common.items() if value is not None} | rule.fields


def _check_fields(
    file: MappingFile,
    path: Place,
    kind: type[AnyFact],
    fields: dict[str, FieldValue],
    hints: dict[str, Any],
    instant: Callable[[str], datetime],
) -> None:
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, value in fields.items():
        here = (*path, "fields", name)
        if name not in known:
            raise file.error(here, f"`{kind.__name__}` has no field `{name}`; it has: {', '.join(sorted(known))}")
        for constant in constants(value):
            try:
                for place in _whole_numbers((name,), hints[name]):
                    _require_whole({name: constant}, place)
                msgspec.convert(_as_given(constant, hints[name], instant), hints[name], strict=False)
            except (Unfit, msgspec.ValidationError) as error:
                raise file.error(here, f"`{constant}` cannot be: {error}{_instead(error, hints[name])}") from error
    missing = [name for name, field in known.items() if field.required and name not in fields]
    if missing:
        raise file.error((*path, "fields"), f"`{kind.__name__}` needs: {', '.join(missing)}")


def _as_given(constant: Any, hint: Any, instant: Callable[[str], datetime]) -> Any:
    return instant(constant) if _is_instant(hint) and isinstance(constant, str) else constant


def _typed(read: Reader, name: str, hint: Any, instant: Callable[[str], datetime]) -> Reader:
    if not _is_instant(hint):
        return read

    def read_instant(cells: Cells) -> datetime | None:
        text = read(cells)
        try:
            return None if text is None else instant(text)
        except Unfit as error:
            raise Unfit(f"{name}: {error}") from error

    return read_instant


def _whole_numbers(place: Place, hint: Any) -> Iterator[Place]:
    """Where in a field whole numbers stand: itself, or fields of what it is made of."""
    for each in _alternatives(hint):
        if each is int:
            yield place
        elif isinstance(each, type) and issubclass(each, msgspec.Struct):
            for name, inner in _hints(each).items():
                yield from _whole_numbers((*place, name), inner)


def _needs(kind: type[AnyFact], name: str, hint: Any) -> frozenset[str]:
    """What a field that may be left out needs if it is not; nothing of one that is no record of its own."""
    required = next(each.required for each in msgspec.structs.fields(kind) if each.name == name)
    if required:
        return frozenset()
    made_of = (each for each in _alternatives(hint) if isinstance(each, type) and issubclass(each, msgspec.Struct))
    return frozenset(each.name for struct in made_of for each in msgspec.structs.fields(struct) if each.required)


def _alternatives(hint: Any) -> Iterator[Any]:
    """The types that a hint allows, without what is said beside them."""
    if get_origin(hint) is Annotated:
        yield from _alternatives(get_args(hint)[0])
    elif get_origin(hint) in (Union, UnionType):
        for each in get_args(hint):
            yield from _alternatives(each)
    else:
        yield hint


def _require_whole(values: Any, place: Place) -> None:
    """135.000 is no number that two people read alike; a lenient reader would take it for 135."""
    for name in place:
        values = values.get(name) if isinstance(values, dict) else None
    if isinstance(values, str) and not _WHOLE.fullmatch(values):
        raise Unfit(f"{'.'.join(map(str, place))}: no whole number, written in digits alone")


def _is_instant(hint: Any) -> bool:
    return hint is datetime or any(_is_instant(each) for each in get_args(hint))


def _attribute_reader(
    file: MappingFile, rule: RowRule | CaseRule, fields: dict[str, FieldValue]
) -> Callable[[Cells], Cells]:
    """Which cells an event keeps as they are. Of a case-level column it is that one: the row's event has the rest."""
    if isinstance(rule, CaseRule):
        own, keep = rule.column, file.mapping.attributes != "none"
        return lambda cells: {own: cells[own]} if keep else {}
    match file.mapping.attributes:
        case "all":
            return lambda cells: cells
        case "none":
            return lambda _: {}
        case "rest":
            mapping = file.mapping
            used = {mapping.activity, mapping.time.column, *columns_of(mapping.case), *_columns_used(fields)}
            return lambda cells: {column: cell for column, cell in cells.items() if column not in used}
        case _:
            assert_never(file.mapping.attributes)


def _columns_used(value: Any) -> Iterator[str]:
    """Columns that are in the event as they are; a translated one is not."""
    match value:
        case str():
            yield from columns_of(value)
        case dict():
            for inner in value.values():
                yield from _columns_used(inner)
        case list():
            for inner in value:
                yield from _columns_used(inner)
        case _:
            pass


def _instead(error: Exception, hint: Any) -> str:
    """What can stand instead of a value that is none of a few; of other mistakes nothing."""
    if not str(error).startswith("Invalid enum value"):
        return ""
    at = _AT.search(str(error))
    choices = ", ".join(_choices(hint, at[1].split(".")[1:] if at else []))
    return f"; it can be: {choices}" if choices else ""


def _choices(hint: Any, names: list[str]) -> Iterator[str]:
    """The few values of a field, which `names` leads to from outside."""
    for each in _alternatives(hint):
        if get_origin(each) is Literal:
            yield from get_args(each)
        elif names and isinstance(each, type) and issubclass(each, msgspec.Struct):
            yield from _choices(_hints(each).get(names[0]), names[1:])


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _words(error: msgspec.ValidationError) -> str:
    """As msgspec says it, without the value found, which may be somebody's name."""
    return _FOUND.sub("value - at", str(error), count=1)
