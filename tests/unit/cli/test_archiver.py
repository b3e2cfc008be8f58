"""The archiver tells how it is once a second, and goes on where that cannot be written down."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from cli import archiver
from schemas.health import HealthReport


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
    monkeypatch.setattr(archiver, "health_path", lambda: tmp_path / "archiver.health.json")
    monkeypatch.setattr(archiver, "_REPORT_SECONDS", 0.0)

    async def reported_twice() -> None:
        members: Any = [Member()]
        reporting = asyncio.create_task(archiver._report(members, {}))
        done, _ = await asyncio.wait(
            {reporting, asyncio.create_task(enough.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        assert reporting not in done
        reporting.cancel()

    asyncio.run(reported_twice())
    assert written[:2] == [0, 0]
