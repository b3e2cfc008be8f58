"""The gateway's HTTP application: what can be asked, and who answers. Nothing here changes anything.

The live state answers from memory (`gateway.reader`), the past from the archive (`gateway.history`); that somebody
looks at the past is recorded first (`gateway.access`). Dossier ids may hold spaces and slashes; in a path they are
percent-encoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, head
from litestar.config.allowed_hosts import AllowedHostsConfig
from litestar.datastructures import CacheControlHeader, State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ClientException, NotFoundException, ServiceUnavailableException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Parameter
from litestar.params import FromPath, PathParameter, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.types import ASGIApp
from pydantic import TypeAdapter, ValidationError

from events.envelope import FIRST_YEAR, LAST_YEAR, Unreadable, microseconds
from events.ledger import LEDGER_TOPIC
from gateway import answers
from gateway.access import AccessLog, NotRecorded
from gateway.guard import Guard
from gateway.history import History, HistoryUnavailable
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.reader import LiveReader, NotReached
from gateway.stream import board_changes
from projections.calendar import Term
from replay.described import archive_freshness, describe_step
from replay.timeline import timeline
from schemas import api
from schemas.timewords import Term as WrittenTerm

MAX_WAIT_SECONDS: Final = 600.0
MAX_STREAMS: Final = 200

PathId = Annotated[str, PathParameter(description="the dossier's id, percent-encoded", max_length=1_200)]
Wait = Annotated[
    float,
    QueryParameter(
        ge=0, le=MAX_WAIT_SECONDS,
        description="seconds to wait until the answer includes all that is on the ledger now; see `freshness.complete`",
    ),
]  # fmt: skip
Limit = Annotated[int, QueryParameter(ge=1, le=1_000)]
Filter = Annotated[str | None, QueryParameter(max_length=128)]
Instant = Annotated[  # as text: read as a datetime by Litestar, 2020 would be seconds since 1970
    str | None,
    QueryParameter(
        format="date-time", max_length=64, description="RFC 3339, such as 2020-06-30T17:00:00+07:00 (with + as %2B)"
    ),
]
_NOT_FOUND: Final = {404: ResponseSpec(api.Problem, description="no such dossier", generate_examples=False)}
_WRONG: Final = {400: ResponseSpec(api.Problem, description="not to be understood", generate_examples=False)}
_UNAVAILABLE: Final = {
    503: ResponseSpec(
        api.Problem,
        description="the archive does not answer, or the read cannot be put on record",
        generate_examples=False,
    )
}
_EVENTS: Final = {
    200: ResponseSpec(
        str,
        description="events `summary`, `offices` and `queues`, until the gateway stops",
        media_type="text/event-stream",
        generate_examples=False,
    )
}
_FULL: Final = {
    503: ResponseSpec(api.Problem, description="as many live streams as may be are open", generate_examples=False)
}


@dataclass(slots=True)
class Gateway:
    """What the handlers share. `streams` counts the open live streams."""

    reader: LiveReader
    history: History
    access: AccessLog
    metrics: Metrics
    streams: int = 0
    folding: asyncio.Lock = field(default_factory=asyncio.Lock)


FromApp = NamedDependency[Gateway]


def create_app(reader: LiveReader, history: History, access: AccessLog, hosts: Sequence[str]) -> ASGIApp:
    """The whole application; `hosts` are the Host headers it answers to (`127.0.0.1:8080`), against DNS rebinding."""
    gateway = Gateway(reader, history, access, Metrics(reader))
    return Guard(litestar_app(gateway, hosts), gateway.metrics.count)


def litestar_app(gateway: Gateway | None, hosts: Sequence[str] = ()) -> Litestar:
    """The routes. Without a gateway it can only describe itself (OpenAPI)."""
    return Litestar(
        route_handlers=[
            page, file, summary, queues, breaches, due, offices, dossiers, dossier, clocks, events, words, clock,
            stream, healthz, readyz, metrics, healthz_head, readyz_head,
        ],
        before_request=_refuse_unknown_parameters,
        dependencies={"gateway": Provide(_gateway, sync_to_thread=False)},
        state=State({"gateway": gateway}),
        allowed_hosts=AllowedHostsConfig(allowed_hosts=list(hosts)) if hosts else None,
        openapi_config=OpenAPIConfig(
            title="Dossier Ledger · Sổ cái hồ sơ",
            version=version("dossier-ledger"),
            description="What the ledger knows now, what happened to each dossier, and how fresh the answer is.",
            path="/schema",
            render_plugins=[JsonRenderPlugin(path=["/openapi.json", "/"])],
            use_handler_docstrings=True,
        ),
        logging_config=None,
        debug=False,
    )  # fmt: skip


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document that `/schema` serves and `schemas/published/openapi.json` holds."""
    return litestar_app(None).openapi_schema.to_schema()


