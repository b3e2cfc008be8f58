"""`dossier restore`: what is refused before the first record is written, and what the topics are set to meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from secrets import token_bytes
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

import cli.restore
import deploy.topics
import processors.repair
import replay.restore
from cli.against import Proved
from cli.console import EXIT_FOUND, CommandError
from cli.main import main
from cli.restore import _compare_with_signed, _require_whole, _taking_all
from cli.surroundings import surroundings
from deploy.topics import Topic, TopicsError
from processors.repair import Span
from replay.archive import Archive, ArchiveRow
from replay.restore import RestoreRefused, Restoring, room_for
from replay.verify import Failure
from schemas.cluster import Cluster
from schemas.settings import load_settings

KAFKA = Cluster("nowhere:9092")
TOPIC = Topic("t", 2, 1, {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1000"})


def row(value: bytes, offset: int = 0) -> ArchiveRow:
    return ArchiveRow(0, offset, 1, None, b"k", value, (), "")


class Rows(Archive):
    """These rows; the client tells the length of the longest, and the offsets of those that are too long."""

    def __init__(self, *rows: ArchiveRow) -> None:
        super().__init__(self, "t")
        self.rows = rows

    def query(self, sql: str, _: dict[str, Any]) -> Any:
        lengths = [(each.offset, len(each.raw or b"") + 1) for each in self.rows]
        if "max(" in sql:
            return SimpleNamespace(result_rows=[(max((length for _, length in lengths), default=0),)])
        return SimpleNamespace(
            result_rows=[(0, offset) for offset, length in lengths if length > replay.restore.LARGEST_BYTES]
        )

    def cursors(self) -> dict[int, int]:
        return {0: len(self.rows)}

    def stream_partition(self, partition: int, first: int = 0, end: int | None = None) -> Iterator[list[ArchiveRow]]:
        yield list(self.rows[first:end])


def test_a_row_that_is_there_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors.repair, "find_gaps", lambda *_: [])
    monkeypatch.setattr(processors.repair, "find_doubled", lambda *_: [Span(0, 50, 50), Span(1, 2, 3)])
    with pytest.raises(RestoreRefused, match=r"more rows than one for each of t/0@50-50 \(2 such spans in all\)"):
        _require_whole({"t": Rows(row(b"x"))})


def test_an_archive_that_is_not_what_was_signed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = [Failure("root", "0@0-9", "these rows were changed")]
    monkeypatch.setattr(cli.restore, "against_signed", lambda *_: ([], failures))
    for json in (True, False):
        with pytest.raises(CommandError, match="--unsigned") as refused:
            _compare_with_signed(load_settings(), surroundings(load_settings()), [], [], json, Rows())
        assert refused.value.exit_code == EXIT_FOUND
        assert "0@0-9" in capsys.readouterr().out
    failures.clear()
    _compare_with_signed(load_settings(), surroundings(load_settings()), [], [], False, Rows())


@pytest.mark.parametrize(
    ("words", "keys", "compared"), [((), ["a key"], True), ((), [], False), (("--unsigned",), ["a key"], False)]
)
def test_what_was_signed_is_compared_first_where_there_is_a_key(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], keys: list[str], compared: bool
) -> None:
    checks = list[object]()
    monkeypatch.setattr(cli.restore, "known_keys", lambda *_: (keys, []))

    def restored(*given: object) -> dict[str, int]:
        checks.append(given[-1])
        return {}

    monkeypatch.setattr(cli.restore, "_restore", restored)
    monkeypatch.setattr(cli.restore, "against_ledger_and_signed", lambda *_: Proved([], 0, signed=True))
    monkeypatch.setattr(cli.restore, "_towards", lambda _: SimpleNamespace(kafka=KAFKA))
    with pytest.raises(SystemExit) as ended:
        main(["restore", "--to", "nowhere:9092", "--json", *words])
    assert (ended.value.code or 0, [each is not None for each in checks]) == (0, [compared])


def test_the_largest_record_decides_what_the_topic_must_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 5001 < room_for(Rows(row(b"x"), row(b"x" * 5000, 1))) < 5001 + 2048
    monkeypatch.setattr(replay.restore, "LARGEST_BYTES", 4000)
    assert room_for(Rows(row(b"x"), row(b"x" * 5000, 1))) == 4000, "compressed it is small"
    with pytest.raises(RestoreRefused, match=r"t/0@1 has .* cannot be written"):
        room_for(Rows(row(b"x"), row(token_bytes(5000), 1)))


class Broker:
    """What the topics are set to, one after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, end: int) -> None:
        self.topics: dict[str, str] = {}
        self.times: set[str | None] = set()
        self.answers = True
        monkeypatch.setattr(deploy.topics, "apply", self._apply)
        monkeypatch.setattr(deploy.topics, "set_where_known", self._set)
        monkeypatch.setattr(cli.restore, "topic_ends", lambda *_: {0: end, 1: 0})

    def _apply(self, _: Cluster, topics: Sequence[Topic]) -> None:
        if not self.answers:
            raise TopicsError("no Kafka answers")
        for each in topics:
            self.topics.update(each.config)

    def _set(self, _: Cluster, __: Sequence[str], wanted: dict[str, str | None]) -> None:
        self.times = set(wanted.values())


@pytest.mark.parametrize(
    ("fails", "end", "kind"), [(False, 9, "LogAppendTime"), (True, 0, "LogAppendTime"), (True, 9, "CreateTime")]
)
def test_what_was_set_for_restoring_is_put_back(
    monkeypatch: pytest.MonkeyPatch, fails: bool, end: int, kind: str
) -> None:
    """But for the times of what was begun: by them it is known that it may be gone on with."""
    broker = Broker(monkeypatch, end)
    with suppress(InterruptedError), _taking_all(KAFKA, [TOPIC], {"t": 4321}):
        assert broker.topics == {"message.timestamp.type": "CreateTime", "max.message.bytes": "4321"}
        assert broker.times == {str(2**63 - 1)}
        if fails:
            raise InterruptedError
    assert broker.topics == {"message.timestamp.type": kind, "max.message.bytes": "1000"}
    assert broker.times == {None}


def test_a_broker_that_is_gone_hides_not_what_went_wrong_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(monkeypatch, 9)
    with suppress(InterruptedError), _taking_all(KAFKA, [TOPIC], {"t": 1}):
        assert broker.topics["max.message.bytes"] == "1000", "never less than the topic has"
        broker.answers = False
        raise InterruptedError
    assert "t are still set for restoring: no Kafka answers" in capsys.readouterr().err


def test_a_batch_that_the_broker_does_not_take_is_told_in_a_line() -> None:
    class Producer:
        def create_batch(self) -> Any:
            return SimpleNamespace(append=lambda **_: True)

        async def send_batch(self, *_: object, **__: object) -> None:
            raise MessageSizeTooLargeError

    producer = Producer()
    writing = Restoring(KAFKA, Rows(row(b"x")), lambda _: None)._partition(producer, producer, 0, 0)
    with pytest.raises(RestoreRefused, match="t/0@0 is too large"):
        asyncio.run(writing)
