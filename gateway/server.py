"""The HTTP server: uvicorn, with limits, and a stop that lets go of the live streams."""

from __future__ import annotations

import asyncio
from types import FrameType

import uvicorn
from litestar.types import ASGIApp

from gateway.reader import LiveReader

_LARGEST_HEADERS_BYTES = 16_384
_CONNECTIONS_AT_ONCE = 1_000
_STOP_SECONDS = 5


class Server(uvicorn.Server):
    """Serves `app` until a signal comes. Uvicorn waits for open answers; the live streams are told to end theirs."""

    def __init__(self, app: ASGIApp, reader: LiveReader) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                h11_max_incomplete_event_size=_LARGEST_HEADERS_BYTES,
                limit_concurrency=_CONNECTIONS_AT_ONCE,
                timeout_graceful_shutdown=_STOP_SECONDS,
                lifespan="off",
                server_header=False,
                access_log=False,
                log_config=None,
            )
        )
        self._reader = reader
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._loop.call_soon_threadsafe(self._reader.close)
