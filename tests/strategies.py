"""Hypothesis strategies for everything the ledger can say, read off the event types themselves.

A new kind of fact is covered the moment it joins the catalogue. Codes, ids and instants are drawn often from small
pools, so that rooms meet, times tie and corrections hit; and sometimes from all that the types allow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

import msgspec.inspect as shape
from hypothesis import strategies as st

from events.catalogue import CATALOGUE, AnyFact
from events.envelope import FIRST_YEAR, LAST_YEAR, Event, make_event

_START = datetime(2020, 1, 2, 1, tzinfo=UTC)
_POOLS = {
    "to": ("P1", "P2", "P3"),
    "room": ("P1", "P2", "P3"),
    "step": ("tham-dinh", "trinh-ky", "in-the"),
    "office": ("H01", "H02"),
    "procedure": ("5d", "fee", "hours", "lost", "same-day", "steps"),
    "target_id": tuple(f"e{n}" for n in range(30)),
    "target_source": ("motcua", "buudien"),
}


def text(min_length: int = 0, max_length: int = 4_000) -> st.SearchStrategy[str]:
    """Any Unicode but NUL; mostly short, now and then as long as it may be."""
    letters = st.characters(codec="utf-8", exclude_characters="\0")
    short = st.text(letters, min_size=min_length, max_size=min(max_length, 12))
    return st.one_of(short, short, short, st.just("ấ" * max_length))


def identifiers() -> st.SearchStrategy[str]:
    """What `events.envelope.Identifier` and its check let through."""
    printable = st.characters(exclude_categories=["C", "Z"], include_characters=" ")
    return st.text(printable, min_size=1, max_size=128).filter(lambda value: value == value.strip())


def instants() -> st.SearchStrategy[datetime]:
    """Aware datetimes to the microsecond: mostly within the same hours and often equal, or any, with any offset."""
    near = instants_nearby()
    offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    anywhere = st.datetimes(datetime(FIRST_YEAR, 1, 1), datetime(LAST_YEAR, 12, 31), timezones=offsets)  # noqa: DTZ001  # `timezones` makes them aware
    return st.one_of(near, near, near, anywhere)


def instants_nearby() -> st.SearchStrategy[datetime]:
    """Within the same hours of 02/01/2020, and often equal."""
    return st.integers(0, 12).map(lambda quarters: _START + timedelta(minutes=15 * quarters))


def facts(kind: type[AnyFact] | None = None) -> st.SearchStrategy[AnyFact]:
    """Any fact of the catalogue, or of one kind."""
    return _struct(kind) if kind else st.sampled_from(CATALOGUE).flatmap(_struct)


def events(
    dossier: str | st.SearchStrategy[str] | None = None,
    fact: st.SearchStrategy[AnyFact] | None = None,
    time: st.SearchStrategy[datetime] | None = None,
) -> st.SearchStrategy[Event]:
    """Events as `make_event` makes them, of one dossier (a name), of some (a strategy) or of any."""
    subject = st.just(dossier) if isinstance(dossier, str) else identifiers() if dossier is None else dossier
    return st.builds(
        make_event,
        facts() if fact is None else fact,
        id=st.one_of(st.sampled_from(_POOLS["target_id"]), identifiers()),
        source=st.one_of(st.sampled_from(_POOLS["target_source"]), identifiers()),
        subject=subject,
        time=instants() if time is None else time,
        sourcerank=st.one_of(st.just(50), st.integers(0, 99)),
        correlationid=st.none() | identifiers(),
        causationid=st.none() | identifiers(),
        traceparent=st.none() | st.just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    )


def histories(
    dossier: str = "H01-1",
    min_size: int = 0,
    max_size: int = 12,
    fact: st.SearchStrategy[AnyFact] | None = None,
    time: st.SearchStrategy[datetime] | None = None,
) -> st.SearchStrategy[list[Event]]:
    """Events of one dossier in order of arrival, no two with the same `(source, id)`."""
    return st.lists(
        events(dossier, fact, time),
        min_size=min_size,
        max_size=max_size,
        unique_by=lambda event: (event.source, event.id),
    )


@cache
def _struct(kind: type) -> st.SearchStrategy[Any]:
    described = shape.type_info(kind)
    assert isinstance(described, shape.StructType)
    required = {field.name: _field(field) for field in described.fields if field.required}
    optional = {field.name: _field(field) for field in described.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda values: kind(**values))


def _field(field: shape.Field) -> st.SearchStrategy[Any]:
    general = _of(field.type)
    return st.one_of(st.sampled_from(_POOLS[field.name]), general) if field.name in _POOLS else general


def _of(kind: shape.Type) -> st.SearchStrategy[Any]:
    return _BY_SHAPE[type(kind)](kind)


def _dict(kind: shape.DictType) -> st.SearchStrategy[Any]:
    return st.dictionaries(_of(kind.key_type), _of(kind.value_type), max_size=3)


_BY_SHAPE: dict[type[shape.Type], Callable[[Any], st.SearchStrategy[Any]]] = {
    shape.StrType: lambda kind: text(kind.min_length or 0, kind.max_length),
    shape.IntType: lambda kind: st.integers(kind.ge, kind.le),
    shape.BoolType: lambda _: st.booleans(),
    shape.NoneType: lambda _: st.none(),
    shape.DateTimeType: lambda _: instants(),
    shape.LiteralType: lambda kind: st.sampled_from(kind.values),
    shape.UnionType: lambda kind: st.one_of(*map(_of, kind.types)),
    shape.VarTupleType: lambda kind: st.lists(_of(kind.item_type), max_size=3).map(tuple),
    shape.DictType: _dict,
    shape.StructType: lambda kind: _struct(kind.cls),
    shape.Metadata: lambda kind: _of(kind.type),
}
