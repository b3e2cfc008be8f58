"""`dossier migrate`: the archive's tables on ClickHouse."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import CommandError, emit_json, out
from cli.past import connect_writer
from cli.surroundings import not_answered, surroundings
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(migrate)


def migrate(
    clickhouse: Annotated[str | None, typer.Option(help="URL; default: the running `dossier up`.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tạo và nâng cấp bảng · Create the archive's tables, or bring them up to date; safe to run again.

    Example: dossier migrate --clickhouse http://clickhouse:8123
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from deploy.clickhouse import MigrationError
    from deploy.clickhouse import migrate as apply

    found = surroundings(load_settings(clickhouse=clickhouse))
    try:
        with connect_writer(found) as client:
            applied = apply(client)
    except MigrationError as error:
        raise CommandError(str(error)) from error
    except ClickHouseError as error:
        raise not_answered(found, error) from error
    if json:
        emit_json({"applied": applied})
        return
    for name in applied:
        out.print(f"đã áp dụng · applied {name}")
    out.print("các bảng đã đúng phiên bản · the tables are up to date")
