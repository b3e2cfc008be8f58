"""A simulated department: the dossiers of a real half-year report, with its exact proportions, drawn from a seed.

The profile `gia-lai-2020-h1` has the figures that the transport department of Gia Lai published for the first six
months of 2020: 21,609 dossiers received, of them 19,603 driving licences, 1,499 other procedures and 507 lost
licences still inside their legal wait of two months; 4,780 collected and 5,242 returned by post, 1,405 files returned
by post after a driving test, 370 confirmed on Zalo; 4,533 licences and 1,155 of 1,186 transport dossiers done on
the same day. How these overlap, the hours of the day and the steps are ours.

It is pure: no clock, no randomness but the seed's, so that the same seed gives the same events, and counts are exact.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta, timezone
from random import Random
from typing import Any, Final, Literal

from events.catalogue import (
    Actor,
    AnyFact,
    Channel,
    CollectedByPost,
    DeliveredByPost,
    FeedbackReceived,
    HandedToPost,
    HandoffConfirmed,
    LegalTime,
    PaymentReceived,
    Processed,
    Received,
    Returned,
    Routed,
    StepCompleted,
    StepStarted,
    Submitted,
    SupplementReceived,
    SupplementRequested,
)
from events.envelope import Event, make_event

ZONE: Final = timezone(timedelta(hours=7))
#: Working windows: 07:00-11:30 and 13:30-17:00, eight hours.
MORNING: Final = (time(7), 270)
AFTERNOON: Final = (time(13, 30), 210)
CLOSING: Final = time(17)
DAY_MINUTES: Final = 480
OFFICE: Final = "SGTVT-GiaLai"
COUNTER, POST_DESK, DRIVERS, ROADS, LEADERS = "mot-cua", "buu-dien", "van-tai-nguoi-lai", "ket-cau-ha-tang", "lanh-dao"
LICENCE_FEE_DONG: Final = 135_000

Timing = Literal["same_day", "days", "two_months"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Dossiers that are alike in all that the report counts."""

    count: int
    field: str  # lĩnh vực
    procedures: tuple[str, ...]
    channel: Channel = "direct"
    timing: Timing = "days"
    legal_days: int = 5
    by_post: bool = False  # the result goes home by post
    post_exam: bool = False  # the file goes back by post after a driving test


@dataclass(frozen=True, slots=True)
class Profile:
    """A period of one department: its working days and its cells, which are disjoint and add up."""

    name: str
    first: date
    last: date
    off: frozenset[date]
    cells: tuple[Cell, ...]

    @property
    def dossiers(self) -> int:
        return sum(cell.count for cell in self.cells)

    def working_days(self) -> list[date]:
        span = (self.last - self.first).days + 1
        days = (self.first + timedelta(days=n) for n in range(span))
        return [day for day in days if day.weekday() < 5 and day not in self.off]

    @property
    def end(self) -> datetime:
        """Closing time of the last day."""
        return datetime.combine(self.last, CLOSING, ZONE)

    def office_time(self) -> Callable[[datetime], timedelta]:
        """How long the office has been open by an instant, from the first day's opening on; a lunch is open time.

        It stands still at night, at weekends and on days off.
        """
        openings = [datetime.combine(day, MORNING[0], ZONE) for day in self.working_days()]
        whole = datetime.combine(self.first, CLOSING) - datetime.combine(self.first, MORNING[0])

        def open_by(instant: datetime) -> timedelta:
            day = bisect_right(openings, instant) - 1
            return day * whole + min(instant - openings[day], whole) if day >= 0 else timedelta()

        return open_by


def _numbered(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}-{number:02d}" for number in range(1, count + 1))


_TRANSPORT = _numbered("VT", 27)
_VEHICLES = _numbered("PTNL", 29)[4:]  # the four of driving licences are the first of the 29
_ROADS = _numbered("KCHT", 9)
_APPRAISAL = _numbered("TD", 3)
_WATERWAYS = _numbered("TND", 28)
_NEW, _EXCHANGE, _REISSUE, _LOST = ("GPLX-CAP-MOI",), ("GPLX-DOI",), ("GPLX-CAP-LAI",), ("GPLX-MAT",)

