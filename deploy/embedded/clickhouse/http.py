"""ClickHouse's HTTP interface as an ASGI application."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

from deploy.embedded.clickhouse.access import StatementKind, Users
from deploy.embedded.clickhouse.answer import Answer, Send
from deploy.embedded.clickhouse.compression import PIECE_BYTES
from deploy.embedded.clickhouse.engine import Chunk, Engine, Session, Statement, Written
from deploy.embedded.clickhouse.errors import Code, ServerError
from deploy.embedded.clickhouse.request import (
    MAX_FORM_BYTES,
    MAX_QUERY_BYTES,
    Body,
    Message,
    Receive,
    Request,
    headers_of,
    read_request,
)
from deploy.embedded.clickhouse.statement import Incomplete, InsertHead, insert_head

T = TypeVar("T")

_READER_THREADS = 6
_WRITER_THREADS = 6  # of who may write, kept apart: slow reports never hold up the archive
_KILL_AGAIN_SECONDS = 0.2


class Server:
    """Answers queries; the engine works in threads, so `/ping` answers whatever runs."""

    def __init__(self, engine: Engine, users: Users) -> None:
        self._engine = engine
        self._users = users
        self._readers = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="read")
        self._writers = ThreadPoolExecutor(_WRITER_THREADS, thread_name_prefix="write")
        self._requests = 0

    async def finish(self, grace_seconds: float) -> None:
        """Return when no request is in hand; after `grace_seconds` their queries are killed.

        Killed again and again: a request may wait for a thread, or stand just before its query, when the others die.
        """
        grace_ends = time.monotonic() + grace_seconds
        while self._requests:
            if time.monotonic() >= grace_ends:
                await asyncio.to_thread(self._engine.kill_all)
            await asyncio.sleep(_KILL_AGAIN_SECONDS)

    def close(self) -> None:
        """Wait for the threads."""
        self._readers.shutdown()
        self._writers.shutdown()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self._requests += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._requests -= 1

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        answer = Answer(send)
        if scope["path"] == "/ping" or _is_bare(scope):
            await answer.text(200, "Ok.\n")
        elif scope["path"] != "/":
            await answer.text(404, f"There is no handle {scope['path']}. Use / for queries, /ping for health checks.\n")
        else:
            await self._answer_query(scope, receive, answer)

    async def _answer_query(self, scope: Message, receive: Receive, answer: Answer) -> None:
        headers = headers_of(scope)
        body = Body(receive, headers)
        try:
            await self._query(scope, headers, body, answer)
        except ServerError as error:
            with suppress(ServerError):
                await body.drain()
            await answer.error(error, self._engine.version)

    async def _query(self, scope: Message, headers: Mapping[str, str], body: Body, answer: Answer) -> None:
        """1. take the request apart, 2. who asks, 3. what is asked, 4. run it in a session of its own."""
        request = await read_request(scope, headers, body)
        answer.query_id = request.query_id or str(uuid.uuid4())
        user = self._users.authenticate(request.credentials.name, request.credentials.password)
        pieces = aiter(body)
        text, head = await _read_statement(request, pieces)
        pool = self._writers if user.access == "write" else self._readers
        read_only = user.access == "read" or request.method != "POST"
        mark = uuid.uuid4().hex  # the client's id is for the client: another may name it
        session = await _in(pool, self._open_session, request, mark, read_only)
        try:
            if head:
                await answer.written(await _insert(pool, session, text, head, pieces))
            else:
                if request.accepts_compressed:
                    answer.compress(headers.get("accept-encoding", ""))
                statement = await _in(pool, session.inspect, _utf8(text), request.default_format)
                async with self._killed_with_client(statement, mark, body, answer):
                    await _send_result(pool, session, statement, answer, whole=request.wait_end_of_query)
        finally:
            await _in(pool, session.close)

    def _open_session(self, request: Request, mark: str, read_only: bool) -> Session:
        return self._engine.session(
            mark,
            read_only=read_only,
            database=request.database,
            settings=request.settings,
            parameters=request.parameters,
        )

    @asynccontextmanager
    async def _killed_with_client(
        self, statement: Statement, mark: str, body: Body, answer: Answer
    ) -> AsyncIterator[None]:
        """Stop a query whose client has gone: a report that nobody waits for must not keep a thread for hours."""

        async def watch() -> None:
            await body.client_gone()
            answer.abandoned = True
            await _in(self._writers, self._engine.kill, mark)

        if statement.kind is not StatementKind.READ_ONLY:
            yield  # half a change is worse than an unread answer
            return
        watcher = asyncio.create_task(watch())
        try:
            yield
        finally:
            watcher.cancel()


async def _read_statement(request: Request, body: AsyncIterator[bytes]) -> tuple[bytes, InsertHead | None]:
    """The text of the statement; of an INSERT with data only as much as holds its head."""
    text = bytearray(request.query.encode())
    _check_length(text, request)
    if text:
        head = insert_head(bytes(text), whole=True)
        if head:
            return bytes(text), head
        text += b"\n"
    else:
        look_at = 1  # bytes: again when there are twice as many, however small the pieces are
        async for piece in body:
            text += piece
            if len(text) < look_at:
                continue
            try:
                head = insert_head(bytes(text[: MAX_QUERY_BYTES + 1]), whole=False)
            except Incomplete:
                _check_length(text, request)
                look_at = 2 * len(text)
                continue
            if head:
                return bytes(text), head
            break
    async for piece in body:
        text += piece
        _check_length(text, request)
    _check_length(text, request)
    return bytes(text), insert_head(bytes(text), whole=True)


def _check_length(text: bytearray, request: Request) -> None:
    """ClickHouse's limit, before anything is parsed; `max_query_size` raises it, within reason."""
    asked = request.settings.get("max_query_size", "")
    limit = min(int(asked[:12]), MAX_FORM_BYTES) if asked.isdecimal() else MAX_QUERY_BYTES
    if len(text) > limit:
        raise ServerError.of(Code.QUERY_IS_TOO_LARGE, f"The query is longer than {limit} bytes (max_query_size).")


