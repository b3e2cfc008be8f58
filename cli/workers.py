"""Jobs in processes of their own, and how far each of them is."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from tempfile import gettempdir
from typing import Any, Final, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.console import CommandError, err

J = TypeVar("J")
R = TypeVar("R")
#: Told how far a partition has been read: partition, offset, end.
Seen = Callable[[int, int, int], None]

#: Fewer events than this are done sooner than a second process has started.
_WORTH_PROCESSES: Final = 100_000
_LOOK_SECONDS: Final = 0.2
#: What jobs import late, so that the command line starts fast; their processes are forked from one that has it.
NEEDED: Final = (
    "aiokafka", "cli.main", "clickhouse_connect", "events.rulebook_topic", "replay.check", "replay.live_topic",
    "replay.states", "replay.verify", "schemas.rulebook",
)  # fmt: skip


def enough(events: int, jobs: int) -> int:
    """How many processes are worth while."""
    return min(os.cpu_count() or 1, jobs) if events >= _WORTH_PROCESSES else 1


def run_jobs(work: Callable[[J, Seen], R], jobs: Sequence[J], workers: int, seen: Seen) -> Iterator[R]:
    """Each job's result: done here one after the other, or in processes of their own. `work` is a module's function.

    Raises:
        CommandError: a process was killed.
    """
    if workers == 1:
        yield from (work(job, seen) for job in jobs)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(NEEDED))
    os.environ["PYTHONSAFEPATH"] = "1"  # or what they are forked from would take modules from the folder we are in
    told: Any = context.Queue()
    with ProcessPoolExecutor(workers, context, _begin, (told,)) as pool:
        try:
            pending: set[Future[R]] = {pool.submit(_work, work, job) for job in jobs}
        except OSError as error:  # its socket is there, and the name of one is short
            raise CommandError(f"no processes can be started in {gettempdir()}: {error}; try --workers 1") from error
        try:
            while pending:
                finished, pending = wait(pending, _LOOK_SECONDS, FIRST_COMPLETED)
                _pass_on(told, seen)
                yield from (each.result() for each in finished)
        except BrokenProcessPool as error:
            raise CommandError("a process was killed; with less memory try --workers 1") from error
        finally:
            pool.shutdown(cancel_futures=True)


_told: Any = None  # in a worker: where it tells how far it has read


def _begin(told: Any) -> None:
    global _told
    _told = told


def _work(work: Callable[[Any, Seen], R], job: Any) -> R:
    return work(job, lambda *position: _told.put(position))


def _pass_on(told: Any, seen: Seen) -> None:
    while True:
        try:
            seen(*told.get_nowait())
        except queue.Empty:
            return


def progress_bar() -> Progress:
    """A bar a partition, on a terminal."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("events"),
        TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal,
    )  # fmt: skip


def plain_bar() -> Progress:
    """A bar a task, in whatever is counted."""
    return Progress(console=err, transient=True, disable=not err.is_terminal)


def shown(progress: Progress) -> Seen:
    """Moves the bars."""
    tasks: dict[int, TaskID] = {}

    def seen(partition: int, offset: int, end: int) -> None:
        if partition not in tasks:
            tasks[partition] = progress.add_task(f"partition {partition}", total=end)
        progress.update(tasks[partition], completed=offset)

    return seen
