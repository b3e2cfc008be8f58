"""What the table takes out of a record's bytes is what the program takes out of them, whatever they say and however.

Where the two part, every row of an archive that nobody has touched would be called altered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.envelope import LEDGER, Event, encode
from processors.archive_table import ArchiveTable
from processors.batches import make_batch
from replay.columns import altered
from tests.integration.archive.archiving import Archiving, client_of
from tests.poison import ODD_BUT_GOOD, POISON
from tests.strategies import events
from tests.unit.archive.records import Ledgered

pytestmark = pytest.mark.integration

_partitions = count()


def archived(archiving: Archiving, records: Sequence[tuple[bytes | None, bytes | None]]) -> list[str]:
    """The offsets, with their columns, that are found altered in rows that were just written; and no others."""
    partition = next(_partitions)
    table = ArchiveTable(lambda: client_of(archiving.clickhouse), archiving.topic)
    rows = [Ledgered(offset, key=key, value=value) for offset, (key, value) in enumerate(records)]
    table.insert(make_batch(archiving.topic, partition, rows, UUID(int=1)))
    table.close()
    blocks = list(archiving.archive.with_columns(partition, len(rows)))
    assert sum(len(block[0]) for block in blocks) == len(rows)
    return [f"{each.offset}: {each.columns}" for block in blocks for each in altered(block, LEDGER.decode_records)]


def otherwise(event: Event, ascii_only: bool, indent: int | None) -> bytes:
    """The same event as another program may write it: escaped, or with spaces."""
    return json.dumps(json.loads(encode(event)), ensure_ascii=ascii_only, indent=indent).encode()


@settings(
    max_examples=20, deadline=None,
    # The table is the same for all examples, each of which writes a partition of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(told=st.lists(events(), min_size=1, max_size=60), ascii_only=st.booleans(), indent=st.none() | st.just(1))
def test_no_row_that_the_archiver_wrote_is_altered(
    archiving: Archiving, told: list[Event], ascii_only: bool, indent: int | None
) -> None:
    as_we_write = [(each.subject.encode(), encode(each)) for each in told]
    as_others_do = [(each.subject.encode(), otherwise(each, ascii_only, indent)) for each in told]
    assert archived(archiving, as_we_write + as_others_do) == []


def test_nor_is_one_that_is_odd_or_no_event(archiving: Archiving) -> None:
    assert archived(archiving, [(each.key, each.value) for each in (*POISON, *ODD_BUT_GOOD)]) == []
