"""Do the views that reports read say what this program's SQL files say? Who may write the archive may redefine them."""

from __future__ import annotations

import re
from typing import Any, Final

from deploy.clickhouse import migrations

_CREATE: Final = re.compile(r"CREATE OR REPLACE VIEW (\w+) AS\s")
_TABLE: Final = re.compile(r"\bFROM (dossier_\w+)")


def definitions() -> dict[str, str]:
    """Each view and the statement that makes it: the last one, where later files define it again."""
    statements = (statement for each in migrations() for statement in each.statements())
    return {found[1]: statement for statement in statements if (found := _CREATE.match(statement))}


def altered_views(client: Any) -> list[str]:
    """The views that are not there, or not as they are defined.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
    """
    return [
        name
        for name, statement in definitions().items()
        if not _is_there(client, name, _CREATE.sub("", statement, count=1))
    ]


def restore_views(client: Any, names: list[str]) -> None:
    """Define these views again, over a client that may write.

    Raises as `altered_views`.
    """
    for name in names:
        client.command(definitions()[name])


def _is_there(client: Any, name: str, select: str) -> bool:
    sql = (
        "SELECT database, as_select, create_table_query, formatQuerySingleLine(as_select), "
        "formatQuerySingleLine({select:String}) FROM system.tables "
        "WHERE database = currentDatabase() AND engine = 'View' AND name = {name:String}"
    )
    for database, stored, created, found, wanted in client.query(sql, {"name": name, "select": select}).result_rows:
        reads_as_who_asks = "SQL SECURITY" not in created.removesuffix(stored).replace("SQL SECURITY INVOKER", "")
        return found in _with_database(wanted, database) and reads_as_who_asks and _has_columns(client, name, select)
    return False


def _with_database(query: str, database: str) -> tuple[str, str]:
    """As ClickHouse keeps it, with the database before each table; in backticks where its name asks for them."""
    return _TABLE.sub(rf"FROM {database}.\1", query), _TABLE.sub(rf"FROM `{database}`.\1", query)


def _has_columns(client: Any, name: str, select: str) -> bool:
    """A view may be given other columns than its query has: fewer, or of types that cut their values."""
    sql = (
        "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {name:String} "
        "ORDER BY position"
    )
    described = client.query(f"DESCRIBE TABLE ({select})").result_rows
    return [*client.query(sql, {"name": name}).result_rows] == [row[:2] for row in described]
