"""What a long-running process says of itself: one small file, replaced whole about once a second.

A file works with every supervisor (ours, systemd, a Kubernetes exec probe) and needs no port. `dossier status`
and the supervisor read it; a report older than `STALE_AFTER_SECONDS` means the process hangs.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

STALE_AFTER_SECONDS = 15.0

Condition = Literal["starting", "ok", "behind", "failing", "stopping"]


class HealthReport(BaseModel):
    """A process's own word on its state at one instant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    pid: int
    at: AwareDatetime
    health: Condition
    position: dict[str, int] = {}  # partition (as text) -> next offset to read
    lag: int | None = None  # records between position and the end of the ledger; None: unknown
    detail: str = ""

    def write(self, path: Path) -> None:
        """Replace the report at `path` in one step, so that a reader never sees half of one."""
        beside = path.with_suffix(f".{self.pid}.tmp")
        beside.write_text(self.model_dump_json(), encoding="utf-8")
        beside.replace(path)

    def is_stale(self, now: datetime) -> bool:
        return (now - self.at).total_seconds() > STALE_AFTER_SECONDS


def read_health(path: Path) -> HealthReport | None:
    """The last report at `path`, or None where there is none yet or it is not readable."""
    try:
        return HealthReport.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def health_path() -> Path | None:
    """Where this process is asked to report (`DOSSIER_HEALTH_FILE`), if anywhere."""
    named = os.environ.get("DOSSIER_HEALTH_FILE")
    return Path(named) if named else None
