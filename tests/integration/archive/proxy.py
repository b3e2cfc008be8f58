"""A TCP proxy before ClickHouse that cuts connections at the worst moment: after the body, before the answer."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

_POLL_SECONDS: Final = 0.1


class CuttingProxy:
    """Forwards to `url`. The answers to the first `cuts` inserts are thrown away and the connection is closed."""

    def __init__(self, url: str, cuts: int) -> None:
        self._upstream = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        self.cuts_left = cuts
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_POLL_SECONDS)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _start(self, target: object, *arguments: object) -> None:
        assert callable(target)
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with self._listener:
            while not self._stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = self._listener.accept()
                    self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(None)
        with client, socket.create_connection(self._upstream) as server, contextlib.suppress(OSError):
            inserting = False
            while not self._stopped.is_set():
                readable, _, _ = select.select([client, server], [], [], _POLL_SECONDS)
                if client in readable:
                    data = client.recv(1 << 16)
                    inserting = inserting or b"INSERT" in data[:4096]
                    server.sendall(data)
                if server in readable:
                    data = server.recv(1 << 16)
                    if inserting and self.cuts_left > 0:
                        self.cuts_left -= 1
                        return
                    inserting = False
                    client.sendall(data)
                if readable and not data:
                    return
