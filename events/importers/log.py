"""A whole log through its mapping: what it gives, and what that adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from itertools import chain, islice
from pathlib import Path
from typing import Final

from events.importers.mapped import Mapped, Mapper
from events.importers.rows import BadRow, LogError, Row, is_xes, open_log, refuse_workbook
from events.importers.table import Table
from events.importers.xes import Xes
from schemas.mapping import MappingError, MappingFile, load_mapping

#: An XES log has no header: its columns are those of so many events, mostly; else those of all of them.
_SAMPLE_ROWS: Final = 1_000


def shipped_mappings() -> list[str]:
    """The names of the mappings that come with the ledger."""
    return sorted(
        each.name.removesuffix(".yaml") for each in files("events.mappings").iterdir() if each.name.endswith(".yaml")
    )


def find_mapping(name_or_path: str) -> MappingFile:
    """A shipped mapping by its name, or one of the user's own by its path.

    Raises:
        MappingError: there is none, or it is wrong.
    """
    if name_or_path in shipped_mappings():
        with as_file(files("events.mappings").joinpath(f"{name_or_path}.yaml")) as path:
            return load_mapping(path)
    try:
        return load_mapping(Path(name_or_path))
    except FileNotFoundError as error:
        raise MappingError(
            f"no mapping `{name_or_path}`: write the path of a file, or one of: {', '.join(shipped_mappings())}"
        ) from error


def read_log(path: Path, mapping: MappingFile, unmet: list[str] | None = None) -> Iterator[Mapped | BadRow]:
    """Every event a log gives, and every row that cannot be read, in file order; memory grows with cases, not rows.

    `unmet`: given `Mapper.unmet` of a log that was read to its end.

    Raises:
        LogError: it is no log, or not any further.
        MappingError: the mapping does not fit it.
        OSError: it cannot be read.
    """
    with open_log(path) as file:
        refuse_workbook(file)
        rows: Iterator[Row | BadRow]
        if is_xes(file):
            sample, rows = _begun(iter(Xes(file)))
            mapper = Mapper(mapping, _columns_for(mapping, sample, path))
        else:
            table = Table(file, encoding=mapping.mapping.encoding, delimiter=mapping.mapping.delimiter)
            mapper = Mapper(mapping, table.columns)
            rows = iter(table)
        for row in rows:
            if isinstance(row, BadRow):
                yield row
            else:
                yield from mapper.events(row)
        if unmet is not None:
            unmet += mapper.unmet()


def _begun(rows: Iterator[Row | BadRow]) -> tuple[list[Row | BadRow], Iterator[Row | BadRow]]:
    """The first of the rows, and all of them; a log that breaks among the first breaks behind those that it gave."""
    first: list[Row | BadRow] = []
    try:
        for row in islice(rows, _SAMPLE_ROWS):
            first.append(row)  # noqa: PERF402  # what came before it breaks is kept
    except LogError as error:
        if not first:
            raise
        return first, chain(first, _breaks(error))
    return first, chain(first, rows)


def _breaks(error: LogError) -> Iterator[Row]:
    raise error
    yield  # makes it an iterator


def _columns_for(mapping: MappingFile, sample: list[Row | BadRow], path: Path) -> set[str]:
    """The columns of a log; it is read to its end for them only if the mapping names one that the sample lacks."""
    columns = _columns_of(sample)
    if not columns:
        raise LogError("no event in it that can be read")
    if not columns.issuperset(column for _, column in mapping.columns):
        with open_log(path) as file:
            columns = _columns_of(_while_whole(Xes(file)))
    return columns


def _while_whole(rows: Iterable[Row | BadRow]) -> Iterator[Row | BadRow]:
    """Up to where a log breaks; that it does is told when its rows are read."""
    with suppress(LogError):
        yield from rows


def _columns_of(rows: Iterable[Row | BadRow]) -> set[str]:
    return {column for row in rows if isinstance(row, Row) for column in row.cells}


@dataclass
class Tally:
    """What a log added up to: each of its `rows` is one event or is quarantined."""

    rows: int = 0
    events: dict[str, int] = field(default_factory=lambda: {"row": 0, "case": 0})
    quarantined: dict[str, int] = field(default_factory=lambda: {"row": 0, "case": 0})
    dossiers: set[str] = field(default_factory=set)

    def add(self, found: Mapped | BadRow) -> None:
        if found.by == "row":
            self.rows += 1
        if isinstance(found, Mapped):
            self.events[found.by] += 1
            self.dossiers.add(found.event.subject)
        else:
            self.quarantined[found.by] += 1
