from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from deploy.clickhouse import Migration, MigrationError, migrate, migrations


@dataclass
class Answer:
    result_rows: Sequence[Sequence[object]]


@dataclass
class FakeClient:
    """Remembers what was run; `breaks_at` is the statement at which the connection breaks, once."""

    breaks_at: str = ""
    ran: list[str] = field(default_factory=list)
    applied: list[tuple[object, object]] = field(default_factory=list)

    def command(self, cmd: str, parameters: dict[str, object] | None = None, /) -> object:
        if self.breaks_at and self.breaks_at in cmd:
            self.breaks_at = ""
            raise ConnectionResetError
        if parameters is not None:
            self.applied.append((parameters["name"], parameters["sha256"]))
        elif "dossier_migrations" not in cmd:
            self.ran.append(cmd)
        return None

    def query(self, _query: str, /) -> Answer:
        return Answer(self.applied)


FIRST = Migration("0001_a.sql", "-- why\nCREATE A;\n\nCREATE B\n(x String);\n")
SECOND = Migration("0002_b.sql", "CREATE C;")


def test_files_are_applied_in_order_and_once() -> None:
    client = FakeClient()
    assert migrate(client, [FIRST, SECOND]) == ["0001_a.sql", "0002_b.sql"]
    assert client.ran == ["CREATE A", "CREATE B\n(x String)", "CREATE C"]
    assert migrate(client, [FIRST, SECOND]) == []


def test_after_a_crash_in_the_middle_the_file_is_run_again() -> None:
    client = FakeClient(breaks_at="CREATE B")
    with pytest.raises(ConnectionResetError):
        migrate(client, [FIRST, SECOND])
    assert client.applied == []
    assert migrate(client, [FIRST, SECOND]) == ["0001_a.sql", "0002_b.sql"]


def test_a_changed_file_is_refused_before_anything_is_done() -> None:
    client = FakeClient()
    migrate(client, [FIRST])
    changed = Migration(FIRST.name, FIRST.text + "CREATE D;")
    with pytest.raises(MigrationError, match=r"0001_a\.sql was changed"):
        migrate(client, [changed, SECOND])
    assert "CREATE C" not in client.ran


def test_tables_of_a_newer_program_are_refused() -> None:
    client = FakeClient()
    migrate(client, [FIRST, SECOND])
    with pytest.raises(MigrationError, match="newer program"):
        migrate(client, [FIRST])


@pytest.mark.parametrize("migration", migrations(), ids=lambda each: str(each.name))
def test_every_statement_may_run_twice(migration: Migration) -> None:
    for statement in migration.statements():
        assert re.search(r"IF (NOT )?EXISTS|OR REPLACE", statement), statement


def test_the_numbers_have_no_gap() -> None:
    assert [int(each.name[:4]) for each in migrations()] == list(range(1, len(migrations()) + 1))
