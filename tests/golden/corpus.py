"""What the golden files are made of."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from events.access import ACCESS, ACCESS_CATALOGUE
from events.alarms import ALARM_CATALOGUE, ALARMS
from events.catalogue import (
    CATALOGUE,
    AnyFact,
    ClosedWithoutSupplement,
    CollectedByPost,
    ConsultationAnswered,
    ConsultationRequested,
    Corrected,
    Data,
    DeliveredByPost,
    DueOverridden,
    DueRecomputed,
    FeedbackReceived,
    HandedToPost,
    HandoffConfirmed,
    IntakeRefused,
    PaymentReceived,
    PaymentRequested,
    PostDeliveryFailed,
    Processed,
    Received,
    Rescheduled,
    Returned,
    ReturnedByPost,
    Routed,
    StepCompleted,
    StepStarted,
    Stopped,
    Submitted,
    SupplementReceived,
    SupplementRequested,
    Voided,
    Withdrawn,
    wire_name,
)
from events.contract import example
from events.envelope import LEDGER, Codec, Event, encode, from_microseconds, make_event, microseconds
from events.rulebook import RULEBOOKS, RulebookPublished, make_rulebook_event
from projections.clocks import clocks
from projections.dossier import anomalies, fold, unpack_entries
from projections.rules import rule_history
from schemas.rulebook import shipped

FOLDER: Final = Path(__file__).parent
_ZONE: Final = timezone(timedelta(hours=7))
_START: Final = datetime(2026, 3, 2, 8, tzinfo=_ZONE)

#: What may stand on a topic of ours, and what reads it.
KINDS: Final[dict[type[Data], Codec[Any]]] = {
    **dict.fromkeys(CATALOGUE, LEDGER),
    **dict.fromkeys(ALARM_CATALOGUE, ALARMS),
    **dict.fromkeys(ACCESS_CATALOGUE, ACCESS),
    RulebookPublished: RULEBOOKS,
}


def event_file(kind: str, version: int) -> Path:
    return FOLDER / "events" / f"{kind}.v{version}.jsonl"


def event_lines(kind: type[Data]) -> list[str]:
    """Events of a kind as of now: what is required alone, and everything that it may say."""
    whole = _whole(kind)
    required = {field.encode_name for field in msgspec.structs.fields(kind) if field.required}
    least = {**whole, "data": {name: value for name, value in whole["data"].items() if name in required}}
    least = {name: value for name, value in least.items() if name != "dataschema"}
    return [json.dumps(each, ensure_ascii=False) for each in (least, whole)]


def _whole(kind: type[Data]) -> dict[str, Any]:
    """An event with everything that its kind may say; a rulebook is the one that is shipped, whole."""
    if kind is RulebookPublished:
        rulebook: dict[str, Any] = json.loads(encode(make_rulebook_event(shipped(), id="r1", time=_START)))
        return rulebook
    if kind in ACCESS_CATALOGUE:
        names = {field.encode_name for field in msgspec.structs.fields(kind)}
        said = {name: value for name, value in _ACCESS_EXAMPLE["data"].items() if name in names}
        return {**_ACCESS_EXAMPLE, "type": wire_name(kind), "data": said}
    return example(kind)


_ACCESS_EXAMPLE: Final[dict[str, Any]] = {
    "specversion": "1.0", "id": "a1", "source": "urn:dossier-ledger:command-line", "subject": "H21.18-260302-0042",
    "time": "2026-03-02T08:30:00+07:00",
    "data": {"actor": "kiem-toan@sokhcn", "command": "replay", "as_of": "2026-03-01T17:00:00+07:00",
             "known_at": "2026-03-02T08:00:00+07:00"},
}  # fmt: skip


def histories() -> dict[str, list[Event]]:
    """Dossiers with what matters to the fold, by name; the events in the order of the ledger."""
    promised = (_START + timedelta(days=7, hours=8)).isoformat()
    received = _fact(Received, procedure="1.002809", channel="direct", room="mot-cua", promised=promised, zone=None)
    done, returned = _fact(Processed, outcome="issued"), _fact(Returned)
    asked = _fact(SupplementRequested, stage="processing")
    half, whole = _fact(SupplementReceived, complete=False), _fact(SupplementReceived, complete=True)
    later = (_START + timedelta(days=20)).isoformat()
    corrected = _fact(Corrected, target_source="golden", target_id="corrected-0", field="promised", new=later)
    voided = _fact(Voided, target_source="golden", target_id="corrected-2")
    started, completed = _fact(StepStarted, step="tham-dinh"), _fact(StepCompleted, step="tham-dinh")
    routed, confirmed = _fact(Routed, to="van-tai"), _fact(HandoffConfirmed, room="van-tai")
    posted, came_back, delivered = _fact(HandedToPost), _fact(ReturnedByPost), _fact(DeliveredByPost)
    submitted = _fact(Submitted, procedure="1.002809", channel="online")
    by_post = _fact(Submitted, procedure="1.002809", channel="post")
    undelivered = [_fact(PostDeliveryFailed, attempt=attempt) for attempt in (1, 2)]
    rescheduled = _fact(Rescheduled, new_due=later)
    sooner = (_START + timedelta(days=15)).isoformat()

    def corrects(target: str, field: str, new: str) -> Corrected:
        return _fact(Corrected, target_source="golden", target_id=target, field=field, new=new)

    told: dict[str, list[AnyFact]] = {
        "plain": [received, routed, confirmed, started, completed, done, returned],
        "online": [submitted, received, done, posted, came_back, posted, delivered],
        "supplement": [received, asked, half, whole, asked, _fact(ClosedWithoutSupplement)],
        "overridden": [received, _fact(DueOverridden, new_due=later), _fact(Rescheduled, new_due=later), done],
        "corrected": [received, routed, done, corrected, voided],
        "consulted": [received, _fact(ConsultationRequested), _fact(ConsultationAnswered), done],
        "paid": [received, _fact(PaymentRequested), _fact(PaymentReceived), done],
        "withdrawn": [received, _fact(Withdrawn), returned, done],
        "stopped": [received, _fact(Stopped)],
        "refused": [submitted, _fact(SupplementRequested, stage="intake"), _fact(IntakeRefused)],
        "by-post": [by_post, _fact(CollectedByPost), received, done, posted, *undelivered, came_back],
        "feedback": [received, done, returned, _fact(FeedbackReceived)],
        "recomputed": [received, _fact(DueRecomputed, new_due=later), done],
        "corrected-due": [received, rescheduled, corrects("corrected-due-1", "new_due", sooner)],
        "corrected-outcome": [received, done, returned, corrects("corrected-outcome-1", "outcome", "refused")],
        "corrected-time": [received, done, corrects("corrected-time-1", "time", later), routed],
        "out-of-order": [done, returned, received],
    }
    return {name: _events(name, facts) for name, facts in told.items()}


F = TypeVar("F", bound=AnyFact)


def _fact(kind: type[F], **said: Any) -> F:
    """A fact as its published example has it, but for what is said here."""
    return msgspec.convert({**example(kind)["data"], "office": "H21.18", **said}, kind)


def _events(name: str, facts: list[AnyFact]) -> list[Event]:
    """A day between one and the next; out of order the other way round, so that what is recorded last was first."""
    days = range(len(facts)) if name != "out-of-order" else range(len(facts), 0, -1)
    return [
        make_event(fact, id=f"{name}-{n}", source="golden", subject=f"GOLDEN-{name}", time=_START + timedelta(days=day))
        for n, (fact, day) in enumerate(zip(facts, days, strict=True))
    ]


def history_file(name: str) -> Path:
    return FOLDER / "histories" / f"{name}.jsonl"


def state_file(name: str) -> Path:
    return FOLDER / "histories" / f"{name}.state.json"


def folded(events: list[Event]) -> dict[str, Any]:
    """What is known of the dossier after these events, each recorded a minute after it occurred, for people to read."""
    records = [(event, offset, microseconds(event.time) + 60_000_000) for offset, event in enumerate(events)]
    dossier = fold(events[0].subject, records)
    rules = rule_history(shipped())
    spans = [
        {
            "clock": clock.kind, "name": clock.name,
            "spans": [[_time(span.begins), _time(span.due.operational if span.due else None), _time(span.ends)]
                      for span in clock.spans],
        }
        for clock in clocks(dossier.standing, rules)
    ]  # fmt: skip
    return {
        "standing": _legible(msgspec.to_builtins(msgspec.structs.asdict(dossier.standing))),
        "anomalies": [[each.code, each.identity.replace("\n", "/")] for each in anomalies(dossier)],
        "events": [each.identity.replace("\n", "/") for each in unpack_entries(dossier)],
        "clocks": spans,
    }


def _legible(standing: dict[str, Any]) -> dict[str, Any]:
    """Without what is not known, and instants as texts."""
    shown = {name: value for name, value in standing.items() if value not in (None, 0, False, [], "", ())}
    return {name: _time(value) if name.endswith(("_at", "promised", "due")) else value for name, value in shown.items()}


def _time(instant: Any) -> Any:
    return from_microseconds(instant).astimezone(_ZONE).isoformat() if isinstance(instant, int) else instant


def files() -> dict[Path, str]:
    """Every golden file as it would be written today."""
    events = {event_file(wire_name(kind), kind.schema_version): "\n".join(event_lines(kind)) for kind in KINDS}
    told = histories()
    lines = {history_file(name): "\n".join(encode(each).decode() for each in told[name]) for name in told}
    states = {state_file(name): json.dumps(folded(told[name]), ensure_ascii=False, indent=1) for name in told}
    return {path: f"{text}\n" for path, text in (events | lines | states).items()}
