"""The HTTP application: answers, their freshness, and what it does not let through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from litestar.testing import AsyncTestClient

import schemas
from events.catalogue import Processed, Returned, StepCompleted
from events.ledger import LEDGER_TOPIC
from gateway.app import Gateway, _counted, openapi_document
from gateway.guard import MAX_PATH_BYTES
from gateway.metrics import Metrics
from gateway.page import __file__ as page_file
from schemas.clock import Clock
from tests.unit.gateway.fabricated import HOST, START, FabricatedAccess, FabricatedHistory, client, reader_with, record

A = [record("A", 0), record("A", 1)]
ODD = "H21.18/0042 tiếng Việt?#%2F"


def run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @wraps(test)
    def once(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))  # type: ignore[arg-type]  # an async function gives a coroutine

    return once


async def get(http: AsyncTestClient[Any], path: str, expect: int = 200) -> Any:
    answer = await http.get(path)
    assert answer.status_code == expect, answer.text
    return answer.json()


@run
async def test_the_summary_says_every_state_and_how_fresh_it_is() -> None:
    async with client(reader_with(A, [record("B", 0)], next_offset=2, ledger_end=5)) as http:
        summary = await get(http, "/v1/summary")
    assert (summary["dossiers"], summary["quarantined"]) == (2, 0)
    assert {state: count for state, count in summary["by_state"].items() if count} == {"PROCESSING": 1, "RECEIVED": 1}
    assert summary["by_state"]["STOPPED"] == 0
    assert summary["by_timeliness"] == {"early": 0, "on_the_day": 0, "late": 0, "no_finish": 2, "no_promise": 0}
    assert summary["received_by_month"] == {"2026-03": 2}
    assert summary["freshness"] == {
        "positions": {"0": 2}, "recorded_at": "2026-03-02T01:00:00Z", "lag": 3, "complete": None,
    }  # fmt: skip


@run
async def test_what_time_it_is_for_deadlines() -> None:
    begin = datetime(2020, 1, 6, tzinfo=UTC)
    async with client(reader_with(A, clock=Clock(begin, datetime.now(UTC), 0.001))) as http:
        told = await get(http, "/v1/clock")
    assert datetime.fromisoformat(told.pop("now")) - begin < timedelta(seconds=1)
    assert told == {"simulated": True, "speed": 0.001}
    async with client(reader_with(A)) as http:
        told = await get(http, "/v1/clock")
    assert abs(datetime.fromisoformat(told.pop("now")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert told == {"simulated": False, "speed": 1.0}


@run
async def test_queues_are_listed_longest_first() -> None:
    same_room = [[record(f"D{n}", 0), record(f"D{n}", 1)] for n in range(3)]
    async with client(reader_with([record("E", 0)], *same_room)) as http:
        answer = await get(http, "/v1/queues")
    assert [(queue["office"], queue["room"], queue["count"]) for queue in answer["queues"]] == [
        ("GL", "P1", 3), ("GL", "", 1),
    ]  # fmt: skip
    assert "freshness" in answer


@run
async def test_a_dossier_has_its_standing_and_named_anomalies() -> None:
    records = [record("A", 0), record("A", 1, Returned(office="GL"))]
    async with client(reader_with(records)) as http:
        dossier = await get(http, "/v1/dossiers/A")
    assert (dossier["state"], dossier["processed_at"]) == ("RETURNED", None)
    assert dossier["state_name"] == {"vi": "Đã trả kết quả", "en": "Returned"}
    (anomaly,) = dossier["anomalies"]
    assert (anomaly["code"], anomaly["id"]) == ("A02", "e1")
    assert anomaly["name"]["vi"] == "Trả khi chưa có kết quả"
    assert dossier["position"] == {"partition": 0, "offset": 1}


@run
async def test_an_id_may_hold_slashes_spaces_and_any_letter() -> None:
    records = [record(ODD, 0)]
    async with client(reader_with(records), FabricatedHistory(*records)) as http:
        address = f"/v1/dossiers/{quote(ODD, safe='')}"
        assert (await get(http, address))["dossier"] == ODD
        assert (await get(http, f"{address}/events"))["total"] == 1


@run
async def test_an_unknown_dossier_is_not_found() -> None:
    async with client(reader_with(A)) as http:
        assert "no dossier" in (await get(http, "/v1/dossiers/B", expect=404))["detail"]
        assert "neither" in (await get(http, "/v1/dossiers/B/events", expect=404))["detail"]


@run
async def test_a_dossier_that_is_not_archived_yet_has_no_events_and_is_no_error() -> None:
    async with client(reader_with(A, next_offset=0, ledger_end=2)) as http:
        page = await get(http, "/v1/dossiers/A/events")
    assert (page["total"], page["timeline"], page["freshness"]["lag"]) == (0, [], 2)


@run
async def test_the_history_is_paged_and_carries_the_archives_freshness() -> None:
    records = [*A, record("A", 2, Processed(office="GL", outcome="issued"))]
    reader = reader_with(records, next_offset=3, ledger_end=9)
    async with client(reader, FabricatedHistory(*records)) as http:
        page = await get(http, "/v1/dossiers/A/events?offset=1&limit=1")
    assert (page["total"], page["offset"], len(page["timeline"])) == (3, 1, 1)
    step = page["timeline"][0]
    assert (step["type"], step["to"], step["state"]) == ("dossier.routed", "P1", "PROCESSING")
    assert (step["occurred_at"], step["recorded_at"]) == ("2026-03-02T02:00:00Z", "2026-03-02T02:00:01Z")
    assert step["position"] == {"partition": 0, "offset": 1}
    assert (page["freshness"]["positions"], page["freshness"]["lag"]) == ({"0": 3}, 6)


@run
async def test_without_the_archive_the_present_still_answers() -> None:
    async with client(reader_with(A), FabricatedHistory(there=False)) as http:
        assert (await get(http, "/v1/dossiers/A"))["state"] == "PROCESSING"
        assert "archive" in (await get(http, "/v1/dossiers/A/events", expect=503))["detail"]
        ready = await get(http, "/readyz", expect=503)
        assert (ready["live"], ready["archive"]) == (True, False)
        assert (await get(http, "/healthz"))["alive"] is True


@run
async def test_the_past_is_shown_when_that_is_on_record_and_the_present_to_everybody() -> None:
    access = FabricatedAccess()
    async with client(reader_with(A), FabricatedHistory(*A), access) as http:
        for path in ("/v1/summary", "/v1/queues", "/v1/dossiers/A", "/v1/dossiers", "/v1/breaches"):
            await get(http, path)
        assert access.reads == []
        await get(http, "/v1/dossiers/A/events")
        await get(http, "/v1/dossiers/A/clocks?at=2026-03-02T01:00:00Z")
        await get(http, "/v1/dossiers/B/clocks", expect=404)
        await get(http, "/v1/summary?as_of=2026-03-02T01:00:00Z")
        await get(http, "/v1/dossiers/A/clocks?at=2026-03-02T01:00:00", expect=400)
        await get(http, f"/v1/dossiers/{'a' * 200}/events", expect=400)
    assert access.reads == [
        ("gateway events", "A", None), ("gateway clocks", "A", START), ("gateway clocks", "B", None),
        ("gateway summary", LEDGER_TOPIC, START),
    ]  # fmt: skip


@run
async def test_a_dossier_that_is_done_ahead_of_the_clock_is_explained_up_to_then() -> None:
    begin = datetime(2020, 1, 6, tzinfo=UTC)
    records = [record("A", 0), record("A", 50, Processed(office="GL", outcome="issued"))]
    async with client(reader_with(records, clock=Clock(begin, datetime.now(UTC), 0.001))) as http:
        told = await get(http, "/v1/dossiers/A/clocks")
        then = await get(http, "/v1/dossiers/A/clocks?at=2020-01-06T00:00:00Z")
    assert (told["state"], told["clock"]["counted"], told["at"]) == ("RESULT_READY", 2, "2026-03-04T03:00:00Z")
    assert told["ahead_of"].startswith("2020-01-06T00:00:00")
    assert (then["state"], then["clock"], then["ahead_of"]) == ("NONE", None, None)


@run
async def test_an_event_ahead_of_the_clock_makes_nothing_late_that_is_under_way() -> None:
    now = START + timedelta(hours=2)
    slip = record("A", 24 * 365, StepCompleted(office="GL", step="check"))  # a year by mistake
    async with client(reader_with([record("A", 0), slip], clock=Clock(now, datetime.now(UTC), 0.001))) as http:
        told = await get(http, "/v1/dossiers/A/clocks")
    assert (told["at"][:16], told["ahead_of"]) == (f"{now:%Y-%m-%dT%H:%M}", None)


@run
async def test_an_instant_out_of_all_years_is_refused_before_it_is_counted_to() -> None:
    access = FabricatedAccess()
    async with client(reader_with(A), FabricatedHistory(*A), access) as http:
        for instant in ("0001-01-01T00:00:00%2B07:00", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59-07:00"):
            for path in (f"dossiers/A/clocks?at={instant}", f"summary?as_of={instant}"):
                assert "is outside 1901-2199" in (await get(http, f"/v1/{path}", expect=400))["detail"]
    assert access.reads == []


@run
async def test_what_is_no_instant_is_refused_and_no_number_of_seconds() -> None:
    access = FabricatedAccess()
    async with client(reader_with(A), FabricatedHistory(*A), access) as http:
        for asked in ("2020", "1583107200", "2020-06-30", "yesterday", ""):
            for path in (f"dossiers/A/clocks?at={asked}", f"summary?as_of={asked}"):
                assert "is no instant" in (await get(http, f"/v1/{path}", expect=400))["detail"]
    assert access.reads == []


@run
async def test_what_cannot_be_recorded_is_not_shown() -> None:
    async with client(reader_with(A), FabricatedHistory(*A), FabricatedAccess(there=False)) as http:
        for path in ("dossiers/A/events", "dossiers/A/clocks", "summary?as_of=2026-03-02T01:00:00Z"):
            assert await get(http, f"/v1/{path}", expect=503) == {
                "status_code": 503, "detail": "reading is recorded, and nothing takes it",
            }  # fmt: skip
        assert (await get(http, "/v1/dossiers/A"))["state"] == "PROCESSING"


@run
async def test_listing_says_when_there_is_more() -> None:
    async with client(reader_with(*([record(f"D{n}", 0)] for n in range(3)))) as http:
        listed = await get(http, "/v1/dossiers?office=GL&state=RECEIVED&limit=2")
        assert ([each["dossier"] for each in listed["dossiers"]], listed["more"]) == (["D2", "D1"], True)
        assert (await get(http, "/v1/dossiers?office=XX"))["dossiers"] == []


@run
async def test_a_wait_in_vain_answers_with_what_there_is() -> None:
    async with client(reader_with(A)) as http:
        answer = await get(http, "/v1/summary?wait=0.05")
    assert (answer["dossiers"], answer["freshness"]["complete"]) == (1, False)


@pytest.mark.parametrize(
    "path", ["/v1/summary?wait=-1", "/v1/summary?wait=x", "/v1/dossiers?limit=0", "/v1/dossiers?limit=100000"]
)
@run
async def test_wrong_parameters_are_named(path: str) -> None:
    async with client(reader_with(A)) as http:
        answer = await get(http, path, expect=400)
    assert answer["extra"][0]["key"] in path


@pytest.mark.parametrize("path", ["/v1/summary?asof=2026-03-02T01:00:00Z", "/v1/dossiers/A?at=now", "/v1/clock?at="])
@run
async def test_a_parameter_that_is_not_there_is_named_and_not_passed_over(path: str) -> None:
    async with client(reader_with(A)) as http:
        told = (await get(http, path, expect=400))["detail"]
        assert told == f"there is no parameter {path.partition('?')[2].partition('=')[0]} here"
        for other in ("/?v=1", "/readyz?v=1", "/static/board.css?v=1"):
            assert (await http.get(other)).status_code == 200


@pytest.mark.parametrize(("known_before", "live"), [(0.0, True), (60.0, False)])
@run
async def test_it_is_not_ready_while_nobody_knows_where_the_ledger_ends(known_before: float, live: bool) -> None:
    reader = reader_with(A)
    reader.ends_known_at -= known_before
    async with client(reader) as http:
        ready = await get(http, "/readyz", expect=200 if live else 503)
        asked = await http.head("/readyz")
        assert (await http.head("/healthz")).status_code == 200
    assert (ready["live"], ready["detail"]) == (live, "" if live else "the broker does not answer")
    assert (asked.status_code, asked.content) == (200 if live else 503, b"")


@pytest.mark.parametrize("path", ["/", "/metrics", "/static/board.css"])
@run
async def test_a_text_has_one_charset(path: str) -> None:
    async with client(reader_with(A)) as http:
        assert (await http.get(path)).headers["content-type"].count("charset=utf-8") == 1


@run
async def test_another_host_name_is_not_answered() -> None:
    async with client(reader_with(A)) as http:
        for host in ("evil.example", f"{HOST}.evil.example", f"{HOST}:81", ""):
            assert (await http.get("/v1/summary", headers={"host": host})).status_code == 400


@run
async def test_a_path_or_query_beyond_the_limit_is_refused() -> None:
    async with client(reader_with(A)) as http:
        assert (await http.get("/" + "a" * MAX_PATH_BYTES)).status_code == 414
        assert (await http.get("/v1/dossiers?office=" + "a" * 3_000)).status_code == 414


@pytest.mark.parametrize("path", ["/", "/v1/summary", "/nowhere", "/static/none.js", "/static/..%2f__init__.py"])
@run
async def test_every_answer_has_the_security_headers_and_no_cors(path: str) -> None:
    async with client(reader_with(A)) as http:
        headers = (await http.get(path, headers={"origin": "http://evil.example"})).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert "access-control-allow-origin" not in headers


@run
async def test_nothing_can_be_written() -> None:
    async with client(reader_with(A)) as http:
        for path in ("/v1/summary", "/v1/dossiers/A", "/"):
            assert (await http.post(path, json={})).status_code == 405


@run
async def test_the_page_is_its_own_files_without_inline_script() -> None:
    async with client(reader_with(A)) as http:
        page = (await http.get("/")).text
        assert "<script>" not in page
        assert " style=" not in page
        files = [path.name for path in Path(page_file).parent.iterdir() if path.suffix in {".js", ".css", ".svg"}]
        for name in files:
            assert (await http.get(f"/static/{name}")).status_code == 200


@run
async def test_metrics_count_requests_by_route() -> None:
    async with client(reader_with(A, next_offset=2, ledger_end=3)) as http:
        await http.get("/v1/dossiers/A")
        await http.get("/v1/dossiers/B")
        text = (await http.get("/metrics")).text
    assert "dossier_dossiers 1.0" in text
    assert "dossier_live_lag 1.0" in text
    assert 'dossier_live_position{partition="0"} 2.0' in text
    assert 'route="/v1/dossiers/{dossier_id}",status="404"} 1.0' in text


@run
async def test_metrics_do_not_grow_with_words_that_callers_choose() -> None:
    async with client(reader_with(A)) as http:
        for number in range(20):
            await http.request(f"BREW{number}", "/v1/summary")
        text = (await http.get("/metrics")).text
    assert "BREW" not in text
    assert 'method="other"' in text


@run
async def test_of_streams_that_come_at_once_no_more_are_served_than_there_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.app.MAX_STREAMS", 3)
    reader = reader_with(A, next_offset=2)
    gateway = Gateway(reader, FabricatedHistory(), FabricatedAccess(), Metrics(reader))
    streams = [_counted(gateway) for _ in range(9)]
    first = [await anext(each, None) for each in streams]
    assert [each is not None for each in first] == [True] * 3 + [False] * 6
    assert gateway.streams == 3
    for each in streams:
        await each.aclose()
    assert gateway.streams == 0


def events_of(stream: str) -> list[tuple[str, Any]]:
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in stream.split("\n\n")
    ]
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


@run
async def test_the_stream_begins_with_everything_and_ends_with_the_gateway() -> None:
    reader = reader_with(A, next_offset=2)
    reader.close()
    async with client(reader) as http:
        answer = await http.get("/v1/stream", headers={"last-event-id": "77"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert events_of(answer.text.replace("\r\n", "\n")) == []


@run
async def test_the_document_tells_what_the_stream_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = openapi_document()["paths"]["/v1/stream"]["get"]
    assert {status: list(answer["content"]) for status, answer in operation["responses"].items()} == {
        "200": ["text/event-stream"], "400": ["application/json"], "503": ["application/json"],
    }  # fmt: skip
    for event in ("summary", "offices", "queues"):
        assert f"`{event}`" in operation["description"]
    monkeypatch.setattr("gateway.app.MAX_STREAMS", 0)
    async with client(reader_with(A)) as http:
        answer = await http.get("/v1/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/json")


def test_the_published_document_is_that_of_the_code() -> None:
    published = Path(schemas.__file__).parent / "published" / "openapi.json"
    assert json.loads(published.read_text("utf-8")) == json.loads(json.dumps(openapi_document()))
