"""One log: JSON to pipes, colour to a terminal, every library in it, and nothing an event says."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from deploy.logs import MAX_TEXT_CHARS, configure_logging
from events.catalogue import Withdrawn

PERSONAL = "Nguyễn Thị Ánh"


class Terminal(io.StringIO):
    """A stream that says a person is watching."""

    def isatty(self) -> bool:
        return True


class ConsumerRecord(NamedTuple):
    """As aiokafka and kafka-python have it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes


RECORD = ConsumerRecord("dossier.events.v1", 2, 17, b"H21-1", PERSONAL.encode())


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def _json_lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_pipe_gets_one_json_object_a_line_with_time_process_and_level() -> None:
    stream = io.StringIO()
    configure_logging("projector", "info", stream)
    before = datetime.now(UTC)
    structlog.get_logger("processors.flush").info("flushed", partition=2, offset=17, lag=0)
    (line,) = _json_lines(stream)
    assert line["timestamp"].endswith("Z")
    assert before <= datetime.fromisoformat(line.pop("timestamp")) <= datetime.now(UTC)
    assert line == {
        "event": "flushed", "level": "info", "process": "projector", "logger": "processors.flush",
        "partition": 2, "offset": 17, "lag": 0,
    }  # fmt: skip


def test_a_terminal_gets_text() -> None:
    stream = Terminal()
    configure_logging("projector", "info", stream)
    structlog.get_logger().info("flushed", partition=2)
    logging.getLogger("aiokafka.consumer").warning("Heartbeat failed for group %s", "projector")
    text = stream.getvalue()
    assert "flushed" in text
    assert "Heartbeat failed for group projector" in text
    assert "\x1b[" in text
    assert not text.startswith("{")


@pytest.mark.parametrize("name", ["faust.app", "aiokafka.consumer", "kafka.conn", "uvicorn.error", "litestar"])
def test_the_libraries_write_to_the_same_log(name: str) -> None:
    stream = io.StringIO()
    configure_logging("gateway", "info", stream)
    logging.getLogger(name).warning("lost %s of %d", "connection", 3)
    (line,) = _json_lines(stream)
    assert (line["event"], line["logger"], line["process"]) == ("lost connection of 3", name, "gateway")


def test_warnings_are_log_lines() -> None:
    stream = io.StringIO()
    configure_logging("gateway", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("careful", stacklevel=1)
        logging.captureWarnings(False)
    (line,) = _json_lines(stream)
    assert "careful" in line["event"]


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_holds_for_our_lines(level: str, shown: int) -> None:
    stream = io.StringIO()
    configure_logging("archiver", level, stream)
    log = structlog.get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("a line")
    assert len(_json_lines(stream)) == shown


def test_libraries_that_print_requests_at_debug_stay_quiet_even_at_debug() -> None:
    stream = io.StringIO()
    configure_logging("archiver", "debug", stream)
    for name in ("kafka.client", "aiokafka.conn", "faust", "urllib3.connectionpool"):
        logging.getLogger(name).debug("Request %s", PERSONAL)
    for name in ("httpx", "uvicorn.access"):
        logging.getLogger(name).info("GET /v1/dossiers/%s", PERSONAL)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_contents_are_named_not_shown(stream: io.StringIO) -> None:
    configure_logging("projector", "debug", stream)
    log = structlog.get_logger()
    log.info("bytes", bytes=PERSONAL.encode(), inside=[PERSONAL.encode(), {"value": PERSONAL}])
    log.info("by name", value=PERSONAL, payload=PERSONAL, raw=PERSONAL, headers=[("a", PERSONAL)])
    log.info("objects", fact=Withdrawn(office="H21", note=PERSONAL), record=RECORD)
    logging.getLogger("aiokafka").error("cannot handle %s of %r", PERSONAL.encode(), RECORD)
    logging.getLogger("faust").error("cannot handle %(it)s", {"it": RECORD})
    text = stream.getvalue()
    assert PERSONAL not in text
    assert repr(PERSONAL.encode())[2:-1] not in text
    assert text.count("<record dossier.events.v1/2@17>") == 3
    assert f"<{len(PERSONAL.encode())} bytes>" in text
    assert "<Withdrawn>" in text


def _crash() -> None:
    applicant = PERSONAL.upper()
    raise ValueError(f"cannot go on with {len(applicant)} letters")


@pytest.mark.parametrize("logger", [structlog.get_logger(), logging.getLogger("faust")], ids=["ours", "theirs"])
def test_an_exception_is_data_without_the_values_of_variables(logger: Any) -> None:
    stream = io.StringIO()
    configure_logging("projector", "info", stream)
    try:
        _crash()
    except ValueError:
        logger.exception("agent failed")
    (line,) = _json_lines(stream)
    (exception,) = line["exception"]
    assert line["event"] == "agent failed"
    assert (exception["exc_type"], exception["exc_value"]) == ("ValueError", "cannot go on with 14 letters")
    assert exception["frames"][-1]["name"] == "_crash"
    assert PERSONAL.upper() not in stream.getvalue()


def test_an_exception_on_a_terminal_is_a_plain_traceback() -> None:
    stream = Terminal()
    configure_logging("projector", "info", stream)
    try:
        _crash()
    except ValueError:
        structlog.get_logger().exception("agent failed")
    assert "Traceback (most recent call last)" in stream.getvalue()
    assert PERSONAL.upper() not in stream.getvalue()


def test_long_texts_are_cut_and_control_characters_cannot_reach_a_terminal() -> None:
    stream = Terminal()
    configure_logging("projector", "info", stream)
    structlog.get_logger().warning("odd", name="\x1b]0;title\x07", text="x" * 100_000)
    text = stream.getvalue()
    assert "\x1b]0;" not in text
    assert "\x07" not in text
    assert len(text) < MAX_TEXT_CHARS + 1_000


def test_plain_values_stay_what_they_are() -> None:
    stream = io.StringIO()
    configure_logging("archiver", "info", stream)
    at = datetime(2020, 3, 16, 8, 30, tzinfo=UTC)
    structlog.get_logger().info(
        "copied", rows=5, seconds=0.25, last=None, done=True, at=at, folder=Path("data"), partitions=(0, 1),
        error=ValueError("no"), positions={0: 17},
    )  # fmt: skip
    (line,) = _json_lines(stream)
    shown = {name: line[name] for name in ("rows", "seconds", "last", "done", "at", "folder", "partitions", "error")}
    assert shown == {
        "rows": 5, "seconds": 0.25, "last": None, "done": True, "at": "2020-03-16T08:30:00+00:00", "folder": "data",
        "partitions": [0, 1], "error": "ValueError: no",
    }  # fmt: skip
    assert line["positions"] == {"0": 17}


def test_configuring_twice_writes_each_line_once() -> None:
    stream = io.StringIO()
    configure_logging("gateway", "info", io.StringIO())
    configure_logging("gateway", "info", stream)
    structlog.get_logger().info("once")
    assert len(_json_lines(stream)) == 1
