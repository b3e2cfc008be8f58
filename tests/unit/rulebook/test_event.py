"""A rulebook on the ledger is the rulebook that was published, or is not read at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from events.envelope import Unreadable, encode
from events.rulebook import MAX_RECORD_BYTES, Shelf, make_rulebook_event, read_rulebook_event
from schemas.rulebook import Rulebook, shipped, version_of
from tests.unit.rulebook.documents import small

AT = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class Record:
    offset: int
    value: bytes | None
    timestamp: int = 1_000
    key: bytes | None = b"small"
    headers: tuple[tuple[str, bytes | None], ...] = ()


def event(rulebook: Rulebook) -> bytes:
    return encode(make_rulebook_event(rulebook, id="e1", time=AT))


def book(days: int) -> Rulebook:
    return small(("legal_time: 5d", f"legal_time: {days}d"))


@pytest.mark.parametrize("rulebook", [small(), shipped()], ids=lambda each: each.name)
def test_there_and_back(rulebook: Rulebook) -> None:
    version, back = read_rulebook_event(rulebook.name.encode(), event(rulebook))
    assert (version, back) == (rulebook.version, rulebook)
    assert back.version == version


def _changed(change: Callable[[Any], object]) -> bytes:
    value = json.loads(event(small()))
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null value"),
        (b"", "empty value"),
        (b"{", "truncated"),
        (b"[" * 100_000, "nested deeper"),
        (b" " * (MAX_RECORD_BYTES + 1), "the limit is"),
        (_changed(lambda value: value["data"]["content"].update(effective_from="2026-02-01")), "not what its version"),
        (_changed(lambda value: value["data"].update(version="sha256-0")), "not what its version"),
        (_changed(lambda value: value["data"].update(more=1)), "unknown field"),
        (_changed(lambda value: value.update(subject="other")), "key is not"),
    ],
    ids=["null", "empty", "cut", "deep", "large", "other content", "other version", "more", "other name"],
)
def test_what_is_no_rulebook_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_rulebook_event(b"small", value)


def test_a_rulebook_with_a_mistake_is_not_read() -> None:
    def break_it(value: Any) -> None:
        value["data"]["content"]["calendar"] = "us"
        value["data"]["version"] = version_of(value["data"]["content"])

    with pytest.raises(Unreadable, match="there is no calendar `us`"):
        read_rulebook_event(b"small", _changed(break_it))


def test_a_reason_can_be_shown() -> None:
    content = {**small().content, "\x1b[2J": 1}
    value = _changed(lambda value: value.update(data={"version": version_of(content), "content": content}))
    with pytest.raises(Unreadable, match="1 mistakes: ") as error:
        read_rulebook_event(b"small", value)
    assert str(error.value).isprintable()


def test_the_shelf_keeps_them_in_order_and_says_what_it_could_not_read() -> None:
    shelf = Shelf()
    shelf.take([Record(0, event(book(6)), 2_000), Record(1, b"?"), Record(2, event(book(7)), 1_500)])
    assert [(each.known_at, each.version) for each in shelf.published] == [
        (2_000_000, book(6).version),
        (2_000_000, book(7).version),  # the broker's clock was set back; it was not known before the one before it
    ]
    assert [each.offset for each in shelf.unreadable] == [1]


def test_the_newest_once_more_is_nothing_and_an_older_one_is_a_publication() -> None:
    shelf = Shelf()
    shelf.take(Record(n, event(book(days)), n) for n, days in enumerate([6, 6, 7, 6]))
    assert [each.version for each in shelf.published] == [book(days).version for days in (6, 7, 6)]


def test_a_topic_made_anew_begins_anew() -> None:
    shelf = Shelf()
    shelf.take([Record(0, event(book(6))), Record(1, event(book(7)))])
    shelf.take([Record(0, event(book(8)))])
    assert [each.version for each in shelf.published] == [book(8).version]
