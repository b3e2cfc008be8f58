"""The live topic as another release left it: nothing is known of a partition until the projector has begun anew."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from projections.live import CURSOR_KEY, CURSOR_VERSION, Cursor, new_cursor, pack_cursor
from replay.live_topic import LivePartition
from replay.rebuild import Mark, mark_of


class Record(NamedTuple):
    key: bytes
    value: bytes | None
    timestamp: int = 1


def test_a_cursor_of_another_release_says_nothing_and_the_next_one_does() -> None:
    found: LivePartition[Mark] = LivePartition(new_cursor(3))
    now = Cursor(CURSOR_VERSION, 3, 40, 0, 40, 0)
    before = msgspec.msgpack.encode([CURSOR_VERSION - 1, *msgspec.msgpack.decode(pack_cursor(now))[1:]])
    seen = []
    for value in (pack_cursor(now), before, b"\xff", pack_cursor(now), None):
        found.take(Record(CURSOR_KEY, value), mark_of)
        seen.append((found.cursor.partition, found.next_offset))
    assert seen == [(3, 40), (3, 0), (3, 0), (3, 40), (3, 0)]
