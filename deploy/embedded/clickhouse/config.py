"""The engine's configuration: where its files lie and what its one user may do."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

# All that either of our users needs. No source (FILE, URL, REMOTE, S3, …), no users, no system commands.
GRANTS = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP DATABASE, DROP TABLE, DROP VIEW, "
    "TRUNCATE, OPTIMIZE, CHECK"
)
# Settings that hold SQL, another dialect, or the path of a file, or let data be expressions: each is a way around the
# parser's word or the grants.
FIXED_SETTINGS = (
    "additional_result_filter", "additional_table_filters", "allow_introspection_functions",
    "cluster_for_parallel_replicas", "dialect", "filter", "format_avro_schema_registry_url", "format_schema",
    "format_schema_message_name", "format_schema_source", "format_template_resultset", "format_template_row",
    "implicit_select", "implicit_table_at_top_level", "input_format_record_errors_file_path",
    "input_format_values_deduce_templates_of_expressions", "input_format_values_interpret_expressions", "order",
    "output_format_schema",
    "parallel_replicas_custom_key", "polyglot_dialect", "rename_files_after_processing", "s3_base",
    "schema_inference_hints", "select", "sort", "url_base",
)  # fmt: skip
#: Inserts and merges are refused when less is free: on a disk that is full to the last byte the engine has been seen to
#: take a part whose files it could not write.
KEPT_FREE_BYTES = 128 << 20


def engine_config(data_dir: Path, temp_dir: Path, file: Path) -> str:
    """The XML of the engine's configuration file, which will be stored at `file`."""
    constraints = "".join(f"<{name}><const/></{name}>" for name in FIXED_SETTINGS)
    return f"""<clickhouse>
  <path>{escape(str(data_dir))}/</path>
  <tmp_path>{escape(str(temp_dir))}/</tmp_path>
  <users_config>{escape(str(file))}</users_config>
  <timezone>UTC</timezone>
  <merge_tree><min_free_disk_bytes_to_perform_insert>{KEPT_FREE_BYTES}</min_free_disk_bytes_to_perform_insert></merge_tree>
  <storage_configuration><disks><default>
    <keep_free_space_bytes>{KEPT_FREE_BYTES}</keep_free_space_bytes>
  </default></disks></storage_configuration>
  <profiles><default>
    <implicit_select>0</implicit_select>
    <allow_introspection_functions>0</allow_introspection_functions>
    <input_format_values_interpret_expressions>0</input_format_values_interpret_expressions>
    <input_format_values_deduce_templates_of_expressions>0</input_format_values_deduce_templates_of_expressions>
    <constraints>{constraints}</constraints>
  </default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password></password>
    <networks><ip>::1</ip><ip>127.0.0.1</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
    <grants><query>GRANT {GRANTS} ON *.*</query></grants>
  </default></users>
</clickhouse>
"""
