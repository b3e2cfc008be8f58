"""The rulebook as the clocks ask it: which procedure, which calendar, which limits, in force on a day, as known then.

Two times decide (`RuleHistory.in_force`): the day a rule is for, and when it was published. A dossier keeps the rules
of the day it was received; a calendar announced late is known from its announcement on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from functools import cached_property
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from projections.calendar import DEFAULT_ZONE, Term, WorkingCalendar, local_date
from schemas import rulebook as written
from schemas.rulebook import Cause, Mechanism, Rulebook
from schemas.timewords import WEEKDAYS, WrittenTerm

#: When the shipped rulebook became known: before anything.
SINCE_EVER: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class ProcedureRules:
    """How the time of one procedure is counted. Due the same day up to `same_day_cutoff`, if that is set."""

    code: str
    name_vi: str
    name_en: str
    field: str
    mechanism: Mechanism
    service_level: int | None
    authority: str | None
    legal_time: Term | None
    steps: Mapping[str, Term]
    supplement: Literal["restart", "resume", "limit"]
    supplement_limit: Term
    stops: frozenset[Cause]
    same_day_cutoff: time | None
    not_before: Term | None
    reschedule_limit: int
    after_hours: Literal["same_day", "next_working_day"]


class RoutingLimits(NamedTuple):
    """R9: received up to `cutoff`, gone by closing time; later, `grace_minutes` after the next opening."""

    cutoff: time
    grace_minutes: int
    handoff: Term | None


class IntakeLimits(NamedTuple):
    """R8: until when an application is noticed, and answered."""

    notify: Term
    answer: Term


@dataclass(frozen=True, eq=False)
class Rules:
    """One rulebook, compiled. `version` is the hash of its content; two with one version are the same."""

    version: str
    name: str
    effective_from: date
    procedures: Mapping[str, ProcedureRules]
    routing: RoutingLimits
    intake: IntakeLimits
    post_collection: Term | None
    warn_fraction: float
    day_ends: Literal["operational", "legal"]
    late_calendar: Literal["if_notified", "always", "never"]
    _default: _Calendars
    _by_code: Mapping[str, _Calendars]
    _by_office: Mapping[str, _Calendars]

    def procedure(self, code: str) -> ProcedureRules | None:
        return self.procedures.get(code)

    def calendar(self, office: str | None = None, known: date | None = None) -> WorkingCalendar:
        """The calendar of an office (of an office nobody described, the rulebook's own).

        With `known`, days announced after that date are left out.
        """
        calendars = self._default if office is None else self._by_office.get(office, self._default)
        return calendars.as_known(known)

    def calendar_named(self, code: str) -> WorkingCalendar | None:
        """A calendar by its own code."""
        calendars = self._by_code.get(code)
        return None if calendars is None else calendars.as_known(None)

    @property
    def calendar_codes(self) -> tuple[str, ...]:
        return tuple(self._by_code)


def compile_rules(rulebook: Rulebook, version: str | None = None) -> Rules:
    """The rules of a rulebook; `version`, if it was published under one."""
    by_code = {each.code: _Calendars(each) for each in rulebook.calendars}
    return Rules(
        version=version or rulebook.version,
        name=rulebook.name,
        effective_from=rulebook.effective_from,
        procedures=MappingProxyType({each.code: _procedure(each) for each in rulebook.procedures}),
        routing=RoutingLimits(
            rulebook.routing.cutoff, rulebook.routing.grace_minutes, _term_or_none(rulebook.routing.handoff)
        ),
        intake=IntakeLimits(_term(rulebook.intake.notify), _term(rulebook.intake.answer)),
        post_collection=_term_or_none(rulebook.post_collection),
        warn_fraction=rulebook.alarms.warn_fraction,
        day_ends=rulebook.alarms.day_ends,
        late_calendar=rulebook.late_calendar,
        _default=by_code[rulebook.calendar],
        _by_code=MappingProxyType(by_code),
        _by_office=MappingProxyType(
            {each.code: by_code[each.calendar] for each in rulebook.offices if each.calendar is not None}
        ),
    )


@dataclass(frozen=True)
class RuleHistory:
    """Every rulebook that was ever published, in the order in which they became known.

    `published` holds (known_at, rules), known_at in microseconds since 1970 UTC; it is never empty. `known_on`: days
    of a calendar that were announced after that date are not known; None: all are.
    """

    published: tuple[tuple[int, Rules], ...]
    known_on: date | None = None

    def __post_init__(self) -> None:
        if not self.published:
            raise ValueError("a history begins with the rulebook that is shipped")
        if any(before[0] > after[0] for before, after in zip(self.published, self.published[1:], strict=False)):
            raise ValueError("rulebooks come in the order in which they became known")

    @cached_property
    def newest(self) -> Rules:
        """The one that became known last."""
        return self.published[-1][1]

    def in_force(self, on: date) -> Rules:
        """The rules for the day `on`.

        Of those effective by that day, the one with the latest first day; of several of these, the one published
        last. Before the first effective day the earliest rules hold: a dossier from before the ledger is counted too.
        """
        days, rules = self._timeline
        return rules[max(0, bisect_right(days, on) - 1)]

    def procedure(self, code: str, on: date) -> ProcedureRules | None:
        return self.in_force(on).procedure(code)

    def as_known(self, known: int) -> RuleHistory:
        """The history as it was known at that instant; it has the shipped rulebook at least."""
        count = max(1, bisect_right(self.published, known, key=lambda each: each[0]))
        day = _day_of(known)
        return RuleHistory(self.published[:count], day if self.known_on is None else min(day, self.known_on))

    @cached_property
    def _timeline(self) -> tuple[list[date], list[Rules]]:
        """First days in order, and the rules from each on: of one day, those published last."""
        by_day = {rules.effective_from: rules for _, rules in self.published}
        days = sorted(by_day)
        return days, [by_day[day] for day in days]


def rule_history(shipped: Rulebook, published: Iterable[tuple[int, str, Rulebook]] = ()) -> RuleHistory:
    """The history that begins with `shipped`; `published` are (known_at in microseconds, version, rulebook)."""
    later = tuple((known_at, compile_rules(rulebook, version)) for known_at, version, rulebook in published)
    return RuleHistory(((SINCE_EVER, compile_rules(shipped)), *later))


def _day_of(known: int) -> date:
    """Its date, or the nearest that a calendar has."""
    if known < 0:
        return date.min
    return local_date(known, DEFAULT_ZONE) if known < _YEAR_9999 else date.max


_YEAR_9999: Final = 253_370_764_800_000_000  # its beginning, in microseconds since 1970 UTC


@dataclass(frozen=True)
class _Calendars:
    """One calendar at every stage of what was announced; each stage is compiled when first asked for."""

    source: written.Calendar
    _compiled: dict[int, WorkingCalendar] = field(default_factory=dict)

    def as_known(self, known: date | None) -> WorkingCalendar:
        announcements, days = self._announced
        count = len(days) if known is None else bisect_right(days, known)
        calendar = self._compiled.get(count)
        if calendar is None:
            calendar = self._compiled[count] = self._compile(announcements[:count])
        return calendar

    @cached_property
    def _announced(self) -> tuple[list[written.Announcement], list[date]]:
        announcements = sorted(self.source.announcements, key=lambda each: each.announced)
        return announcements, [each.announced for each in announcements]

    def _compile(self, announcements: list[written.Announcement]) -> WorkingCalendar:
        works: dict[date, bool] = {}
        for each in announcements:  # a later one holds against an earlier one
            works |= {day: False for days in (*each.off, *each.reception_only) for day in days}
            works |= {day: True for days in each.working for day in days}
        return WorkingCalendar(
            weekdays=[WEEKDAYS.index(each) for each in self.source.weekdays],
            off=[day for day, working in works.items() if not working],
            made_up=[day for day, working in works.items() if working],
            windows=[(window.begins, window.ends) for window in self.source.windows],
            zone=self.source.zone,
        )


def _procedure(procedure: written.Procedure) -> ProcedureRules:
    return ProcedureRules(
        code=procedure.code,
        name_vi=procedure.name.vi,
        name_en=procedure.name.en,
        field=procedure.field,
        mechanism=procedure.mechanism,
        service_level=procedure.service_level,
        authority=procedure.authority,
        legal_time=_term_or_none(procedure.legal_time),
        steps=MappingProxyType({step: _term(term) for step, term in procedure.steps.items()}),
        supplement=procedure.supplement,
        supplement_limit=_term(procedure.supplement_limit),
        stops=procedure.stops,
        same_day_cutoff=procedure.same_day_cutoff,
        not_before=_term_or_none(procedure.not_before),
        reschedule_limit=procedure.reschedule_limit,
        after_hours=procedure.after_hours,
    )


def _term(term: WrittenTerm) -> Term:
    return Term(term.n, term.unit)


def _term_or_none(term: WrittenTerm | None) -> Term | None:
    return None if term is None else _term(term)
