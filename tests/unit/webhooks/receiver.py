"""A real HTTP server that takes alarms, or does not, as a test says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from schemas.webhook import WebhookEndpoint

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()

#: What it does with one request: a status, or `hang`, `reset`, `redirect`.
Step = int | str


@dataclass
class Receiver:
    """Answers the requests by `script`, and those after its end by its last step. `taken` are those answered 2xx."""

    script: Sequence[Step]
    url: str = ""
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    elsewhere: int = 0
    before: Callable[[], Awaitable[None]] | None = None  # waited for before each answer

    def endpoint(self, name: str = "board", types: tuple[str, ...] = ()) -> WebhookEndpoint:
        return WebhookEndpoint.model_validate(
            {"name": name, "url": self.url, "secret": SECRET, "types": types, "private": True}
        )

    async def answer(self, request: web.Request) -> web.StreamResponse:
        said = ({name.lower(): value for name, value in request.headers.items()}, await request.read())
        step = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(said)
        if self.before is not None:
            await self.before()
        match step:
            case "hang":
                await asyncio.sleep(60)
                raise AssertionError("the client waited for a minute")
            case "reset":
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "redirect":
                raise web.HTTPTemporaryRedirect("/elsewhere")
            case int(status):
                if status < 300:
                    self.taken.append(said)
                return web.Response(status=status)
            case _:
                raise AssertionError(step)

    async def answer_elsewhere(self, _: web.Request) -> web.StreamResponse:
        self.elsewhere += 1
        return web.Response()


@contextlib.asynccontextmanager
async def receiving(*script: Step) -> AsyncIterator[Receiver]:
    receiver = Receiver(script)
    app = web.Application()
    app.router.add_post("/hook", receiver.answer)
    app.router.add_post("/elsewhere", receiver.answer_elsewhere)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def is_signed(headers: dict[str, str], body: bytes) -> bool:
    """The receiver's own arithmetic, from the scheme's words and not from our code."""
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    digest = base64.b64encode(hmac.new(KEY, content, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(headers["webhook-signature"], f"v1,{digest}")


async def until(happens: Callable[[], bool | Awaitable[bool]], what: str, within_seconds: float = 30.0) -> None:
    """Poll until it happens.

    Raises:
        AssertionError: it did not.
    """

    async def poll() -> None:
        while True:
            found = happens()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)  # a poll with a deadline

    try:
        await asyncio.wait_for(poll(), within_seconds)
    except TimeoutError:
        raise AssertionError(f"not within {within_seconds} s: {what}") from None
