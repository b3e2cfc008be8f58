"""One log for every process: JSON lines to files and pipes, colour for a person at a terminal, on standard error.

Our own lines (structlog) and those of Faust, aiokafka, kafka-python, uvicorn and Litestar (logging) go through the
same chain. What an event says never reaches a log: bytes, records and objects are named, not shown, and libraries
that print requests at debug are held at info. A record's position is what an operator needs to find it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

MAX_TEXT_CHARS: Final = 1_000

#: Fields that hold what people wrote, whatever their type.
_CONTENT: Final = frozenset({"value", "raw", "payload", "body", "data", "note", "attributes", "headers"})
_OF_STRUCTLOG: Final = frozenset({"exc_info", "stack_info", "_record", "_from_structlog"})
#: At debug these print requests with their contents.
_TALKATIVE: Final = ("faust", "mode", "aiokafka", "asyncio", "urllib3", "litestar", "uvicorn")
#: At info these print a line for each request or connection, with its address.
_CHATTY: Final = ("httpx", "httpcore", "uvicorn.access", "kafka")
_CONTROL: Final = {code: "�" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def configure_logging(process: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logging of this process to `stream` (default: standard error); call it once, first.

    Servers that bring a logging set-up of their own must be told not to use it: `uvicorn.Config(log_config=None)`,
    `Litestar(logging_config=None)`, `faust.App(logging_config=None)` with the worker's own set-up not called.

    Args:
        process: the name each line carries: projector, archiver, gateway, …
        level: debug, info, warning or error, as `Settings.log_level`.
        stream: decides the format: a terminal gets colour, anything else JSON lines.
    """
    stream = sys.stderr if stream is None else stream
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _naming(process),
        _without_contents,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    handler.addFilter(_name_arguments)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(stream)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    for names, least in ((_TALKATIVE, logging.INFO), (_CHATTY, logging.WARNING)):
        for name in names:
            logging.getLogger(name).setLevel(max(least, logging.getLogger().level))


def _rendering(stream: TextIO) -> list[Processor]:
    if stream.isatty():
        # Plain tracebacks: the pretty ones show the values of local variables.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [
        structlog.processors.ExceptionRenderer(_exception_as_data),
        structlog.processors.JSONRenderer(serializer=json.dumps, ensure_ascii=False),
    ]


def _exception_as_data(exc_info: ExcInfo) -> list[dict[str, Any]]:
    chain = _FRAMES(exc_info)
    for link in chain:
        link["exc_value"] = _shown(link["exc_value"])  # a server's answer may quote at length
    return chain


_FRAMES: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)


def _naming(process: str) -> Processor:
    def add_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return add_process


def _without_contents(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if name in _CONTENT:
            event[name] = "<not logged>"
        elif name not in _OF_STRUCTLOG:
            event[name] = _shown(value)
    return event


def _name_arguments(record: logging.LogRecord) -> bool:
    """Libraries hand over whole records as arguments of a message: show their positions instead."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_argument, record.args))
    elif record.args:
        record.args = {name: _argument(value) for name, value in record.args.items()}
    return True


def _argument(value: Any) -> Any:
    return _shown(value) if isinstance(value, bytes | bytearray | memoryview) or _is_record(value) else value


def _is_record(value: Any) -> bool:
    return hasattr(value, "offset") and hasattr(value, "value")


_SHOWN: Final[tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...]] = (
    ((bool, int, float, type(None)), lambda value: value),
    (str, lambda value: value[:MAX_TEXT_CHARS].translate(_CONTROL)),
    ((bytes, bytearray, memoryview), lambda value: f"<{len(value)} bytes>"),
    (datetime, lambda value: value.isoformat()),
    (PurePath, str),
    (Enum, lambda value: value.name),
    (BaseException, lambda value: f"{type(value).__name__}: {value}"[:MAX_TEXT_CHARS].translate(_CONTROL)),
    (dict, lambda value: {str(key): _shown(each) for key, each in value.items() if key not in _CONTENT}),
    ((list, tuple, set, frozenset), lambda value: [_shown(each) for each in value]),
)


def _shown(value: Any) -> Any:
    """A value as it may stand in a log: plain ones as they are, contents named by kind and size."""
    if _is_record(value):
        return f"<record {getattr(value, 'topic', '?')}/{getattr(value, 'partition', '?')}@{value.offset}>"
    for kinds, show in _SHOWN:
        if isinstance(value, kinds):
            return show(value)
    return f"<{type(value).__name__}>"
