"""What curl and other plain HTTP clients see, and what the headers say."""

# ruff: noqa: S608 - the names of tables are the tests' own

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import lz4.frame
import pytest
import zstandard

from tests.integration.clickhouse.conftest import USERS, http_of
from tests.integration.conftest import ClickHouse

pytestmark = pytest.mark.integration

ONE_ROW = b'{"n": 1, "s": "a"}\n'


def rows_of(http: httpx.Client, table: str) -> int:
    return int(http.post("/", content=f"SELECT count() FROM {table}").text)


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    """A chunked body, cut where nobody expects it."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("path", ["/ping", "/"])
def test_anyone_may_ask_whether_it_lives(clickhouse: ClickHouse, path: str) -> None:
    answer = httpx.get(clickhouse.url + path, trust_env=False)
    assert (answer.status_code, answer.text) == (200, "Ok.\n")


def test_an_unknown_path_is_not_found(http: httpx.Client) -> None:
    assert http.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/?query=SELECT+1+AS+x,'a'", ""),
        ("/", "SELECT 1 AS x,'a'"),
        ("/?query=SELECT+1+AS+x,", "'a'"),
        ("/", "/* first */ SELECT 1 AS x, -- then\n 'a';"),
    ],
)
def test_a_query_comes_in_the_url_or_the_body_or_both(http: httpx.Client, url: str, body: str) -> None:
    assert http.post(url, content=body).text == "1\ta\n"


def test_get_reads_and_never_writes(http: httpx.Client, table: str) -> None:
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    answer = http.get("/", params={"query": f"INSERT INTO {table} VALUES (1, 'a')"})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "164")
    assert rows_of(http, table) == 0


def test_answers_carry_the_headers_of_clickhouse(http: httpx.Client) -> None:
    answer = http.post("/?query_id=abc&default_format=JSONEachRow", content="SELECT number FROM numbers(5)")
    assert answer.headers["X-ClickHouse-Query-Id"] == "abc"
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["X-ClickHouse-Timezone"] == "UTC"
    assert answer.headers["X-ClickHouse-Server-Display-Name"]
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"] == "5"


def test_format_in_the_query_wins_over_the_default(http: httpx.Client) -> None:
    answer = http.post("/?default_format=CSV", content="SELECT 1 AS x SETTINGS max_threads = 1 FORMAT JSON")
    assert answer.json()["data"] == [{"x": 1}]
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("name", ["JSON", "JSONCompact", "Parquet", "Arrow", "CSVWithNames", "Pretty", "XML"])
def test_a_format_with_a_head_or_tail_is_one_document(http: httpx.Client, name: str) -> None:
    """The engine's own stream would repeat the head for each block."""
    sql = f"SELECT number FROM numbers(200000) SETTINGS max_block_size = 1000 FORMAT {name}"
    answer = http.post("/", content=sql).content
    marks = {"JSON": b'"meta"', "JSONCompact": b'"meta"', "CSVWithNames": b'"number"', "XML": b"<meta>"}
    if name in marks:
        assert answer.count(marks[name]) == 1
    else:
        assert len(answer) > 1000
        assert answer.count(b"PAR1") in (0, 2)


def test_a_result_held_back_has_a_bound(http: httpx.Client) -> None:
    sql = "SELECT repeat('x', 1000) FROM numbers(300000)"
    answer = http.post("/?wait_end_of_query=1", content=sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "396"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} FORMAT JSONEachRow\n",
        "INSERT INTO {} FORMAT JSONEachRow ",
        "insert into {} (n, s) format JSONEachRow\r\n",
        "/* why */ INSERT INTO TABLE {} (`n`, `s`) SETTINGS async_insert = 0 FORMAT JSONEachRow\n",
        "-- why\nINSERT INTO {}\nFORMAT\nJSONEachRow\n",
    ],
)
def test_sql_and_data_share_a_body_however_it_is_cut(http: httpx.Client, table: str, statement: str) -> None:
    for size in (1, 7, 1000):
        body = statement.format(table).encode() + b'{"n": %d, "s": "a"}\n' % size
        assert http.post("/", content=in_pieces(body, size)).status_code == 200
    assert rows_of(http, table) == 3


def test_values_span_url_and_body(http: httpx.Client, table: str) -> None:
    assert http.post("/", params={"query": f"INSERT INTO {table} VALUES"}, content="(1, 'a'), (2, 'b')").is_success
    assert http.post("/", params={"query": f"INSERT INTO {table} VALUES (3, 'c')"}).is_success
    assert rows_of(http, table) == 3


