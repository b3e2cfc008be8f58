"""Alarms from the real topic to real endpoints: once, signed, in order, and into quarantine when nobody takes them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import PartitionRecords

from cli.main import main
from events.alarms import ALARMS, ALARMS_TOPIC, SOURCE, BreachCleared, ClockBreached, alarm_id
from events.envelope import encode, headers
from events.lean import METHOD, make_records_lean
from processors.posting import Patience, Poster
from processors.quarantine import QuarantineWriter, read_quarantine
from processors.webhooks import Delivery, WebhookOptions
from schemas.cluster import Cluster
from tests.unit.webhooks.receiver import SECRET, Receiver, is_signed, receiving, until

pytestmark = pytest.mark.integration

DUE = datetime(2026, 2, 9, 10, tzinfo=UTC)
QUICK = Patience(attempts=3, timeout_seconds=0.5, first_pause_seconds=0.01, give_up_seconds=5)


@dataclass(frozen=True)
class Sent:
    """A record for the alarms topic."""

    id: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def breached(dossier: str) -> Sent:
    id_ = alarm_id(dossier, "breached", "procedure")
    data = ClockBreached(clock="procedure", due=DUE, rulebook="r1")
    event = ALARMS.make(data, id=id_, source=SOURCE, subject=dossier, time=DUE)
    return Sent(id_, dossier.encode(), encode(event), headers(event))


def cleared(breach: Sent) -> Sent:
    id_, dossier = "c" + breach.id[1:], breach.key.decode()
    data = BreachCleared(clock="procedure", due=DUE, rulebook="r1", alarm=breach.id)
    event = ALARMS.make(data, id=id_, source=SOURCE, subject=dossier, time=DUE)
    return Sent(id_, breach.key, encode(event), headers(event))


async def publish(broker: str, prefix: str, *records: Sent) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for each in records:
            await producer.send_and_wait(prefix + ALARMS_TOPIC, each.value, each.key, headers=each.headers)
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def delivering(broker: str, prefix: str, *receivers: Receiver) -> AsyncIterator[list[Delivery]]:
    """The process's own parts, to the endpoints `first`, `second`, … for the length of a `with`."""
    options = WebhookOptions(Cluster(broker), prefix, group=prefix + "webhooks", patience=QUICK)
    async with contextlib.AsyncExitStack() as stack:
        writer = await stack.enter_async_context(QuarantineWriter(Cluster(broker), options.quarantine))
        names = ("first", "second")
        posters = [
            await stack.enter_async_context(Poster(receiver.endpoint(name), QUICK))
            for name, receiver in zip(names, receivers, strict=False)
        ]
        deliveries = [Delivery(options, poster, writer.write) for poster in posters]
        tasks = [asyncio.create_task(each.run()) for each in deliveries]
        try:
            yield deliveries
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def test_an_alarm_arrives_once_signed_and_a_restart_posts_nothing_again(
    broker: str, make_topics: Callable[..., str]
) -> None:
    prefix = make_topics()
    first, again, last = breached("HS-1"), breached("HS-2"), breached("HS-3")
    taken_back = cleared(again)

    async def run() -> list[tuple[dict[str, str], bytes]]:
        async with receiving(200) as receiver:
            async with delivering(broker, prefix, receiver) as (delivery,):
                # The second is sent twice, as after a crash; then it is taken back, and comes again: that is news.
                await publish(broker, prefix, first, again, again, taken_back, again)
                await until(lambda: len(receiver.taken) >= 4, "the alarms arrive")
                await until(lambda: delivery.lag() == 0 and sum(delivery.positions().values()) == 5, "committed")
            async with delivering(broker, prefix, receiver) as (delivery,):
                await until(lambda: delivery.is_reading() and sum(delivery.positions().values()) == 5, "it goes on")
                await publish(broker, prefix, last)
                await until(lambda: len(receiver.taken) >= 5, "the one after the restart arrives")
            return receiver.taken

    taken = asyncio.run(run())
    assert all(is_signed(*each) for each in taken)
    by_id = [said["webhook-id"] for said, _ in taken]
    assert sorted(by_id) == sorted([first.id, again.id, taken_back.id, again.id, last.id])
    assert [each for each in by_id if each in {again.id, taken_back.id}] == [again.id, taken_back.id, again.id]
    assert {body for _, body in taken} == {first.value, again.value, taken_back.value, last.value}


def test_what_an_endpoint_does_not_take_is_quarantined_while_another_gets_all_of_it(
    broker: str, make_topics: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PartitionRecords, METHOD, getattr(PartitionRecords, METHOD))  # as it was, when this is over
    make_records_lean()  # no record says where it is from
    prefix = make_topics()
    alarms = [breached(f"HS-{number}") for number in range(5)]
    bad = Sent("", b"HS-9", b"{}", [])

    async def run() -> None:
        async with receiving("hang") as slow, receiving(200) as well, delivering(broker, prefix, slow, well) as both:
            await publish(broker, prefix, *alarms, bad)
            await until(lambda: len(well.taken) == len(alarms), "the other endpoint has all")
            await until(lambda: both[0].given_up == len(alarms) + 1, "the slow one's are given up")
            assert len(slow.asked) == QUICK.attempts * len(alarms)

    asyncio.run(run())
    held = asyncio.run(read_quarantine(Cluster(broker), prefix + "dossier.quarantine.v1"))
    first = {origin: record for origin, record in held.items() if origin.endswith(">first")}
    assert sorted(record.value or b"" for record in first.values()) == sorted([*(each.value for each in alarms), b"{}"])
    assert sum("no answer within 0.5 s, after 3 attempts" in record.reason for record in first.values()) == 5
    assert len(held) == len(first) + 1, "what is no alarm is told of each endpoint"
    assert SECRET not in repr(held)

    origin = next(name for name, record in first.items() if record.value == alarms[0].value)
    capsys.readouterr()
    assert asyncio.run(retry(broker, prefix, origin, monkeypatch)) == [alarms[0].value]
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["status"], told["went_to"], told["still"]) == ("retried", "first", "")


async def retry(broker: str, prefix: str, origin: str, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """`dossier quarantine retry` with the endpoint well again: what it was posted."""
    async with receiving(200) as receiver:
        endpoint = {"name": "first", "url": receiver.url, "secret": SECRET, "private": True}
        monkeypatch.setenv("DOSSIER_WEBHOOKS", json.dumps([endpoint]))
        arguments = ["quarantine", "retry", origin, "--kafka", broker, "--prefix", prefix, "--json"]
        with pytest.raises(SystemExit) as exited:
            await asyncio.to_thread(main, arguments)
        assert exited.value.code == 0
        return [body for _, body in receiver.taken]