GIA_LAI_2020_H1: Final = Profile(
    name="gia-lai-2020-h1",
    first=date(2020, 1, 2),
    last=date(2020, 6, 30),
    off=frozenset(
        {
            *(date(2020, 1, day) for day in range(23, 30)),
            date(2020, 4, 2),
            date(2020, 4, 30),
            date(2020, 5, 1),
        }
    ),
    cells=(
        Cell(370, "nguoi-lai", _EXCHANGE, channel="zalo", by_post=True),
        Cell(2_400, "nguoi-lai", _EXCHANGE, channel="post", by_post=True),
        Cell(2_380, "nguoi-lai", _EXCHANGE, channel="post"),
        Cell(4_533, "nguoi-lai", _EXCHANGE, timing="same_day"),
        Cell(1_000, "nguoi-lai", _NEW, by_post=True, post_exam=True),
        Cell(405, "nguoi-lai", _NEW, post_exam=True),
        Cell(6_000, "nguoi-lai", _NEW),
        Cell(1_472, "nguoi-lai", _EXCHANGE, by_post=True),
        Cell(1_043, "nguoi-lai", _REISSUE),
        Cell(507, "nguoi-lai", _LOST, timing="two_months"),
        Cell(548, "van-tai", _TRANSPORT, timing="same_day"),
        Cell(15, "van-tai", _TRANSPORT, legal_days=3),
        Cell(607, "van-tai", _TRANSPORT, channel="online", timing="same_day"),
        Cell(16, "van-tai", _TRANSPORT, channel="online", legal_days=3),
        Cell(150, "phuong-tien", _VEHICLES),
        Cell(63, "ket-cau-ha-tang", _ROADS, legal_days=10),
        Cell(30, "tham-dinh", _APPRAISAL, legal_days=15),
        Cell(70, "thuy-noi-dia", _WATERWAYS, legal_days=5),
    ),
)
PROFILES: Final = {GIA_LAI_2020_H1.name: GIA_LAI_2020_H1}

#: One in so many of the dossiers that take days is done after its promise, or needs a supplement.
LATE_ONE_IN, SUPPLEMENT_ONE_IN = 700, 60


def simulate(profile: Profile, *, dossiers: int | None = None, seed: int = 1) -> Iterator[Event]:
    """All events of the period in the order in which they happened.

    Args:
        profile: what to simulate.
        dossiers: how many, in the profile's proportions (largest remainder); by default as many as it has.
        seed: gives the same events each time.

    Memory grows with the dossiers open at the same time, not with the number of events.
    """
    size = profile.dossiers if dossiers is None else dossiers
    run = _Run(profile.working_days(), f"urn:simulated:{profile.name}:{seed}:{size}")
    starts = sorted(_starts(run, _scaled(profile.cells, size), _draws(seed)), key=lambda start: start.at)
    prefix = f"GL{seed}" if size == profile.dossiers else f"GL{seed}N{size}"
    today: Counter[date] = Counter()
    upcoming: list[tuple[datetime, int, int, AnyFact, str]] = []
    for number, start in enumerate(starts):
        while upcoming and upcoming[0][0] <= start.at:
            yield _event(run, *heapq.heappop(upcoming))
        today[start.at.date()] += 1
        code = f"{prefix}-{start.at:%y%m%d}-{today[start.at.date()]:04d}"
        story = _story(run, start, code, _draws(f"{seed}/{number}"))
        for turn, (at, fact) in enumerate(story):
            if at <= profile.end:
                heapq.heappush(upcoming, (at, number, turn, fact, code))
    while upcoming:
        yield _event(run, *heapq.heappop(upcoming))


@dataclass
class Tally:
    """What a report would count, from the events alone."""

    end: datetime
    events: int = 0
    received: int = 0
    resolved: int = 0
    same_day: int = 0
    late: int = 0
    supplements: int = 0
    by_channel: Counter[str] = field(default_factory=Counter)
    movements: Counter[str] = field(default_factory=Counter)
    _open: dict[str, Received] = field(default_factory=dict)
    _received_on: dict[str, date] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        self.events += 1
        match event.data:
            case Received() as fact:
                self.received += 1
                self.by_channel[fact.channel] += 1
                self._open[event.subject] = fact
                self._received_on[event.subject] = event.time.date()
            case Processed():
                self.resolved += 1
                received = self._open.pop(event.subject)
                self.same_day += self._received_on[event.subject] == event.time.date()
                self.late += received.promised is not None and event.time.date() > received.promised.date()
            case CollectedByPost():
                self.movements["collected"] += 1
            case HandedToPost(parcel=parcel):
                self.movements[parcel] += 1
            case SupplementRequested():
                self.supplements += 1
            case _:
                pass

    def figures(self) -> dict[str, Any]:
        """The counts, with pending dossiers split by their promise at the period's end."""
        promises = [fact.promised for fact in self._open.values() if fact.promised]
        overdue = sum(promised < self.end for promised in promises)
        return {
            "events": self.events,
            "received": self.received,
            "resolved": self.resolved,
            "pending_in_time": len(self._open) - overdue,
            "overdue": overdue,
            "resolved_late": self.late,
            "same_day": self.same_day,
            "supplements": self.supplements,
            "by_channel": dict(sorted(self.by_channel.items())),
            "postal_movements": dict(sorted(self.movements.items())),
        }


