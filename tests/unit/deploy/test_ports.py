"""Ports: as told, else as last time, else free."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded.ports import PortError, choose_ports, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_the_same_ports_again_the_next_time(tmp_path: Path) -> None:
    first = choose_ports(tmp_path, {"kafka": 0, "gateway": 0})
    assert len(set(first.values())) == 2
    assert choose_ports(tmp_path, {"kafka": 0, "gateway": 0}) == first


def test_a_port_taken_since_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    first = choose_ports(tmp_path, {"kafka": 0, "gateway": 0})
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", first["kafka"]))
        listener.listen()
        second = choose_ports(tmp_path, {"kafka": 0, "gateway": 0})
    assert second["kafka"] != first["kafka"]
    assert second["gateway"] == first["gateway"]


def test_a_port_asked_for_is_used_and_one_that_is_taken_is_named(tmp_path: Path, taken: int) -> None:
    free = choose_ports(tmp_path, {"kafka": 0})["kafka"]
    assert choose_ports(tmp_path / "other", {"kafka": free}) == {"kafka": free}
    assert not is_free(taken)
    with pytest.raises(PortError, match=f"port {taken} for kafka is taken"):
        choose_ports(tmp_path, {"kafka": taken})


def test_one_port_told_twice_names_both_options(tmp_path: Path) -> None:
    free = choose_ports(tmp_path, {"kafka": 0})["kafka"]
    with pytest.raises(PortError, match=f"--kafka-port and --clickhouse-port are both {free}"):
        choose_ports(tmp_path, {"gateway": 0, "kafka": free, "controller": 0, "clickhouse": free})


def test_a_port_that_is_told_is_not_the_one_another_had_the_last_time(tmp_path: Path) -> None:
    last = choose_ports(tmp_path, {"kafka": 0})["kafka"]
    now = choose_ports(tmp_path, {"kafka": 0, "clickhouse": last})
    assert now["clickhouse"] == last != now["kafka"]


def test_a_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ports.json").write_text('{"kafka": "x", "gateway": 70000', encoding="utf-8")
    assert is_free(choose_ports(tmp_path, {"kafka": 0})["kafka"])
