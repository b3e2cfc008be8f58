"""The peers: each a program of its own, `python -m bench.peers.NAME BROKER TOPIC EVENTS RESULT`.

All of them decode with the ledger's codec (`decode_records` where records come in batches, as ours do, `decode_record`
where a framework hands them out one at a time), fold with `projections.dossier.admit`, and those that store state store
`projections.dossier.pack`. RESULT is a file for one number, events per second from the first
record in hand to the last one done: Faust takes over standard output.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from cli.memory import work_in_bulk
from events.envelope import LEDGER, Unreadable, decode_record
from projections.dossier import Dossier, admit, new_dossier, unpack

RECORDED_US = 1_600_000_000_000_000


@dataclass
class Run:
    """One peer's task, from the command line, and its stopwatch."""

    broker: str
    topic: str
    events: int
    result: Path
    _done: int = 0
    _started: float = field(default=0.0)

    @classmethod
    def from_arguments(cls) -> Run:
        broker, topic, events, result = sys.argv[1:5]
        del sys.argv[1:]
        work_in_bulk()  # as our processors do, so that it gives nobody an advantage
        return cls(broker, topic, int(events), Path(result))

    @property
    def folder(self) -> str:
        """For what a framework keeps on disk; it goes with the result."""
        return str(self.result.with_suffix(".d"))

    def begin(self) -> None:
        """Called with the first record in hand."""
        self._started = self._started or time.perf_counter()

    def count(self, done: int) -> bool:
        """Count records as done; True when all are."""
        self._done += done
        return self._done >= self.events

    def finish(self) -> NoReturn:
        """Write the rate and leave at once: what a framework does on its way out is not measured."""
        self.result.write_text(str(self._done / (time.perf_counter() - self._started)), encoding="ascii")
        os._exit(0)


def folded(dossier: Dossier | None, key: bytes | None, value: bytes | None, offset: int) -> Dossier:
    """One more record folded into a dossier: the work every peer shares."""
    event = decode_record(key, value)
    return admit(dossier or new_dossier(event.subject), event, offset=offset, recorded=RECORDED_US)


def fold_batch(
    states: dict[bytes | None, Dossier], keys: list[bytes | None], values: list[bytes | None], offsets: Iterable[int]
) -> None:
    """The same for records that came together."""
    for key, event, offset in zip(keys, LEDGER.decode_records(keys, values), offsets, strict=True):
        assert not isinstance(event, Unreadable), offset
        before = states.get(key) or new_dossier(event.subject)
        states[key] = admit(before, event, offset=offset, recorded=RECORDED_US)


def folded_bytes(stored: bytes | None, key: bytes | None, value: bytes | None, offset: int) -> Dossier:
    """The same where the state lies in a store as bytes."""
    return folded(unpack(stored) if stored else None, key, value, offset)