@dataclass(frozen=True, slots=True)
class _Run:
    days: list[date]
    source: str

    def instant(self, minute: float) -> datetime:
        """The instant at a working minute counted from the opening of the first day."""
        day, within = divmod(minute, DAY_MINUTES)
        start, length = MORNING
        opening = datetime.combine(self.days[int(day)], start, ZONE)
        if within >= length:
            within, opening = within - length, opening.replace(hour=AFTERNOON[0].hour, minute=AFTERNOON[0].minute)
        return (opening + timedelta(minutes=within)).replace(microsecond=0)

    def closing(self, day: int) -> datetime:
        """Closing time of working day number `day`; days behind the period count on Monday to Friday."""
        beyond = day - (len(self.days) - 1)
        last = self.days[min(day, len(self.days) - 1)]
        while beyond > 0:
            last += timedelta(days=1)
            beyond -= last.weekday() < 5
        return datetime.combine(last, CLOSING, ZONE)


@dataclass(frozen=True, slots=True)
class _Start:
    """One dossier to come: when it is received and when its result is there, in working minutes."""

    at: datetime  # of its first event
    cell: Cell
    received: float
    processed: float | None
    promised: datetime
    supplement: bool


def _draws(seed: int | str) -> Random:
    return Random(seed)  # noqa: S311  # reproducible on purpose; nothing here is a secret


def _scaled(cells: tuple[Cell, ...], size: int) -> list[Cell]:
    """The cells in the same proportions for `size` dossiers, by largest remainder."""
    total = sum(cell.count for cell in cells)
    shares = [divmod(cell.count * size, total) for cell in cells]
    missing = size - sum(whole for whole, _ in shares)
    most = sorted(range(len(cells)), key=lambda n: -shares[n][1])[:missing]
    return [replace(cell, count=shares[n][0] + (n in most)) for n, cell in enumerate(cells)]


def _starts(run: _Run, cells: list[Cell], random: Random) -> Iterator[_Start]:
    slow = 0
    for cell in cells:
        for _ in range(cell.count):
            slow += cell.timing == "days"
            late = cell.timing == "days" and slow % LATE_ONE_IN == LATE_ONE_IN // 2
            supplement = cell.timing == "days" and slow % SUPPLEMENT_ONE_IN == 0
            yield _start(run, cell, late, supplement, random)


def _start(run: _Run, cell: Cell, late: bool, supplement: bool, random: Random) -> _Start:
    last = len(run.days) - 1
    if cell.timing == "two_months":
        since = next(n for n, day in enumerate(run.days) if day >= date(2020, 5, 4))  # so that the wait is not over
        day = random.randint(since, last)
        received = day * DAY_MINUTES + random.uniform(60, 400)
        month = run.days[day].month + 2
        promised = _next_weekday(run.days[day].replace(month=month, day=min(run.days[day].day, 30)))
        return _Start(run.instant(received), cell, received, None, datetime.combine(promised, CLOSING, ZONE), False)
    if cell.timing == "same_day":
        day = random.randint(0, last)
        received = day * DAY_MINUTES + random.uniform(60, 240)
        processed = received + random.uniform(100, 200)
        promised_at = run.closing(day)
    else:
        taken = cell.legal_days + random.randint(1, 3) if late else random.randint(1, cell.legal_days)
        day = random.randint(0, last - max(taken, cell.legal_days) - 1)
        received = day * DAY_MINUTES + random.uniform(120, 400)
        processed = (day + taken) * DAY_MINUTES + random.uniform(60, 420)
        promised_at = run.closing(day + cell.legal_days)
    before = {"post": 110.0, "zalo": 50.0, "online": 45.0}.get(cell.channel, 0.0)
    return _Start(run.instant(received - before), cell, received, processed, promised_at, supplement)


def _next_weekday(day: date) -> date:
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return day


