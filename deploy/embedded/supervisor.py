"""`dossier up`: servers first, then their topics and tables, then our processes; all of them kept alive, all stopped.

What runs is data (`Plan`); how one process is kept alive is in `child`. The caller owns the data folder
(`runtime.exclusive`) before it makes a plan and until `Supervisor.run` returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil

from deploy.embedded.child import Child, Supervised
from deploy.embedded.runtime import Running, forget, keep_clock
from schemas.clock import Clock, ClockError

#: So often it is written down what a simulated clock shows: by then, so that it does not go back after a kill either.
_KEEP_CLOCK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs, in three waves that start in this order and stop in reverse, and where it answers."""

    kafka: str
    clickhouse: str
    gateway: str | None
    servers: tuple[Child, ...]
    prepare: Callable[[], None]  # topics and tables, once the servers answer; blocking
    processes: tuple[Child, ...]
    feeds: tuple[Child, ...] = ()  # start after `ready`, and are not waited for
    embedded_kafka: bool = True
    embedded_clickhouse: bool = True
    clock: str | None = None  # what the processes were given
    goes_on: Clock | None = None  # what the next run goes on with, from where it stops; None: the settings say it anew


@dataclass(slots=True)
class Supervisor:
    """Runs a plan until it is told to stop. `say` gets one line for each thing a person should know, `warn` each that
    should not have happened, `show` each change of the processes."""

    plan: Plan
    data_dir: Path
    say: Callable[[str], None]
    warn: Callable[[str], None]
    show: Callable[[Running], None]
    _children: list[Supervised] = field(init=False, default_factory=list)
    _ready: bool = field(init=False, default=False)
    _clock: asyncio.Task[None] | None = field(init=False, default=None)
    _stop: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _hurry: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until SIGINT or SIGTERM; a second one kills what has not stopped yet.

        Raises:
            EmbeddedError: something cannot start; everything that had started is stopped again.
        """
        self._listen_to_signals()
        work, told = asyncio.create_task(self._work()), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            self._stop.set()
            for task in (work, told):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
            await self._stop_all()
            await self._stop_clock()
            forget(self.data_dir)

    async def _work(self) -> None:
        """1. servers, 2. topics and tables, 3. our processes, 4. ready, 5. the feeds, for ever."""
        await self._start(self.plan.servers)
        await asyncio.to_thread(self.plan.prepare)
        self._clock = asyncio.create_task(self._keep_clock())
        await self._start(self.plan.processes)
        self._ready = True
        self._changed()
        for child in self.plan.feeds:
            self._supervise(child)
        await asyncio.gather(*(each.supervised() for each in self._children))
        await self._stop.wait()

    async def _start(self, children: Sequence[Child]) -> None:
        """Start them side by side and wait until each of them works."""
        await asyncio.gather(*(self._supervise(child).until_working() for child in children))

    def _supervise(self, child: Child) -> Supervised:
        logs = self.data_dir / "logs"
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        supervised = Supervised(child, logs / f"{child.name}.log", self.say, self.warn, self._changed)
        self._children.append(supervised)
        supervised.start()
        return supervised

    async def _stop_all(self) -> None:
        """Each wave after the one that feeds on it: feeds, processes (side by side), servers last, Kafka after all."""
        if self._children:
            self.say("đang dừng · stopping; Ctrl-C lần nữa tắt ngay · Ctrl-C again kills what is still there")
        for wave in (self.plan.feeds, self.plan.processes, *((server,) for server in reversed(self.plan.servers))):
            named = {child.name for child in wave}
            await asyncio.gather(*(each.stop(self._hurry) for each in self._children if each.child.name in named))

    def _changed(self) -> None:
        running = Running(
            pid=os.getpid(),
            created=psutil.Process().create_time(),
            ready=self._ready,
            kafka=self.plan.kafka,
            clickhouse=self.plan.clickhouse,
            gateway=self.plan.gateway,
            embedded_kafka=self.plan.embedded_kafka,
            embedded_clickhouse=self.plan.embedded_clickhouse,
            clock=self.plan.clock,
            processes=tuple(each.entry for each in self._children),
        )
        with contextlib.suppress(OSError):  # on a full disk `status` shows what was; what runs goes on
            running.write(self.data_dir)
        self.show(running)

    async def _keep_clock(self) -> None:
        """Up to the end of the last process that goes by it; that it is real time is written once."""
        self._write_clock()
        while self.plan.goes_on is not None and self.plan.goes_on.is_simulated:
            self._write_clock(timedelta(seconds=2 * _KEEP_CLOCK_SECONDS))
            await asyncio.sleep(_KEEP_CLOCK_SECONDS)

    async def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.wait({self._clock})
            self._write_clock()

    def _write_clock(self, ahead: timedelta = timedelta(0)) -> None:
        """With a full disk, or beyond the years of a clock, the next run goes on from what was written last."""
        if self.plan.goes_on is not None:
            with contextlib.suppress(OSError, ClockError):
                keep_clock(self.data_dir, self.plan.goes_on.going_on(datetime.now(UTC), ahead))

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        (self._hurry if self._stop.is_set() else self._stop).set()
