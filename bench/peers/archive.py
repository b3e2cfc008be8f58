"""What the two measurements of the archive share: which ClickHouse, and a table of it."""

from __future__ import annotations

import os

from deploy.clickhouse.client import connect
from processors.archive_table import ArchiveTable

USER, PASSWORD = "archiver", "writes"
URL_VARIABLE = "BENCH_CLICKHOUSE"


def table(topic: str) -> ArchiveTable:
    """The archive's table on the ClickHouse of this run, for the rows of one topic."""
    return ArchiveTable(
        lambda: connect(os.environ[URL_VARIABLE], user=USER, password=PASSWORD, database="default"), topic
    )
