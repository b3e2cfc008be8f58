"""One supervised process: started, watched, restarted with growing pauses, stopped within a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from deploy.embedded.leash import leashed
from deploy.embedded.probes import Probe
from deploy.embedded.runtime import EmbeddedError, ProcessEntry

EXIT_USAGE = 2  # the child says that its settings are wrong: another try would end the same way
ATTEMPTS_AT_START = 3
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
STABLE_AFTER_SECONDS = 60.0
PROBE_SECONDS, PROBE_AT_START_SECONDS = 1.0, 0.2
LOG_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Child:
    """What is known of a process before it runs."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    probe: Probe
    first_sign_seconds: float = 60.0  # silent for longer after its start: it hangs
    silence_seconds: float = 15.0  # silent for longer after that: it hangs
    stop_seconds: float = 10.0
    ends: bool = False  # it may end by itself, with exit code 0, when its work is done


class StartError(EmbeddedError):
    """A process could not be brought to work; the message names its log and the last thing it said."""


def pause_seconds(failures: int) -> float:
    """How long to wait before the next try after that many failures in a row (1, 2, …)."""
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (min(failures, 20) - 1)))


@dataclass(slots=True)
class Supervised:
    """A child's life under supervision. `changed` is called whenever `entry` is another."""

    child: Child
    log: Path
    say: Callable[[str], None]
    warn: Callable[[str], None]
    changed: Callable[[], None]
    entry: ProcessEntry = field(init=False)
    working: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = field(init=False, default=None)
    _log_begins: int = field(init=False, default=0)  # what is before is of earlier lives
    _task: asyncio.Task[None] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.entry = ProcessEntry(name=self.child.name, state="starting")

    def start(self) -> None:
        self._task = asyncio.create_task(self._supervise(), name=f"supervise {self.child.name}")

    async def until_working(self) -> None:
        """Wait for the first sign that it works.

        Raises:
            StartError: it will not.
        """
        assert self._task is not None  # noqa: S101  # start() comes first
        first = asyncio.create_task(self.working.wait())
        await asyncio.wait({first, self._task}, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        if self._task.done():
            self._task.result()

    async def supervised(self) -> None:
        """Until supervision ends: never, but for a process that ends by itself. Raises what went wrong in it."""
        if self._task is not None:
            await self._task

    async def stop(self, hurry: asyncio.Event) -> None:
        """End supervision and the process: asked first, killed after its time limit or when `hurry` is set."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is None or self._process.returncode is not None:
            return
        self._update(state="stopping")
        _signal(self._process, signal.SIGTERM)
        ended, hurried = asyncio.create_task(self._process.wait()), asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self.child.stop_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            waited = "" if hurry.is_set() else f" within {self.child.stop_seconds:.0f} s"
            self.warn(f"{self.child.name} không dừng, bị tắt ngang · did not stop{waited}: killed")
        await self._kill()
        await ended
        self._update(state="stopped", pid=None, created=None)

    async def _supervise(self) -> None:
        failures = 0
        while True:
            born = time.monotonic()
            reason = await self._live_once()
            if self.child.ends and self._exit_code() == 0:
                self._update(state="finished", pid=None, created=None)
                self.working.set()
                return
            failures = 1 if time.monotonic() - born > STABLE_AFTER_SECONDS else failures + 1
            if self._is_hopeless(failures):
                self._give_up(reason)
                return
            pause = pause_seconds(failures)
            why = self._what_happened(reason)
            self._update(state="restarting", detail=why, pid=None, created=None, restarts=self.entry.restarts + 1)
            again = f"khởi động lại sau · starting it again in {pause:.1f} s"
            self.warn(f"{self.child.name} {why}; {again} (nhật ký · its log: {self.log})")
            await asyncio.sleep(pause)

    async def _live_once(self) -> str:
        """From birth to death; gives how it died, in words."""
        try:
            self._process = await self._spawn()
        except OSError as error:  # no memory, no disk, no more processes: it may pass
            self._process = None
            return f"could not be started ({error})"
        how = await self._watch(self._process)
        _signal(self._process, signal.SIGKILL)  # whatever it started itself
        return how

    def _exit_code(self) -> int | None:
        return self._process.returncode if self._process is not None else None

    def _is_hopeless(self, failures: int) -> bool:
        """At the start a person waits for an answer; what has worked once is started again for ever."""
        wrong_settings = self._exit_code() == EXIT_USAGE
        if self.working.is_set():
            return wrong_settings and self.child.ends
        return wrong_settings or failures >= ATTEMPTS_AT_START

    def _give_up(self, reason: str) -> None:
        what = self._what_happened(reason)
        self._update(state="failed", detail=what, pid=None, created=None)
        why = f"{self.child.name} {what} (nhật ký · its log: {self.log})"
        if not self.working.is_set():
            raise StartError(why)
        self.warn(f"{why}; không khởi động lại · it is not started again")

    def _what_happened(self, reason: str) -> str:
        """With its own last words where it ended by itself; one that was killed had no time to say why."""
        said_why = (self._exit_code() or 0) > 0
        return reason + (f": {last_words(self.log, self._log_begins)}" if said_why else "")

    async def _spawn(self) -> asyncio.subprocess.Process:
        _rotate(self.log)
        with self.log.open("ab") as file:
            self._log_begins = file.tell()
            process = await asyncio.create_subprocess_exec(
                *leashed(self.child.command),
                stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
                env=dict(self.child.environment),
                start_new_session=True,  # Ctrl-C on the terminal is ours to answer, in order
            )  # fmt: skip
        self._update(state="starting", detail="", pid=process.pid, created=_created(process.pid))
        return process

    async def _watch(self, process: asyncio.subprocess.Process) -> str:
        """Until it ends, or hangs and is killed. Gives what happened, in words."""
        ended = asyncio.create_task(process.wait())
        patience, last_sign = self.child.first_sign_seconds, time.monotonic()
        while not ended.done():
            sign = await self.child.probe(process.pid)
            if sign != "silent":
                last_sign = time.monotonic()
            if sign == "ok" and not ended.done():
                patience = self.child.silence_seconds
                self._works()
            if time.monotonic() - last_sign > patience:
                await self._kill()
                return f"gave no sign of life for {patience:.0f} s and was killed"
            await asyncio.wait({ended}, timeout=PROBE_SECONDS if self.entry.state == "ok" else PROBE_AT_START_SECONDS)
        return _how_it_ended(ended.result())

    def _works(self) -> None:
        if self.entry.restarts and self.entry.state != "ok":
            self.say(f"{self.child.name} hoạt động lại · works again")
        self._update(state="ok", detail="")
        self.working.set()

    async def _kill(self) -> None:
        """The whole process group, so that nothing it started stays."""
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)
            await self._process.wait()

    def _update(self, **fields: object) -> None:
        entry = self.entry.model_copy(update=fields)
        if entry != self.entry:
            self.entry = entry
            self.changed()


#: Beginnings of lines that say nothing themselves: of a traceback, and of what Java prints after why it does not start.
_SAYS_NOTHING: Final = ("\t", "   ", "Error: Could not create the Java", "Error: A fatal exception has occurred")


def last_words(log: Path, since: int = 0) -> str:
    """The line of a log, from the byte `since` on, that most probably says why the process ended."""
    try:
        text = log.read_bytes()[since:][-20_000:].decode(errors="replace")
    except OSError:
        return "it left no log"
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(_SAYS_NOTHING)]
    telling = [line for line in lines[-40:] if "error" in line.lower() or "exception" in line.lower()]
    return _plain((telling or lines or ["it said nothing"])[-1])[:400]


def _plain(line: str) -> str:
    """What a line of a log says: of a JSON line the event, and why where it is an exception; any other as it is."""
    try:
        said = json.loads(line)
        why = [f"{each['exc_type']}: {each['exc_value']}" for each in said.get("exception", ())[:1]]
        return ": ".join([said["event"], *why])
    except (ValueError, TypeError, KeyError, AttributeError):
        return line


def _created(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:  # it has already ended
        return None


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _rotate(log: Path) -> None:
    """Keep one older log beside the current one, so that a year of restarts does not fill the disk."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".1.log"))
