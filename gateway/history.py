"""A dossier's past, from the archive, as the user that may only read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from events.ledger import LEDGER_TOPIC
from replay.archive import Archive
from replay.timeline import Recorded, readable

T = TypeVar("T")

#: Questions the archive answers at the same time; more wait their turn.
_AT_ONCE: Final = 4
#: How far the archive goes is asked again after this: the answer costs a look at all of its offsets.
_REACHED_SECONDS: Final = 2.0
#: An archive that has not answered by then is not there: who balances a load asks often, and does not wait long.
_ANSWER_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class HistoryUnavailable(Exception):
    """The archive does not answer; the live state still does."""


class History(Protocol):
    """What the gateway asks of the archive."""

    async def records_of(self, dossier_id: str) -> list[Recorded]:
        """All events of a dossier that the archive has, in the order of the ledger.

        Raises:
            HistoryUnavailable: if the archive does not answer.
        """

    async def reached(self) -> dict[int, tuple[int, int]]:
        """By partition: the first ledger offset that is not archived, and the newest append time in milliseconds.

        May be a few seconds old, so it never claims more than is there.

        Raises:
            HistoryUnavailable: if the archive does not answer.
        """

    async def answers(self) -> bool:
        """Is the archive there?"""


class ArchiveHistory:
    """History from ClickHouse. `connect` makes a client; it is called when the first question comes."""

    def __init__(self, connect: Callable[[], Any], topic: str = LEDGER_TOPIC) -> None:
        self._connect = connect
        self._topic = topic
        self._client: Any = None
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._reached: dict[int, tuple[int, int]] = {}
        self._reached_at = -_REACHED_SECONDS
        self._asking: asyncio.Task[bool] | None = None

    async def records_of(self, dossier_id: str) -> list[Recorded]:
        return await self._ask(lambda client: readable(Archive(client, self._topic).events_of(dossier_id)))

    async def reached(self) -> dict[int, tuple[int, int]]:
        now = time.monotonic()
        if now - self._reached_at > _REACHED_SECONDS:
            self._reached = await self._ask(lambda client: Archive(client, self._topic).reached())
            self._reached_at = now
        return self._reached

    async def answers(self) -> bool:
        """One question at a time: of a server that says nothing, who asks again waits for the same answer."""
        asking = self._asking
        if asking is None or asking.done():
            asking = self._asking = asyncio.create_task(self._is_there())
        done, _ = await asyncio.wait({asking}, timeout=_ANSWER_SECONDS)
        return bool(done) and asking.result()

    async def _is_there(self) -> bool:
        try:
            return bool(await self._ask(lambda client: client.ping()))
        except HistoryUnavailable:
            return False

    async def _ask(self, question: Callable[[Any], T]) -> T:
        async with self._turn:
            try:
                return await asyncio.to_thread(self._asked, question)
            except (ClickHouseError, OSError) as error:
                log.warning("the archive does not answer", error=error)
                raise HistoryUnavailable("the archive does not answer") from error

    def _asked(self, question: Callable[[Any], T]) -> T:
        if self._client is None:
            self._client = self._connect()
        return question(self._client)
