"""A TCP proxy before ClickHouse that breaks connections at the worst moment: after the body, before the answer."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """Forwards to `url`. The answers to the first `cuts` inserts are thrown away and the connection is closed."""

    def __init__(self, url: str, cuts: int) -> None:
        self._upstream = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        self._left = cuts
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def cuts_left(self) -> int:
        return self._left

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            server = socket.create_connection(self._upstream)
            seen = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, seen), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server, seen), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, insert_seen: threading.Event) -> None:
        try:
            while data := client.recv(1 << 16):
                if b"INSERT" in data[:4096]:
                    insert_seen.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            server.close()

    def _answer(self, client: socket.socket, server: socket.socket, insert_seen: threading.Event) -> None:
        try:
            while data := server.recv(1 << 16):
                if insert_seen.is_set() and self._take_cut():
                    client.shutdown(socket.SHUT_RDWR)
                    server.close()
                    return
                insert_seen.clear()
                client.sendall(data)
        except OSError:
            pass
        client.close()

    def _take_cut(self) -> bool:
        with self._lock:
            if self._left == 0:
                return False
            self._left -= 1
            return True