async def _insert(
    pool: ThreadPoolExecutor, session: Session, text: bytes, head: InsertHead, body: AsyncIterator[bytes]
) -> Written:
    """Feed the rows to the engine as they come; a body that breaks off leaves nothing behind of its last block."""
    insert = await _in(pool, session.insert, _utf8(text[: head.end]), head.input_format)
    try:
        async for piece in _in_large_pieces(text[head.data :], body):
            await _in(pool, insert.append, piece)
        return await _in(pool, insert.finish)
    except BaseException:
        with suppress(ServerError):  # the first error is the one to tell
            await _in(pool, insert.cancel)
        raise


async def _in_large_pieces(start: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join what the network cut small: each piece costs a trip to another thread."""
    joined, size = [start] if start else [], len(start)
    async for piece in body:
        joined.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(joined)
            joined, size = [], 0
    if joined:
        yield b"".join(joined)


async def _send_result(
    pool: ThreadPoolExecutor, session: Session, statement: Statement, answer: Answer, *, whole: bool
) -> None:
    if whole or statement.select is None:
        await answer.whole(statement, await _in(pool, session.run, statement))
        return
    chunks = session.stream(statement)
    try:
        chunk = await _in(pool, _next, chunks)
        await answer.begin(statement, chunk)
        while chunk is not None and not answer.abandoned:
            await answer.send(chunk.data)
            chunk = await _in(pool, _next, chunks)
        await answer.end()
    finally:
        await _in(pool, chunks.close)


def _next(chunks: Iterator[Chunk]) -> Chunk | None:
    return next(chunks, None)


async def _in(pool: ThreadPoolExecutor, call: Callable[..., T], *args: object) -> T:
    """Run a blocking call of the engine; however often cancelled, not back before it has returned.

    chDB dies or waits for ever if a connection is used or closed while another thread is still in it.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, partial(call, *args))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():  # uvicorn cancels at the end of its patience, asyncio.run once more after that
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        raise


def _utf8(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ServerError.of(Code.SYNTAX_ERROR, f"The query is not UTF-8: {error}.") from None


def _is_bare(scope: Message) -> bool:
    """`GET /` without a query is how load balancers say hello."""
    fields = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    return scope["path"] == "/" and scope["method"] in ("GET", "HEAD") and "query" not in fields