async def _refuse_unknown_parameters(request: Request[Any, Any, Any]) -> None:
    """An answer to another question than was asked (`asof` for `as_of`) would look like the right one."""
    path = (request.app.openapi_schema.paths or {}).get(request.scope["path_template"])
    if path is None or path.get is None or not request.url.path.startswith("/v1/"):
        return
    known = {
        each.name for each in path.get.parameters or () if isinstance(each, Parameter) and each.param_in == "query"
    }
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        raise ClientException(f"there is no parameter {', '.join(unknown)} here")


def _gateway(state: State) -> Gateway:
    gateway = state["gateway"]
    assert isinstance(gateway, Gateway)  # noqa: S101  # a request reaches only an application that has one
    return gateway


# -- What is true now --------------------------------------------------------------------------------------------


@get("/v1/summary", responses=_WRONG | _UNAVAILABLE)
async def summary(gateway: FromApp, wait: Wait = 0, as_of: Instant = None) -> api.Summary:
    """Tổng hợp: how many dossiers, in which states, how timely, now or as of an instant, and up to where this was
    read.

    Of an instant ahead of `/v1/clock` it is told as if nothing more happened until then: what is still open may be late
    by then.
    """
    then = None if as_of is None else _instant(as_of)
    if then is not None:
        await _record(gateway, "gateway summary", LEDGER_TOPIC, then)
    complete = await _read_all(gateway, wait)
    await gateway.reader.settle()
    view = gateway.reader.view
    if then is None:
        return answers.summary(view, complete)
    async with gateway.folding:  # all dossiers are folded, in a thread and one after the other: the others wait
        fresh, states = answers.freshness(view, complete), view.states()
        return await asyncio.to_thread(answers.summary_as_of, view, microseconds(then), fresh, states)


@get("/v1/queues")
async def queues(gateway: FromApp, wait: Wait = 0) -> api.Queues:
    """Hàng đợi: who has what waiting, by office, room and step, the longest first, and how many of it are late."""
    complete = await _read_all(gateway, wait)
    await gateway.reader.settle()
    return answers.queues(gateway.reader.view, complete)


@get("/v1/breaches")
async def breaches(gateway: FromApp, office: Filter = None, limit: Limit = 200, wait: Wait = 0) -> api.Deadlines:
    """Quá hạn: clocks that run past their due, the longest overdue first."""
    complete = await _read_all(gateway, wait)
    await gateway.reader.settle()
    return await asyncio.to_thread(
        answers.breaches, gateway.reader.view, gateway.reader.clock.now_us(), office, limit, complete
    )


@get("/v1/due", responses=_WRONG)
async def due(
    gateway: FromApp,
    within: Annotated[str, QueryParameter(max_length=16, description="2d working days, 4h working hours, 3cd, 1mo")],
    office: Filter = None,
    limit: Limit = 200,
    wait: Wait = 0,
) -> api.Deadlines:
    """Sắp đến hạn: clocks that come to their due within a time that begins now, the next first."""
    term = _term(within)
    complete = await _read_all(gateway, wait)
    await gateway.reader.settle()
    return await asyncio.to_thread(
        answers.due, gateway.reader.view, gateway.reader.clock.now_us(), term, office, limit, complete
    )


@get("/v1/offices", responses=_WRONG)
async def offices(gateway: FromApp) -> api.Offices:
    """Cơ quan: how many dossiers of each office are in which state."""
    return answers.offices(gateway.reader.view)


@get("/v1/dossiers")
async def dossiers(
    gateway: FromApp,
    office: Filter = None,
    in_state: Annotated[str | None, QueryParameter(name="state", max_length=128)] = None,  # Litestar keeps `state`
    limit: Limit = 50,
) -> api.Dossiers:
    """Danh sách hồ sơ: those that changed last, by office and state."""
    return answers.dossiers(gateway.reader.view, office, in_state, limit)


