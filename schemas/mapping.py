"""The mapping file: how a table of rows, or an XES log, becomes events. docs/mapping.md explains it with examples.

These models check the form of what was written; whether its columns are in the file and its events in the catalogue
is checked by the importer, which knows both. Every mistake is reported with the line of the file it is on.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from schemas.lines import Mistake, NotReadable, Place, Written, parse, read_text

MAX_MAPPING_BYTES: Final = 256 * 1024

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^{}]+)\}")


class MappingError(ValueError):
    """The mapping is wrong, or does not fit the file; the message names the line and what to do."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        raise ValueError(f"no time zone {name!r}; write an IANA name such as Asia/Ho_Chi_Minh") from error
    return name


def _known_encoding(name: str) -> str:
    ascii_bytes = bytes(range(128))
    try:
        known = codecs.lookup(name).name
        keeps_ascii = ascii_bytes.decode(name) == ascii_bytes.decode("ascii")
        b"\xff".decode(name, "surrogateescape")  # as a row is read that is not what it should be
    except LookupError as error:
        raise ValueError(f"no encoding {name!r}; write utf-8, cp1258, …") from error
    except UnicodeError:
        keeps_ascii = False
    if not keeps_ascii:
        raise ValueError(f"encoding {name!r} does not keep ASCII as it is; convert the file to utf-8")
    return known


def _known_format(name: str) -> str:
    if name not in {"iso", "epoch_s", "epoch_ms"} and "%" not in name:
        raise ValueError("write iso, epoch_s, epoch_ms, or a strptime format such as %d/%m/%Y %H:%M")
    try:
        datetime.strptime("", name)  # noqa: DTZ007  # no time is read
    except re.error as error:
        raise ValueError(f"no strptime format: a directive is there twice ({error})") from error
    except ValueError as error:
        if "does not match" not in str(error):  # which nothing does
            raise ValueError(f"no strptime format: {error}") from error
    return name


