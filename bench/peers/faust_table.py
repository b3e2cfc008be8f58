"""Plain Faust: an agent, a Table, one changelog record an event. How the tutorial would do it."""

from __future__ import annotations

import sys
from typing import Any

import faust

from bench.load import PARTITIONS
from bench.peers import Run, folded_bytes
from projections.dossier import pack

run = Run.from_arguments()
app = faust.App(
    f"bench-faust-{run.result.stem}",
    broker=f"aiokafka://{run.broker}",
    store="memory://",
    web_enabled=False,
    topic_partitions=PARTITIONS,
    table_standby_replicas=0,
    consumer_auto_offset_reset="earliest",
    datadir=run.folder,
)
ledger = app.topic(run.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
table = app.Table("states", partitions=PARTITIONS, key_type=bytes, value_type=bytes)


@app.agent(ledger, name="fold")
async def fold(stream: Any) -> None:
    async for event in stream.events():
        run.begin()
        message = event.message
        table[message.key] = pack(folded_bytes(table.get(message.key), message.key, event.value, message.offset))
        if run.count(1):
            run.finish()


app.finalize()
sys.argv[1:] = ["worker", "--loglevel", "error", "--without-web"]
app.main()
