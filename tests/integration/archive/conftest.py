"""A ledger of the test's own, the session's ClickHouse with our tables, and archivers as real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.clickhouse import migrate
from tests.integration.archive.archiving import Archiving, client_of
from tests.integration.conftest import ClickHouse
from tests.unit.archive.records import a_record


@pytest.fixture
def client(clickhouse: ClickHouse) -> Iterator[Any]:
    """A clickhouse-connect client that may write; our tables are there."""
    with client_of(clickhouse.url) as connected:
        migrate(connected)
        yield connected


@pytest.fixture
def archiving(
    broker: str, make_topics: Callable[..., str], clickhouse: ClickHouse, client: Any, tmp_path: Path
) -> Iterator[Archiving]:
    """No archiver runs yet; those that were started are killed at the end."""
    with Archiving(broker, make_topics(), clickhouse.url, client, tmp_path) as world:
        yield world


@pytest.fixture
def archived(archiving: Archiving) -> Archiving:
    """Two hundred records in two partitions, archived; the archiver is gone."""
    for partition in (0, 1):
        archiving.publish([a_record(number) for number in range(100)], partition)
    archiving.archive_here(200)
    archiving.require_exact(200)
    return archiving
