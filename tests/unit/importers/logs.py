"""Small logs and mappings for the importer's tests."""

from __future__ import annotations

import gzip
from pathlib import Path

from events.importers.log import read_log
from events.importers.mapped import Mapped
from events.importers.rows import BadRow
from schemas.mapping import parse_mapping

MAPPING = """
name: book
zone: Europe/Amsterdam
case: "{case}"
activity: what
time: {column: when}
office: so-gtvt
room: "{room}"
events:
  - activity: in
    type: received
    fields:
      procedure: p1
      promised: "{due}"
      channel: {column: by, values: {web: online}, default: direct}
case_events:
  - column: end
    type: processed
    fields: {outcome: issued}
"""
HEADER = "case,what,when,room,due,by,end\n"


def found(folder: Path, content: str | bytes, mapping: str = MAPPING, *, packed: bool = False) -> list[Mapped | BadRow]:
    """Everything a log gives, events and rows that cannot be read, in order."""
    path = folder / "log"
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if packed else data)
    return list(read_log(path, parse_mapping(mapping, "book.yaml")))


def mapped(folder: Path, content: str | bytes, mapping: str = MAPPING, *, packed: bool = False) -> list[Mapped]:
    """The events of a log in which every row can be read."""
    events = [each for each in found(folder, content, mapping, packed=packed) if isinstance(each, Mapped)]
    assert len(events) == len(found(folder, content, mapping, packed=packed))
    return events


def bad(folder: Path, content: str | bytes, mapping: str = MAPPING) -> list[BadRow]:
    """The rows of a log that cannot be read."""
    return [each for each in found(folder, content, mapping) if isinstance(each, BadRow)]
