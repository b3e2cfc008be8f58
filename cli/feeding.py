"""What the commands that feed the ledger share: which events are there already, and what is said at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.console import CommandError, err, number
from cli.past import ledger_ends, open_archive
from cli.surroundings import Surroundings

if TYPE_CHECKING:
    from events.envelope import Event
    from events.feed import Fed, Identity, Known, Pace
    from events.publisher import Delivery, Publisher


@contextmanager
def open_feed(around: Surroundings, client_id: str, *, again: bool = False) -> Iterator[tuple[Publisher, Known | None]]:
    """The ledger to publish to, and what it holds already; `again` does not ask, since a repeated event is nothing.

    Raises:
        CommandError: as `open_publisher` and `open_known`.
    """
    with open_publisher(around, client_id) as publisher:
        if again:
            yield publisher, None
            return
        _require_archive(around)
        with open_known(around) as known:
            yield publisher, known


def _require_archive(around: Surroundings) -> None:
    try:
        around.required_archive()
    except CommandError as error:
        raise CommandError(f"{error}, or do not ask the archive what is there already (--again)") from error


def feed_with_bar(
    events: Iterable[Event],
    publisher: Publisher,
    known: Known | None,
    doing: str,
    total: int | None,
    pace: Pace | None = None,
) -> Fed:
    """Publish what is new, with a progress bar where a person looks; names each event that is refused.

    Raises:
        CommandError: events are left whose outcome is unknown.
    """
    from events.feed import Undelivered, at_once, feed

    try:
        with progress_bar(doing, total) as progress:
            fed = feed(events, publisher, known, pace=pace or at_once, progress=progress)
    except Undelivered as error:
        raise CommandError(str(error)) from error
    for event in fed.first_conflicts:
        told = f"không gửi · not published: {event.source} {event.id} is the identity of an event with another content"
        err.print(told, markup=False, soft_wrap=True)
    if fed.conflicts:
        err.print(
            f"{number(fed.conflicts)} sự kiện trùng mã, khác nội dung · events have the identity of another fact: "
            "give each an id of its own, and take back what was wrong by voided or corrected "
            "(--again sends them: anomaly A16)",
            soft_wrap=True,
        )
    tell_refused(fed.refused)
    return fed


def tell_refused(refused: Iterable[Delivery]) -> None:
    """Name the events that the ledger did not take, and why."""
    for delivery in refused:
        told = f"bị từ chối · refused {delivery.event.source} {delivery.event.id}: {delivery.reason}"
        err.print(told, markup=False, soft_wrap=True)


@contextmanager
def progress_bar(doing: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Counts events on standard error, if that is a terminal; `total` None: nobody knows how many will come."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def open_known(around: Surroundings, *, wait_seconds: float = 120.0) -> Iterator[Known]:
    """Which events the ledger holds already, asked of the archive once it has all of the ledger as of now.

    Raises:
        CommandError: ClickHouse or Kafka does not answer, or the archive stays behind.
    """
    with open_archive(around) as archive:
        if not archive.wait_until_archived(ledger_ends(around.kafka), wait_seconds):
            raise CommandError(
                f"the archive is behind the ledger after {wait_seconds:.0f} s, so what is there already is not known: "
                "is the archiver running (`dossier status`)?"
            )

        def known(identities: Sequence[Identity]) -> dict[Identity, list[Event]]:
            by_source: dict[str, list[str]] = {}
            for source, id_ in identities:
                by_source.setdefault(source, []).append(id_)
            return {
                (source, id_): events
                for source, ids in by_source.items()
                for id_, events in archive.known_events(source, ids).items()
            }

        yield known


@contextmanager
def open_publisher(around: Surroundings, client_id: str) -> Iterator[Publisher]:
    """A publisher for the length of a `with`.

    Raises:
        CommandError: Kafka does not answer, or events are left whose outcome is unknown.
    """
    from events.entrance import BrokerUnreachable
    from events.publisher import Publisher

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what became of each event is told by us, once
    try:
        with Publisher(around.kafka, client_id=client_id) as publisher:
            yield publisher
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error
