"""The live stream: everything first, then changes, never a backlog."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from litestar.response import ServerSentEventMessage

from gateway.reader import LiveReader
from gateway.stream import board_changes
from tests.unit.gateway.fabricated import packed, reader_with, record


async def take(stream: AsyncIterator[ServerSentEventMessage], count: int) -> dict[str, Any]:
    """The next `count` events by name; comments are left out."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(10):
        async for message in stream:
            if message.event:
                found[message.event] = json.loads(str(message.data))
                if len(found) == count:
                    break
    return found


async def change(reader: LiveReader, *dossiers: list[Any]) -> None:
    for records in dossiers:
        reader.view.apply(0, records[0].event.subject.encode(), packed(records))
    await reader.tell()


def test_it_begins_with_everything_and_goes_on_with_what_changed() -> None:
    async def scenario() -> None:
        reader = reader_with([record("A", 0)], [record("B", 0), record("B", 1)])
        stream = board_changes(reader)
        first = await take(stream, 3)
        assert first["summary"]["dossiers"] == 2
        assert {(queue["room"], queue["count"]) for queue in first["queues"]["queues"]} == {("", 1), ("P1", 1)}
        assert [(line["office"], line["state"], line["count"]) for line in first["offices"]["offices"]] == [
            ("GL", "PROCESSING", 1), ("GL", "RECEIVED", 1),
        ]  # fmt: skip
        await change(reader, [record("A", 0), record("A", 2)])
        then = await take(stream, 3)
        assert {(queue["room"], queue["count"]) for queue in then["queues"]["queues"]} == {("", 0), ("P2", 1)}

    asyncio.run(scenario())


def test_changes_that_come_together_are_told_once() -> None:
    async def scenario() -> None:
        reader = reader_with([record("A", 0)])
        stream = board_changes(reader)
        await take(stream, 3)
        for number in range(50):
            await change(reader, [record(f"N{number}", 0)])
        told = await take(stream, 3)
        assert told["summary"]["dossiers"] == 51

    asyncio.run(scenario())


def test_it_ends_when_the_gateway_closes() -> None:
    async def scenario() -> None:
        reader = reader_with([record("A", 0)])
        stream = board_changes(reader)
        await take(stream, 3)
        rest = asyncio.create_task(take(stream, 99))
        await asyncio.sleep(0)
        reader.close()
        assert len(await rest) <= 3

    asyncio.run(scenario())
