"""One HTTP request taken apart: who asks, for what, with which settings, parameters and body."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from multipart import (  # type: ignore[import-untyped]  # ships no type information
    MultipartError,
    PushMultipartParser,
    parse_options_header,
)

from deploy.embedded.clickhouse.compression import Decoder
from deploy.embedded.clickhouse.errors import Code, ServerError

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_BODY_BYTES = 1 << 30  # after decompression
MAX_QUERY_BYTES = 256 << 10  # ClickHouse's own default for max_query_size
MAX_FORM_FIELDS = 1000
MAX_FORM_BYTES = 16 << 20  # a form carries a query and its parameters, long lists of keys among them

# What the HTTP interface keeps for itself; every other URL parameter is a setting.
_CONSUMED = frozenset({
    "query", "database", "default_format", "user", "password", "query_id", "session_id", "session_timeout",
    "session_check", "close_session", "quota_key", "buffer_size", "wait_end_of_query", "stacktrace",
    "client_protocol_version",
})  # fmt: skip
_REFUSED = {
    "compress": "native block compression; use Accept-Encoding with enable_http_compression=1",
    "decompress": "native block compression; use Content-Encoding",
    "role": "roles",
}
_OFF = ("", "0", "false")


@dataclass(frozen=True)
class Credentials:
    """What the client says of itself; the default name is ClickHouse's."""

    name: str = "default"
    password: str = ""


@dataclass(frozen=True)
class Request:
    """The parts of a query request that are not its body."""

    method: str
    query: str
    database: str | None
    default_format: str
    query_id: str | None
    credentials: Credentials
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    wait_end_of_query: bool

    @property
    def accepts_compressed(self) -> bool:
        return self.settings.get("enable_http_compression", "0") not in _OFF


def headers_of(scope: Message) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def read_request(scope: Message, headers: Mapping[str, str], body: Body) -> Request:
    """Take the URL and the headers apart, and the body too where it is a form."""
    try:
        fields = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise ServerError.of(Code.BAD_ARGUMENTS, "The URL is not percent-encoded UTF-8.") from None
    kind, options = parse_options_header(headers.get("content-type", ""))
    if kind == "multipart/form-data":
        fields |= await _form_fields(options.get("boundary", ""), body)
    _refuse_unsupported(fields)
    return Request(
        method=scope["method"],
        query=fields.get("query", ""),
        database=fields.get("database") or headers.get("x-clickhouse-database"),
        default_format=fields.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        query_id=fields.get("query_id"),
        credentials=_credentials(fields, headers),
        settings={name: value for name, value in fields.items() if _is_setting(name)},
        parameters={name.removeprefix("param_"): value for name, value in fields.items() if name.startswith("param_")},
        wait_end_of_query=fields.get("wait_end_of_query", "0") not in _OFF,
    )


class Body:
    """The body of a request as decompressed pieces, to be gone through once."""

    def __init__(self, receive: Receive, headers: Mapping[str, str]) -> None:
        coding = headers.get("content-encoding", "identity").strip().lower()
        self._receive = receive
        self._coding = "" if coding == "identity" else coding
        self._received_all = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises ABORTED where the client goes away before the end, and QUERY_IS_TOO_LARGE."""
        decoder = Decoder(self._coding) if self._coding else None
        total_bytes = 0
        while not self._received_all:
            data = await self._next()
            for piece in decoder.feed(data) if decoder else (data,):
                total_bytes += len(piece)
                if total_bytes > MAX_BODY_BYTES:
                    raise ServerError.of(Code.QUERY_IS_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes.")
                if piece:
                    yield piece
        if decoder:
            decoder.finish()

    async def drain(self) -> None:
        """Take in what the client is still sending: most clients read no answer before they have sent everything."""
        total_bytes = 0
        while not self._received_all and total_bytes < MAX_BODY_BYTES:
            total_bytes += len(await self._next())

    async def client_gone(self) -> None:
        """Return once the client has hung up; to be awaited after the whole body."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._received_all = True
            raise ServerError.of(Code.ABORTED, "The client went away before the end of its request.")
        self._received_all = not message.get("more_body", False)
        return bytes(message.get("body", b""))


def _is_setting(name: str) -> bool:
    return name not in _CONSUMED and name not in _REFUSED and not name.startswith("param_")


def _refuse_unsupported(fields: Mapping[str, str]) -> None:
    for name, what in _REFUSED.items():
        if fields.get(name, "0") not in _OFF:
            raise ServerError.of(Code.NOT_IMPLEMENTED, f"{name}: this server does not have {what}.")
    if fields.get("session_check", "0") not in _OFF:
        raise ServerError.of(Code.SESSION_NOT_FOUND, "Session not found: this server keeps none between requests.")


def _credentials(fields: Mapping[str, str], headers: Mapping[str, str]) -> Credentials:
    """ClickHouse's own order: its headers, then Authorization, then the URL."""
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return Credentials(headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", ""))
    if "authorization" in headers:
        return _basic(headers["authorization"])
    return Credentials(fields.get("user") or "default", fields.get("password", ""))


def _basic(authorization: str) -> Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            pass
        else:
            return Credentials(name, password)
    raise ServerError.of(Code.AUTHENTICATION_FAILED, "Authentication failed: only HTTP Basic is understood.")


async def _form_fields(boundary: str, body: Body) -> dict[str, str]:
    """The text fields of a multipart form; a file would be external data, which is refused."""
    fields: dict[str, str] = {}
    name, value, total_bytes = "", bytearray(), 0
    try:
        with PushMultipartParser(boundary, max_segment_count=MAX_FORM_FIELDS) as parser:
            async for piece in body:
                total_bytes += len(piece)
                if total_bytes > MAX_FORM_BYTES:
                    raise ServerError.of(Code.QUERY_IS_TOO_LARGE, f"The form is larger than {MAX_FORM_BYTES} bytes.")
                for event in parser.parse(piece):
                    if event is None:
                        fields[name] = value.decode()
                    elif isinstance(event, bytes | bytearray):
                        value += event
                    elif event.filename is not None or event.name is None:
                        raise ServerError.of(Code.NOT_IMPLEMENTED, "External data in a form is not supported here.")
                    else:
                        name, value = event.name, bytearray()
    except (MultipartError, UnicodeDecodeError) as error:
        raise ServerError.of(Code.BAD_ARGUMENTS, f"The form cannot be read: {error}.") from None
    return fields