def _each_once(formats: list[str]) -> list[str]:
    if not formats:
        raise ValueError("no format in it; leave it out for iso")
    twice = next((each for each in formats if formats.count(each) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is there twice")
    return formats


def _closed_braces(template: str) -> str:
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise ValueError("a brace is not closed: write {column}, and {{ or }} for a brace itself")
    return template


Zone = Annotated[str, AfterValidator(_known_zone)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]
TimeFormat = Annotated[str, AfterValidator(_known_format)]
Column = Annotated[str, StringConstraints(min_length=1, max_length=256)]
#: Text with columns in braces: `{case:department}`, `TT-{id}`; without braces a constant.
Template = Annotated[str, StringConstraints(max_length=4_000), AfterValidator(_closed_braces)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lookup(_Model):
    """A column whose values are translated: `{column: …, values: {theirs: ours}, default: …}`.

    A value that is not listed, or none, becomes `default`; without a default a value that is not listed makes the
    row unreadable.
    """

    column: Column
    values: dict[str, Template] = {}
    default: Template | None = None


#: What a field of an event is made of. Nested mappings are for fields that have fields (`actor`, `legal_time`).
FieldValue = Template | Lookup | dict[str, Template | Lookup] | list[Template]


class Time(_Model):
    """How instants are written in the file. `zone` applies to times without an offset; default: the mapping's.

    `format` is `iso` (2011-10-11 13:42:22+02:00), `epoch_s`, `epoch_ms`, a strptime format, or a list of these: each
    instant is read by the first that fits it.
    """

    column: Column
    format: Annotated[list[TimeFormat], AfterValidator(_each_once)] = ["iso"]
    zone: Zone | None = None

    @field_validator("format", mode="before")
    @classmethod
    def _as_list(cls, formats: Any) -> Any:
        return [formats] if isinstance(formats, str) else formats


class RowRule(_Model):
    """Which rows become which event. The first rule that fits a row wins.

    A rule fits if the row's activity is one of `activity` (none given: any), every column in `where` has one of
    its values, and, with `first: true`, no earlier row of the same case used this rule.
    """

    activity: list[str] = []
    where: dict[Column, str | list[str]] = {}
    first: bool = False
    type: str
    fields: dict[str, FieldValue] = {}

    @field_validator("activity", mode="before")
    @classmethod
    def _as_list(cls, activity: Any) -> Any:
        return [activity] if isinstance(activity, str) else activity


class CaseRule(_Model):
    """A column that says the same of the whole case and becomes one event a case, where it is not empty.

    It happens at the time written in `column`: after the case's rows of that instant, or, with `before_rows: true`,
    before them.
    """

    column: Column
    before_rows: bool = False
    type: str
    fields: dict[str, FieldValue] = {}


class Mapping(_Model):
    """One log's mapping."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    title: str = ""
    #: The events' `source`; with their ids it is their identity. Default: `urn:log:<name>`.
    source: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    #: Order among sources that report the same instant; lower goes first.
    sourcerank: Annotated[int, Field(ge=0, le=99)] = 50
    encoding: Encoding = "utf-8"
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    #: IANA zone of the office: of times without an offset, and of the dates people read.
    zone: Zone = "Asia/Ho_Chi_Minh"

    case: Template
    activity: Column
    time: Time

    office: FieldValue
    room: FieldValue | None = None
    actor: FieldValue | None = None
    #: What an event keeps of its row: `all` columns, the `rest` that its fields do not hold as they are, or `none`.
    attributes: Literal["all", "rest", "none"] = "all"

    events: list[RowRule] = []
    case_events: list[CaseRule] = []

    @field_validator("case")
    @classmethod
    def _names_a_column(cls, case: str) -> str:
        if not any(columns_of(case)):
            raise ValueError('no column in it; write for example "{case:concept:name}"')
        return case

    @property
    def event_source(self) -> str:
        return self.source or f"urn:log:{self.name}"


@dataclass(frozen=True)
class MappingFile:
    """A mapping with the lines it was written on."""

    written: Written
    mapping: Mapping

    def error(self, place: Place, message: str) -> MappingError:
        """An error that names the line of `place`, or of the nearest thing around it that is written down."""
        return MappingError(self.written.told(Mistake(place, message)))

    @cached_property
    def columns(self) -> list[tuple[Place, str]]:
        """Every column the mapping names, with where it names it."""
        return list(_columns_of_mapping(self.mapping))


def columns_of(template: str) -> Iterator[str]:
    """The columns a template names: `{a} of {b}` gives a, b."""
    return (match[1] for match in _PLACEHOLDER.finditer(template) if match[1])


def split_template(template: str) -> list[tuple[str, bool]]:
    """A template as (text, is a column) parts in order; doubled braces are single."""
    parts: list[tuple[str, bool]] = []
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append((template[end : match.start()], False))
        parts.append((match[1], True) if match[1] else (match[0][0], False))
        end = match.end()
    parts.append((template[end:], False))
    return [part for part in parts if part[0]]


def load_mapping(path: Path) -> MappingFile:
    """Read a mapping file.

    Raises:
        MappingError: naming the file, the line and what is wrong.
        OSError: it cannot be read.
    """
    try:
        text = read_text(path, MAX_MAPPING_BYTES, "mapping")
    except NotReadable as error:
        raise MappingError(str(error)) from error
    return parse_mapping(text, path.name)


def parse_mapping(text: str, where: str) -> MappingFile:
    """A mapping from its YAML text. Every scalar is text: no `no` that means false.

    Raises:
        MappingError: naming `where`, the line and what is wrong.
    """
    try:
        written = parse(unicodedata.normalize("NFC", text), where)  # as the cells that it is compared with
    except NotReadable as error:
        raise MappingError(str(error)) from error
    try:
        return MappingFile(written, Mapping.model_validate(written.content))
    except ValidationError as error:
        # The mistake that lies deepest: where a value may have several forms, that is the form that was meant.
        deepest = max(written.mistakes(error, "docs/mapping.md"), key=lambda each: len(each.place))
        raise MappingError(written.told(deepest)) from error


def _columns_of_mapping(mapping: Mapping) -> Iterator[tuple[Place, str]]:
    yield from _columns_of_value(("case",), mapping.case)
    yield ("activity",), mapping.activity
    yield ("time", "column"), mapping.time.column
    for name, value in (("office", mapping.office), ("room", mapping.room), ("actor", mapping.actor)):
        yield from _columns_of_value((name,), value)
    for n, rule in enumerate(mapping.events):
        yield from ((("events", n, "where", column), column) for column in rule.where)
        yield from _columns_of_value(("events", n, "fields"), rule.fields)
    for n, case_rule in enumerate(mapping.case_events):
        yield ("case_events", n, "column"), case_rule.column
        yield from _columns_of_value(("case_events", n, "fields"), case_rule.fields)


def _columns_of_value(place: Place, value: FieldValue | dict[str, FieldValue] | None) -> Iterator[tuple[Place, str]]:
    match value:
        case None:
            return
        case str():
            yield from ((place, column) for column in columns_of(value))
        case Lookup():
            yield (*place, "column"), value.column
            for theirs, ours in value.values.items():
                yield from _columns_of_value((*place, "values", theirs), ours)
            yield from _columns_of_value((*place, "default"), value.default)
        case dict():
            for key, inner in value.items():
                yield from _columns_of_value((*place, key), inner)
        case list():
            for n, template in enumerate(value):
                yield from _columns_of_value((*place, n), template)
