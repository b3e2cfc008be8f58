"""Real processes that are kept running, unless a fault holds them down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.embedded.leash import leashed
from schemas.health import HealthReport, read_health

_LOOK_SECONDS: Final = 0.2
#: Between the end of a process and its next start, as a supervisor has it.
_PAUSE_SECONDS: Final = 0.5


@dataclass(slots=True)
class Kept:
    """One process: while it is `wanted`, it is started again whenever it ends."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    wanted: bool = False
    ended: Counter[str] = field(default_factory=Counter)  # by itself, and how
    _popen: subprocess.Popen[bytes] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def health_file(self) -> Path:
        return self.folder / f"{self.name}.health.json"

    @property
    def health(self) -> HealthReport | None:
        """What it said last, if that was this life of it."""
        report = read_health(self.health_file)
        popen = self._popen
        return report if report is not None and popen is not None and report.pid == popen.pid else None

    @property
    def partitions(self) -> int:
        return len(self.health.position) if self.health else 0

    def start(self) -> None:
        with self._lock:
            self.wanted = True
            if self._popen is None or self._popen.poll() is not None:
                environment = {**self.environment, "DOSSIER_HEALTH_FILE": str(self.health_file)}
                with self.log.open("ab") as log:
                    self._popen = subprocess.Popen(
                        leashed(self.command), stdout=log, stderr=subprocess.STDOUT, env=environment
                    )

    def send(self, number: signal.Signals) -> None:
        with self._lock:
            if self._popen is not None and self._popen.poll() is None:
                self._popen.send_signal(number)

    def kill(self) -> None:
        """kill -9, and it stays away until it is started again."""
        with self._lock:
            self.wanted = False
            if self._popen is not None:
                self._popen.kill()
                self._popen.wait()

    def stop(self, within_seconds: float = 30) -> None:
        """SIGTERM; killed if that does not help."""
        with self._lock:
            self.wanted = False
            if self._popen is None:
                return
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(within_seconds)
                return
            self.ended["did not stop"] += 1
            self.kill()

    def look(self) -> bool:
        """Note that it ended by itself, if it did."""
        with self._lock:
            if not self.wanted or self._popen is None or self._popen.poll() is None:
                return False
            self.ended[f"exit {self._popen.returncode}"] += 1
            self._popen = None
            return True

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.exists() else ""


class Keeper(threading.Thread):
    """Starts again what has ended by itself, as `dossier up` does."""

    def __init__(self, processes: Callable[[], list[Kept]]) -> None:
        super().__init__(daemon=True)
        self._processes = processes
        self._ending = threading.Event()

    def run(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            fallen = [each for each in self._processes() if each.look()]
            if fallen and not self._ending.wait(_PAUSE_SECONDS):
                for each in fallen:
                    if each.wanted:
                        each.start()

    def stop(self) -> None:
        self._ending.set()
        self.join()


@contextlib.contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[bool]:
    """A file system of its own in `folder`, which can be filled; False where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "tmpfs", str(folder)],
            check=False, capture_output=True,
        ).returncode
        == 0
    )  # fmt: skip
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
