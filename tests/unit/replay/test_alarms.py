"""Published alarms against those the clocks give: what is missing, what is too much, and what was right in its time."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from events.alarms import AlarmEvent
from events.catalogue import AnyFact, Processed, Rescheduled, SupplementRequested
from events.envelope import encode, microseconds
from projections.clocks import Alarm, AlarmKind
from projections.dossier import Dossier
from projections.rules import RuleHistory, rule_history
from projections.watch import BLANK, Saying, alarm_event, cleared_event, look
from replay.alarms import NEVER, AlarmDifference, Clocks, Tally, said_of
from schemas.rulebook import Rulebook
from tests.unit.clocks.office import ANNOUNCEMENTS, at, dossier, received, rulebook, rules, us

ID = "hs-1"
RECEIVED = ("02/03/2026 08:00", received("5d"))  # due on 09/03, at 17:00
NOW = us("31/03/2026 08:00")
DONE = Processed(office="so", outcome="issued")


def said_by(found: Dossier, until: int, history: RuleHistory | None = None) -> Saying:
    return look(BLANK, found.standing, history or rules(), until)


def written(found: Dossier, alarms: Sequence[Alarm], history: RuleHistory | None = None) -> list[AlarmEvent]:
    version = (history or rules()).newest.version
    return [alarm_event(ID, found.standing, each, version) for each in alarms]


def compared(
    known: Sequence[Dossier],
    events: Sequence[AlarmEvent],
    until: int = NOW,
    history: RuleHistory | None = None,
    wake: int | None = None,
) -> AlarmDifference:
    """`known`: the dossier after each of its events, in the order in which the ledger has them."""
    clocks = Clocks(history or rules(), due_by=until, alarmed_until=until)
    standings = [each.standing for each in known]
    watch = replace(BLANK, wake=NEVER if wake is None else wake)
    return clocks.compare(ID, said_of(ID, [encode(each) for each in events]), standings[-1], watch, lambda: standings)


def breaches(alarms: Sequence[Alarm]) -> list[Alarm]:
    return [each for each in alarms if each.kind is AlarmKind.BREACHED]


def test_what_the_clocks_say_and_was_published_twice_does_not_differ() -> None:
    found = dossier(RECEIVED)
    told = said_by(found, NOW).told
    assert breaches(told)
    events = written(found, told)
    assert compared([found], [*events, events[0]]) == ((), (), Tally(recomputed=len(told), published=len(told)))


def test_an_alarm_that_was_not_published_is_missing() -> None:
    found = dossier(RECEIVED)
    *told, left_out = said_by(found, NOW).told
    difference = compared([found], written(found, told))
    assert (difference.missing, difference.extra) == ((left_out,), ())


def test_an_alarm_that_is_due_is_missing_though_nobody_has_woken() -> None:
    """The watch says that it would have been looked at when the first alarm came; now it is long past."""
    found = dossier(RECEIVED)
    told = said_by(found, NOW).told
    assert compared([found], [], wake=told[0].at).missing == told
    assert compared([found], [], until=told[0].at - 1, wake=told[0].at).missing == ()


def test_an_alarm_of_a_clock_that_never_ran_is_extra() -> None:
    found = dossier(RECEIVED)
    told = said_by(found, NOW).told
    forged = breaches(told)[-1]._replace(due=us("05/03/2026 17:00"), at=us("05/03/2026 17:00"))
    assert compared([found], written(found, [*told, forged])).extra == (forged,)


def test_an_alarm_under_an_id_that_is_not_its_own_is_extra_and_its_own_is_missing() -> None:
    found = dossier(RECEIVED)
    told = said_by(found, NOW).told
    *others, last = written(found, told)
    renamed = [*others, replace(last, id="0" * 32)]
    assert compared([found], renamed) == ((told[-1],), (told[-1],), Tally(len(told), len(told), 1, 1, 0))


def late_fact(what: AnyFact, when: str) -> tuple[Dossier, Dossier]:
    return dossier(RECEIVED), dossier(RECEIVED, (when, what))


def test_a_breach_that_a_late_fact_takes_back_must_have_been_cleared() -> None:
    before, after = late_fact(DONE, "06/03/2026 09:00")
    told = said_by(before, NOW).told
    cleared = [
        cleared_event(ID, after.standing, each, rules().newest.version)
        for each in look(said_by(before, NOW).watch, after.standing, rules(), NOW).cleared
    ]
    events = written(before, told)
    assert cleared
    assert compared([before, after], [*events, *cleared]).extra == ()
    assert set(breaches(told)) >= set(compared([before, after], events).extra) != set()


def test_a_warning_that_was_right_in_its_time_is_superseded_and_one_that_never_was_is_extra() -> None:
    moved = Rescheduled(office="so", new_due=at("20/03/2026 17:00"), apology_no="1", reason="x")
    before, after = late_fact(moved, "03/03/2026 09:00")
    until = us("09/03/2026 10:00")
    warned = [each for each in said_by(before, until).told if each.kind is AlarmKind.WARNED]
    events = written(before, warned)
    assert warned
    assert compared([before, after], events, until).tally.superseded == len(warned)
    assert compared([after], events, until).extra == tuple(warned)


def test_what_an_earlier_rulebook_warned_of_is_superseded_by_a_later_one() -> None:
    """A day off that is announced afterwards moves the due, which nobody could know when the warning was given."""
    found = dossier(RECEIVED)
    until = us("09/03/2026 10:00")
    told = said_by(found, until).told
    events = written(found, told)
    day_off = {"basis": "storm", "announced": "2026-03-08", "off": ["2026-03-09"]}
    calendar = {"code": "vn", "windows": ["07:00-11:30", "13:30-17:00"], "announcements": [*ANNOUNCEMENTS, day_off]}
    amended = Rulebook.model_validate(rulebook().content | {"calendars": [calendar]})
    both = rule_history(rulebook(), [(us("08/03/2026 08:00"), "second", amended)])
    assert AlarmKind.WARNED in {each.kind for each in told}
    assert compared([found], events, until, both).tally.superseded == 1
    assert compared([found], events, until).tally.superseded == 0


def test_a_pause_heard_of_later_leaves_no_difference_behind() -> None:
    asked = SupplementRequested(office="so", stage="processing", reason="thiếu")
    before, after = late_fact(asked, "04/03/2026 09:00")
    first = said_by(before, NOW)
    second = look(first.watch, after.standing, rules(), NOW)
    cleared = [cleared_event(ID, after.standing, each, rules().newest.version) for each in second.cleared]
    events = [*written(before, first.told), *cleared, *written(after, second.told)]
    difference = compared([before, after], events)
    assert (difference.missing, difference.extra) == ((), ())
    assert microseconds(events[0].time) == first.told[0].at
