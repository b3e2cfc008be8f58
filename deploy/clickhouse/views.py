"""Do the views that reports read say what this program's SQL files say? Who may write the archive may redefine them."""

from __future__ import annotations

import re
from typing import Any, Final

from deploy.clickhouse import migrations

_CREATE: Final = re.compile(r"CREATE OR REPLACE VIEW (\w+) AS\s")
#: ClickHouse keeps a view's query with its own database before each table; what is in quotes is text.
_TEXT_OR_DATABASE: Final = r"('(?:[^'\\]|\\.)*')|\b{database}\."


def definitions() -> dict[str, str]:
    """Each view and the statement that makes it: the last one, where later files define it again."""
    statements = (statement for each in migrations() for statement in each.statements())
    return {found[1]: statement for statement in statements if (found := _CREATE.match(statement))}


def altered_views(client: Any) -> list[str]:
    """The views that are not there, or not as they are defined.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse does not answer.
    """
    return [name for name, statement in definitions().items() if not _is_there(client, name, statement)]


def restore_views(client: Any, names: list[str]) -> None:
    """Define these views again, over a client that may write.

    Raises as `altered_views`.
    """
    for name in names:
        client.command(definitions()[name])


def _is_there(client: Any, name: str, statement: str) -> bool:
    sql = (
        "SELECT database, formatQuerySingleLine(as_select), formatQuerySingleLine({wanted:String}) FROM system.tables "
        "WHERE database = currentDatabase() AND engine = 'View' AND name = {name:String}"
    )
    rows = client.query(sql, {"name": name, "wanted": _CREATE.sub("", statement, count=1)}).result_rows
    return any(_without_database(found, database) == wanted for database, found, wanted in rows)


def _without_database(query: str, database: str) -> str:
    return re.sub(_TEXT_OR_DATABASE.format(database=re.escape(database)), lambda found: found[1] or "", query)
