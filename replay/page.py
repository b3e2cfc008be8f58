"""The page of an audit pack: the dossier for people, made from the pack's own records, rulebooks and checkpoint.

It proves nothing, and needs nothing but the pack: who has verified one makes its page anew and reads that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

from jinja2 import Environment, StrictUndefined, Template
from pydantic import ValidationError

from events.envelope import Unreadable, decode_record, from_microseconds
from projections.calendar import DEFAULT_ZONE, zone_named
from projections.expectation import Timeliness
from projections.rules import SINCE_EVER, RuleHistory, compile_rules
from projections.standing import AnomalyCode
from replay.described import describe_dossier, describe_step
from replay.explained import describe_clocks
from replay.pack import Pack
from replay.timeline import Recorded, timeline
from replay.words import AMENDING, ANOMALIES, OVERRIDDEN, TIMELINESS_NAMES
from schemas import api
from schemas.rulebook import Rulebook

#: The page is about the pack; how fresh some server was does not matter to it.
_NO_FRESHNESS: Final = api.Freshness(positions={}, recorded_at=None, lag=None, complete=None)


class Book(NamedTuple):
    """A rulebook of the pack; `known_at` None: it came with the program."""

    name: str
    known_at: object
    version: str


class Raw(NamedTuple):
    """A record as it is, for who wants to read it."""

    offset: int
    text: str
    leaf: str


def page(pack: Pack) -> str:
    """The HTML. The same pack gives the same page."""
    records = list(_recorded(pack))
    told = timeline(pack.dossier, records)
    rules = _rules(pack.rulebooks)
    read_at = max((each.recorded for each in records), default=0)
    steps = [describe_step(each) for each in told.steps]
    zone = told.dossier.standing.zone or DEFAULT_ZONE
    return _template().render(
        pack=pack,
        standing=describe_dossier(told.dossier, pack.partition, _NO_FRESHNESS),
        explanation=describe_clocks(told.dossier, rules, read_at, _NO_FRESHNESS) if rules else None,
        read_at=from_microseconds(read_at),
        steps=steps,
        rulebooks=[_book(each) for each in pack.rulebooks],
        overrides=[each for each in steps if each.type == OVERRIDDEN],
        amendments=[each for each in steps if each.type in AMENDING],
        raw=[Raw(each.offset, _shown(pack.value(each)), pack.leaf(each).hex()) for each in pack.records],
        timeliness=lambda code: TIMELINESS_NAMES[Timeliness(code)],
        anomaly=lambda code: ANOMALIES[AnomalyCode(code)],
        moment=lambda instant: _moment(instant, zone),
        value=lambda value: _value(value, zone),
        text=lambda said: "–" if said is None else said,
        zone=zone,
    )


def _recorded(pack: Pack) -> Iterator[Recorded]:
    """The events among the records; what is none stands among the raw records all the same."""
    for each in pack.records:
        try:
            event = decode_record(pack.key(each), pack.value(each))
        except Unreadable:
            continue
        yield Recorded(event, pack.partition, each.offset, each.timestamp_ms * 1_000)


def _rules(rulebooks: Iterable[dict[str, Any]]) -> RuleHistory | None:
    """None if this program cannot read one of them, as one of a later version: better no due than a wrong one."""
    try:
        read = tuple(
            (each["known_at_us"], compile_rules(Rulebook.model_validate(each["content"]), each["version"]))
            for each in rulebooks
        )
        return RuleHistory(tuple(sorted(read, key=lambda each: each[0])))  # not as who made the pack put them
    except (KeyError, TypeError, ValidationError, ValueError):
        return None


def _book(packed: dict[str, Any]) -> Book:
    """As a pack tells of it, whatever that is: what is no rulebook has no name."""
    content, known = packed.get("content"), packed.get("known_at_us")
    name = content.get("name") if isinstance(content, dict) else None
    try:
        known_at: object = None if known == SINCE_EVER else from_microseconds(int(str(known)))
    except (ValueError, OverflowError):
        known_at = known
    return Book(str(name or "–"), known_at, str(packed.get("version")))


def _shown(value: bytes | None) -> str:
    """The value as it is, set out in lines if it is JSON."""
    text = (value or b"").decode(errors="replace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return text


def _moment(instant: datetime | str | None, zone: str) -> str:
    """dd/MM/yyyy HH:mm:ss at the office; "–" if there is none."""
    if instant is None:
        return "–"
    moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{moment.astimezone(zone_named(zone)):%d/%m/%Y %H:%M:%S}"


def _value(value: object, zone: str) -> str:
    """Of a field of some kind: an instant at the office, else as it is."""
    try:
        return _moment(str(value), zone) if datetime.fromisoformat(str(value)).tzinfo else str(value)
    except (ValueError, OverflowError):
        return "–" if value is None else str(value)


@cache
def _template() -> Template:
    text = (files("replay") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(text)
