"""Where an INSERT statement ends and its data begins, in a body that holds both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What is not closed goes on to the end: looked for anew from each opening, it would take time in the square of them.
_TOKEN = re.compile(
    rb"""
    (?P<blank>  \s+ | --[^\n]*(?:\n|\Z) | \#[ !][^\n]*(?:\n|\Z) | /\*.*?(?:\*/|\Z) )
  | (?P<quoted> '(?:[^'\\]|\\.|'')*(?:'|\\?\Z) | `(?:[^`\\]|\\.|``)*(?:`|\\?\Z) | "(?:[^"\\]|\\.|"")*(?:"|\\?\Z) )
  | (?P<word>   \w+ )
  | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMAT_NAME = re.compile(rb"\s+([A-Za-z]\w*)", re.ASCII)
_DEPTH = {b"(": 1, b"[": 1, b"{": 1, b")": -1, b"]": -1, b"}": -1}
_NOT_FROM_BODY = {b"SELECT", b"WITH", b"FROM", b"WATCH", b"EXPLAIN"}


@dataclass(frozen=True)
class InsertHead:
    """`text[:end]` is the statement before `FORMAT name` or `VALUES`; the data, in `input_format`, starts at `data`."""

    end: int
    input_format: str
    data: int


class Incomplete(Exception):
    """More of the text is needed to tell."""


def insert_head(text: bytes, *, whole: bool) -> InsertHead | None:
    """Find the head of an INSERT with data, or None for any other statement.

    `text` is the statement or, unless `whole`, the first bytes of it; raises Incomplete when those do not suffice.
    The data is never looked at. A wrong guess here costs a syntax error, not safety: head and data go to the engine
    apart, and its parser judges the head.
    """
    words = _significant_tokens(text, whole=whole)
    first = next(words, None)
    if first is None and not whole:
        raise Incomplete
    if first is None or first[0] != b"INSERT":
        return None
    depth, named, previous = 0, False, b""
    for token, end in words:
        depth += _DEPTH.get(token, 0)
        if depth or token in _DEPTH:
            named = named or depth > 0
        elif not named or previous == b".":
            if token == b"FUNCTION":
                return None
            named = token not in (b"INTO", b"TABLE", b".")
        elif token == b"VALUES":
            return InsertHead(end - len(token), "Values", end)
        elif token == b"FORMAT":
            return _before_format(text, end - len(token), end, whole=whole)
        elif token in _NOT_FROM_BODY:
            return None
        previous = token
    if whole:
        return None
    raise Incomplete


def _significant_tokens(text: bytes, *, whole: bool) -> Iterator[tuple[bytes, int]]:
    """Words in upper case, quoted text as its quote, anything else as it is; each with its end."""
    for match in _TOKEN.finditer(text):
        if not whole and match.end() == len(text):
            raise Incomplete  # the token goes on, or may go on, in the bytes to come
        if match.lastgroup == "blank":
            continue
        token = match.group()
        yield (token.upper() if match.lastgroup == "word" else token[:1]), match.end()


def _before_format(text: bytes, end: int, after: int, *, whole: bool) -> InsertHead | None:
    name = _FORMAT_NAME.match(text, after)
    if name is None or (name.end() == len(text) and not whole):
        if whole:
            return None
        raise Incomplete
    return InsertHead(end, name[1].decode(), _start_of_data(text, name.end(), whole=whole))


def _start_of_data(text: bytes, end: int, *, whole: bool) -> int:
    """ClickHouse's rule: blanks after the format's name are skipped, then one line end, if there is one."""
    start = end
    while text[start : start + 1] in (b" ", b"\t", b"\f"):
        start += 1
    if start + 2 > len(text) and not whole:
        raise Incomplete
    if text[start : start + 1] == b"\r":
        start += 1
    if text[start : start + 1] == b"\n":
        start += 1
    return start
