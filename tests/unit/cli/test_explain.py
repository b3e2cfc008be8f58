from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from cli.explain import _due, _lines, _print, _told
from events.catalogue import Processed
from replay.explained import describe_clocks
from schemas import api
from tests.unit.clocks.office import at, dossier, received, rules, us

DUE = date(2026, 3, 6)
ZONE = "Asia/Ho_Chi_Minh"
BEGAN = datetime(2026, 2, 27, 1, tzinfo=UTC)
WORKING, WEEKEND = api.Name(vi="ngày làm việc", en="working days"), api.Name(vi="cuối tuần", en="weekend")


def weeks(monday: date, count: int) -> list[api.Stretch]:
    """Five days that count and two that do not, so many times."""
    return [
        api.Stretch(first=monday + timedelta(7 * n + first), last=monday + timedelta(7 * n + last), counted=first == 0,
                    days=5 if first == 0 else 0, minutes=None, rule="R3", why=WORKING if first == 0 else WEEKEND,
                    event=None)
        for n in range(count) for first, last in ((0, 4), (5, 6))
    ]  # fmt: skip


def clock(stretches: list[api.Stretch]) -> api.ProcedureClock:
    return api.ProcedureClock(
        legal_time="5d", unit="days", began_at=BEGAN, stretches=stretches, counted=0, left=None, total=WORKING,
        due_day=DUE, due=None,
        legal_due=None, ended_at=None, status=api.Status(code="late", name=WORKING), remaining=None, official_class="",
        first_class="",
    )  # fmt: skip


def test_years_past_the_due_are_one_line_and_the_days_to_the_due_are_not() -> None:
    *before, weekend = weeks(date(2025, 12, 1), 14)
    late = [weekend, *weeks(DUE + timedelta(3), 100)]
    lines = list(_lines(clock([*before, *late])))
    assert lines[:-1] == [[each] for each in before]
    assert lines[-1] == late


def test_the_one_line_has_the_sum_of_what_counts() -> None:
    late = weeks(DUE + timedelta(3), 100)
    first, last, mark, amount, why, cause = map(str, _told(late, "Asia/Ho_Chi_Minh"))
    assert (first, last, mark, amount, cause) == ("09/03/2026", "06/02/2028", "có · yes", "500", "")
    assert "--json" in why
    hours = [each.model_copy(update={"days": 0, "minutes": 90 * each.counted}) for each in late[:3]]
    assert str(_told(hours, "Asia/Ho_Chi_Minh")[3]) == "3:00"


def test_some_weeks_past_the_due_are_shown_one_by_one() -> None:
    late = weeks(DUE + timedelta(3), 6)
    assert list(_lines(clock(late))) == [[each] for each in late]


def test_what_an_event_did_past_the_due_stays_a_line_of_its_own() -> None:
    late = weeks(DUE + timedelta(3), 40)
    paused = api.EventName(
        type="dossier.paused", name=WORKING, source="s", id="e-1", occurred_at=datetime(2026, 5, 1, tzinfo=UTC)
    )
    late[40] = late[40].model_copy(update={"event": paused})
    assert list(_lines(clock(late))) == [late[:40], [late[40]], late[41:]]


def test_a_clock_that_has_yet_to_begin_is_not_said_to_be_stopped() -> None:
    """As of an instant before its first event, such as under a simulated clock of an earlier year."""
    without = clock([]).model_copy(update={"due_day": None})
    assert "chưa bắt đầu, từ · not begun, from 27/02/2026 08:00" in _due(without, BEGAN - timedelta(1), ZONE)
    assert _due(without, BEGAN + timedelta(1), ZONE) == "tạm dừng · stopped"


def test_what_is_done_ahead_of_the_clock_is_explained_and_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """The state tells of it, whatever time it is: the explanation is of the same events."""
    told = dossier(("02/03/2026 08:30", received("5d")), ("05/03/2026 15:00", Processed(office="so", outcome="issued")))
    now = describe_clocks(told, rules(), us("05/01/2020 20:00"), api.Freshness())
    assert now.clock is not None
    assert (now.at, now.ahead_of, now.clock.counted) == (at("05/03/2026 15:00"), at("05/01/2020 20:00"), 3)
    _print(now)
    shown = capsys.readouterr().out
    assert "lúc · at 05/03/2026 15:00" in shown
    assert "hồ sơ xong sau giờ của đồng hồ (05/01/2020 20:00)" in shown
    assert "ahead of the clock (05/01/2020 20:00)" in shown


def test_as_of_an_instant_what_lies_ahead_of_it_is_left_out() -> None:
    told = dossier(("02/03/2026 08:30", received("5d")), ("05/03/2026 15:00", Processed(office="so", outcome="issued")))
    then = describe_clocks(told, rules(), us("03/03/2026 09:00"), api.Freshness(), as_of=True)
    later = describe_clocks(told, rules(), us("09/03/2026 09:00"), api.Freshness())
    assert then.clock is not None
    assert (then.at, then.ahead_of, then.clock.counted) == (at("03/03/2026 09:00"), None, 1)
    assert (later.at, later.ahead_of) == (at("09/03/2026 09:00"), None)


@pytest.mark.parametrize(
    ("when", "total", "remaining"),
    [
        ("03/03/2026 06:30", "hết 03/03/2026 đã tính 1, còn 4 ngày làm việc", "từ lúc này còn 5 ngày làm việc"),
        ("03/03/2026 17:30", "hết 03/03/2026 đã tính 1, còn 4 ngày làm việc", "từ lúc này còn 4 ngày làm việc"),
        ("10/03/2026 09:00", "hết 10/03/2026 đã tính 6 ngày làm việc", ": quá 1 ngày làm việc"),
    ],
)
def test_days_to_the_end_of_a_day_and_time_from_an_instant_say_which_they_are(
    when: str, total: str, remaining: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the office opens a whole day more is left than is to be counted when it has closed."""
    told = dossier(("02/03/2026 08:30", received("5d")))
    _print(describe_clocks(told, rules(), us(when), api.Freshness()))
    shown = capsys.readouterr().out
    assert total in shown
    assert remaining in shown
