"""`dossier gateway`: the board, the queries and the live stream, over HTTP on this machine."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import structlog
import typer

from cli.console import EXIT_USAGE, CommandError
from cli.reporting import keep_reporting
from cli.surroundings import Surroundings, surroundings
from deploy.logs import configure_logging
from schemas.health import Condition, HealthReport
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.reader import LiveReader
    from gateway.server import Server

#: A lag below this is what is on its way, not a delay.
BEHIND_RECORDS: Final = 10_000

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    app.command()(gateway)


def gateway(
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    clickhouse: Annotated[str | None, typer.Option(help="URL; default: the running `dossier up`.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = None,
) -> None:
    """Bảng điều hành và API · Serve the board, the queries and the live stream, until stopped. Read only.

    Example: dossier gateway --port 8080
    """
    settings = load_settings(kafka=kafka, clickhouse=clickhouse, gateway_port=port)
    configure_logging("gateway", settings.log_level)
    asyncio.run(_serve(settings, surroundings(settings)))


async def _serve(settings: Settings, around: Surroundings) -> None:
    """The composition root: 1. the address, 2. reader, history and access log, 3. the application, 4. serve until told
    to stop."""
    from cli.past import connect_report
    from gateway.access import KafkaAccessLog
    from gateway.app import create_app
    from gateway.history import ArchiveHistory
    from gateway.reader import LiveReader
    from gateway.server import Server

    around.required_archive()
    listening = _listen(settings.gateway_host, settings.gateway_port)
    port = listening.getsockname()[1]
    reader = LiveReader(around.kafka, clock=around.clock)
    history = ArchiveHistory(lambda: connect_report(around))
    access = KafkaAccessLog(around.kafka)
    server = Server(create_app(reader, history, access, _host_headers(settings.gateway_host, port)), reader)
    log.info("listening", host=settings.gateway_host, port=port, kafka=str(around.kafka), clickhouse=around.clickhouse)
    try:
        await _until_stopped(server, listening, reader)
    finally:
        await access.close()


async def _until_stopped(server: Server, listening: socket.socket, reader: LiveReader) -> None:
    """Serve and read; a reader that ends by itself ends the process, because old answers are worse than none."""
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    beside = {asyncio.create_task(reader.run()), asyncio.create_task(keep_reporting(partial(_health, reader), log))}
    await asyncio.wait({serving, *beside}, return_when=asyncio.FIRST_COMPLETED)
    ended = [task for task in beside if task.done()]
    server.should_exit = True
    reader.close()
    await serving
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    for task in ended:
        task.result()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise CommandError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another DOSSIER_GATEWAY_PORT or "
            "DOSSIER_GATEWAY_HOST",
            EXIT_USAGE,
        ) from error


def _host_headers(host: str, port: int) -> Sequence[str]:
    """What browsers on this machine send as Host; any other name that leads here is not ours."""
    names = {"127.0.0.1", "localhost", host}
    return sorted(f"{name}:{port}" for name in names)


def _health(reader: LiveReader) -> HealthReport:
    reached = reader.view.reached()
    behind = (reached.lag or 0) >= BEHIND_RECORDS
    condition: Condition = "starting" if not reader.caught_up else "behind" if behind else "ok"
    return HealthReport(
        name="gateway",
        pid=os.getpid(),
        at=datetime.now(UTC),
        health=condition,
        position={str(partition): offset for partition, offset in reached.positions.items()},
        lag=reached.lag,
        detail=f"{reader.view.unreadable} live records cannot be read" if reader.view.unreadable else "",
    )
