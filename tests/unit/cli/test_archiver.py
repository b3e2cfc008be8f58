"""The archiver tells how it is once a second, and goes on where that cannot be written down."""

from __future__ import annotations

import asyncio
import errno
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli import archiver, reporting
from cli.keys import write_keys
from replay.checkpoint import WITNESS, Signer
from schemas.health import HealthReport
from schemas.settings import load_settings


class Member:
    """An archiver that has archived all there is."""

    trouble = ""

    def positions(self) -> dict[int, int]:
        return {0: 7}

    def lag(self) -> int:
        return 0


def test_a_full_disk_ends_no_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[int | None] = []
    enough = asyncio.Event()

    def full(report: HealthReport, _path: Path) -> None:
        written.append(report.lag)
        if len(written) == 2:
            enough.set()
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(HealthReport, "write", full)
    monkeypatch.setenv("DOSSIER_HEALTH_FILE", str(tmp_path / "archiver.health.json"))
    monkeypatch.setattr(reporting, "REPORT_SECONDS", 0.0)

    async def reported_twice() -> None:
        members: Any = [Member()]
        said = asyncio.create_task(reporting.keep_reporting(partial(archiver._health, members, {}), archiver.log))
        done, _ = await asyncio.wait({said, asyncio.create_task(enough.wait())}, return_when=asyncio.FIRST_COMPLETED)
        assert said not in done
        said.cancel()

    asyncio.run(reported_twice())
    assert written[:2] == [0, 0]


def test_older_keys_are_those_of_the_ledger_and_what_is_no_key_file_is_passed_over(tmp_path: Path) -> None:
    older, witness = Signer.from_seed("gia-lai", bytes(32)), Signer.from_seed("watcher", bytes(32), WITNESS)
    for each in (older, witness):
        write_keys(each, tmp_path / "keys")
    (tmp_path / "keys" / "notes.pub").write_text("no key", encoding="utf-8")
    (tmp_path / "keys" / "folder.pub").mkdir()
    assert list(archiver._older_keys(load_settings(data_dir=str(tmp_path)))) == [older.public]
    assert list(archiver._older_keys(load_settings(data_dir=str(tmp_path / "nothing")))) == []


class Full:
    """A checkpointer whose file takes nothing at first. `told`: what was refused before each call."""

    def __init__(self, refused: dict[int, str]) -> None:
        self.refused: dict[int, str] = {}
        self.told = list[list[str]]()
        self.three_times = asyncio.Event()
        self._shown = refused
        self._loop = asyncio.get_running_loop()

    def sign_due(self, _: object) -> None:
        self.told.append(list(self._shown.values()))
        if len(self.told) == 1:
            raise OSError(errno.ENOSPC, "no space left on device", "checkpoints.txt")
        if len(self.told) == 3:
            self._loop.call_soon_threadsafe(self.three_times.set)


def test_a_full_file_of_checkpoints_is_told_until_it_takes_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiver, "_LOOK_SECONDS", 0.0)

    async def signed_thrice() -> list[list[str]]:
        member: Any = Member()
        nothing: Any = None
        refused: dict[int, str] = {}
        full = Full(refused)
        monkeypatch.setattr(archiver, "_checkpointer", lambda *_: full)
        signing = asyncio.create_task(archiver._sign(member, nothing, nothing, nothing, refused))
        await full.three_times.wait()
        signing.cancel()
        return full.told[:3]

    assert asyncio.run(signed_thrice()) == [[], ["[Errno 28] no space left on device: 'checkpoints.txt'"], []]
