"""One virtual clock, one seed: every process of a schedule is an asyncio loop that is stepped one callback at a time.

Nothing here waits. The world picks, by its seed, a process and one of its ready callbacks; when none is ready, the
clock goes to the next instant at which something arrives. A process is frozen (SIGSTOP), killed (kill -9) or started
between any two callbacks, which is to say at any await. What it had sent by then still arrives.

What is not modelled: a signal in the middle of Python code between two awaits, and what a socket or a client library
still holds back when the process is stopped (a request is on its way as soon as it is asked for).
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
from asyncio import events as asyncio_events
from collections.abc import Callable, Coroutine
from functools import partial
from heapq import heappop, heappush
from random import Random
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: A process that has nothing to wait for and still goes on after so many callbacks is caught in a loop.
MOST_STEPS: Final = 200_000
#: What a callback takes: time goes on.
_STEP_SECONDS: Final = 1e-6
#: How often the oldest ready callback is the next one; otherwise any.
_IN_ORDER: Final = 0.8


class Violation(Exception):
    """An invariant does not hold."""


class World:
    """Time in seconds since the schedule began; `wall_offset_seconds` is what the wall clocks are ahead of it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)  # noqa: S311  # a schedule is drawn, no secret
        self.now = 0.0
        self.steps = 0
        self.points = 0
        self.healed = False
        self.wall_offset_seconds = 0.0
        self.running: Process | None = None
        self._entered: Process | None = None  # whose loop asyncio takes for the running one
        self.processes: list[Process] = []
        #: Faults by the step or the point at which they happen. A point is where a request is sent, arrives or is
        #: answered: that is where a crash hurts.
        self.at_step: dict[int, Callable[[], None]] = {}
        self.at_point: dict[int, Callable[[], None]] = {}
        self._struck: list[Callable[[], None]] = []
        self._arrivals: list[tuple[float, float, int, Callable[[], None]]] = []
        self._count = 0
        self._trace: list[tuple[object, ...]] = []
        self._choices = bytearray()  # which callback was run at each step, and of which process

    def note(self, *words: object) -> None:
        """Add to the trace."""
        self._trace.append((self.now, len(self._choices), words))

    def trace_hash(self) -> str:
        """Of everything that happened, and of every step between."""
        return hashlib.sha256(repr(self._trace).encode() + self._choices).hexdigest()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self.at(self.now + seconds, do)

    def at(self, instant: float, do: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._arrivals, (instant, self.rng.random(), self._count, do))

    def point(self, *words: object) -> None:
        self.note(*words)
        self.points += 1
        fault = self.at_point.pop(self.points, None)
        if fault is not None:
            self._struck.append(fault)

    def run_until(self, instant: float) -> None:
        """Let everything happen that happens until then."""
        try:
            self._run_until(instant)
        finally:
            self.enter(None)

    def _run_until(self, instant: float) -> None:
        while True:
            while self._struck:
                self._struck.pop()()
            ready = [each for each in self.processes if each.loop.ready and not each.frozen]
            if ready:
                self._step(ready[0] if len(ready) == 1 else self.rng.choice(ready))
            elif self._arrivals and self._arrivals[0][0] <= instant:
                at, _, _, do = heappop(self._arrivals)
                self.now = max(self.now, at)
                do()
            else:
                self.now = max(self.now, instant)
                return

    def enter(self, process: Process | None) -> None:
        """Let asyncio take this process's loop for the running one; a call of the system each, so only on a change."""
        if self._entered is not process:
            self._entered = process
            asyncio_events._set_running_loop(None if process is None else process.loop.as_loop)

    def _step(self, process: Process) -> None:
        self.steps += 1
        self.now += _STEP_SECONDS
        if self.steps > MOST_STEPS:
            raise Violation("it never comes to rest")
        self._choices += bytes((self.processes.index(process) & 255, process.step() & 255))
        fault = self.at_step.pop(self.steps, None)
        if fault is not None:
            fault()

    def request(self, process: Process, do: Callable[[], T], *, lost: Callable[[], Exception]) -> asyncio.Future[T]:
        """Ask a server: `do` runs there when the request arrives; the answer comes later, or is lost."""
        future: asyncio.Future[T] = process.loop.create_future()
        fate = 1.0 if self.healed else self.rng.random()
        there, back = self.rng.uniform(0.0005, 0.02), self.rng.uniform(0.0005, 0.02)
        self.point(process.name, "asks")

        def arrive() -> None:
            self.point(process.name, "arrives")
            try:
                answer = do()
            except Violation:
                raise
            except Exception as refusal:  # is an answer, too
                self.after(back, partial(process.answer, future, error=refusal))
                return
            if fate < 0.02:
                self.after(5 * back, lambda: process.answer(future, error=lost()))
            else:
                self.after(back, lambda: process.answer(future, result=answer))

        if fate > 0.98 and not self.healed:
            self.after(5 * there, lambda: process.answer(future, error=lost()))
        else:
            self.after(there, arrive)
        return future


