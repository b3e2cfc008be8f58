"""`dossier publish -`: what comes through a pipe is published as it comes, byte for byte as from a file."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import cli.publish
from cli.pipe import Pipe
from cli.publish import _Lines
from events.catalogue import StepCompleted
from events.envelope import MAX_EVENT_BYTES, encode, make_event
from events.feed import CHUNK, Arriving

START = datetime(2020, 1, 2, tzinfo=UTC)
LONGEST = MAX_EVENT_BYTES + 2


def line(number: int) -> bytes:
    return (
        encode(make_event(StepCompleted(office="so", step="s"), id=f"{number}", source="t", subject="d", time=START))
        + b"\n"
    )


def _write(descriptor: int, content: bytes) -> None:
    with open(descriptor, "wb") as opened:
        opened.write(content)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def test_what_came_through_a_pipe_does_not_wait_for_more(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.publish, "PIPE_WAIT_SECONDS", 0.05)
    reading, writing = pipe
    lines = _Lines(Pipe(reading, LONGEST))
    chunks = Arriving(lines.events()).chunks()
    os.write(writing, line(1) + line(2) + line(3)[:20])
    assert [event.id for event in next(chunks)] == ["1", "2"]
    os.write(writing, line(3)[20:] + b"no event\n")
    assert [event.id for event in next(chunks)] == ["3"]
    os.write(writing, line(4).rstrip())
    os.close(writing)
    assert [[event.id for event in chunk] for chunk in chunks] == [["4"]]
    assert (lines.number, [bad["line"] for bad in lines.bad]) == (5, [4])


def test_few_at_a_time_they_wait_for_each_other_only_so_long(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    source = Pipe(reading, LONGEST)
    begun = time.monotonic()
    assert not source.has_line(begun + 0.1)
    assert time.monotonic() - begun >= 0.1
    os.write(writing, b"a\nb\n")
    assert source.has_line(begun), "an instant that is past does not hide a line that is there"
    os.close(writing)
    assert [source.readline(LONGEST) for _ in range(3)] == [b"a\n", b"b\n", b""]
    assert source.has_line(begun), "the end need not be waited for"


def test_whole_chunks_are_made_of_what_is_there() -> None:
    events = [make_event(StepCompleted(office="so", step="s"), id="1", source="t", subject="d", time=START)] * (
        2 * CHUNK + 1
    )
    assert [len(chunk) for chunk in Arriving([*events, None, None, *events[:3]]).chunks()] == [CHUNK, CHUNK, 1, 3]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbf" + line(1) + b"\r\n \n" + line(2).rstrip() + b"\r\n" + line(3).rstrip(),
        line(1) + b"x" * (3 * LONGEST) + b"\n" + line(2) + b"y" * LONGEST,
        line(1) + b"x" * (LONGEST - 1) + b"\n" + line(2),
        b"\xff\x00\n" + line(1),
    ],
    ids=["nothing", "marks and ends of lines", "too long", "as long as can be", "no text"],
)
def test_a_pipe_is_read_as_a_file_is(content: bytes, pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = threading.Thread(target=_write, args=(writing, content))  # a pipe does not hold all of it
    writer.start()
    from_pipe, from_file = _Lines(Pipe(reading, LONGEST)), _Lines(io.BytesIO(content))
    assert [event for event in from_pipe.events() if event is not None] == list(from_file.events())
    writer.join()
    assert (from_pipe.number, from_pipe.bad) == (from_file.number, from_file.bad)
