"""`dossier config`: the effective settings, secrets masked."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.console import emit_json, out
from cli.webhooks import require_alarms
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    app.command()(config)


def config(json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Cấu hình đang dùng · Print the effective settings, secrets masked.

    Example: DOSSIER_PARTITIONS=8 dossier config
    """
    settings = load_settings()
    require_alarms(settings.webhooks)
    values = settings.model_dump(mode="json")
    if json:
        emit_json(values)
        return
    table = Table(box=None)
    table.add_column("setting", no_wrap=True, min_width=max(map(len, values)) + len("DOSSIER_"))
    table.add_column("value", overflow="fold")
    table.add_column("meaning", overflow="fold")
    for name, value in values.items():
        table.add_row(
            f"DOSSIER_{name.upper()}",
            "–" if value is None else str(value),
            type(settings).model_fields[name].description,
        )
    out.print(table)