def frames(compress: Callable[[bytes], bytes]) -> bytes:
    """Three frames one after another, as clients send one for each block."""
    return b"".join(compress(ONE_ROW * 10_000) for _ in range(3))


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("lz4", frames(lz4.frame.compress)),
        ("zstd", frames(zstandard.ZstdCompressor().compress)),
        ("gzip", frames(gzip.compress)),
        ("deflate", zlib.compress(ONE_ROW * 30_000)),
        ("identity", ONE_ROW * 30_000),
    ],
)
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_compressed_bodies_of_several_frames(
    http: httpx.Client, table: str, coding: str, body: bytes, size: int
) -> None:
    query = {"query": f"INSERT INTO {table} FORMAT JSONEachRow"}
    answer = http.post("/", params=query, content=in_pieces(body, size), headers={"Content-Encoding": coding})
    assert answer.status_code == 200, answer.text
    assert rows_of(http, table) == 30_000


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip"])
def test_a_compressed_body_cut_short_inserts_nothing(http: httpx.Client, table: str, coding: str) -> None:
    compress = {"lz4": lz4.frame.compress, "zstd": zstandard.ZstdCompressor().compress, "gzip": gzip.compress}[coding]
    query = {"query": f"INSERT INTO {table} FORMAT JSONEachRow"}
    body = compress(ONE_ROW * 30_000)[:-3]
    answer = http.post("/", params=query, content=body, headers={"Content-Encoding": coding})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "271"
    assert rows_of(http, table) == 0


def test_bytes_that_are_not_of_the_coding_are_an_error(http: httpx.Client) -> None:
    for coding in ("lz4", "zstd", "gzip", "deflate"):
        answer = http.post("/", content=b"SELECT 1", headers={"Content-Encoding": coding})
        assert answer.headers["X-ClickHouse-Exception-Code"] == "271", coding
    answer = http.post("/", content=b"SELECT 1", headers={"Content-Encoding": "compress"})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "89"


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip", "deflate"])
def test_answers_are_compressed_when_asked_for(http: httpx.Client, coding: str) -> None:
    sql = "SELECT number FROM numbers(300000)"
    headers = {"Accept-Encoding": coding}
    plain = http.post("/", content=sql, headers={"Accept-Encoding": "identity"}).content
    with http.stream("POST", "/?enable_http_compression=1", content=sql, headers=headers) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == coding
    unpack: dict[str, Callable[[bytes], bytes]] = {
        "lz4": lz4.frame.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
    }
    assert unpack[coding](packed) == plain
    assert len(packed) < len(plain)


def test_without_the_setting_nothing_is_compressed(http: httpx.Client) -> None:
    answer = http.post("/", content="SELECT 1", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT nothing", 404, 47),
        ("SELEC 1", 400, 62),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT * FROM url('http://127.0.0.1:1/')", 403, 497),
        ("SELECT toInt32('x')", 400, 6),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SET max_threads = 1", 403, 497),
        ("", 400, 62),
    ],
)
def test_errors_have_the_status_and_words_of_clickhouse(http: httpx.Client, sql: str, status: int, code: int) -> None:
    answer = http.post("/", content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert re.fullmatch(rf"Code: {code}\. DB::Exception: .*\([A-Z_]+\) \(version [0-9.]+\)\n", answer.text, re.DOTALL)


@pytest.mark.parametrize("sql", ["CREATE TABLE gotten (a Int8) ENGINE = Memory", "INSERT INTO gotten VALUES (1)"])
def test_what_changes_anything_must_be_posted(http: httpx.Client, sql: str) -> None:
    answer = http.get("/", params={"query": sql})
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert "POST" in answer.text


def test_a_syntax_error_does_not_show_how_we_asked(http: httpx.Client) -> None:
    assert "parseQueryToJSON" not in http.post("/", content="SELECT 'a' 'b' FROM").text


@pytest.mark.parametrize("wait", [0, 1])
def test_an_error_amid_rows_is_tagged_unless_the_client_waits(http: httpx.Client, wait: int) -> None:
    sql = "SELECT number, throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_threads = 1"
    answer = http.post(f"/?wait_end_of_query={wait}", content=sql)
    if wait:
        assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "395")
        return
    tag = answer.headers["X-ClickHouse-Exception-Tag"]
    assert answer.status_code == 200
    assert answer.text.endswith(f" {tag}\r\n__exception__\r\n")
    assert f"__exception__\r\n{tag}\r\nCode: 395." in answer.text


