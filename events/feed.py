"""Feeding many events to the ledger so that doing it again publishes nothing twice.

Publishing an event twice is harmless (readers know it by its identity), but it is noise on a ledger that is kept for
ever. So a feed first asks which events are there already. Whatever stopped an earlier run, the next one goes on
where that one stood, with no file of its own to remember it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Protocol

from events.envelope import Event
from events.publisher import Delivery, Outcome

#: Events asked about and published together.
CHUNK: Final = 5_000
#: How often an event with an unknown outcome is sent again before the feed gives up.
ATTEMPTS: Final = 5

#: So many conflicts are named; all are counted.
LISTED: Final = 20

Identity = tuple[str, str]  # (source, id)
#: Of these identities, those that are on the ledger already, each with the events that are there under it.
Known = Callable[[Sequence[Identity]], Mapping[Identity, Sequence[Event]]]
#: Gives events again in the same order, each when it is due.
Pace = Callable[[Iterable[Event]], Iterable[Event]]


def at_once(events: Iterable[Event]) -> Iterable[Event]:
    """The pace of the ledger itself."""
    return events


class Arriving:
    """Events as they come. None among them says that the next one is not there yet: what came is not to wait for it."""

    def __init__(self, events: Iterable[Event | None]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[Event]:
        return (event for event in self._events if event is not None)

    def chunks(self) -> Iterator[list[Event]]:
        chunk: list[Event] = []
        for event in self._events:
            if event is not None:
                chunk.append(event)
            if chunk and (event is None or len(chunk) == CHUNK):
                yield chunk
                chunk = []
        if chunk:
            yield chunk


class Undelivered(ConnectionError):
    """Events are left whose outcome stayed unknown; feeding the same again goes on from there."""


class Publishing(Protocol):
    """What a feed needs of a publisher."""

    def publish_many(self, events: Iterable[Event]) -> Iterator[Delivery]: ...


@dataclass
class Fed:
    """What a feed did: `events` = `published` + `duplicates` + `conflicts` + `refused`.

    A conflict is another fact under an identity that is taken, by one of the newest events of this feed or by what the
    archive had when that was asked for. It was not published; `first_conflicts` names some.
    """

    events: int = 0
    published: int = 0
    duplicates: int = 0
    conflicts: int = 0
    first_conflicts: list[Event] = field(default_factory=list)
    refused: list[Delivery] = field(default_factory=list)


def feed(
    events: Iterable[Event],
    publisher: Publishing,
    known: Known | None,
    *,
    pace: Pace = at_once,
    progress: Callable[[int], None] = lambda _: None,
) -> Fed:
    """Publish what is not known yet, in order, a chunk at a time.

    Args:
        events: `Arriving` ones are published when they are there; of others whole chunks are made.
        known: None: publish all of it, as often as it comes.
        pace: gives the new events of a chunk again, each when it is due.
        progress: called with the number of events dealt with since the last call.

    Raises:
        Undelivered: after `ATTEMPTS` tries some outcome is still unknown.
    """
    fed = Fed()
    lately: dict[Identity, tuple[Event, ...]] = {}
    for chunk in _chunks(events):
        new = chunk if known is None else _new(chunk, known, lately, fed)
        progress(len(chunk) - len(new))
        fed.refused += _deliver(new, publisher, pace, progress)
        fed.events += len(chunk)
        fed.published = fed.events - fed.duplicates - fed.conflicts - len(fed.refused)
    return fed


def _new(chunk: Sequence[Event], known: Known, lately: dict[Identity, tuple[Event, ...]], fed: Fed) -> list[Event]:
    """Those whose identity nothing has yet; counts the others. `lately`: the newest before these, which are added;
    what answers `known` may not have got them yet."""
    there = {**lately, **known([(event.source, event.id) for event in chunk])}
    new = []
    for event in chunk:
        identity = (event.source, event.id)
        if identity not in there:
            there[identity] = (event,)
            new.append(event)
        elif event in there[identity]:
            fed.duplicates += 1
        else:
            fed.conflicts += 1
            fed.first_conflicts += [event] if len(fed.first_conflicts) < LISTED else []
    lately.update({(event.source, event.id): (event,) for event in new})
    for identity in list(lately)[:-CHUNK]:
        del lately[identity]
    return new


def _deliver(events: list[Event], publisher: Publishing, pace: Pace, progress: Callable[[int], None]) -> list[Delivery]:
    """Publish until every outcome is known. Returns the refused ones."""
    due: Iterable[Event] = pace(events)
    refused: list[Delivery] = []
    reason: str | None = None
    for _ in range(ATTEMPTS):
        unknown: list[Event] = []
        for delivery in publisher.publish_many(due):
            progress(delivery.outcome is not Outcome.UNKNOWN)
            if delivery.outcome is Outcome.REFUSED:
                refused.append(delivery)
            elif delivery.outcome is Outcome.UNKNOWN:
                unknown.append(delivery.event)
                reason = delivery.reason
        if not unknown:
            return refused
        due = unknown
    raise Undelivered(f"{len(unknown)} events without an answer from Kafka ({reason}); run it again to go on")


def _chunks(events: Iterable[Event]) -> Iterator[list[Event]]:
    if isinstance(events, Arriving):
        yield from events.chunks()
        return
    iterator = iter(events)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
