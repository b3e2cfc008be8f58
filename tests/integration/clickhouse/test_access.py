"""The two users: a reader cannot change anything, nobody reaches outside the data folder."""

# ruff: noqa: S608 - the names of tables are the tests' own

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.embedded.clickhouse.access import ALLOWED_ENGINES, ALLOWED_TABLE_FUNCTIONS
from tests.integration.clickhouse.conftest import http_of
from tests.integration.conftest import ClickHouse

pytestmark = pytest.mark.integration

# {t} is an existing table with one row, {d} its database.
CHANGES = [
    "INSERT INTO {t} VALUES (2, 'b')",
    'insert into {t} format JSONEachRow\n{{"n": 2}}',
    "INSERT INTO {t} SELECT 2, 'b'",
    "WITH 2 AS x INSERT INTO {t} SELECT x, 'b'",
    "INSERT INTO {t} WITH 2 AS x SELECT x, 'b'",
    "/* SELECT */ INSERT INTO {t} VALUES (2, 'b')",
    "-- SELECT 1\nINSERT INTO {t} VALUES (2, 'b')",
    "# SELECT 1\nINSERT INTO {t} VALUES (2, 'b')",
    "INSERT INTO {t} SETTINGS readonly = 0 VALUES (2, 'b')",
    "SELECT 1; INSERT INTO {t} VALUES (2, 'b')",
    "SELECT 1;DROP TABLE {t}",
    "SELECT 1 PARALLEL WITH DROP TABLE {t}",
    "EXPLAIN SELECT 1; DROP TABLE {t}",
    "DROP TABLE {t}",
    "TRUNCATE TABLE {t}",
    "DETACH TABLE {t}",
    "ATTACH TABLE {t}",
    "RENAME TABLE {t} TO {d}.other",
    "EXCHANGE TABLES {t} AND {t}",
    "OPTIMIZE TABLE {t} FINAL",
    "DELETE FROM {t} WHERE 1",
    "UPDATE {t} SET s = 'c' WHERE 1",
    "ALTER TABLE {t} DELETE WHERE 1",
    "ALTER TABLE {t} UPDATE s = 'c' WHERE 1 SETTINGS mutations_sync = 1",
    "ALTER TABLE {t} ADD COLUMN extra Int8",
    "ALTER TABLE {t} DROP PARTITION tuple()",
    "CREATE TABLE {d}.other (n Int8) ENGINE = Memory",
    "CREATE TABLE {d}.other ENGINE = Memory AS SELECT 1",
    "CREATE TEMPORARY TABLE other (n Int8)",
    "CREATE VIEW {d}.other AS SELECT 1",
    "CREATE MATERIALIZED VIEW {d}.other ENGINE = Memory AS SELECT n FROM {t}",
    "CREATE DATABASE other_{d}",
    "DROP DATABASE {d}",
    "CREATE FUNCTION twice AS (x) -> x * 2",
    "CREATE DICTIONARY {d}.other (n Int64) PRIMARY KEY n SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE USER other",
    "GRANT ALL ON *.* TO report",
    "SET readonly = 0",
    "SET max_threads = 1",
    "USE system",
    "SYSTEM STOP MERGES",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE {t} TO File('x')",
    "EXECUTE AS archiver SELECT 1",
]

