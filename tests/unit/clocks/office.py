"""An office for the tests of the clocks: its rulebook, and dossiers told as lists of what happened when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from typing import Any

from events.catalogue import (
    Actor,
    AnyFact,
    LegalTime,
    PaymentReceived,
    PaymentRequested,
    Received,
    Submitted,
    SupplementReceived,
    SupplementRequested,
)
from events.envelope import make_event, microseconds
from projections.clocks import Clock, ClockKind, clocks, due_now
from projections.dossier import Dossier, fold
from projections.rules import RuleHistory, rule_history
from schemas.rulebook import Rulebook

ZONE = timezone(timedelta(hours=7))
CHIEF = Actor(id="truong-phong")
ASKED = SupplementRequested(office="so", stage="processing", reason="thiếu giấy")
COMPLETE = SupplementReceived(office="so", complete=True)
TO_PAY = PaymentRequested(office="so", amount=1)
PAID = PaymentReceived(office="so", amount=1)

#: Domain 2.9: what was announced when. 02/01/2026 became known eight days before.
ANNOUNCEMENTS = [
    {
        "basis": "holidays 2020 and 2026", "announced": "2019-11-01",
        "off": [
            "2020-01-01", "2020-01-23..2020-01-29", "2020-04-02", "2020-04-30", "2020-05-01", "2020-09-02",
            "2026-01-01", "2026-02-16..2026-02-20", "2026-04-27", "2026-04-30", "2026-05-01", "2026-08-31",
            "2026-09-01..2026-09-02",
        ],
        "working": ["2026-08-22"],
    },
    {"basis": "12729/VPCP-KGVX", "announced": "2025-12-25", "off": ["2026-01-02"], "working": ["2026-01-10"]},
]  # fmt: skip


def procedure(code: str, **rules: Any) -> dict[str, Any]:
    return {"code": code, "name": {"vi": code, "en": code}, "field": "vt", **rules}


PROCEDURES = [
    *(procedure(f"{n}d", legal_time=f"{n}d") for n in (3, 5, 6, 10)),
    procedure("resume", legal_time="5d", supplement="resume"),
    procedure("fee", legal_time="10d", stops=["supplement", "payment"]),
    procedure("no-fee", legal_time="10d"),
    procedure("lost", legal_time="2mo", not_before="2mo"),
    procedure("same-day", same_day_cutoff="15:00"),
    procedure("calendar", legal_time="15cd"),
    procedure("hours", legal_time="8h"),
    procedure("steps", legal_time="5d", steps={"tham-dinh": "2d"}),
]


@cache
def rulebook(**changes: Any) -> Rulebook:
    return Rulebook.model_validate(
        {
            "name": "office", "title": {"vi": "Sở", "en": "Office"}, "effective_from": "2019-01-01", "basis": "test",
            "calendar": "vn",
            "calendars": [
                {"code": "vn", "windows": ["07:00-11:30", "13:30-17:00"], "announcements": ANNOUNCEMENTS}
            ],
            "fields": [{"code": "vt", "name": {"vi": "Vận tải", "en": "Transport"}}],
            "procedures": PROCEDURES,
            "post_collection": "1d",
            **changes,
        }
    )  # fmt: skip


@cache
def rules(**changes: Any) -> RuleHistory:
    return rule_history(rulebook(**changes))


def rules_with(code: str, **law: Any) -> RuleHistory:
    """The same office with one procedure more."""
    return rule_history(Rulebook.model_validate(rulebook().content | {"procedures": [procedure(code, **law)]}))


def at(text: str) -> datetime:
    """`09/02/2026 09:10` in the office's time."""
    return datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=ZONE)


def us(text: str) -> int:
    return microseconds(at(text))


def on(text: str) -> date:
    return datetime.strptime(text, "%d/%m/%Y").replace(tzinfo=UTC).date()


def received(code: str, **more: Any) -> Received:
    return Received(office="so", procedure=code, channel=more.pop("channel", "direct"), **more)


def submitted(code: str, channel: Any = "online") -> Submitted:
    return Submitted(office="so", procedure=code, channel=channel)


def legal(n: int, unit: Any) -> LegalTime:
    return LegalTime(n=n, unit=unit)


def dossier(*happened: tuple[str, AnyFact]) -> Dossier:
    """The dossier to which these things happened; each was recorded when it happened."""
    events = [
        (make_event(fact, id=f"e{number:03d}", source="so", subject="hs-1", time=at(when)), number, us(when))
        for number, (when, fact) in enumerate(happened)
    ]
    return fold("hs-1", events)


def due_day(told: Dossier, history: RuleHistory | None = None) -> date | None:
    due = due_now(told.standing, history or rules())
    return due.day if due else None


def clock(told: Dossier, kind: ClockKind, history: RuleHistory | None = None) -> Clock:
    return next(each for each in clocks(told.standing, history or rules()) if each.kind is kind)
