"""One alarm to one endpoint: signed, posted, tried again for as long as that makes sense.

The signature is that of the Standard Webhooks scheme: HMAC-SHA256 over `id.timestamp.body`, in `webhook-signature`,
with `webhook-id` (the event's id: a receiver that has seen it drops it) and `webhook-timestamp` (real seconds since
1970 of this try, so that a receiver can refuse old ones).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from events.envelope import CONTENT_TYPE
from schemas.webhook import WebhookEndpoint, is_private

#: Answers below 500 after which another try may be taken: time-out, too early, too many.
_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429})
#: Connections to one endpoint at a time.
MAX_CONNECTIONS: Final = 16
#: An answer's head beyond this is refused; its body is never read.
_MAX_LINE_BYTES: Final = 8_190


class GivenUp(Exception):
    """The endpoint does not take it; the message is the reason shown in quarantine, without address or secret."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, and for how long, an endpoint is tried."""

    attempts: int = 12
    timeout_seconds: float = 10.0
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    give_up_seconds: float = 300.0

    def pauses(self, draw: Callable[[float, float], float] = random.uniform) -> Iterator[float]:
        """Between the attempts: doubled each time up to the longest, and anywhere in the upper half of that, so that
        many that failed together do not come again together."""
        for number in range(self.attempts - 1):
            longest = min(self.longest_pause_seconds, self.first_pause_seconds * 2**number)
            yield draw(longest / 2, longest)


class Alarm(NamedTuple):
    """What is posted: the id and the type of the event, and its bytes as they are on the topic."""

    id: str
    type: str
    body: bytes


def signature(key: bytes, alarm_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = hmac.digest(key, f"{alarm_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()


def headers(key: bytes, alarm: Alarm, timestamp: int) -> dict[str, str]:
    return {
        "content-type": CONTENT_TYPE,
        "webhook-id": alarm.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(key, alarm.id, timestamp, alarm.body),
        "user-agent": "dossier-ledger",
    }


class Poster:
    """Posts alarms to one endpoint; `async with` it. Follows no redirect, keeps no cookie, asks no proxy."""

    def __init__(
        self,
        endpoint: WebhookEndpoint,
        patience: Patience,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.endpoint = endpoint
        self._patience = patience
        self._sleep = sleep
        self._now = now
        self._url = str(endpoint.url)
        self._session: aiohttp.ClientSession | None = None
        # A post waits here for one of its connections: where it waits for it in aiohttp, its time-out runs already.
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS, resolver=None if self.endpoint.private else _PublicResolver()
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._patience.timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_MAX_LINE_BYTES,
            max_field_size=_MAX_LINE_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def deliver(self, alarm: Alarm, give_up_at: float | None = None) -> None:
        """Return when the endpoint has taken it. At least one try, and none after `give_up_at` (`time.monotonic`).

        Raises:
            GivenUp: it has not, and another try makes no sense or there were enough.
        """
        end = time.monotonic() + self._patience.give_up_seconds if give_up_at is None else give_up_at
        tries, pauses = 1, self._patience.pauses()
        while (trouble := await self._try_in_turn(alarm)) is not None:
            pause = next(pauses, None)
            if pause is None or time.monotonic() + pause > end:
                raise GivenUp(f"{trouble}, after {tries} attempts")
            await self._sleep(pause)
            tries += 1

    async def _try_in_turn(self, alarm: Alarm) -> str | None:
        async with self._room:
            return await self._try(alarm)

    async def _try(self, alarm: Alarm) -> str | None:
        """None: it has taken it; else what went wrong and may be better next time.

        Raises:
            GivenUp: it would not be.
        """
        assert self._session is not None  # noqa: S101  # `async with` comes first
        try:
            async with self._session.post(
                self._url,
                data=alarm.body,
                headers=headers(self.endpoint.key, alarm, int(self._now())),
                allow_redirects=False,
            ) as answer:
                status = answer.status
        except TimeoutError:
            return f"no answer within {self._patience.timeout_seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:  # its text has the address: the kind is enough
            if isinstance(error.__cause__, _PrivateAddress) or isinstance(error, _PrivateAddress):
                raise GivenUp("its name leads to a private address: set private = true if that is meant") from None
            return f"no answer: {type(error).__name__}"
        return _judge(status)


def _judge(status: int) -> str | None:
    """As `_try`, of an answer's status."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        raise GivenUp(f"it answers {status}, a redirect, which is not followed")
    if 400 <= status < 500 and status not in _WORTH_ANOTHER_TRY:
        raise GivenUp(f"it answers {status}")
    return f"it answers {status}"


class _PrivateAddress(OSError):
    """A public endpoint's name leads to this machine or its network."""


class _PublicResolver(AbstractResolver):
    """Names of public endpoints: the addresses looked at are those that are connected to."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if any(is_private(each["host"]) for each in found):
            raise _PrivateAddress
        return found

    async def close(self) -> None:
        await self._system.close()
