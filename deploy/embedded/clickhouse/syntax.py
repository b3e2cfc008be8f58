"""What a statement names, from the syntax tree that the engine's parser makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_AST_FUNCTION = re.compile(r"^ *Function ([^ \n]+)", re.MULTILINE)
_AST_IDENTIFIER = re.compile(r"^ *Identifier ([^ \n]+)", re.MULTILINE)


@dataclass(frozen=True)
class Syntax:
    """The names in a statement that decide whether it may run, and how its output is written."""

    calls: frozenset[str]  # functions and table functions, case-folded
    references: frozenset[str] = frozenset()  # names of columns, or of functions, as in arrayMap(upper, …), case-folded
    settings: frozenset[str] = frozenset()  # that it sets for itself
    engines: frozenset[str] = frozenset()  # of tables and of databases, case-folded
    output_format: str | None = None  # as named by FORMAT
    inserts_into_table: bool = False  # nothing else, no function, no file
    reads_client_file: bool = False  # FROM INFILE
    defines_disk: bool = False  # SETTINGS disk = disk(...)
    removes_database: str | None = None  # the first that it drops or renames
    select: dict[str, Any] | None = field(default=None, compare=False)  # the tree itself, if it is a SELECT

    @classmethod
    def from_json(cls, text: str, parameters: Mapping[str, str]) -> Syntax:
        """From `parseQueryToJSON`; RecursionError where the tree is deeper than Python can read."""
        root = json.loads(text)
        nodes = list(_nodes(root))
        functions = [node for node in nodes if node.get("type") == "Function"]
        return cls(
            calls=frozenset(
                name.casefold()
                for name in [
                    *(node["name"] for node in functions if not (_is_engine(node) or _is_pattern(node))),
                    *(node["func_name"] for node in nodes if "func_name" in node),  # SELECT * APPLY(name)
                ]
            ),
            references=frozenset(name.casefold() for node in nodes for name in _references(node, parameters)),
            settings=frozenset(change["name"] for node in nodes for change in node.get("changes", ())),
            engines=frozenset(node["name"].casefold() for node in functions if _is_engine(node)),
            output_format=root.get("format_ast", {}).get("name"),
            inserts_into_table=root["type"] == "InsertQuery"
            and "table" in root
            and not any("table_function" in node or "out_file" in node for node in nodes),
            reads_client_file=any("infile" in node for node in nodes),
            defines_disk=any(node.get("field_type") == "CustomType" for node in nodes),
            removes_database=next(filter(None, map(_removed_database, nodes)), None),
            select=root if root["type"] == "SelectWithUnionQuery" else None,
        )

    @classmethod
    def from_outline(cls, outline: str, parameters: Mapping[str, str]) -> Syntax:
        """From `EXPLAIN AST`, which knows every statement but tells only of plain calls, and where no parameter is."""
        names = [*_AST_IDENTIFIER.findall(outline), *parameters.values()]
        return cls(
            calls=frozenset(name.casefold() for name in _AST_FUNCTION.findall(outline)),
            references=frozenset(name.casefold() for name in names),
        )


def into_file(select: dict[str, Any], path: str, output_format: str) -> str:
    """The tree of the same SELECT with its output going to an existing file, for `formatQueryFromJSON`."""
    return json.dumps(
        {
            **select,
            "out_file": {"type": "Literal", "value": {"field_type": "String", "value": path}},
            "is_outfile_truncate": True,
            "format_ast": {"type": "Identifier", "name": output_format},
        }
    )


def _nodes(root: Any) -> Iterator[dict[str, Any]]:
    """Every object in the tree, without recursion: a statement may nest as deep as the parser lets it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _references(node: dict[str, Any], parameters: Mapping[str, str]) -> Iterator[str]:
    match node:
        case {"type": "Identifier", "name": str(name)} if name:
            yield name
        case {"type": "QueryParameter", "name": str(name), "param_type": "Identifier"}:
            yield parameters.get(name, "")
        case _:
            pass


def _is_engine(function: dict[str, Any]) -> bool:
    return str(function.get("kind", "")).endswith("_ENGINE")


def _is_pattern(function: dict[str, Any]) -> bool:
    """Is it `format('{} {}', a, b)`, and not the table function `format(CSV, …)`? No format has a brace in its name."""
    match function:
        case {"name": "format", "arguments": {"children": [{"value": {"value": str(pattern)}}, *_]}}:
            return "{" in pattern
        case _:
            return False


def _removed_database(node: dict[str, Any]) -> str | None:
    match node:
        case {"type": "DropQuery", "kind": "Drop", "table": "", "database": str(database)}:
            return database
        case {"type": "RenameQuery", "database": True, "elements": [{"from_database": str(database)}, *_]}:
            return database
        case _:
            return None
