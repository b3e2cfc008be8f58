"""Live topic and archive on the real engines: compared at fixed positions, and a changed archive is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.clickhouse import migrate
from deploy.clickhouse.client import connect
from events.envelope import Event, encode
from gateway.history import ArchiveHistory, HistoryUnavailable
from projections.rules import rule_history
from replay.alarms import Clocks
from replay.archive import Archive
from replay.live_topic import NotReached, reading
from replay.rebuild import Comparison, bounds, compare, mark_of, readable
from schemas.cluster import Cluster
from schemas.rulebook import shipped
from tests.integration.conftest import ClickHouse
from tests.integration.gateway.live_topic import FabricatedLive, event, topics

pytestmark = pytest.mark.integration

EVENTS = [event("A/1 x", 0), event("B", 0), event("A/1 x", 1), event("B", 1)]


@pytest.fixture
def writer(clickhouse: ClickHouse) -> Iterator[Any]:
    with connect(clickhouse.url, user=clickhouse.user, password=clickhouse.password, database="default") as client:
        migrate(client)
        yield client


@pytest.fixture
def report(clickhouse: ClickHouse) -> Callable[[], Any]:
    return lambda: connect(
        clickhouse.url, user=clickhouse.report_user, password=clickhouse.report_password, database="default"
    )


def archive_events(writer: Any, topic: str, events: list[Event], unreadable: str = "") -> None:
    """Rows as the archiver writes them; the append time is the event's own plus a second."""
    rows = [
        [topic, 0, offset, each.time + timedelta(seconds=1), each.subject, encode(each).decode(), each.time, uuid4(),
         unreadable]
        for offset, each in enumerate(events)
    ]  # fmt: skip
    columns = ["topic", "partition", "offset", "recorded_at", "key", "raw", "occurred_at", "writer", "unreadable"]
    writer.insert("dossier_events", rows, column_names=columns)


def compared(broker: str, live_topic: str, archive: Archive, ledger_end: int) -> Comparison:
    async def once() -> Comparison:
        async with reading(Cluster(broker), [0], mark_of, live_topic, archive.topic) as topic:
            live = await topic.partition(0, ledger_end, 30)
            until = bounds(live, await topic.ledger_end(0))
        assert archive.wait_until_archived({0: until.end}, 30)
        clocks = Clocks(rule_history(shipped()), due_by=0, alarmed_until=0)
        return compare(live, archive.by_dossier(0, until.end), until, clocks)

    return asyncio.run(once())


def test_live_equals_the_archive_until_the_archive_is_changed(
    broker: str, make_topics: Callable[..., str], writer: Any, report: Callable[[], Any]
) -> None:
    names = topics(make_topics())
    live = FabricatedLive(broker, names)
    live.publish(EVENTS)
    live.project()
    live.close()
    archive_events(writer, names.ledger, EVENTS)
    with report() as client:
        archive = Archive(client, names.ledger)
        comparison = compared(broker, names.live, archive, len(EVENTS))
        assert (comparison.compared, comparison.differing) == (2, {})
        writer.command(
            "ALTER TABLE dossier_events UPDATE raw = replaceOne(raw, 'P1', 'P9') "
            "WHERE topic = {topic:String} AND key = 'B'",
            {"topic": names.ledger},
            settings={"mutations_sync": 2},
        )
        (found,) = compared(broker, names.live, archive, len(EVENTS)).differing.items()
        assert (found[0], found[1].faults) == ("B", ("other state",))


def test_a_live_state_that_does_not_get_there_is_said_so(broker: str, make_topics: Callable[..., str]) -> None:
    names = topics(make_topics())

    async def once() -> None:
        async with reading(Cluster(broker), [0], mark_of, names.live) as topic:
            await topic.partition(0, 5, 0.5)

    with pytest.raises(NotReached, match="at 0, the ledger at 5"):
        asyncio.run(once())


def test_reading_ends_at_once_whenever_it_is_given_up(broker: str, make_topics: Callable[..., str]) -> None:
    """One partition is waited for and another has just been asked for, when whoever reads them has to go."""
    names = topics(make_topics(4))

    async def give_up(turns: int) -> None:
        async with reading(Cluster(broker), [0, 1], mark_of, names.live) as topic:
            with pytest.raises(NotReached):
                await topic.partition(0, 5, 0.05)
            other = asyncio.create_task(topic.partition(1, 5, 60))
            for _ in range(turns):
                await asyncio.sleep(0)
            other.cancel()

    async def at_every_turn() -> None:
        for turns in range(10):
            await give_up(turns)

    asyncio.run(at_every_turn())


def test_history_comes_from_the_archive_and_only_reads(
    writer: Any, report: Callable[[], Any], make_topics: Callable[..., str]
) -> None:
    ledger = topics(make_topics()).ledger
    archive_events(writer, ledger, EVENTS)

    async def scenario() -> None:
        history = ArchiveHistory(report, ledger)
        found = await history.records_of("A/1 x")
        assert [each.event for each in found] == [EVENTS[0], EVENTS[2]]
        assert [each.offset for each in found] == [0, 2]
        assert await history.records_of("x' OR '1'='1") == []
        assert (await history.reached())[0][0] == len(EVENTS)
        assert await history.answers()

    asyncio.run(scenario())
    with report() as client, pytest.raises(ClickHouseError):
        client.command("ALTER TABLE dossier_events DELETE WHERE 1")


def test_what_an_earlier_archiver_could_not_read_is_history_for_who_can(
    writer: Any, report: Callable[[], Any], make_topics: Callable[..., str]
) -> None:
    ledger = topics(make_topics()).ledger
    archive_events(writer, ledger, EVENTS, "version 1 of it is newer than this program")
    with report() as client:
        archive = Archive(client, ledger)
        assert [(row.offset, row.raw) for row in archive.events_of("B")] == [
            (offset, encode(EVENTS[offset])) for offset in (1, 3)
        ]
        for only in (None, {"B"}):
            found = {each.key: readable(each) for each in archive.by_dossier(0, len(EVENTS), dossiers=only)}
            assert [event for event, _, _ in found[b"B"]] == [EVENTS[1], EVENTS[3]]


def test_an_archive_that_is_away_is_said_so_and_asked_again() -> None:
    def nowhere() -> Any:
        return connect("http://127.0.0.1:9", user="report", password="", database="default")

    async def scenario() -> None:
        history = ArchiveHistory(nowhere)
        assert not await history.answers()
        with pytest.raises(HistoryUnavailable):
            await history.records_of("A")

    asyncio.run(scenario())
