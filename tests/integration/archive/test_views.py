"""Views that reports read: as defined whatever the database is called, and found out whatever is done to one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from deploy.clickhouse import migrate
from deploy.clickhouse.client import connect
from deploy.clickhouse.views import altered_views, definitions, restore_views
from tests.integration.conftest import ClickHouse

pytestmark = pytest.mark.integration

READABLE = "dossier_events_readable"


@pytest.fixture(params=["archive", "dossier-ledger", "event", "all", "dossier.events"])
def client(clickhouse: ClickHouse, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client that may write, in a database of the test's own."""
    asked = partial(connect, clickhouse.url, user=clickhouse.user, password=clickhouse.password)
    with asked(database="default") as first:
        first.command(f"CREATE DATABASE `{request.param}`")
        with asked(database=request.param) as connected:
            migrate(connected)
            yield connected
        first.command(f"DROP DATABASE `{request.param}`")


def test_they_are_as_defined_and_what_is_done_to_one_is_found(client: Any) -> None:
    assert (len(definitions()), altered_views(client)) == (4, [])
    true = definitions()[READABLE]
    # A column of the table that is called like one behind the database's name.
    column = f"`{client.database}.unreadable` String ALIAS if(key = 'GL-1', 'x', unreadable)"
    client.command(f"ALTER TABLE dossier_events ADD COLUMN {column}")
    head, select = true.split(" AS\n", 1)
    for statement in (
        true.replace("WHERE unreadable", f"WHERE `{client.database}.unreadable`"),
        true.replace("WHERE unreadable", f"WHERE dossier_events.`{client.database}.unreadable`"),
        f"{head} (topic String, offset UInt8) AS\n{select}",
        f"{head} (topic String) AS\n{select}",
        f"{head} DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n{select}",
        f"{true} AND offset != 7",
        f"{true} SETTINGS max_threads = 1",
        f"CREATE OR REPLACE TABLE {READABLE} ENGINE = Memory AS\n{select}",
    ):
        client.command(statement)
        assert altered_views(client) == [READABLE], statement
        restore_views(client, [READABLE])
        assert altered_views(client) == []
