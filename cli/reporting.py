"""What a long-running process says of itself: its health file once a second, and now and then a line of its log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from schemas.health import HealthReport, health_path

REPORT_SECONDS: Final = 1.0
#: Of so many reports one is a line of the log.
_LOGGED: Final = 10


async def keep_reporting(look: Callable[[], HealthReport], log: Any) -> None:
    """Report what `look` sees, until this is cancelled."""
    for number in count():
        report = look()
        say(report)
        if number % _LOGGED == 0:
            log.info("position", positions=report.position, lag=report.lag)
        await asyncio.sleep(REPORT_SECONDS)


def say(report: HealthReport) -> None:
    """Put it where this process is asked to, if anywhere; a full disk is no reason to stop working."""
    path = health_path()
    if path is not None:
        with contextlib.suppress(OSError):
            report.write(path)
