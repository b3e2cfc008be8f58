"""`dossier projector`: keeps the live state of every dossier."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import structlog
import typer

from cli.console import CommandError, fail
from cli.memory import look_for_cycles, work_in_bulk
from cli.reporting import keep_reporting
from cli.surroundings import listening_kafka, surroundings
from deploy.logs import configure_logging
from schemas.clock import Clock
from schemas.health import Condition, HealthReport
from schemas.settings import load_settings

if TYPE_CHECKING:
    from events.rulebook import Published
    from processors.projector import Projector, ProjectorOptions

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    app.command()(projector)


def projector(
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    prefix: Annotated[str, typer.Option(hidden=True, help="Prefix of the names of topics and group.")] = "",
) -> None:
    """Tính trạng thái hồ sơ · Fold the ledger into the live state of every dossier, until stopped.

    As many may run as the ledger has partitions; they share them, and take over from one that dies.

    Example: dossier projector --kafka broker:9092
    """
    from processors.projector import ProjectorOptions

    settings = load_settings(kafka=kafka)
    configure_logging("projector", settings.log_level)
    for name in ("faust", "mode", "aiokafka"):  # at info they draw tables; our own lines tell positions
        logging.getLogger(name).setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="dossier-projector-") as folder:
        options = ProjectorOptions(listening_kafka(surroundings(settings)), settings.partitions, folder).prefixed(
            prefix
        )
        asyncio.run(_project(options, settings.time))


def _end_at_once(error: Exception, folder: str) -> NoReturn:
    """Leave without waiting for tasks and threads: what they still have on its way must not arrive later."""
    shutil.rmtree(folder, ignore_errors=True)
    code = fail(CommandError(f"the projector stopped: {error}. Nothing is lost; start it again"))
    sys.stderr.flush()
    os._exit(code)


async def _project(options: ProjectorOptions, clock: Clock) -> None:
    """The composition root of the process."""
    from events.rulebook_topic import follow_rulebooks
    from processors.projector import Projector, ProjectorFailed
    from processors.quarantine import QuarantineWriter

    work_in_bulk()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with QuarantineWriter(options.brokers, topic=options.quarantine) as quarantine:
        member = Projector(options, quarantine.put, clock.now_us)
        rulebooks = follow_rulebooks(options.brokers, _teller(member), topic=options.rulebooks)
        besides = keep_reporting(partial(_health, member), log), member.guarded(rulebooks), look_for_cycles()
        beside = [asyncio.create_task(each) for each in besides]
        try:
            await member.run(stop)
        except ProjectorFailed as error:
            _end_at_once(error, options.data_dir)
        finally:
            for task in beside:
                task.cancel()


def _teller(member: Projector) -> Callable[[tuple[Published, ...]], None]:
    """Tells the projector of the rulebooks that are on the ledger, after the one that is shipped."""
    from projections.rules import rule_history
    from schemas.rulebook import shipped

    first = shipped()
    return lambda published: member.use_rules(rule_history(first, published))


def _health(member: Projector) -> HealthReport:
    member.tick()
    positions, lag = member.durable(), member.lag()
    caught_up = lag < member.options.policy.behind_records
    condition: Condition = "starting" if not member.ready else "ok" if caught_up else "behind"
    return HealthReport(
        name="projector",
        pid=os.getpid(),
        at=datetime.now(UTC),
        health=condition,
        position={str(partition): offset for partition, offset in positions.items()},
        lag=lag if member.ready else None,
    )
