"""The gateway's access log on a real broker: a read is there when it is said to be, and refused when it is not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from deploy import topics
from events.access import ACCESS, ACCESS_TOPIC, Read
from events.envelope import Unreadable
from gateway.access import SOURCE, KafkaAccessLog, NotRecorded
from schemas.cluster import Cluster
from tests.integration.waiting import records_on

pytestmark = pytest.mark.integration
AT = datetime(2026, 3, 2, 1, tzinfo=UTC)


def test_what_was_shown_is_on_the_topic_without_a_word_of_who_asked(
    broker: str, make_topics: Callable[..., str]
) -> None:
    topic = make_topics() + ACCESS_TOPIC

    async def scenario() -> None:
        access = KafkaAccessLog(Cluster(broker), topic)
        await access.record("gateway clocks", "D/1 á", AT)
        await asyncio.gather(*(access.record("gateway events", f"D-{number}") for number in range(20)))
        with pytest.raises(Unreadable):
            await access.record("gateway events", " ")
        await access.close()

    asyncio.run(scenario())
    told = [ACCESS.decode_record(each.key, each.value) for each in records_on(Cluster(broker), topic)]
    assert {each.subject for each in told} == {"D/1 á", *(f"D-{number}" for number in range(20))}
    first = next(each for each in told if each.subject == "D/1 á")
    assert isinstance(first.data, Read)
    assert (first.source, first.data.command, first.data.as_of) == (SOURCE, "gateway clocks", AT)
    assert first.data.actor.startswith("gateway@")


def test_a_read_that_cannot_be_recorded_is_refused_until_the_broker_is_back(
    start_broker: Callable[[], contextlib.AbstractContextManager[str]],
) -> None:
    async def scenario() -> None:
        with start_broker() as broker:
            access = KafkaAccessLog(Cluster(broker))
            with pytest.raises(NotRecorded):  # there is no such topic
                await access.record("gateway events", "D-0")
            topics.apply(Cluster(broker), topics.load_topics(1, 1))
            await access.record("gateway events", "D-1")
        for _ in range(2):  # of a connection that was lost, and of one that cannot be made
            with pytest.raises(NotRecorded):
                await access.record("gateway events", "D-2")
        with start_broker() as again:
            assert again == broker
            await access.record("gateway events", "D-3")
            await access.close()
            recorded = [each.key for each in records_on(Cluster(again), ACCESS_TOPIC)]
        assert recorded == [b"D-1", b"D-3"]

    asyncio.run(scenario())
