"""`dossier clock`: what programs read, what people read, and what a mistake is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import main


def _run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["clock", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def _answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert _run(*words, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("start", "length", "due", "legal_end"),
    [
        ("2026-02-09T15:30+07:00", "3d", "2026-02-12T17:00:00+07:00", "2026-02-13T00:00:00+07:00"),
        ("2026-02-09T08:30Z", "5d", "2026-02-23T17:00:00+07:00", "2026-02-24T00:00:00+07:00"),
        ("09/02/2026", "5d", "2026-02-23T17:00:00+07:00", "2026-02-24T00:00:00+07:00"),
        ("13/02/2026 16:30", "8h", "2026-02-23T16:30:00+07:00", "2026-02-23T16:30:00+07:00"),
        ("2026-02-05", "15cd", "2026-02-23T17:00:00+07:00", "2026-02-24T00:00:00+07:00"),
        ("2025-12-31", "2mo", "2026-03-02T17:00:00+07:00", "2026-03-03T00:00:00+07:00"),
    ],
)
def test_due(capsys: pytest.CaptureFixture[str], start: str, length: str, due: str, legal_end: str) -> None:
    answer = _answer(capsys, "due", "--from", start, "--for", length)
    assert (answer["due"], answer["legal_end"], answer["day"]) == (due, legal_end, due[:10])
    assert answer["days"][-1]["day"] == answer["day"]
    assert answer["years_without_holidays"] == []


@pytest.mark.parametrize(("length", "unit"), [("6d", "days"), ("20h", "hours"), ("15cd", "days")])
def test_the_days_add_up_to_the_term(capsys: pytest.CaptureFixture[str], length: str, unit: str) -> None:
    answer = _answer(capsys, "due", "--from", "2026-02-10T16:10:30+07:00", "--for", length)
    assert sum(day[unit] for day in answer["days"]) == pytest.approx(int("".join(filter(str.isdigit, length))))
    assert all(day["counted"] == (day[unit] > 0) for day in answer["days"])


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(capsys, "count", "--from", "2026-02-09", "--to", "2026-02-23")
    assert (answer["working_days"], answer["working_hours"]) == (5, 40)
    assert [day["day"][-2:] for day in answer["days"] if day["counted"]] == ["10", "11", "12", "13", "23"]
    assert answer["days"][7]["basis"].startswith("Nghỉ Tết")


def test_count_between_instants(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _answer(capsys, "count", "--from", "2026-02-13T16:30+07:00", "--to", "2026-02-23T09:15+07:00")
    assert (answer["working_days"], answer["working_hours"]) == (1, 2.75)
    assert sum(day["hours"] for day in answer["days"]) == 2.75


def test_people_read_each_day_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("due", "--from", "2026-08-19", "--for", "3d") == 0
    shown = capsys.readouterr().out
    assert "19/08/2026 T4 Wed  không · no       ngày đầu · first day (R2)" in shown
    assert "22/08/2026 T7 Sat  có · yes      3  ngày làm bù · made up (R3)" in shown
    assert "hạn · due: 22/08/2026 17:00 (T7 Sat)" in shown
    assert "căn cứ · basis 22/08:" in shown
    assert "\x1b" not in shown


def test_a_year_of_which_the_calendar_says_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("count", "--from", "2022-01-03", "--to", "2022-01-05") == 0
    assert "no holidays of 2022" in capsys.readouterr().err
    answer = _answer(capsys, "count", "--from", "2022-01-03", "--to", "2022-01-05")
    assert answer["years_without_holidays"] == [2022]


def test_another_rulebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(
        "name: six-days\ntitle: {vi: Sáu ngày, en: Six days}\neffective_from: 2026-01-01\nbasis: test\ncalendar: six\n"
        'routing: {cutoff: "15:00"}\n'
        "calendars:\n- code: six\n  weekdays: [mon, tue, wed, thu, fri, sat]\n  windows: ['08:00-16:00']\n",
        encoding="utf-8",
    )
    words = ("due", "--from", "2026-03-06", "--for", "1d", "--rulebook", str(book))
    assert _answer(capsys, *words)["due"] == "2026-03-07T16:00:00+07:00"
    assert _answer(capsys, *words, "--calendar", "six")["calendar"] == "six"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("due", "--from", "2026-02-09", "--for", "8h"), 'write --from "09/02/2026 07:00"'),
        (("due", "--from", "hôm qua", "--for", "3d"), "is no time: write 09/02/2026"),
        (("due", "--from", "2026-02-09T08:00", "--for", "3d"), "is no time"),
        (("due", "--from", "31/02/2026", "--for", "3d"), "is no time"),
        (("due", "--from", "0001-01-01", "--for", "3d"), "years are 1901 to 2199"),
        (("due", "--from", "0001-01-01T00:00+14:00", "--for", "3d"), "years are 1901 to 2199"),
        (("due", "--from", "2026-02-09", "--for", "3w"), "is no term: write 3d"),
        (("due", "--from", "2026-02-09", "--for", "0d"), "is no term"),
        (("due", "--from", "2026-02-09", "--for", "99999d"), "1 to 10000"),
        (("due", "--from", "2026-02-09", "--for", "9999mo"), "more than 100 years"),
        (("due", "--from", "2026-02-09", "--for", "3d", "--calendar", "mars"), "no calendar mars; there are: viet-nam"),
        (("count", "--from", "2026-02-09", "--to", "2026-02-08"), "swap them"),
        (("count", "--from", "1902-02-09", "--to", "2026-02-08"), "more than 100 years"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*words) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert (shown.out, shown.err.count("\n")) == ("", 1)
