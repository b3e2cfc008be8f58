"""The reader is live while the broker says where the ledger ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

import gateway.reader
from tests.unit.gateway.fabricated import reader_with


@pytest.mark.parametrize("answers", [True, False])
def test_a_broker_that_is_away_for_long_makes_it_not_live(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.reader, "_UNKNOWN_SECONDS", 0.2)
    monkeypatch.setattr(gateway.reader, "_POLL_SECONDS", 0.01)
    reader = reader_with()

    async def ends_of(_: str) -> dict[Any, int]:
        if not answers:
            raise KafkaConnectionError("nobody there")
        return {}

    async def watch() -> None:
        reader.ends_known_at = time.monotonic()
        watching = asyncio.create_task(reader._watch_ends())
        assert reader.is_live
        await asyncio.sleep(0.5)
        assert reader.is_live == answers
        watching.cancel()

    monkeypatch.setattr(reader, "_ends_of", ends_of)
    asyncio.run(watch())