@get("/v1/dossiers/{dossier_id:str}", responses=_NOT_FOUND)
async def dossier(gateway: FromApp, dossier_id: PathId, wait: Wait = 0) -> api.Dossier:
    """Hồ sơ: where one dossier stands now."""
    complete = await _read_all(gateway, wait)
    found = answers.dossier(gateway.reader.view, unquote(dossier_id), complete)
    if found is None:
        raise NotFoundException("the live state has no dossier with this id")
    return found


@get("/v1/dossiers/{dossier_id:str}/clocks", responses=_WRONG | _NOT_FOUND | _UNAVAILABLE)
async def clocks(gateway: FromApp, dossier_id: PathId, wait: Wait = 0, at: Instant = None) -> api.Explanation:
    """Giải thích thời hạn: why a dossier is due when it is, each stretch of its clock, and its other clocks.

    With `at`, what occurred later is left out; without, it is told as of now, or as of when the dossier was done where
    that lies ahead of the clock. That it was asked for is recorded first.
    """
    asked, then = unquote(dossier_id), None if at is None else _instant(at)
    await _record(gateway, "gateway clocks", asked, then)
    complete = await _read_all(gateway, wait)
    await gateway.reader.settle()
    instant = gateway.reader.clock.now_us() if then is None else microseconds(then)
    view = gateway.reader.view
    found = await asyncio.to_thread(answers.explanation, view, asked, instant, complete, as_of=at is not None)
    if found is None:
        raise NotFoundException("the live state has no dossier with this id")
    return found


# -- What happened -----------------------------------------------------------------------------------------------


@get("/v1/dossiers/{dossier_id:str}/events", responses=_WRONG | _NOT_FOUND | _UNAVAILABLE)
async def events(
    gateway: FromApp, dossier_id: PathId, offset: Annotated[int, QueryParameter(ge=0)] = 0, limit: Limit = 200
) -> api.Timeline:
    """Dòng thời gian: the dossier's events in effective order, both times, and the state after each.

    None yet, of a dossier that the live state has: the archive is behind, and `freshness` says how far. That it was
    asked for is recorded first.
    """
    asked = unquote(dossier_id)
    await _record(gateway, "gateway events", asked)
    try:
        reached = await gateway.history.reached()  # first, so that it does not claim more than the records show
        records = await gateway.history.records_of(asked)
    except HistoryUnavailable as error:
        raise ServiceUnavailableException(str(error)) from error
    if not records and answers.dossier(gateway.reader.view, asked, None) is None:
        raise NotFoundException("neither the archive nor the live state has a dossier with this id")
    told = await asyncio.to_thread(timeline, asked, records)  # a long past is not folded between two other answers
    return api.Timeline(
        dossier=asked,
        total=len(told.steps),
        offset=offset,
        timeline=[describe_step(step) for step in told.steps[offset : offset + limit]],
        freshness=archive_freshness(reached, gateway.reader.view.ledger_ends),
    )


@get("/v1/words", responses=_WRONG, cache_control=CacheControlHeader(max_age=300))
async def words() -> api.Words:
    """Từ ngữ: what states, timeliness, anomalies and events are called, in Vietnamese and English."""
    return answers.WORDS


@get("/v1/clock", responses=_WRONG)
async def clock(gateway: FromApp) -> api.Time:
    """Đồng hồ: what time it is for deadlines, and whether that is simulated."""
    shown = gateway.reader.clock
    return api.Time(now=shown.now(), simulated=shown.is_simulated, speed=shown.speed)


# -- The live stream and the page ----------------------------------------------------------------------------------


@get("/v1/stream", responses=_EVENTS | _WRONG | _FULL)
async def stream(gateway: FromApp) -> ServerSentEvent:
    """Dòng trực tiếp: server-sent events, as the live state changes, at most four times a second.

    The data of `summary` are a Summary, of `offices` Offices and of `queues` Queues, each in one line of JSON as the
    path of that name answers, with its freshness. First comes all of it. Later `queues` holds only those that changed;
    a count of 0 is a queue that is gone. The id of an event counts changes of this gateway; to come back with it
    (Last-Event-ID) begins with all of it again. Where there is nothing to say for a while, a comment is sent.
    """
    if gateway.streams >= MAX_STREAMS:
        raise ServiceUnavailableException(f"{MAX_STREAMS} live streams are open already")

    return ServerSentEvent(_counted(gateway), headers={"cache-control": "no-store"})


