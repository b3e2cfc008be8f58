"""What a publisher knows without a broker: that there is none, and what it will not send."""

from __future__ import annotations

import socket
import time

import pytest

from events.entrance import BrokerUnreachable
from events.publisher import Publisher
from schemas.cluster import Cluster


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "127.0.0.1:{port},127.0.0.1:{port}", "no-port", "127.0.0.1:x"])
def test_an_address_where_nothing_listens_is_told_with_what_to_do(address: str) -> None:
    bootstrap = address.format(port=_closed_port())
    with pytest.raises(BrokerUnreachable, match="check the address") as told:
        Publisher(Cluster(bootstrap))
    assert bootstrap in str(told.value)


def test_something_that_is_no_broker_is_told_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(BrokerUnreachable, match="no Kafka broker answers"):
            Publisher(Cluster(bootstrap), connect_timeout_seconds=1.0)
        assert time.monotonic() - started < 60, "it does not wait for ever"
