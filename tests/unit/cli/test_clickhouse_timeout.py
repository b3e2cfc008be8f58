"""How long the archiver waits for ClickHouse is a setting, and it reaches the client that waits."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from cli.past import archive_table
from cli.surroundings import surroundings
from events.ledger import LEDGER_TOPIC
from processors.archiver import LOOK_AGAIN_SECONDS
from schemas.settings import SettingsError, load_settings


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a server that takes every request and answers none."""
    monkeypatch.chdir(tmp_path)
    taken: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):  # closed at the end
            while True:
                taken.append(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as server:
        listening = threading.Thread(target=accept, daemon=True)
        listening.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    listening.join()
    for each in taken:
        each.close()


def test_the_archiver_waits_no_longer_than_the_setting_says(silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_CLICKHOUSE_TIMEOUT_SECONDS", "1")
    around = surroundings(load_settings(clickhouse=silent))
    with archive_table(around, LEDGER_TOPIC) as table:
        began = time.monotonic()
        with pytest.raises(OperationalError, match="read timeout=1"):
            table.cursor(0)
        assert time.monotonic() - began >= 1


def test_no_sender_waits_as_long_as_a_body_that_comes_late_is_looked_for() -> None:
    with pytest.raises(SettingsError, match="clickhouse_timeout_seconds"):
        load_settings(clickhouse_timeout_seconds=round(LOOK_AGAIN_SECONDS[-1]))