def _story(run: _Run, start: _Start, code: str, random: Random) -> Iterable[tuple[datetime, AnyFact]]:
    """Everything that happens to one dossier, in order."""
    cell, item = start.cell, f"E{random.randint(10**8, 10**9 - 1)}VN"
    procedure = random.choice(cell.procedures)
    clerk, post_clerk = (
        Actor(id=f"mc{random.randint(1, 6):02d}"),
        Actor(id=f"bd{random.randint(1, 3):02d}", org="VNPost"),
    )
    room = ROADS if cell.field in {"ket-cau-ha-tang", "tham-dinh"} else DRIVERS
    officer, leader = Actor(id=f"cv{random.randint(1, 14):02d}"), Actor(id="ld01")

    def at(minute: float) -> datetime:
        return run.instant(minute)

    begin, end = start.received, start.processed
    if cell.channel == "post":
        yield at(begin - 110), CollectedByPost(office=OFFICE, actor=post_clerk, room=POST_DESK, item_code=item)
    if cell.channel != "direct":
        submitter = post_clerk if cell.channel in {"post", "zalo"} else None
        minutes = f"BB-{item}" if cell.channel == "post" else None
        yield (
            at(begin - (40 if cell.channel != "zalo" else 50)),
            Submitted(
                office=OFFICE, actor=submitter, procedure=procedure, channel=cell.channel, minutes_no=minutes,
                zalo_ref=f"ZL-{item}" if cell.channel == "zalo" else None, room=COUNTER,
            ),
        )  # fmt: skip
    unit: Literal["d", "mo"] = "mo" if cell.timing == "two_months" else "d"
    amount = {"two_months": 2, "same_day": 1}.get(cell.timing, cell.legal_days)
    yield (
        at(begin),
        Received(
            office=OFFICE, actor=clerk, room=COUNTER, procedure=procedure, channel=cell.channel, code=code,
            promised=start.promised, legal_time=LegalTime(n=amount, unit=unit),
            return_mode="post" if cell.by_post else "counter",
        ),
    )  # fmt: skip
    if cell.field == "nguoi-lai":
        yield (
            at(begin + 4),
            PaymentReceived(office=OFFICE, actor=clerk, amount=LICENCE_FEE_DONG, receipt_no=f"BL-{item}"),
        )
    yield at(begin + 6), Routed(office=OFFICE, actor=clerk, room=COUNTER, to=room, step="tham-dinh")
    yield at(begin + 12), HandoffConfirmed(office=OFFICE, actor=officer, room=room)
    yield at(begin + 18), StepStarted(office=OFFICE, actor=officer, room=room, step="tham-dinh")
    if end is None:
        return
    if start.supplement:
        yield (
            at(begin + 25),
            SupplementRequested(
                office=OFFICE, actor=officer, stage="processing", reason="thiếu ảnh", items=("ảnh 3x4",)
            ),
        )
        yield at(begin + 60), SupplementReceived(office=OFFICE, actor=clerk, complete=True, items=("ảnh 3x4",))
    yield at(end - 34), StepCompleted(office=OFFICE, actor=officer, room=room, step="tham-dinh", outcome="đạt")
    yield at(end - 30), Routed(office=OFFICE, actor=officer, room=room, to=LEADERS, step="trinh-ky")
    yield at(end - 20), HandoffConfirmed(office=OFFICE, actor=leader, room=LEADERS)
    yield at(end - 10), StepCompleted(office=OFFICE, actor=leader, room=LEADERS, step="trinh-ky", outcome="đã ký")
    yield at(end), Processed(office=OFFICE, actor=leader, room=COUNTER, outcome="issued", result_no=f"KQ-{item}")
    if cell.post_exam:
        yield at(end + 2), HandedToPost(office=OFFICE, actor=clerk, parcel="post_exam_dossier", item_code=f"X{item}")
    if cell.by_post:
        yield at(end + 8), HandedToPost(office=OFFICE, actor=clerk, parcel="result", item_code=item)
        delivered = end + random.uniform(1, 2) * DAY_MINUTES
        if delivered < len(run.days) * DAY_MINUTES:
            yield at(delivered), DeliveredByPost(office=OFFICE, actor=post_clerk, item_code=item)
    else:
        yield at(end + random.uniform(10, 20)), Returned(office=OFFICE, actor=clerk, mode="counter")
        if random.random() < 0.05:
            yield at(end + 21), FeedbackReceived(office=OFFICE, kind="rating", rating=random.choice((4, 5, 5)))


def _event(run: _Run, at: datetime, number: int, turn: int, fact: AnyFact, code: str) -> Event:
    return make_event(fact, id=f"{number:06d}-{turn:02d}", source=run.source, subject=code, time=at)
