"""`dossier nightly`: once a night, what changed is recomputed from the archive and compared with the live state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from datetime import time as of_day
from typing import Any, Final

import structlog
import typer

from cli.asking import VIETNAM
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError
from cli.reporting import say
from cli.surroundings import Surroundings, surroundings
from deploy.logs import configure_logging
from schemas.health import Condition, HealthReport
from schemas.settings import load_settings

#: The longest a check may take; a larger archive is checked by more `--workers`, not by a longer night.
_LIMIT_SECONDS: Final = 6 * 3600.0

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    app.command()(nightly)


def nightly() -> None:
    """Đối chiếu hằng đêm · Each night compare what changed with what the archive gives, until stopped.

    At the time of the setting `nightly_at`, by the clock of the installation. The first night compares every dossier,
    the others those touched since the night before. Each that differs is published as ProjectionDiverged, once.
    `dossier up` runs it.

    Example: dossier nightly
    """
    settings = load_settings()
    if settings.nightly_at is None:
        raise CommandError('no time: write nightly_at = "02:00" in dossier.toml, or set DOSSIER_NIGHTLY_AT', EXIT_USAGE)
    configure_logging("nightly", settings.log_level)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    around = surroundings(settings)
    _require_addresses(around)
    clock, at = around.clock, of_day.fromisoformat(settings.nightly_at)
    since: datetime | None = None
    condition: Condition = "ok"
    detail = ""
    while True:
        due = next_night(clock.now(), at)
        log.info("waiting", until=due.isoformat())
        _sleep(clock.seconds_until(round(due.timestamp()) * 1_000_000), condition, detail or f"next {due:%d/%m %H:%M}")
        began = datetime.now(UTC)
        found = _compare(since)
        if found is None:  # the next night has what this one could not compare
            condition, detail = "behind", "the last comparison could not be made"
            continue
        since, condition = began, "ok"
        detail = f"{found['differing']} of {found['compared']} differ" if found["differing"] else ""
        log.log(30 if found["differing"] else 20, "compared", **{key: found[key] for key in ("compared", "differing")})


def _require_addresses(around: Surroundings) -> None:
    """That one is missing is told now, and not in the night, when nobody looks.

    Raises:
        CommandError: it is.
    """
    _ = around.kafka, around.clickhouse


def next_night(now: datetime, at: of_day) -> datetime:
    """The next instant at which it is `at` where the offices are."""
    local = now.astimezone(VIETNAM)
    tonight = datetime.combine(local.date(), at, VIETNAM)
    return tonight if tonight > local else tonight + timedelta(days=1)


def _sleep(seconds: float, condition: Condition, detail: str) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _say(condition, detail)
        time.sleep(min(1.0, left))


def _say(condition: Condition, detail: str) -> None:
    say(HealthReport(name="nightly", pid=os.getpid(), at=datetime.now(UTC), health=condition, detail=detail))


def _compare(since: datetime | None) -> dict[str, Any] | None:
    """`dossier rebuild` in a process of its own, whose memory is given back; None: it could not compare."""
    command = [sys.executable, "-P", "-m", "cli", "rebuild", "--compare-only", "--announce", "--json"]
    if since is not None:
        command += ["--since", since.isoformat()]
    end = time.monotonic() + _LIMIT_SECONDS
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:  # noqa: S603  # our own command
        try:
            while child.poll() is None and time.monotonic() < end:
                _say("ok", "comparing")
                time.sleep(1.0)
        finally:
            child.kill()
        answer, error = child.communicate()
    if child.returncode not in (0, EXIT_FOUND) or not answer:
        log.error("not compared", reason=error.strip()[-400:] or f"exit {child.returncode}")
        return None
    found: dict[str, Any] = json.loads(answer)
    return found


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)
