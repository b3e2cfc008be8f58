"""What the commands that feed the ledger share: which events are there already, and what is said at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli.console import CommandError
from cli.past import ledger_ends, open_archive
from cli.surroundings import Surroundings

if TYPE_CHECKING:
    from events.feed import Identity, Known
    from events.publisher import Publisher


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

        def known(identities: Sequence[Identity]) -> set[Identity]:
            by_source: dict[str, list[str]] = {}
            for source, id_ in identities:
                by_source.setdefault(source, []).append(id_)
            return {(source, id_) for source, ids in by_source.items() for id_ in archive.known_ids(source, ids)}

        yield known


@contextmanager
def open_publisher(around: Surroundings, client_id: str) -> Iterator[Publisher]:
    """A publisher for the length of a `with`.

    Raises:
        CommandError: Kafka does not answer, or events are left whose outcome is unknown.
    """
    from events.publisher import BrokerUnreachable, Publisher

    try:
        with Publisher(around.kafka, client_id=client_id) as publisher:
            yield publisher
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error
