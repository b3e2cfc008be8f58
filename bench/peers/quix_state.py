"""Quix Streams with its state store (RocksDB and a changelog)."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.context import message_context

from bench.peers import Run, folded_bytes
from projections.dossier import pack

run = Run.from_arguments()
app = Application(
    broker_address=run.broker,
    consumer_group=f"bench-quix-{run.result.stem}",
    auto_offset_reset="earliest",
    state_dir=run.folder,
    loglevel="ERROR",
)
ledger = app.topic(run.topic, key_deserializer="bytes", value_deserializer="bytes")


def fold(value: bytes, key: bytes, _timestamp: int, _headers: Any, state: Any) -> None:
    run.begin()
    state.set_bytes("s", pack(folded_bytes(state.get_bytes("s"), key, value, message_context().offset)))
    if run.count(1):
        run.finish()


app.dataframe(ledger).update(fold, stateful=True, metadata=True)
app.run()
