"""One HTTP answer: ClickHouse's headers, its errors before and in the middle of the rows, compression."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable

from deploy.embedded.clickhouse.compression import Compressor, compressor_for
from deploy.embedded.clickhouse.engine import Chunk, Statement, Written
from deploy.embedded.clickhouse.errors import ServerError
from deploy.embedded.clickhouse.request import Message

_BINARY_FORMATS = frozenset({
    "Arrow", "ArrowStream", "Avro", "BSONEachRow", "MsgPack", "Native", "Npy", "ORC", "Parquet", "Protobuf", "RawBLOB",
    "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes",
})  # fmt: skip

Send = Callable[[Message], Awaitable[None]]

DISPLAY_NAME = "dossier-embedded"
TIME_ZONE = "UTC"


class Answer:
    """Sends one response, headers at the latest moment, so that an error still gets its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._compressor: Compressor | None = None
        self._coding = ""
        self._started_seconds = time.monotonic()
        self._begun = False
        self._tag = secrets.token_hex(8)  # what marks an error among rows; nobody can guess it
        self.query_id = ""
        self.abandoned = False

    def compress(self, accept_encoding: str) -> None:
        if found := compressor_for(accept_encoding):
            self._coding, self._compressor = found

    async def text(self, status: int, text: str) -> None:
        await self._start(status, {"Content-Type": "text/plain; charset=UTF-8"})
        await self._body(text.encode(), more=False)

    async def whole(self, statement: Statement, chunk: Chunk) -> None:
        await self.begin(statement, chunk)
        await self.send(chunk.data)
        await self.end()

    async def begin(self, statement: Statement, first: Chunk | None) -> None:
        """Status and headers; the summary says what the engine had read by the `first` piece of output."""
        summary = {"read_rows": first.rows_read, "read_bytes": first.bytes_read} if first else {}
        headers = self._headers(summary)
        if statement.output_format:
            headers["X-ClickHouse-Format"] = statement.output_format
            headers["Content-Type"] = _content_type(statement.output_format)
        if self._compressor:
            headers["Content-Encoding"] = self._coding
        await self._start(200, headers)

    async def send(self, data: bytes) -> None:
        if data:
            await self._body(self._compressor.compress(data) if self._compressor else data, more=True)

    async def end(self) -> None:
        await self._body(self._compressor.flush() if self._compressor else b"", more=False)

    async def written(self, written: Written) -> None:
        summary = {"written_rows": written.rows, "written_bytes": written.bytes}
        await self._start(200, self._headers(summary) | {"Content-Type": "text/plain; charset=UTF-8"})
        await self._body(b"", more=False)

    async def error(self, error: ServerError, version: str) -> None:
        """The error as body and status, or, once rows are on their way, as a tagged block after them."""
        text = error.text.strip() if "(version " in error.text else f"{error.text.strip()} (version {version})"
        if self._begun:
            message = text.encode()
            await self.send(
                b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n"
                % (self._tag.encode(), message, len(message) + 1, self._tag.encode())
            )
            await self.end()
            return
        headers = self._headers({}) | {"X-ClickHouse-Exception-Code": str(error.code)}
        await self._start(error.http_status, headers | {"Content-Type": "text/plain; charset=UTF-8"})
        await self._body(text.encode() + b"\n", more=False)

    def _headers(self, summary: dict[str, int]) -> dict[str, str]:
        nought = dict.fromkeys(("read_rows", "read_bytes", "written_rows", "written_bytes", "result_rows"), 0)
        elapsed = {"elapsed_ns": int((time.monotonic() - self._started_seconds) * 1e9)}
        return {
            "X-ClickHouse-Summary": json.dumps({k: str(v) for k, v in (nought | summary | elapsed).items()}),
            "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Timezone": TIME_ZONE,
            "X-ClickHouse-Exception-Tag": self._tag,
        }

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        self._begun = True
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _body(self, data: bytes, *, more: bool) -> None:
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except OSError:  # the client went away
            self.abandoned = True


def _content_type(output_format: str) -> str:
    if output_format in ("JSON", "JSONStrings", "JSONCompact", "JSONCompactStrings", "JSONColumns"):
        return "application/json; charset=UTF-8"
    if output_format.startswith(("TabSeparated", "TSV")):
        return "text/tab-separated-values; charset=UTF-8"
    if output_format.startswith("CSV"):
        return "text/csv; charset=UTF-8; header=absent"
    return "application/octet-stream" if output_format in _BINARY_FORMATS else "text/plain; charset=UTF-8"
