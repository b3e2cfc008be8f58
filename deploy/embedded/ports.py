"""Which loopback port each server gets: the one that was told, else last time's if it is free, else a new one."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.runtime import EmbeddedError, replace_file, run_dir

# Below the ranges from which systems take ports for outgoing connections: while a server restarts, none takes its port.
CHOICE = range(20000, 32000)
ATTEMPTS = 200


class PortError(EmbeddedError):
    """A port that was asked for is taken."""


def choose_ports(data_dir: Path, wanted: Mapping[str, int]) -> dict[str, int]:
    """One port for each name of `wanted`; 0 means any. Remembers the choice in `<data_dir>/run/ports.json`.

    Raises:
        PortError: a port asked for by number is taken, or asked for twice.
    """
    _require_different(wanted)
    remembered = _remembered(data_dir)
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        if port and not is_free(port):
            raise PortError(f"port {port} for {name} is taken by another program: choose another one, or 0 for any")
        taken = {*chosen.values(), *wanted.values()}
        last = remembered.get(name, 0)
        chosen[name] = port or (last if last and last not in taken and is_free(last) else _any_free(taken))
    replace_file(run_dir(data_dir) / "ports.json", json.dumps({**remembered, **chosen}))
    return chosen


def _require_different(wanted: Mapping[str, int]) -> None:
    """Nothing listens on either yet: both would be found free, and the one that starts later would fail."""
    options: dict[int, str] = {}
    for name, port in wanted.items():
        option = f"--{name}-port"
        if port and port in options:
            raise PortError(f"{options[port]} and {option} are both {port}: give each a port of its own, or 0 for any")
        options[port] = option


def is_free(port: int) -> bool:
    """Could a server listen on this loopback port now?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, or old connections look like one
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)  # two sockets with SO_REUSEADDR may both bind; only one may listen
        except OSError:
            return False
        return True


def _any_free(taken: set[int]) -> int:
    for _ in range(ATTEMPTS):
        port = secrets.choice(CHOICE)
        if port not in taken and is_free(port):
            return port
    raise PortError(f"no free port found between {CHOICE.start} and {CHOICE.stop}")


def _remembered(data_dir: Path) -> dict[str, int]:
    try:
        kept = json.loads((run_dir(data_dir) / "ports.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in kept.items() if isinstance(port, int) and 0 < port < 65536}