# Each would read or write something outside the data folder; {f} is a file, {d} a database, {t} a table.
ESCAPES = [
    "SELECT * FROM file('{f}', 'LineAsString')",
    "SELECT file('{f}')",
    "SELECT FILE('{f}')",
    "SELECT * APPLY(file) FROM (SELECT '{f}' AS x)",
    "SELECT COLUMNS('x') APPLY file FROM (SELECT '{f}' AS x)",
    "SELECT arrayMap(x -> file(x), ['{f}'])",
    "SELECT arrayMap(file, ['{f}'])",
    "SELECT arrayMap(`file`, ['{f}'])",
    "SELECT arrayMap((file), ['{f}'])",
    "SELECT * FROM (SELECT arrayFold(file, ['{f}'], 'x'))",
    "DESCRIBE (SELECT arrayMap(file, ['{f}']))",
    "EXPLAIN SELECT arrayMap(file, ['{f}'])",
    "INSERT INTO {t} SELECT 1, arrayMap(file, ['{f}'])[1]",
    "CREATE VIEW {d}.x AS SELECT arrayMap(file, ['{f}']) AS s",
    "SELECT arrayMap(aiGenerate, ['x'])",
    "SELECT 'x' AS c FORMAT AvroConfluent SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:1', "
    "output_format_avro_confluent_subject = 's'",
    "SELECT 1 SETTINGS log_comment = 'x'",
    "SELECT 1 WHERE 1 IN (SELECT length(file('{f}')))",
    "WITH (SELECT file('{f}')) AS x SELECT x",
    "SELECT 1 UNION ALL SELECT length(file('{f}'))",
    "SELECT * FROM view(SELECT file('{f}'))",
    "SELECT * FROM loop(file('{f}', 'LineAsString'))",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM numbers(1) SETTINGS additional_result_filter = 'file(''{f}'') != '''''",
    "SELECT 1 SETTINGS dialect = 'prql'",
    "SELECT * FROM '{f}'",
    "SELECT * FROM `{f}`",
    "DESCRIBE TABLE file('{f}')",
    "EXPLAIN SELECT file('{f}')",
    "SELECT 1 INTO OUTFILE '{f}.out'",
    "SELECT 1 INTO OUTFILE '{f}.out' TRUNCATE FORMAT CSV",
    "EXPLAIN SELECT 1 INTO OUTFILE '{f}.out'",
    "INSERT INTO FUNCTION file('{f}.out', 'CSV', 'n Int8') VALUES (1)",
    "INSERT INTO FUNCTION file('{f}.out', 'CSV', 'n Int8') SELECT 1",
    "INSERT INTO {t} (s) FROM INFILE '{f}' FORMAT LineAsString",
    "INSERT INTO {t} SELECT 1, file('{f}')",
    "INSERT INTO {t} VALUES (1, file('{f}'))",
    "INSERT INTO {t} VALUES (1, 'x'), (2, file('{f}'))",
    "INSERT INTO {t} FORMAT Values (1, (SELECT file('{f}')))",
    "INSERT INTO {t} VALUES (1, (SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')))",
    "INSERT INTO {t} SETTINGS async_insert = 0 SELECT 1, 'x' INTO OUTFILE '{f}.out'",
    "INSERT INTO FUNCTION file('{f}.out', 'CSV', 'n Int8') SETTINGS async_insert = 0 SELECT 1",
    "SELECT s FROM format(JSONEachRow, 's String DEFAULT file(''{f}''), n Int8', '{{\"n\": 1}}')",
    "SELECT s FROM values('n Int8, s String ALIAS file(''{f}'')', (1))",
    "SELECT s FROM generateRandom('n Int8, s String ALIAS file(''{f}'')') LIMIT 1",
    "SELECT 1 IN format(CSV, 's String DEFAULT file(''{f}'')', '')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'n Int8')",
    "SELECT * FROM urlCluster('default', 'http://127.0.0.1:1/', 'CSV', 'n Int8')",
    "SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV', 'n Int8')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM sqlite('{f}', 't')",
    "SELECT * FROM executable('id', 'CSV', 'n String')",
    "SELECT * FROM Python(something)",
    "SELECT * FROM python(something)",
    "SELECT * FROM filesystem('/')",
    "SELECT aiGenerate('x')",
    "CREATE TABLE {d}.x (s String) ENGINE = File(LineAsString, '{f}')",
    "CREATE TABLE {d}.x (s String) ENGINE = URL('http://127.0.0.1:1/', 'CSV')",
    "CREATE TABLE {d}.x (s String) ENGINE = EmbeddedRocksDB(0, '{f}.rocks') PRIMARY KEY s",
    "CREATE TABLE {d}.x (s String) ENGINE = Executable('id', 'CSV')",
    "CREATE TABLE {d}.x (s String) ENGINE = Distributed('default', 'system', 'one')",
    "CREATE TABLE {d}.x AS file('{f}', 'LineAsString')",
    "CREATE TABLE {d}.x ENGINE = Memory AS SELECT file('{f}')",
    "CREATE TABLE {d}.x (n Int8, s String DEFAULT file('{f}')) ENGINE = Memory",
    "CREATE TABLE {d}.x (n Int8) ENGINE = MergeTree ORDER BY n SETTINGS disk = disk(type = local, path = '{f}.disk/')",
    "CREATE VIEW {d}.x AS SELECT file('{f}') AS s",
    "CREATE MATERIALIZED VIEW {d}.x ENGINE = EmbeddedRocksDB(0, '{f}.rocks') PRIMARY KEY n AS SELECT n FROM {t}",
    "CREATE DATABASE x_{d} ENGINE = Filesystem('/')",
    "CREATE DATABASE x_{d} ENGINE = SQLite('{f}')",
    "CREATE DATABASE x_{d} ENGINE = MySQL('127.0.0.1:1', 'd', 'u', 'p')",
    "ALTER TABLE {t} UPDATE s = file('{f}') WHERE 1",
    "ALTER TABLE {t} MODIFY COLUMN s String DEFAULT file('{f}')",
    "ATTACH TABLE {d}.x FROM '{f}' (n Int8) ENGINE = MergeTree ORDER BY n",
    "BACKUP TABLE {t} TO File('{f}.zip')",
    "DROP DATABASE default",
    "RENAME DATABASE default TO x_{d}",
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("the secret\n", encoding="utf-8")
    return file


def state_of(archiver: Any, table: str) -> object:
    """All that a change of this table or database could show."""
    database = table.split(".")[0]
    about = {"db": database}
    return (
        archiver.query(f"SELECT n, s FROM {table} ORDER BY n").result_rows,
        archiver.query(
            "SELECT name, create_table_query FROM system.tables WHERE database = {db:String}", about
        ).result_rows,
        archiver.query("SELECT name FROM system.databases ORDER BY name").result_rows,
        archiver.query("SELECT name FROM system.functions WHERE origin != 'System'").result_rows,
    )


@pytest.mark.parametrize("statement", CHANGES)
def test_a_reader_changes_nothing(report: Any, archiver: Any, table: str, statement: str) -> None:
    archiver.insert(table, [(1, "a")], column_names=["n", "s"])
    before = state_of(archiver, table)
    with pytest.raises(DatabaseError) as caught:
        report.raw_query(statement.format(t=table, d=table.split(".")[0]))
    assert caught.value.code in (62, 164, 497)
    assert state_of(archiver, table) == before


@pytest.mark.parametrize("parameters", [{"readonly": "0"}, {"readonly": "2", "allow_ddl": "1"}, {"readonly": "1"}])
def test_no_setting_of_the_request_makes_a_reader_a_writer(
    clickhouse: ClickHouse, archiver: Any, table: str, parameters: dict[str, str]
) -> None:
    with http_of(clickhouse.url, "report") as http:
        answer = http.post("/", params=parameters, content=f"INSERT INTO {table} VALUES (1, 'a')")
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
        answer = http.post("/", content=f"SELECT 1 FROM {table} SETTINGS readonly = 0")
        assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert archiver.command(f"SELECT count() FROM {table}") == 0


def test_a_reader_cannot_insert_through_the_body_of_a_stream(clickhouse: ClickHouse, archiver: Any, table: str) -> None:
    with http_of(clickhouse.url, "report") as http:
        query = {"query": f"INSERT INTO {table} FORMAT JSONEachRow"}
        answer = http.post("/", params=query, content=iter([b'{"n": 1}\n'] * 1000))
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"
    assert archiver.command(f"SELECT count() FROM {table}") == 0


def test_a_reader_reads_and_tunes(report: Any, archiver: Any, table: str) -> None:
    archiver.insert(table, [(1, "a")], column_names=["n", "s"])
    assert report.query(f"SELECT s FROM {table}", settings={"max_threads": 1}).result_rows == [("a",)]
    assert report.query(f"SELECT s FROM {table} SETTINGS max_block_size = 10").result_rows == [("a",)]
    assert report.command("SELECT format('{}-{}', 'a', toString(1))") == "a-1"
    for statement in ("SHOW DATABASES", f"DESCRIBE {table}", f"SHOW CREATE TABLE {table}", f"EXISTS {table}"):
        assert report.query(statement).result_rows


@pytest.mark.parametrize("user", ["archiver", "report"])
@pytest.mark.parametrize("statement", ESCAPES)
def test_nobody_reaches_outside(
    clickhouse: ClickHouse, archiver: Any, table: str, secret: Path, user: str, statement: str
) -> None:
    sql = statement.format(t=table, d=table.split(".")[0], f=secret)
    before = state_of(archiver, table)
    with http_of(clickhouse.url, user) as http:
        answer = http.post("/", content=sql, timeout=20)
    assert answer.status_code != 200
    assert answer.headers["X-ClickHouse-Exception-Code"] in ("60", "62", "164", "344", "452", "497")
    assert "the secret" not in answer.text
    assert [file.name for file in secret.parent.iterdir()] == ["secret"]
    assert state_of(archiver, table) == before


def test_a_file_named_in_a_parameter_stays_closed(http: httpx.Client, secret: Path) -> None:
    answer = http.post("/", params={"param_f": str(secret)}, content="SELECT file({f:String})")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "497"


@pytest.mark.parametrize(
    "sql", ["SELECT arrayMap({g:Identifier}, [{f:String}])", "DESCRIBE (SELECT arrayMap({g:Identifier}, [{f:String}]))"]
)
def test_nor_does_a_function_named_in_a_parameter_open_it(http: httpx.Client, secret: Path, sql: str) -> None:
    answer = http.post("/", params={"param_f": str(secret), "param_g": "file"}, content=sql)
    assert answer.headers["X-ClickHouse-Exception-Code"] in ("456", "497")  # DESCRIBE knows no parameters
    assert "the secret" not in answer.text
    harmless = {"param_f": "file", "param_g": "upper"}
    assert http.post("/", params=harmless, content="SELECT arrayMap({g:Identifier}, [{f:String}])").text == "['FILE']\n"


@pytest.mark.parametrize("name", ["format_template_row", "format_schema", "input_format_record_errors_file_path"])
def test_settings_that_name_files_are_fixed(http: httpx.Client, secret: Path, name: str) -> None:
    answer = http.post("/", params={name: str(secret)}, content="SELECT 1")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "452"


# Settings of text or map type that somebody has looked at: none holds SQL, a path or an address that is followed.
# A new engine brings new ones; each belongs either here or into FIXED_SETTINGS.
HARMLESS_TEXT_SETTINGS = frozenset({
    "ai_function_embedding_default_credentials", "ai_function_text_default_credentials", "bool_false_representation",
    "bool_true_representation", "chdb_client_name", "column_names_for_schema_inference", "compatibility",
    "compression", "count_distinct_implementation", "database", "default_format", "default_view_definer",
    "distributed_cache_client_id", "distributed_cache_file_cache_name", "distributed_plan_force_exchange_kind",
    "errors_output_format", "exclude_materialize_skip_indexes_on_insert", "filesystem_cache_name",
    "force_data_skipping_indices", "force_optimize_projection_name", "format", "format_csv_null_representation",
    "format_custom_field_delimiter", "format_custom_result_after_delimiter", "format_custom_result_before_delimiter",
    "format_custom_row_after_delimiter", "format_custom_row_before_delimiter", "format_custom_row_between_delimiter",
    "format_json_object_each_row_column_for_object_name", "format_regexp", "format_template_resultset_format",
    "format_template_row_format", "format_template_rows_between_delimiter", "format_tsv_null_representation",
    "framing_output_format", "function_implementation", "http_response_headers", "iceberg_metadata_compression_method",
    "ignore_data_skipping_indices", "input_format", "input_format_mysql_dump_table_name",
    "input_format_orc_reader_time_zone_name", "insert_deduplication_token", "local_filesystem_read_method",
    "log_comment", "metrics_perf_events_list", "network_compression_method", "output_format",
    "output_format_avro_codec", "output_format_avro_confluent_subject", "output_format_avro_string_column_pattern",
    "output_format_image_terminal_mode", "output_format_orc_writer_time_zone_name",
    "output_format_pretty_grid_charset", "output_format_sql_insert_table_name", "preferred_optimize_projection_name",
    "promql_database", "promql_table", "query_cache_tag", "remote_filesystem_read_method",
    "s3_upload_checksum_algorithm", "s3queue_default_zookeeper_path", "send_logs_source_regexp",
    "stream_like_engine_insert_queue", "temporary_files_codec", "trace_profile_events_list", "workload",
})  # fmt: skip


def test_every_setting_that_is_text_is_fixed_or_known_to_be_harmless(report: Any) -> None:
    sql = "SELECT name, readonly FROM system.settings WHERE type IN ('String', 'Map')"
    free = {name for name, fixed in report.query(sql).result_rows if not fixed}
    assert free - HARMLESS_TEXT_SETTINGS == set()


def test_what_is_allowed_by_name_exists_in_the_engine(archiver: Any) -> None:
    functions = {row[0] for row in archiver.query("SELECT lower(name) FROM system.table_functions").result_rows}
    engines = {row[0] for row in archiver.query("SELECT lower(name) FROM system.table_engines").result_rows}
    databases = {row[0] for row in archiver.query("SELECT lower(name) FROM system.database_engines").result_rows}
    assert functions >= ALLOWED_TABLE_FUNCTIONS
    assert engines | databases >= ALLOWED_ENGINES
