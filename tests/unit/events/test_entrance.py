"""What answers at an address may be anything: it is told in one line, and soon."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from events.entrance import BrokerUnreachable, require_entry
from schemas.cluster import Cluster, Security


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says this to whatever it is told, and hangs up."""

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            thread.join(10)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
        b"\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x23\x00\x00\x00\x00",  # framed as Kafka does: an error
        b"\x00\x00\x00\x04\x00\x00\x00\x63",  # to a question that was not asked
        b"\xff\xff\xff\xff",
        bytes(range(256)),
    ],
    ids=["nothing", "http", "error", "stranger", "negative", "noise"],
)
def test_what_is_no_broker_is_told_in_one_line(answer: bytes, protocol: str, caplog: pytest.LogCaptureFixture) -> None:
    security = Security("SSL" if protocol == "SSL" else "PLAINTEXT")
    with answering(answer) as address, pytest.raises(BrokerUnreachable, match=f"no Kafka broker answers at {address}"):
        require_entry(Cluster(address, security), 2.0)
    assert caplog.records == []


def test_who_asks_may_be_in_an_event_loop() -> None:
    async def ask() -> None:
        require_entry(Cluster("127.0.0.1:1"), 2.0)

    with pytest.raises(BrokerUnreachable, match="check the address"):
        asyncio.run(ask())


@pytest.mark.parametrize("address", ["kafka", "kafka:", "kafka:x", "kafka:99999", "127.0.0.1:1,kafka:-1"])
def test_what_is_no_port_is_told(address: str) -> None:
    with pytest.raises(BrokerUnreachable, match="check the address"):
        require_entry(Cluster(address), 2.0)
