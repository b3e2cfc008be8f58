"""`dossier webhooks`: posts the alarms to the endpoints of the settings."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from cli.console import EXIT_USAGE, CommandError
from cli.reporting import keep_reporting
from cli.surroundings import listening_kafka, surroundings
from deploy.logs import configure_logging
from schemas.health import Condition, HealthReport
from schemas.settings import load_settings
from schemas.webhook import WebhookEndpoint

if TYPE_CHECKING:
    from processors.webhooks import Delivery, WebhookOptions


log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    app.command()(webhooks)


def webhooks(
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    prefix: Annotated[str, typer.Option(hidden=True, help="Prefix of the names of topics and groups.")] = "",
) -> None:
    """Gửi cảnh báo ra ngoài · Post each alarm, signed, to the `webhooks` of dossier.toml, until stopped.

    `dossier up` runs it when there are endpoints. What an endpoint does not take in five minutes goes to quarantine;
    `dossier quarantine retry` posts it again.

    Example: dossier webhooks --kafka broker:9092
    """
    from aiokafka.errors import KafkaError

    from processors.webhooks import GROUP, WebhookOptions

    settings = load_settings(kafka=kafka)
    require_alarms(settings.webhooks)
    if not settings.webhooks:
        raise CommandError("no endpoints: write them as [[webhooks]] in dossier.toml (name, url, secret)", EXIT_USAGE)
    configure_logging("webhooks", settings.log_level)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    options = WebhookOptions(listening_kafka(surroundings(settings)), prefix=prefix, group=prefix + GROUP)
    try:
        asyncio.run(_run(options, settings.webhooks))
    except (KafkaError, ExceptionGroup) as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if not isinstance(first, KafkaError):
            raise first from error
        raise CommandError(f"the webhooks stopped: {type(first).__name__}. Nothing is lost; start it again") from error


def require_alarms(endpoints: Sequence[WebhookEndpoint]) -> None:
    """Raises CommandError: an endpoint wants what nobody says; it would wait for ever."""
    from events.alarms import ALARM_CATALOGUE
    from events.catalogue import wire_name

    known = sorted(map(wire_name, ALARM_CATALOGUE))
    for each in endpoints:
        if strange := sorted(set(each.types).difference(known)):
            raise CommandError(
                f"webhooks: {each.name} wants {', '.join(strange)}, which is no alarm; there are {', '.join(known)}",
                EXIT_USAGE,
            )


async def _run(options: WebhookOptions, endpoints: Sequence[WebhookEndpoint]) -> None:
    """The composition root of the process."""
    from processors.posting import Poster
    from processors.quarantine import QuarantineWriter
    from processors.webhooks import Delivery

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        writer = await stack.enter_async_context(QuarantineWriter(options.brokers, options.quarantine))
        posters = [await stack.enter_async_context(Poster(each, options.patience)) for each in endpoints]
        deliveries = [Delivery(options, poster, writer.write) for poster in posters]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each.run()) for each in deliveries]
            tasks.append(group.create_task(keep_reporting(partial(_health, deliveries), log)))
            await stop.wait()
            for task in tasks:
                task.cancel()


def _health(deliveries: Sequence[Delivery]) -> HealthReport:
    condition: Condition = "ok" if all(each.is_reading() for each in deliveries) else "starting"
    given_up = [f"{each.name}: {each.given_up} to quarantine" for each in deliveries if each.given_up]
    lags = [each.lag() for each in deliveries]
    return HealthReport(
        name="webhooks",
        pid=os.getpid(),
        at=datetime.now(UTC),
        health=condition,
        position={name: offset for each in deliveries for name, offset in each.positions().items()},
        lag=None if None in lags else sum(lag or 0 for lag in lags),
        detail="; ".join(given_up),
    )
