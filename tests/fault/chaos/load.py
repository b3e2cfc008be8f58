"""The load: a simulated province's events under unique ids, and what became of each, as a publisher knows it."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from queue import Empty, SimpleQueue
from random import Random
from typing import Final

from kafka import KafkaProducer
from kafka.errors import KafkaError
from msgspec.structs import replace

from events.catalogue import Received, StepCompleted
from events.entrance import BrokerUnreachable
from events.envelope import MAX_EVENT_BYTES, Event, make_event
from events.ledger import LEDGER_TOPIC
from events.publisher import Delivery, Outcome, Publisher
from events.simulation import PROFILES, simulate
from schemas.cluster import Cluster
from tests.poison import ODD_BUT_GOOD, POISON

_DELIVERY_SECONDS: Final = 20.0
_TURN_SECONDS: Final = 0.25
#: How many of a turn's events are sent a second time, are sent in the wrong order, and how often a turn has something
#: that is no event, an event that is refused, or dossiers whose promise is minutes away.
_AGAIN, _REORDERED, _ODD, _TOO_LARGE, _SOON = 0.05, 0.3, 0.1, 0.02, 0.2
#: A surge: so many dossiers, each with so much to check off that the states of a partition take several record batches.
_BULKY, _BULK = 240, ("x" * 4_000,) * 10
#: How many of the events whose outcome is unknown nobody asks about again.
_FORGOTTEN: Final = 0.1


class Load(threading.Thread):
    """Publishes until told to stop. The counts are its own; what it says is confirmed must be there."""

    def __init__(self, kafka: str, seed: int, events_a_second: int) -> None:
        super().__init__(daemon=True)
        self.outcomes: Counter[str] = Counter()
        #: Of each confirmed event where it is (if the broker said), by source and id; and those that were refused.
        self.confirmed: dict[tuple[str, str], tuple[int | None, int | None]] = {}
        self.refused: set[tuple[str, str]] = set()
        self.offered: set[tuple[str, str]] = set()
        self.failure: BaseException | None = None
        self.paused = threading.Event()
        self._kafka = kafka
        self._chance = Random(f"load {seed}")  # noqa: S311  # a reproducible load
        self._size = max(1, round(events_a_second * _TURN_SECONDS))
        self._events = _province(seed)
        self._again: list[Event] = []
        self._ending = threading.Event()
        self._idle = threading.Event()
        self._soon = self._bulky = 0
        self._surges: SimpleQueue[threading.Event] = SimpleQueue()

    def run(self) -> None:
        try:
            while not self._ending.is_set():
                try:
                    self._publish()
                except (BrokerUnreachable, KafkaError):  # a new producer, when there is a broker again
                    self._ending.wait(0.5)
        except BaseException as error:
            self.failure = error
            raise

    def stop(self) -> None:
        self._ending.set()
        self.join(3 * _DELIVERY_SECONDS)

    def rest(self, within_seconds: float = 3 * _DELIVERY_SECONDS) -> None:
        """Send nothing more, until `paused` is cleared; returns when nothing is on its way."""
        self._idle.clear()
        self.paused.set()
        if not self._idle.wait(within_seconds):
            raise TimeoutError("the load does not come to rest")

    def surge(self) -> threading.Event:
        """Have many large dossiers sent at once; set when that is done, whatever became of them."""
        done = threading.Event()
        self._surges.put(done)
        return done

    def _publish(self) -> None:
        """As long as one producer lasts."""
        with (
            Publisher(Cluster(self._kafka), client_id="chaos", delivery_timeout_seconds=_DELIVERY_SECONDS) as publisher,
            _strange(self._kafka) as producer,
        ):
            while not self._ending.wait(_TURN_SECONDS):
                if self.paused.is_set():
                    self._idle.set()
                    continue
                self._send(publisher, self._turn())
                with contextlib.suppress(Empty):
                    self._send_surge(publisher, self._surges.get_nowait())
                if self._chance.random() < _ODD:
                    self._send_odd(producer)

    def _send(self, publisher: Publisher, events: list[Event]) -> None:
        self.offered.update((event.source, event.id) for event in events)
        for delivery in publisher.publish_many(events):
            self._note(delivery)

    def _send_surge(self, publisher: Publisher, done: threading.Event) -> None:
        try:
            self._send(publisher, self._large_dossiers())
        finally:
            done.set()

    def _turn(self) -> list[Event]:
        chance = self._chance
        again, self._again = self._again, []
        events = [*again, *islice(self._events, self._size)]
        events += [event for event in events if chance.random() < _AGAIN]
        if chance.random() < _SOON:
            events += self._promised_soon()
        if chance.random() < _REORDERED:
            chance.shuffle(events)
        if chance.random() < _TOO_LARGE:
            events.append(_too_large(f"large-{len(self.offered)}"))
        return events

    def _promised_soon(self) -> Iterator[Event]:
        """Dossiers that are late in seconds or minutes; some who send them have clocks wrong by an hour or a day."""
        now = datetime.now(UTC) + timedelta(hours=self._chance.choice([0, 0, 0, -1, 24]))
        for _ in range(5):
            self._soon += 1
            code, within = f"SOON-{self._soon:06d}", timedelta(seconds=self._chance.randrange(5, 300))
            fact = Received(office="H21.18", procedure="1.002809", channel="direct", promised=now + within)
            yield make_event(fact, id=f"{code}-1", source="urn:chaos", subject=code, time=now)

    def _large_dossiers(self) -> list[Event]:
        fact = Received(office="H21.18", procedure="1.002809", channel="direct", components=_BULK)
        codes = [f"BULKY-{each:06d}" for each in range(self._bulky, self._bulky + _BULKY)]
        self._bulky += _BULKY
        now = datetime.now(UTC)
        return [make_event(fact, id=f"{code}-1", source="urn:chaos", subject=code, time=now) for code in codes]

    def _send_odd(self, producer: KafkaProducer) -> None:
        """Something that no publisher of ours sends."""
        row = self._chance.choice([*POISON, *ODD_BUT_GOOD])
        if row.key is None and row.value is None:
            return  # kafka-python has no way to send that
        try:
            producer.send(LEDGER_TOPIC, row.value, row.key).get(_DELIVERY_SECONDS)
            self.outcomes["odd"] += 1
        except KafkaError:
            self.outcomes["odd, unknown"] += 1

    def _note(self, delivery: Delivery) -> None:
        event = delivery.event
        identity = (event.source, event.id)
        self.outcomes[delivery.outcome.value] += 1
        if delivery.outcome is Outcome.CONFIRMED:
            self.confirmed[identity] = (delivery.partition, delivery.offset)
        elif delivery.outcome is Outcome.REFUSED:
            self.refused.add(identity)
        elif self._chance.random() >= _FORGOTTEN:
            self._again.append(event)


def _province(seed: int) -> Iterator[Event]:
    """Endless: one half-year after the other, each with dossiers of its own."""
    year = 0
    while True:
        yield from simulate(PROFILES["gia-lai-2020-h1"], seed=seed * 1_000 + year)
        year += 1


def _too_large(id: str) -> Event:  # noqa: A002  # the word of CloudEvents
    """Larger than an event may be, made past the check that would say so."""
    fact = StepCompleted(office="H21.18", step="tham-dinh")
    event = make_event(fact, id=id, source="urn:chaos", subject="LARGE", time=datetime.now(UTC))
    return replace(event, data=replace(fact, note="x" * MAX_EVENT_BYTES))


class _strange:  # noqa: N801  # a context manager, used as a word
    """A plain producer that sends any bytes."""

    def __init__(self, kafka: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=kafka.split(","), acks="all", max_request_size=2_000_000)

    def __enter__(self) -> KafkaProducer:
        return self._producer

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(KafkaError):  # its broker may just be away
            self._producer.close(1)
