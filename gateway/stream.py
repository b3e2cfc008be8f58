"""The live stream: server-sent events with the summary, the offices and what changed in the queues.

A client is told at most four times a second, always of the newest state: what it missed it does not get, so nothing
piles up for one that reads slowly. It begins with everything, so a client that comes back needs no memory on our
side (Last-Event-ID is not looked at).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from litestar.response import ServerSentEventMessage

from gateway import answers
from gateway.reader import LiveReader
from projections.standing import Queue
from replay.described import describe_queue
from schemas import api

PAUSE_SECONDS: Final = 0.25
HEARTBEAT_SECONDS: Final = 15.0
RETRY_MS: Final = 2_000


async def board_changes(reader: LiveReader) -> AsyncIterator[ServerSentEventMessage]:
    """Events `summary`, `offices` and `queues` (all of them first, then changes; a count of 0 is a queue that is
    gone), and a comment where there is nothing to say for a while."""
    version = -1
    sent: dict[Queue, api.QueueCount] = {}
    yield ServerSentEventMessage(data=None, comment="board", retry=RETRY_MS)
    while not reader.closing:
        try:
            version = await asyncio.wait_for(reader.changed_since(version), HEARTBEAT_SECONDS)
        except TimeoutError:
            yield ServerSentEventMessage(data=None, comment="still here")
            continue
        view = reader.view
        now = {queue: describe_queue(view.deadlines, queue, count) for queue, count in view.board.queues.items()}
        yield _message("summary", answers.summary(reader.view), version)
        yield _message("offices", answers.offices(reader.view), version)
        yield _message("queues", _changes(reader, sent, now), version)
        sent = now
        await asyncio.sleep(PAUSE_SECONDS)


def _changes(reader: LiveReader, sent: dict[Queue, api.QueueCount], now: dict[Queue, api.QueueCount]) -> api.Queues:
    changed = sorted(queue for queue in sent.keys() | now.keys() if sent.get(queue) != now.get(queue))
    return api.Queues(
        queues=[now.get(queue) or describe_queue(reader.view.deadlines, queue, 0) for queue in changed],
        freshness=answers.freshness(reader.view),
    )


def _message(event: str, body: api.Body, version: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=body.model_dump_json(), event=event, id=version)
