"""What a running `dossier up` leaves for the other commands to find: who runs, where, and the keys to the archive.

<data_dir>/run/up.json            written by the supervisor on every change, removed when it stops
<data_dir>/run/credentials.json   passwords of the embedded servers; 0600, kept from run to run
<data_dir>/run/<name>.health.json each child's own word (schemas.health)
<data_dir>/run/clock              the clock that it went by: where a simulated one stopped, for the next run to go on
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, SecretStr

from schemas.clock import REAL, Clock, ClockError

ProcessState = Literal["starting", "ok", "restarting", "finished", "failed", "stopping", "stopped"]


class EmbeddedError(Exception):
    """`dossier up` cannot go on; the message says why and what to do."""


class ProcessEntry(BaseModel):
    """One child as the supervisor sees it. `pid` and `created` (seconds since 1970) are None between two lives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: ProcessState
    pid: int | None = None
    created: float | None = None
    restarts: int = 0
    detail: str = ""


class Running(BaseModel):
    """One `dossier up`: its supervisor (`pid`, `created`), its addresses, its processes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    created: float
    ready: bool = False
    kafka: str
    clickhouse: str
    gateway: str | None = None
    embedded_kafka: bool = True
    embedded_clickhouse: bool = True
    clock: str | None = None  # simulated, as in the settings; None: real time
    processes: tuple[ProcessEntry, ...] = ()
    folder: tuple[int, int] | None = None  # as `_identity` knows it; None: written by an earlier release

    def write(self, data_dir: Path) -> None:
        """Replace the file in one step, so that a reader never sees half of one."""
        here = self.model_copy(update={"folder": _identity(data_dir)})
        replace_file(run_dir(data_dir) / "up.json", here.model_dump_json(indent=1))

    def is_of(self, data_dir: Path) -> bool:
        """Was it written in this folder, and not in one that this is a copy of?"""
        return self.folder is None or self.folder == _identity(data_dir)


class Credentials(BaseModel):
    """Passwords of the embedded servers: of the archive's two users, `archiver` who may write and `report` who may only
    read, and of Kafka's one. `kafka` None: an earlier release ran, whose Kafka asked nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    archiver: SecretStr
    report: SecretStr
    kafka: SecretStr | None = None


def _identity(data_dir: Path) -> tuple[int, int] | None:
    """What a folder is known by whatever it is called: device and inode of its lock, which a copy has of its own."""
    try:
        found = (run_dir(data_dir) / "lock").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def run_dir(data_dir: Path) -> Path:
    return data_dir / "run"


def is_alive(pid: int | None, created: float | None) -> bool:
    """Is that process, and not another one under the same pid, still there (and not a zombie)?"""
    if pid is None or created is None:
        return False
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def read_last(data_dir: Path) -> Running | None:
    """What the last `dossier up` on this folder wrote, alive or not."""
    try:
        return Running.model_validate_json((run_dir(data_dir) / "up.json").read_bytes())
    except (OSError, ValueError):
        return None


def find(data_dir: Path) -> Running | None:
    """The `dossier up` that runs on this folder now, if any."""
    last = read_last(data_dir)
    return last if last is not None and last.is_of(data_dir) and is_alive(last.pid, last.created) else None


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Own the folder for the length of a `with`; the kernel gives it back however the owner ends.

    Raises:
        EmbeddedError: another `dossier up` owns it; names its pid.
    """
    run_dir(data_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
    with (run_dir(data_dir) / "lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise EmbeddedError(
                f"`dossier up` already runs on {data_dir} (pid {owner}): "
                "`dossier status` shows it, `dossier down` stops it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def stop_leftovers(data_dir: Path) -> list[str]:
    """Stop what a killed `dossier up` left running on this folder; gives the names. Call it only as the owner."""
    last = read_last(data_dir)
    ours = last.processes if last is not None and last.is_of(data_dir) else ()
    left = [entry for entry in ours if is_alive(entry.pid, entry.created)]
    processes = []
    for entry in left:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(entry.pid)
            process.kill()
            processes.append(process)
    psutil.wait_procs(processes, timeout=10)
    return [entry.name for entry in left]


def forget(data_dir: Path) -> None:
    """Nothing runs here any more."""
    (run_dir(data_dir) / "up.json").unlink(missing_ok=True)


def keep_clock(data_dir: Path, clock: Clock) -> None:
    replace_file(run_dir(data_dir) / "clock", str(clock))


def kept_clock(data_dir: Path) -> Clock | None:
    """What the last run went by: a simulated clock stopped at its `start`. None: nothing has run on this folder.

    Raises:
        EmbeddedError: it cannot be told.
    """
    path = run_dir(data_dir) / "clock"
    try:
        text = path.read_text(encoding="ascii", errors="replace")
        return REAL if text == str(REAL) else Clock.parse(text)
    except FileNotFoundError:
        return None
    except (OSError, ClockError) as error:
        raise EmbeddedError(f"{path} does not say by which clock the last run went: {error}") from error


def read_credentials(data_dir: Path) -> Credentials | None:
    try:
        return Credentials.model_validate_json((run_dir(data_dir) / "credentials.json").read_bytes())
    except (OSError, ValueError):
        return None


def credentials(data_dir: Path) -> Credentials:
    """The passwords of this folder's servers, made on the first run; what an earlier release did not have, now."""
    kept = read_credentials(data_dir)
    made = {name: secrets.token_urlsafe(24) for name in Credentials.model_fields}
    if kept is not None:
        made |= {name: value.get_secret_value() for name, value in kept if value is not None}
    if kept is None or kept.kafka is None:
        replace_file(run_dir(data_dir) / "credentials.json", json.dumps(made))
    return Credentials.model_validate(made)


def replace_file(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
