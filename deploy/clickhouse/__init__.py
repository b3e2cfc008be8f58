"""The archive's tables: numbered SQL files, each applied once and never changed afterwards.

Every statement may run twice (`IF NOT EXISTS`, `OR REPLACE`), so that after a crash in the middle of a file the file
is simply run again; a file is recorded when all of it has run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Protocol

_FILE_NAME: Final = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
_RECORDS: Final = """
CREATE TABLE IF NOT EXISTS dossier_migrations
(name String, sha256 String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = MergeTree ORDER BY name
"""


class MigrationError(Exception):
    """The tables cannot be brought up to date; the message says why and what to do."""


class Rows(Protocol):
    @property
    def result_rows(self) -> Sequence[Sequence[object]]: ...


class Client(Protocol):
    """What this needs of a clickhouse-connect client."""

    def command(self, cmd: str, parameters: dict[str, object] | None = None, /) -> object: ...
    def query(self, query: str, /) -> Rows: ...


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name and its text."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> Iterator[str]:
        """The statements: each ends in a semicolon at the end of a line; comments stand on lines of their own."""
        lines = (line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        for statement in re.split(r";\s*(?:\n|\Z)", "\n".join(lines)):
            if statement.strip():
                yield statement.strip()


def migrations() -> list[Migration]:
    """The files of deploy/clickhouse/sql, in order."""
    found = [path for path in files("deploy.clickhouse").joinpath("sql").iterdir() if _FILE_NAME.fullmatch(path.name)]
    return sorted((Migration(path.name, path.read_text("utf-8")) for path in found), key=lambda each: each.name)


def migrate(client: Client, wanted: Sequence[Migration] | None = None) -> list[str]:
    """Apply what is not applied yet, in order; gives the names of those applied now.

    Raises:
        MigrationError: an applied file was changed, or the tables come from a newer program; nothing was done.
        clickhouse_connect.driver.exceptions.ClickHouseError: ClickHouse refuses; running it again goes on.
    """
    wanted = migrations() if wanted is None else wanted
    client.command(_RECORDS)
    applied = {str(name): str(sha256) for name, sha256 in _applied(client)}
    _check(wanted, applied)
    missing = [each for each in wanted if each.name not in applied]
    for each in missing:
        for statement in each.statements():
            client.command(statement)
        client.command(
            "INSERT INTO dossier_migrations (name, sha256) SELECT {name:String}, {sha256:String}",
            {"name": each.name, "sha256": each.sha256},
        )
    return [each.name for each in missing]


def _applied(client: Client) -> Sequence[Sequence[object]]:
    return client.query("SELECT DISTINCT name, sha256 FROM dossier_migrations ORDER BY name").result_rows


def _check(wanted: Sequence[Migration], applied: dict[str, str]) -> None:
    known = {each.name: each.sha256 for each in wanted}
    for name, sha256 in applied.items():
        if name not in known:
            raise MigrationError(f"{name} was applied by a newer program: run that one, this one does not know it")
        if known[name] != sha256:
            raise MigrationError(f"{name} was changed after it was applied: undo the change, add a new file instead")
