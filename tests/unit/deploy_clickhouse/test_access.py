"""Users, passwords, and what a statement's class lets it do."""

from __future__ import annotations

import json

import pytest

from deploy.embedded.clickhouse.access import StatementKind, Users, check_kind, check_syntax
from deploy.embedded.clickhouse.errors import Code, ServerError
from deploy.embedded.clickhouse.syntax import Syntax, into_file

USERS = json.dumps({"writer": {"password": "w", "access": "write"}, "reader": {"password": "đọc", "access": "read"}})


def refusal(kind: StatementKind, statements: int = 1, *, read_only: bool) -> int | None:
    try:
        check_kind(kind, statements, read_only=read_only)
    except ServerError as error:
        return error.code
    return None


def test_the_right_password_names_the_user() -> None:
    users = Users.from_json(USERS)
    assert users.authenticate("writer", "w").access == "write"
    assert users.authenticate("reader", "đọc").access == "read"


@pytest.mark.parametrize(
    ("name", "password"), [("writer", "x"), ("writer", ""), ("nobody", "w"), ("nobody", "\0"), ("", "")]
)
def test_all_else_is_refused_in_the_same_words(name: str, password: str) -> None:
    with pytest.raises(ServerError) as caught:
        Users.from_json(USERS).authenticate(name, password)
    assert caught.value.code == Code.AUTHENTICATION_FAILED
    assert caught.value.text.endswith(
        "password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
    )


def test_passwords_do_not_show() -> None:
    assert "đọc" not in repr(Users.from_json(USERS).authenticate("reader", "đọc"))


@pytest.mark.parametrize(
    ("kind", "reader", "writer"),
    [
        (StatementKind.READ_ONLY, None, None),
        (StatementKind.UNKNOWN, None, None),
        (StatementKind.MUTATING, Code.READONLY, None),
        (StatementKind.MUTATING_GLOBAL, Code.ACCESS_DENIED, Code.ACCESS_DENIED),
        (StatementKind.CONTROL, Code.ACCESS_DENIED, Code.ACCESS_DENIED),
    ],
)
def test_each_class_of_statement_for_each_user(kind: StatementKind, reader: Code | None, writer: Code | None) -> None:
    assert refusal(kind, read_only=True) == reader
    assert refusal(kind, read_only=False) == writer
    assert refusal(kind, 2, read_only=False) == Code.SYNTAX_ERROR


def qp(name: str) -> dict[str, object]:
    return {"type": "QueryParameter", "name": name, "param_type": "Identifier"}


def select(*functions: dict[str, object]) -> str:
    return json.dumps({"type": "SelectWithUnionQuery", "list_of_selects": {"children": list(functions)}})


@pytest.mark.parametrize(
    "tree",
    [
        {"type": "Function", "name": "FILE"},
        {"type": "ColumnsApplyTransformer", "func_name": "file"},
        {"type": "Function", "name": "aiGenerate"},
        {"type": "Identifier", "name": "file"},
        {"type": "Identifier", "name": "", "children": [qp("f")]},
        {"type": "SetQuery", "changes": [{"name": "log_comment"}]},
        {"type": "Function", "name": "URL", "kind": "TABLE_ENGINE"},
        {"type": "InsertQuery", "infile": {"type": "Literal"}},
        {"value": {"field_type": "CustomType", "value": "disk()"}},
        {"type": "DropQuery", "kind": "Drop", "database": "default", "table": ""},
        {"type": "Function", "name": "format", "arguments": {"children": [{"value": {"value": "CSV"}}]}},
    ],
)
def test_what_reaches_outside_is_refused(tree: dict[str, object]) -> None:
    with pytest.raises(ServerError) as caught:
        check_syntax(Syntax.from_json(select(tree), {"f": "File"}), frozenset({"file", "format"}), frozenset({"file"}))
    assert caught.value.code == Code.ACCESS_DENIED


@pytest.mark.parametrize(
    "tree",
    [
        {"type": "Function", "name": "count"},
        {"type": "Identifier", "name": "t.file"},
        {"type": "QueryParameter", "name": "f", "param_type": "String"},
        {"type": "SetQuery", "changes": [{"name": "max_threads"}]},
        {"type": "Function", "name": "MergeTree", "kind": "TABLE_ENGINE"},
        {"type": "Literal", "value": {"field_type": "String", "value": '{"type": "Function", "name": "file"}'}},
        {"type": "DropQuery", "kind": "Drop", "database": "default", "table": "t"},
        {"type": "Function", "name": "format", "arguments": {"children": [{"value": {"value": "{}-{}"}}]}},
    ],
)
def test_what_stays_inside_is_not(tree: dict[str, object]) -> None:
    check_syntax(Syntax.from_json(select(tree), {"f": "File"}), frozenset({"file", "format"}), frozenset({"file"}))


def test_the_outline_tells_of_calls_and_is_not_fooled_by_text() -> None:
    outline = "DescribeQuery (children 1)\n Function url (children 1)\n  Identifier F\n  Literal 'a\\n Function file'\n"
    assert Syntax.from_outline(outline, {"p": "File"}) == Syntax(frozenset({"url"}), frozenset({"f", "file"}))


def test_output_is_sent_to_the_file_and_the_tree_kept_as_it_was() -> None:
    tree = {"type": "SelectWithUnionQuery", "list_of_selects": {}}
    sent = json.loads(into_file(tree, "/dev/fd/7", "JSON"))
    assert sent["out_file"]["value"]["value"] == "/dev/fd/7"
    assert sent["format_ast"]["name"] == "JSON"
    assert "out_file" not in tree


@pytest.mark.parametrize(
    ("message", "code", "status"),
    [
        ("Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)", 60, 404),
        ("Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)", 241, 500),
        ("something without a code", 1001, 500),
    ],
)
def test_engine_messages_become_codes_and_statuses(message: str, code: int, status: int) -> None:
    error = ServerError.from_engine(message)
    assert (error.code, error.http_status) == (code, status)
