"""What `dossier quarantine retry` sends to the ledger: what is taken now, and nothing that is rejected again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

import pytest

import processors.quarantine
from events.ledger import LEDGER_TOPIC
from events.quarantine import LedgerOrigin, QuarantineRecord
from processors.fold import PartitionFold, Rejected
from processors.quarantine import Retry, quarantine_record, retry
from schemas.cluster import Cluster
from tests.unit.projector.test_partition_fold import expected, good

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)


class Writer:
    """Takes what the retry writes, in memory."""

    def __init__(self, *_: Any) -> None:
        self.published: list[QuarantineRecord] = []
        self.written: list[QuarantineRecord] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def publish(self, ledger: str, key: bytes, record: QuarantineRecord) -> str:
        self.published.append(record)
        return f"{ledger}/0@{len(self.published)}"

    async def write(self, record: QuarantineRecord) -> None:
        self.written.append(record)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Writer:
    one = Writer()
    monkeypatch.setattr(processors.quarantine, "QuarantineWriter", lambda *_: one)
    return one


def retried(rejected: Rejected) -> Retry:
    origin = LedgerOrigin(LEDGER_TOPIC, 0, rejected.record.offset)
    held = quarantine_record(origin, rejected.record, rejected.reason, NOW)

    async def nobody(*_: object) -> str:
        raise AssertionError("no alarm is posted")

    (done,) = asyncio.run(retry(Cluster("unused:9092"), [held], LEDGER_TOPIC, post_again=nobody))
    return done


def too_large() -> Rejected:
    fold = PartitionFold(0, {}, max_state_bytes=len(expected([good(0), good(1)])[b"D1"]))
    fold.fold([good(0), good(1), good(2)], after=0)
    flush = fold.take()
    assert flush is not None
    (rejected,) = flush.rejected
    return rejected


def not_folded() -> Rejected:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("processors.fold.admit", lambda *_, **__: 1 / 0)
        fold = PartitionFold(0, {})
        fold.fold([good(0)], after=0)
    flush = fold.take()
    assert flush is not None
    (rejected,) = flush.rejected
    return rejected


@pytest.mark.parametrize("make", [too_large, not_folded])
def test_what_the_dossiers_state_does_not_take_stays_held(make: Callable[[], Rejected], writer: Writer) -> None:
    rejected = make()
    done = retried(rejected)
    assert (done.record.status, writer.published, writer.written) == ("held", [], [])
    assert done.reason == f"readable; it does not fit the dossier's state ({rejected.reason})"


def test_what_an_earlier_program_could_not_read_goes_to_the_ledger(writer: Writer) -> None:
    done = retried(Rejected(good(0), "unknown type"))
    assert (done.reason, done.record.went_to) == ("", f"{LEDGER_TOPIC}/0@1")
    assert [each.value for each in writer.published] == [good(0).value]
    assert writer.written == [done.record]