@pytest.mark.parametrize(
    ("parameter", "code"),
    [("compress=1", 48), ("decompress=1", 48), ("role=admin", 48), ("session_id=a&session_check=1", 372)],
)
def test_what_is_not_offered_is_refused_and_not_ignored(http: httpx.Client, parameter: str, code: int) -> None:
    answer = http.post(f"/?{parameter}", content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == str(code)


def test_a_session_id_is_accepted_but_keeps_nothing(http: httpx.Client) -> None:
    assert http.post("/?session_id=a", content="SELECT 1").text == "1\n"
    answer = http.post("/?session_id=a", content="CREATE TEMPORARY TABLE t (n Int8)")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "497"


def test_a_setting_of_no_such_name_or_value_is_an_error(http: httpx.Client) -> None:
    assert http.post("/?no_such_setting=1", content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "115"
    assert http.post("/?max_threads=many", content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "27"
    answer = http.post("/", params={"a' = 1, b": "1"}, content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "36"


def test_external_data_is_refused(http: httpx.Client) -> None:
    answer = http.post("/?query=SELECT+1", files={"t": ("t.csv", b"1\n", "text/csv")})
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (501, "48")


def test_a_long_query_is_refused_before_it_is_parsed(http: httpx.Client) -> None:
    sql = f"SELECT length('{'x' * 300_000}')"
    answer = http.post("/", content=sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (413, "229")
    assert http.post("/?max_query_size=1000000", content=sql).text == "300000\n"


def test_a_deep_query_is_an_error(http: httpx.Client) -> None:
    answer = http.post("/", content="SELECT " + "(" * 5000 + "1" + ")" * 5000)
    assert answer.status_code in (400, 500)
    assert answer.headers["X-ClickHouse-Exception-Code"] in ("167", "306")
    assert http.post("/", content="SELECT 1").text == "1\n"


def test_a_query_that_is_not_text_is_an_error(http: httpx.Client) -> None:
    assert http.post("/", content=b"SELECT '\xff'").headers["X-ClickHouse-Exception-Code"] == "62"


@pytest.mark.parametrize("name", ["archiver", "report"])
def test_credentials_travel_in_three_ways(clickhouse: ClickHouse, name: str) -> None:
    password = str(USERS[name]["password"])
    ways: list[dict[str, Any]] = [
        {"auth": (name, password)},
        {"headers": {"X-ClickHouse-User": name, "X-ClickHouse-Key": password}},
        {"params": {"user": name, "password": password}},
    ]
    for way in ways:
        assert httpx.post(clickhouse.url, content="SELECT 1", trust_env=False, **way).text == "1\n"


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"auth": ("archiver", "wrong")},
        {"auth": ("nobody", "writes")},
        {"headers": {"Authorization": "Bearer abc"}},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"X-ClickHouse-User": "report"}},
        {"params": {"user": "archiver"}},
    ],
    ids=str,
)
def test_without_the_right_password_nothing_is_answered(clickhouse: ClickHouse, way: dict[str, Any]) -> None:
    answer = httpx.post(clickhouse.url, content="SELECT 1", trust_env=False, **way)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert "writes" not in answer.text


def test_slow_reports_hold_up_neither_health_nor_the_archive(clickhouse: ClickHouse, table: str) -> None:
    slow = "SELECT sleepEachRow(0.2) FROM numbers(15) SETTINGS max_block_size = 1, max_threads = 1 FORMAT JSON"
    with http_of(clickhouse.url) as http, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(http.post, "/", content=slow) for _ in range(8)]
        assert http.get("/ping").text == "Ok.\n"
        assert http.post("/", params={"query": f"INSERT INTO {table} FORMAT JSONEachRow"}, content=ONE_ROW).is_success
        assert not all(answer.done() for answer in waiting)
        assert all(answer.result().is_success for answer in waiting)


def test_a_query_ends_with_its_client(clickhouse: ClickHouse) -> None:
    endless = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 7 SETTINGS max_threads = 1"
    running = (
        "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%system%'"
    )
    with http_of(clickhouse.url) as http:
        with pytest.raises(httpx.ReadTimeout):
            http.post("/", content=endless, timeout=1)
        for _ in range(100):
            if http.post("/", content=running).text == "0\n":
                return
    pytest.fail("the query went on without its client")