async def _counted(gateway: Gateway) -> AsyncGenerator[ServerSentEventMessage]:
    if gateway.streams >= MAX_STREAMS:  # many came at once, and were all let in; the page tries again
        return
    gateway.streams += 1
    try:
        async for message in board_changes(gateway.reader):
            yield message
    finally:
        gateway.streams -= 1


@get("/", media_type=MediaType.HTML, include_in_schema=False)
async def page() -> Response[bytes]:
    """The board."""
    return _file("index.html")


@get("/static/{name:str}", include_in_schema=False)
async def file(name: FromPath[str]) -> Response[bytes]:
    """A file of the page."""
    if name not in _FILES:
        raise NotFoundException("no such file")
    return _file(name)


# -- How it is -----------------------------------------------------------------------------------------------------


@get("/healthz")
async def healthz() -> api.Health:
    """Alive: the process answers."""
    return api.Health()


@get("/readyz", responses={503: ResponseSpec(api.Readiness, description="not ready", generate_examples=False)})
async def readyz(gateway: FromApp) -> Response[api.Readiness]:
    """Ready: the live topic was read to its end, the ledger's end is known, and the archive answers."""
    body = await _readiness(gateway)
    return Response(body, status_code=200 if body.ready else 503)


@head("/healthz", include_in_schema=False)
async def healthz_head() -> None:
    """As `healthz`: some load balancers ask this way."""


@head("/readyz", include_in_schema=False)
async def readyz_head(gateway: FromApp) -> Response[None]:
    """As `readyz`, in its status alone."""
    return Response(None, status_code=200 if (await _readiness(gateway)).ready else 503)


async def _readiness(gateway: Gateway) -> api.Readiness:
    live, archive = gateway.reader.is_live, await gateway.history.answers()
    reading = "the broker does not answer" if gateway.reader.caught_up else "reading the live topic"
    missing = [text for ok, text in ((live, reading), (archive, "the archive does not answer")) if not ok]
    return api.Readiness(ready=not missing, live=live, archive=archive, detail="; ".join(missing))


@get("/metrics", include_in_schema=False)
async def metrics(gateway: FromApp) -> Response[bytes]:
    """For Prometheus."""
    return Response(gateway.metrics.exposition(), media_type=CONTENT_TYPE)


#: Litestar adds the charset to what is text.
_FILES: Final = {
    "index.html": "text/html",
    "board.css": "text/css",
    "board.js": "text/javascript",
    "words.js": "text/javascript",
    "timeline.js": "text/javascript",
    "dom.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def _file(name: str) -> Response[bytes]:
    content = files("gateway.page").joinpath(name).read_bytes()
    return Response(content, media_type=_FILES[name], headers={"cache-control": "no-cache"})


def _instant(asked: str) -> datetime:
    try:
        instant = msgspec.convert(asked, datetime)
    except msgspec.ValidationError as error:
        raise ClientException(f"{asked!r} is no instant; write 2020-06-30T17:00:00+07:00") from error
    if instant.tzinfo is None:
        raise ClientException("an instant needs its zone: 2020-06-30T17:00:00+07:00")
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ClientException(f"{instant.isoformat()} is outside {FIRST_YEAR}-{LAST_YEAR}")
    return instant


def _term(text: str) -> Term:
    try:
        written = _TERMS.validate_python(text)
    except ValidationError as error:
        raise ClientException(f"{text!r} is no length of time; write 2d, 4h, 15cd or 1mo") from error
    return Term(written.n, written.unit)


_TERMS: Final = TypeAdapter[WrittenTerm](WrittenTerm)


async def _record(gateway: Gateway, command: str, subject: str, as_of: datetime | None = None) -> None:
    """The past is shown when that it was looked at is on record."""
    try:
        await gateway.access.record(command, subject, as_of)
    except NotRecorded as error:
        raise ServiceUnavailableException(str(error)) from error
    except Unreadable as error:
        raise ClientException(f"nothing of that name or time can be asked for: {error}") from error


async def _read_all(gateway: FromApp, wait_seconds: float) -> bool | None:
    """Wait until all that is on the ledger now is in the live state; None: the caller did not ask for it."""
    if not wait_seconds:
        return None
    try:
        await gateway.reader.reach_ledger_end(wait_seconds)
    except NotReached:
        return False
    return True
