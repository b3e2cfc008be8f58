"""What the two measurements of the archive share: which ClickHouse, and a table of it that has been written to."""

from __future__ import annotations

import os
from uuid import uuid4

from aiokafka.record.default_records import DefaultRecord

from bench.load import headers_of, load
from deploy.clickhouse.client import connect
from processors.archive_table import ArchiveTable
from processors.batches import MAX_ROWS, make_batch

USER, PASSWORD = "archiver", "writes"
URL_VARIABLE = "BENCH_CLICKHOUSE"


#: Keeps the rows that warm up apart from those that count.
_WARMING = "warming"
_RECORDED_MS = 1_600_000_000_000


def table(topic: str) -> ArchiveTable:
    """The archive's table on the ClickHouse of this run, for the rows of one topic.

    One full batch has gone in under another name: a server's first insert takes twice as long as its next ones, and
    pyarrow looks for pandas at its first array.
    """
    opened = ArchiveTable(
        lambda: connect(os.environ[URL_VARIABLE], user=USER, password=PASSWORD, database="default"), topic
    )
    records = [
        DefaultRecord(offset, _RECORDED_MS, 1, key, value, headers_of(key, value))
        for offset, (key, value) in enumerate(load(MAX_ROWS))
    ]
    opened.insert(make_batch(_WARMING, 0, records, uuid4()))
    return opened
