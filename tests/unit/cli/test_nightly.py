"""When the night's comparison is due."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import nightly
from cli.asking import VIETNAM
from cli.main import main
from cli.nightly import next_night

AT = time(2, 0)
START = datetime(2020, 1, 1, tzinfo=UTC)


@given(now=st.integers(0, 10 * 365 * 86_400).map(lambda each: START + timedelta(seconds=each)))
def test_it_is_the_next_time_the_clock_on_the_wall_shows_it(now: datetime) -> None:
    due = next_night(now, AT)
    assert due.astimezone(VIETNAM).time() == AT
    assert timedelta() < due - now <= timedelta(days=1)


def test_at_that_very_time_it_is_the_next_night() -> None:
    two = datetime(2026, 3, 2, 2, tzinfo=VIETNAM)
    assert next_night(two, AT) == two + timedelta(days=1)


def test_without_a_time_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_NIGHTLY_AT", "null")
    with pytest.raises(SystemExit) as ended:
        main(["nightly"])
    assert ended.value.code == 2
    assert "nightly_at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("known", "missing"), [({}, "DOSSIER_KAFKA"), ({"DOSSIER_KAFKA": "127.0.0.1:1"}, "DOSSIER_CLICKHOUSE")]
)
def test_an_address_that_is_missing_is_told_before_the_night(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    known: dict[str, str],
    missing: str,
) -> None:
    def sleep(*_: object) -> None:
        raise AssertionError("it waits for the night")

    monkeypatch.setattr(nightly, "_sleep", sleep)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for name in ("DOSSIER_KAFKA", "DOSSIER_CLICKHOUSE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"DOSSIER_NIGHTLY_AT": "02:00", "DOSSIER_DATA_DIR": str(tmp_path), **known}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["nightly"])
    assert ended.value.code == 3
    assert f"or set {missing}" in capsys.readouterr().err
