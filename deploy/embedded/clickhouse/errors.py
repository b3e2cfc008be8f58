"""ClickHouse's error codes, how they travel over HTTP, and the one exception that carries them."""

from __future__ import annotations

import re
from enum import IntEnum


class Code(IntEnum):
    """The codes this process raises itself; the engine's own pass through unchanged."""

    BAD_ARGUMENTS = 36
    NOT_IMPLEMENTED = 48
    SYNTAX_ERROR = 62
    UNKNOWN_COMPRESSION_METHOD = 89
    READONLY = 164
    TOO_DEEP_AST = 167
    QUERY_IS_TOO_LARGE = 229
    ABORTED = 236
    CANNOT_DECOMPRESS = 271
    SESSION_NOT_FOUND = 372
    TOO_MANY_ROWS_OR_BYTES = 396
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516
    STD_EXCEPTION = 1001


# What ClickHouse's own HTTP handler answers (exceptionCodeToHTTPStatus.cpp of its source); all else is 500.
_CODES_BY_STATUS = {
    400: {6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676},
    401: {194},
    403: {192, 193, 497, 512, 516},
    404: {46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511},
    408: {159},
    411: {381},
    413: {229},
    415: {779},
    501: {48},
    503: {76, 209, 439},
}
_STATUS_BY_CODE = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes}
_LEADING_CODE = re.compile(r"Code: (\d+)\. ")


class ServerError(Exception):
    """A request that failed, as ClickHouse would say it: `code` is ClickHouse's, `text` the body of the answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def http_status(self) -> int:
        return _STATUS_BY_CODE.get(self.code, 500)

    @classmethod
    def of(cls, code: Code, what: str) -> ServerError:
        """An error of this process, worded like the engine's."""
        return cls(code, f"Code: {code.value}. DB::Exception: {what} ({code.name})")

    @classmethod
    def from_engine(cls, message: str) -> ServerError:
        """The engine's error; chDB hands over only its text, which begins with the code."""
        found = _LEADING_CODE.match(message)
        return cls(int(found[1]), message) if found else cls.of(Code.STD_EXCEPTION, message)