class Loop:
    """The part of an event loop that coroutines use, in virtual time."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.as_loop: Any = self  # what nobody here calls is not there
        self.ready: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def time(self) -> float:
        return self.process.world.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.as_loop, context)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # there are no threads here

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self.as_loop, context)
        if self.process.alive:
            self.process.world.at(when, lambda: self._expire(handle))
        return handle

    def _expire(self, handle: asyncio.TimerHandle) -> None:
        if self.process.alive and not handle.cancelled():
            self.ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays where it is, and does nothing."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.as_loop)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self.as_loop, name=name, context=context)
        self.tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = self.create_future()
        Blocking(self.process, lambda: func(*args), future).go_on()
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.process.world.note("exception", context.get("message"))


class _WaitsForAnswer(BaseException):
    """The blocking call has asked a server and cannot go on before its answer."""


class Blocking:
    """A call that blocks a thread: run again from its beginning with each answer, until it needs no other.

    So a thread can be stopped, or die, between any two of its requests, and no real thread is needed. What it calls
    must do the same when it gets the same answers.
    """

    current: Blocking | None = None

    def __init__(self, process: Process, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self._process = process
        self._call = call
        self._future = future
        self._answers: list[Any] = []
        self._asked = 0

    def ask(self, send: Callable[[Process, Callable[[Any], None]], None]) -> Any:
        """Give the answer of the server if it is there; else send the request and leave the call."""
        self._asked += 1
        if self._asked > len(self._answers):
            send(self._process, self._answered)
            raise _WaitsForAnswer
        answer = self._answers[self._asked - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answered(self, answer: Any) -> None:
        if self._process.alive:
            self._answers.append(answer)
            self._process.loop.call_soon(self.go_on)

    def go_on(self) -> None:
        self._asked, Blocking.current = 0, self
        try:
            self._process.finish(self._future, result=self._call())
        except _WaitsForAnswer:
            pass
        except Exception as error:  # the caller's, as a thread would hand it on
            self._process.finish(self._future, error=error)
        finally:
            Blocking.current = None


class Process:
    """An operating system's process: a loop, which may be frozen or dead."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.frozen = False
        self.loop = Loop(self)
        self.main: asyncio.Task[Any] | None = None
        world.processes.append(self)

    def start(self, main: Coroutine[Any, Any, None]) -> None:
        self.main = self.loop.create_task(main)

    def step(self) -> int:
        """Run a ready callback; gives its place among them."""
        ready, rng = self.loop.ready, self.world.rng
        index = 0 if len(ready) == 1 or rng.random() < _IN_ORDER else rng.randrange(len(ready))
        self._call(ready.pop(index))
        return index

    def _call(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        self.world.running = self
        self.world.enter(self)
        handle._run()  # raises only what ends us: what else a callback raises goes to its loop's handler
        self.world.running = None

    def within(self, do: Callable[[], T]) -> T:
        """Call a function as code of this process."""
        found: list[T] = []
        self._call(asyncio.Handle(lambda: found.append(do()), (), self.loop.as_loop))
        return found[0]

    def freeze(self, seconds: float) -> None:
        self.world.note(self.name, "is stopped", seconds)
        self.frozen = True
        self.world.after(seconds, self.thaw)

    def thaw(self) -> None:
        self.frozen = False

    def kill(self) -> None:
        """Nothing that it does from here on has an effect: the tasks are ended only so that Python can forget them."""
        self.world.note(self.name, "is killed")
        self.alive = False
        self.world.processes.remove(self)
        for _ in range(1_000):
            pending = [task for task in self.loop.tasks if not task.done()]
            if not pending:
                break
            for task in pending:
                task.cancel()
            while self.loop.ready:
                self._call(self.loop.ready.pop(0))
        for task in self.loop.tasks:
            if task.done() and not task.cancelled():
                task.exception()  # seen: it is the dead process's
        self.world.enter(None)

    def answer(self, future: asyncio.Future[T], *, result: T | None = None, error: Exception | None = None) -> None:
        """Something came for this process from outside."""
        if self.alive:
            self.world.point(self.name, "is answered")
            self.loop.call_soon(lambda: self.finish(future, result=result, error=error))

    def finish(self, future: asyncio.Future[Any], *, result: Any = None, error: Exception | None = None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class Time:
    """Stands for the module `time` in code that runs in a schedule."""

    def __init__(self, world: World, started_at_seconds: float) -> None:
        self._world = world
        self._started_at_seconds = started_at_seconds  # since 1970 UTC

    def monotonic(self) -> float:
        return self._world.now

    def time(self) -> float:
        return self._started_at_seconds + self._world.now + self._world.wall_offset_seconds
