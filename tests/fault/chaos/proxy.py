"""A proxy between the archivers and ClickHouse that does to an insert what networks and servers do to one."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import web

_MAX_BODY_BYTES: Final = 1 << 30
_ASK_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.02
#: Of one hop only: they are not for the one behind.
_OF_THE_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "host"})


@dataclass(frozen=True, slots=True)
class Insert:
    """One insert that has arrived whole, and the way on."""

    request: web.Request
    body: bytes
    forward: Callable[[], Awaitable[web.Response]]

    def cut(self) -> web.Response:
        """Reset the connection: whoever asked learns nothing."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return web.Response(status=502)

    async def given_up(self) -> None:
        """Return when whoever asked has closed the connection: nobody waits for the answer any more."""
        while self.request.transport is not None and not self.request.transport.is_closing():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)  # aiohttp tells a handler only by taking the transport away


#: What is done to an insert, instead of sending it on and bringing the answer back.
Trick = Callable[[Insert], Awaitable[web.Response]]


class Proxy:
    """Forwards HTTP to `upstream`, from a thread of its own; `trick` is what each insert meets."""

    def __init__(self, upstream: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.trick: Trick | None = None
        self.tricked = 0
        self._upstream = upstream
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("the proxy does not start")

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(20)
        self._loop.close()

    def call(self, what: Callable[[], object]) -> None:
        """Do something in the proxy's loop: set an event that a trick waits for."""
        self._loop.call_soon_threadsafe(what)

    async def _serve(self) -> None:
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None)
        timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port, shutdown_timeout=1).start()
            self._ready.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        insert = Insert(request, body, lambda: self._forward(request, body))
        try:
            if self.trick is not None and "INSERT" in request.query.get("query", ""):
                self.tricked += 1
                return await self.trick(insert)
            return await insert.forward()
        except (aiohttp.ClientError, TimeoutError, OSError):  # ClickHouse is away: so are we
            return insert.cut()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_HOP}
        url = self._upstream + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_HOP}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


# -- Tricks ----------------------------------------------------------------------------------------------------------


async def reset_after_the_body(insert: Insert) -> web.Response:
    """It is inserted, and nobody is told."""
    await insert.forward()
    return insert.cut()


async def reset_before_the_body(insert: Insert) -> web.Response:
    """It is not inserted, and nobody is told."""
    return insert.cut()


def refuse(status: int) -> Trick:
    """An answer of a server in trouble."""

    async def trick(_insert: Insert) -> web.Response:
        return web.Response(status=status, text="DB::Exception: made up")

    return trick


def refuse_what_was_done(status: int) -> Trick:
    """It is inserted, and the answer says that it is not."""

    async def trick(insert: Insert) -> web.Response:
        await insert.forward()
        return web.Response(status=status, text="DB::Exception: made up")

    return trick


def slow(seconds: float) -> Trick:
    """It takes its time."""

    async def trick(insert: Insert) -> web.Response:
        await asyncio.sleep(seconds)
        return await insert.forward()

    return trick


def silent(seconds: float) -> Trick:
    """Nothing comes back for a while, then the connection is gone."""

    async def trick(insert: Insert) -> web.Response:
        await asyncio.sleep(seconds)
        return insert.cut()

    return trick


class Hang:
    """Gives no answer until whoever asked gives up; `timeouts` counts those who had waited for `patience_seconds`.

    With `late_seconds` the body is held too, and arrives so long after its sender has given up.
    """

    def __init__(self, patience_seconds: float, late_seconds: float | None = None) -> None:
        self.timeouts = 0
        self._least = patience_seconds * 0.9  # a client's clock runs from before its body has arrived here
        self._late = late_seconds

    async def __call__(self, insert: Insert) -> web.Response:
        """A trick."""
        began = time.monotonic()
        if self._late is None:
            await insert.forward()
        await insert.given_up()
        self.timeouts += time.monotonic() - began >= self._least
        if self._late is not None:
            await asyncio.sleep(self._late)
            await insert.forward()
        return insert.cut()


class Gate:
    """Holds the first insert that comes, before or after it is done, until it is opened; the others go on."""

    def __init__(self, proxy: Proxy, *, after: bool) -> None:
        self.reached = threading.Event()
        self._proxy = proxy
        self._after = after
        self._open = asyncio.Event()

    async def __call__(self, insert: Insert) -> web.Response:
        """A trick."""
        if self.reached.is_set():
            return await insert.forward()
        answer = await insert.forward() if self._after else None
        self.reached.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._open.wait(), _ASK_SECONDS)
        return answer if answer is not None else await insert.forward()

    def open(self) -> None:
        """Let it through: what was held before it was done arrives now, even if its sender is no more."""
        self._proxy.call(self._open.set)
