"""The live reader on a real broker: it follows, knows its lag, waits for the ledger's end, forgets a wiped topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from kafka.admin import KafkaAdminClient

from deploy import topics as topics_of_deploy
from events import quarantine
from gateway.reader import LiveReader, NotReached
from schemas.cluster import Cluster
from tests.integration.gateway.live_topic import START, FabricatedLive, event, topics

pytestmark = pytest.mark.integration


@asynccontextmanager
async def following(broker: str, prefix: str) -> AsyncIterator[LiveReader]:
    reader = LiveReader(Cluster(broker), topics(prefix))
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(reader: LiveReader, condition: Callable[[], bool]) -> None:
    """Wait for a change that makes it true, at most 30 s."""
    async with asyncio.timeout(30):
        version = -1
        while not condition():
            version = await reader.changed_since(version)


def test_it_reads_what_is_there_and_what_comes(broker: str, make_topics: Callable[..., str]) -> None:
    async def scenario() -> None:
        prefix = make_topics()
        live = FabricatedLive(broker, topics(prefix), partition=2)
        live.publish([event("D/1 a", 0), event("D2", 0)])
        live.project()
        async with following(broker, prefix) as reader:
            await until(reader, lambda: reader.view.board.dossiers == 2)
            await until(reader, lambda: reader.view.reached().lag == 0)
            assert reader.view.reached().positions == {0: 0, 1: 0, 2: 2, 3: 0}
            live.publish([event("D2", 1), event("D3", 0)])
            await until(reader, lambda: reader.view.reached().lag == 2)
            live.project()
            await until(reader, lambda: reader.view.board.dossiers == 3)
            assert {(queue.room, count) for queue, count in reader.view.board.queues.items()} == {("", 2), ("P1", 1)}
        live.close()

    asyncio.run(scenario())


def test_who_waits_reads_its_own_writes(broker: str, make_topics: Callable[..., str]) -> None:
    async def scenario() -> None:
        prefix = make_topics()
        live = FabricatedLive(broker, topics(prefix))
        async with following(broker, prefix) as reader:
            await until(reader, lambda: reader.caught_up or reader.view.ledger_ends != {})
            live.publish(event(f"D{number}", 0) for number in range(100))
            with pytest.raises(NotReached):
                await reader.reach_ledger_end(0.5)
            waiting = asyncio.create_task(reader.reach_ledger_end(30))
            await asyncio.sleep(0)
            assert not waiting.done()
            live.project()
            await waiting
            assert reader.view.board.dossiers == 100
        live.close()

    asyncio.run(scenario())


def test_quarantine_counts_each_origin_once_while_it_is_held(broker: str, make_topics: Callable[..., str]) -> None:
    async def scenario() -> None:
        prefix = make_topics()
        first, second = (
            quarantine.from_file(file="log.csv", line=line, value=b"x", reason="no time", quarantined_at=START)
            for line in (3, 4)
        )
        live = FabricatedLive(broker, topics(prefix))
        for record in (first, first, second):
            live.quarantine(record)
        async with following(broker, prefix) as reader:
            await until(reader, lambda: len(reader.view.quarantined) == 2)
            live.quarantine(quarantine.retried(first, "dossier.events.v1/0@7"))
            await until(reader, lambda: len(reader.view.quarantined) == 1)
        live.close()

    asyncio.run(scenario())


def test_a_live_topic_made_anew_leaves_nothing_of_the_old_one(broker: str, make_topics: Callable[..., str]) -> None:
    async def scenario() -> None:
        prefix = make_topics()
        old = FabricatedLive(broker, topics(prefix))
        old.publish(event(f"D{number}", 0) for number in range(50))
        old.project()
        old.close()
        async with following(broker, prefix) as reader:
            await until(reader, lambda: reader.view.board.dossiers == 50)
            admin = KafkaAdminClient(bootstrap_servers=[broker])
            await asyncio.to_thread(admin.delete_topics, [topics(prefix).live])
            await asyncio.to_thread(topics_of_deploy.apply, Cluster(broker), topics_of_deploy.load_topics(4, 1, prefix))
            admin.close()
            new = FabricatedLive(broker, topics(prefix))
            new.publish([event("D1", 0), event("D1", 1)])
            new.project()
            new.close()
            await until(reader, lambda: reader.view.board.dossiers == 1)
            assert reader.view.board.by_state == {"PROCESSING": 1}

    asyncio.run(scenario())


def test_a_broker_that_comes_back_is_followed_on_and_nothing_is_forgotten(
    start_broker: Callable[[], contextlib.AbstractContextManager[str]],
) -> None:
    async def scenario() -> None:
        first = contextlib.ExitStack()
        broker = first.enter_context(start_broker())
        topics_of_deploy.apply(Cluster(broker), topics_of_deploy.load_topics(1, 1))
        live = FabricatedLive(broker, topics(""))
        live.publish([event("D1", 0)])
        live.project()
        async with following(broker, "") as reader:
            await until(reader, lambda: reader.view.board.dossiers == 1)
            live.close()
            await asyncio.to_thread(first.close)
            waiting = asyncio.create_task(reader.reach_ledger_end(60))
            await until(reader, lambda: reader.view.reached().lag is None)
            assert reader.view.board.dossiers == 1
            with start_broker() as again:
                assert again == broker
                await waiting
                await until(reader, lambda: reader.view.reached().lag == 0)

    asyncio.run(scenario())
