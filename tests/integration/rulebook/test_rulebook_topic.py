"""Rulebooks on a real broker: published once, read by commands, followed by processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from cli.main import main
from deploy import topics
from events.entrance import BrokerUnreachable
from events.rulebook import RULEBOOKS_TOPIC, Published
from events.rulebook_topic import follow_rulebooks, publish_rulebook, read_rulebooks
from projections.rules import rule_history
from schemas.cluster import Cluster
from schemas.rulebook import Rulebook, shipped
from tests.unit.rulebook.documents import changed, small

pytestmark = pytest.mark.integration
AT = datetime(2026, 1, 5, tzinfo=UTC)
DEADLINE_SECONDS = 30.0


@pytest.fixture
def topic(make_topics: Callable[..., str]) -> str:
    return f"{make_topics(1)}{RULEBOOKS_TOPIC}"


def book(days: int) -> Rulebook:
    return small(("legal_time: 5d", f"legal_time: {days}d"))


def publish(broker: str, topic: str, rulebook: Rulebook, number: int = 1) -> Published | None:
    return publish_rulebook(Cluster(broker), rulebook, id=f"e{number}", time=AT, topic=topic)


def put(broker: str, topic: str, value: bytes) -> None:
    with contextlib.closing(KafkaProducer(bootstrap_servers=[broker])) as producer:
        producer.send(topic, value, b"small").get(DEADLINE_SECONDS)


def test_what_is_published_is_read_and_becomes_the_rules_that_hold(broker: str, topic: str) -> None:
    before = int(time.time() * 1_000) * 1_000
    assert read_rulebooks(Cluster(broker), topic=topic).published == ()
    first = publish(broker, topic, book(6))
    second = publish(broker, topic, book(7), 2)
    assert first is not None
    assert second is not None
    shelf = read_rulebooks(Cluster(broker), topic=topic)
    assert shelf.published == (first, second), "with the instants the broker gave"
    assert before <= first.known_at <= second.known_at <= int(time.time() * 1_000_000)
    rules = rule_history(shipped(), shelf.published)
    for known, days in ((first.known_at, 6), (second.known_at, 7)):
        procedure = rules.as_known(known).procedure("P1", date(2026, 3, 1))
        assert procedure is not None
        assert procedure.legal_time is not None
        assert procedure.legal_time.n == days or first.known_at == second.known_at
    assert rules.newest.version == book(7).version


def test_the_newest_once_more_publishes_nothing(broker: str, topic: str) -> None:
    assert publish(broker, topic, shipped()) is None, "it holds already"
    assert publish(broker, topic, book(6)) is not None
    assert publish(broker, topic, book(6), 2) is None
    assert publish(broker, topic, shipped(), 3) is not None, "back to what was"
    versions = [each.version for each in read_rulebooks(Cluster(broker), topic=topic).published]
    assert versions == [book(6).version, shipped().version]


def test_what_is_no_rulebook_does_not_hold_and_is_named(broker: str, topic: str) -> None:
    publish(broker, topic, book(6))
    put(broker, topic, b'{"no": "rulebook"}')
    publish(broker, topic, book(7), 2)
    shelf = read_rulebooks(Cluster(broker), topic=topic)
    assert [each.version for each in shelf.published] == [book(6).version, book(7).version]
    assert [each.offset for each in shelf.unreadable] == [1]


def test_a_topic_that_is_not_there_is_told_with_what_to_do(broker: str) -> None:
    with pytest.raises(BrokerUnreachable, match="dossier topics apply"):
        read_rulebooks(Cluster(broker), topic="no-such-topic")


def test_a_follower_hears_what_is_there_and_then_each_one_as_it_comes(broker: str, topic: str) -> None:
    async def follow() -> list[list[str]]:
        heard: asyncio.Queue[tuple[Published, ...]] = asyncio.Queue()
        following = asyncio.create_task(follow_rulebooks(Cluster(broker), heard.put_nowait, topic=topic))

        async def next_versions() -> list[str]:
            return [each.version for each in await asyncio.wait_for(heard.get(), DEADLINE_SECONDS)]

        found = [await next_versions()]
        for number, days in enumerate((6, 7)):
            await asyncio.to_thread(publish, broker, topic, book(days), number)
            found.append(await next_versions())
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        return found

    assert asyncio.run(follow()) == [[], [book(6).version], [book(6).version, book(7).version]]


def test_the_command_publishes_and_shows(
    broker: str, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(changed(), encoding="utf-8")
    prefix = topic.removesuffix(RULEBOOKS_TOPIC)

    def ask(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(["rulebook", *arguments, "--kafka", broker, "--prefix", prefix])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert json.loads(ask("publish", str(file), "--json"))["published"] is True
    assert json.loads(ask("publish", str(file), "--json"))["published"] is False
    shown = json.loads(ask("show", "--json"))
    assert [each["version"] for each in shown["rulebooks"]] == [shipped().version, small().version]
    assert shown["newest"] == small().content
    assert small().version[:15] in ask("show")
    file.write_text(ask("show", "--yaml"), encoding="utf-8")
    assert json.loads(ask("publish", str(file), "--json"))["published"] is False, "what is shown is what was published"


def test_a_follower_waits_for_a_broker_that_goes_away(
    start_broker: Callable[[], contextlib.AbstractContextManager[str]],
) -> None:
    async def follow() -> list[list[str]]:
        heard: asyncio.Queue[tuple[Published, ...]] = asyncio.Queue()

        async def next_versions() -> list[str]:
            return [each.version for each in await asyncio.wait_for(heard.get(), 2 * DEADLINE_SECONDS)]

        with start_broker() as address:
            await asyncio.to_thread(topics.apply, Cluster(address), topics.load_topics(1, 1))
            await asyncio.to_thread(publish, address, RULEBOOKS_TOPIC, book(6))
            following = asyncio.create_task(follow_rulebooks(Cluster(address), heard.put_nowait))
            found = [await next_versions()]
        with start_broker() as address:
            await asyncio.to_thread(publish, address, RULEBOOKS_TOPIC, book(7), 2)
            found.append(await next_versions())
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
        return found

    assert asyncio.run(follow()) == [[book(6).version], [book(6).version, book(7).version]]
