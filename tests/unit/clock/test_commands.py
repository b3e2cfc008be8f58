"""The commands that know of the simulated clock: `up` makes it, `simulate` waits for it, `config` shows it."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.console import CommandError
from cli.main import main
from cli.simulate import _by_clock
from cli.summary import _print
from cli.surroundings import surroundings
from cli.up import _clock
from deploy.embedded.runtime import EmbeddedError, keep_clock, kept_clock
from events.envelope import microseconds
from events.simulation import PROFILES, simulate
from schemas import api
from schemas.clock import REAL, Clock
from schemas.settings import load_settings

TEXT = "2026-02-09T08:00:00+07:00@2026-11-23T07:00:00+00:00x600"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--clock", "tomorrow"], "no instant"),
        (["--clock", "2026-02-09T08:00"], "no offset"),
        (["--clock", "2026-02-09T08:00+07:00", "--speed", "0"], "above 0"),
        (["--speed", "600"], "give that too"),
    ],
)
def test_a_wrong_clock_is_told_before_anything_starts(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(["up", "--data-dir", str(tmp_path / "none"), *arguments])
    assert exited.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("start", "speed", "kept", "shown"),
    [
        ("2026-02-09T08:00+07:00", 600.0, None, "2026-02-09T08:00+07:00 600"),
        ("2026-02-09T08:00+07:00", None, None, "2026-02-09T08:00+07:00 1"),
        ("2026-02-09T08:00+07:00", 60.0, "2026-03-02T10:00+07:00", "2026-03-02T10:00+07:00 60"),
        ("2026-04-01T08:00+07:00", 60.0, "2026-03-02T10:00+07:00", "2026-04-01T08:00+07:00 60"),
        (None, None, "2026-03-02T10:00+07:00", "2026-03-02T10:00+07:00 600"),
        (None, 1.0, "2026-03-02T10:00+07:00", "2026-03-02T10:00+07:00 1"),
        (None, None, None, None),
    ],
)
def test_time_does_not_go_back(start: str | None, speed: float | None, kept: str | None, shown: str | None) -> None:
    """From a first start, or from where the last run (600 times as fast) stopped, whichever is later."""
    last = Clock(datetime.fromisoformat(kept), datetime.now(UTC), 600) if kept else None
    clock = _clock(start, speed, last)
    assert (clock and f"{clock.start.isoformat(timespec='minutes')} {clock.speed:g}") == shown


def test_a_folder_that_went_by_real_time_takes_no_clock_that_is_behind_it() -> None:
    with pytest.raises(CommandError, match="time does not go back"):
        _clock("2020-01-06T07:00+07:00", 600.0, REAL)
    ahead = _clock("2140-01-06T07:00+07:00", None, REAL)
    assert ahead is not None
    assert ahead.start.year == 2140
    assert _clock(None, None, REAL) is None


def test_what_a_run_went_by_is_found_by_the_next_one(tmp_path: Path) -> None:
    assert kept_clock(tmp_path) is None
    for clock in (Clock.parse(TEXT), REAL):
        keep_clock(tmp_path, clock)
        assert kept_clock(tmp_path) == clock
    (tmp_path / "run" / "clock").write_text("", encoding="ascii")
    with pytest.raises(EmbeddedError, match="run/clock"):
        kept_clock(tmp_path)


@pytest.mark.parametrize("command", [["explain", "D-1"], ["queues"], ["summary"]])
def test_dues_are_not_held_against_when_something_was_recorded(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_CLOCK", TEXT)
    with pytest.raises(SystemExit) as exited:
        main([*command, "--known-at", "2026-11-23T15:00+07:00"])
    assert exited.value.code == 2
    assert "give --as-of too" in capsys.readouterr().err


SUMMARY = api.Summary(
    dossiers=1, by_state={}, by_timeliness={}, steps_by_timeliness={}, received_by_month={}, by_official_due={},
    as_of=None, received=1, resolved=0, pending_in_time=1, overdue=0, not_yet_due=1, stopped=0, quarantined=0,
    freshness=api.Freshness(),
)  # fmt: skip


@pytest.mark.parametrize("as_of", ["2026-02-01T08:00+07:00", "2027-01-01T08:00+07:00"])
@pytest.mark.parametrize("command", ["summary", "queues"])
def test_an_instant_ahead_of_the_clock_is_answered_and_said_to_be(
    command: str, as_of: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start = datetime.fromisoformat("2026-02-09T08:00+07:00")
    monkeypatch.setenv("DOSSIER_CLOCK", str(Clock(start, datetime.now(UTC), 0.001)))
    monkeypatch.setenv("DOSSIER_GATEWAY_PORT", "1")
    monkeypatch.setattr(f"cli.{command}.record_look_back", lambda *_: None)
    monkeypatch.setattr("cli.summary.ask", lambda *_, **_named: SUMMARY)
    monkeypatch.setattr("cli.queues.queues_then", lambda *_: api.Queues(queues=[], freshness=api.Freshness()))
    with pytest.raises(SystemExit) as exited:
        main([command, "--as-of", as_of, "--json"])
    told = capsys.readouterr()
    assert not exited.value.code
    assert json.loads(told.out)
    if as_of < "2026-02-09":
        assert told.err == ""
    else:
        assert "01/01/2027 08:00 ở sau giờ của đồng hồ, mới 09/02/2026 08:00" in told.err
        assert "ahead of the clock, which is at 09/02/2026 08:00" in told.err
        assert told.err.count("\n") == 1


def test_dossiers_that_wait_for_a_day_are_not_told_as_if_their_due_had_yet_to_come(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print(SUMMARY)
    assert "1      chưa đến ngày được trả kết quả · no result may be given yet" in capsys.readouterr().out


def test_commands_and_config_go_by_the_clock_that_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_CLOCK", TEXT)
    assert surroundings(load_settings()).clock == Clock.parse(TEXT)
    with pytest.raises(SystemExit):
        main(["config", "--json"])
    assert json.loads(capsys.readouterr().out)["clock"] == TEXT


def test_the_simulation_gives_each_event_when_the_clock_has_reached_it(monkeypatch: pytest.MonkeyPatch) -> None:
    events = list(simulate(PROFILES["gia-lai-2020-h1"], dossiers=20, seed=1))
    real_us = 1_795_000_000_000_000
    anchor = datetime.fromisoformat("1970-01-01T00:00+00:00") + timedelta(microseconds=real_us)
    start = events[len(events) // 2].time
    clock = Clock(start, anchor, 86_400)

    def pass_by(seconds: float) -> None:
        nonlocal real_us
        real_us += math.ceil(seconds * 1e6)

    monkeypatch.setattr(time, "time_ns", lambda: real_us * 1_000)
    given = []
    for chunk in _by_clock(iter(events), clock, pass_by):
        assert clock.now_us() >= microseconds(chunk[-1].time)
        given += chunk
    assert given == events
    assert clock.now() >= events[-1].time
    passed_seconds = (real_us - 1_795_000_000_000_000) / 1e6
    assert passed_seconds == pytest.approx((events[-1].time - start).total_seconds() / 86_400, abs=0.26)
