"""Whether a changed JSON Schema still accepts, and still means, everything that was written to the old one.

Pure functions over schemas as `events.contract` makes them: objects, arrays, scalars, `anyOf`, `$ref` into `$defs`,
nothing recursive. A keyword this module does not know counts as breaking when it changes: better a needless new
version than a silent break.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

_ANNOTATIONS: Final = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples"})
_LEAST: Final = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
_MOST: Final = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
_LOOSENED_BY_ABSENCE: Final = ("pattern", "format")
_NESTED: Final = ("items", "propertyNames")
_HANDLED: Final = _ANNOTATIONS | {
    *_LEAST, *_MOST, *_LOOSENED_BY_ABSENCE, *_NESTED, "type", "enum", "const", "default", "required", "properties",
    "additionalProperties", "anyOf", "$ref",
}  # fmt: skip
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_ALL_TYPES: Final = frozenset({*_TYPES.values(), "object", "array"})


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What `old` lets one say and `new` does not, or not with that meaning: one line each, with its path."""
    return list(_Comparison(old.get("$defs", {}), new.get("$defs", {})).compare("$", old, new))


def broken_promises(shipped: Mapping[str, Schema], current: Mapping[str, Schema]) -> list[str]:
    """What the current schemas break of the shipped ones, by path (`dossier.received/1.json`), one line each.

    A shipped version may stand beside a newer one; it may not change its meaning, and no type may disappear.
    """
    newest = {path.partition("/")[0]: _version(path) for path in current}
    broken = []
    for path, schema in sorted(shipped.items()):
        kind = path.partition("/")[0]
        if path in current:
            broken += [f"{path}: {change}" for change in breaking_changes(schema, current[path])]
        elif kind not in newest:
            broken.append(f"{path}: the type was removed")
        elif newest[kind] < _version(path):
            broken.append(f"{path}: the version went back to {newest[kind]}")
    return broken


class _Comparison:
    """One walk over two schemas; holds the `$defs` of each side."""

    def __init__(self, old_parts: Mapping[str, Schema], new_parts: Mapping[str, Schema]) -> None:
        self.old_parts, self.new_parts = old_parts, new_parts

    def compare(self, path: str, before: Schema | bool, after: Schema | bool) -> Iterable[str]:
        old, new = _whole(before, self.old_parts), _whole(after, self.new_parts)
        if not old and not new:
            return
        if "anyOf" in old or "anyOf" in new:
            yield from self._compare_choices(path, old, new)
            return
        yield from _compare_values(path, {**_implied(old), **old}, new)
        yield from self._compare_objects(path, old, new)
        for keyword in _NESTED:
            yield from self.compare(f"{path}.{keyword}", old.get(keyword, True), new.get(keyword, True))
        for keyword in sorted((old.keys() | new.keys()) - _HANDLED):
            if _shown(old, keyword) != _shown(new, keyword):
                yield f"{path}: {keyword} changed from {_shown(old, keyword)} to {_shown(new, keyword)}"

    def _compare_choices(self, path: str, old: Schema, new: Schema) -> Iterable[str]:
        takers = [_whole(choice, self.new_parts) for choice in _choices(new)]
        for choice in (_whole(choice, self.old_parts) for choice in _choices(old)):
            alike = [taker for taker in takers if _types(choice) & _types(taker)] or takers
            outcomes = [list(self.compare(path, choice, taker)) for taker in alike]
            if all(outcomes):  # none takes all of it: the nearest one says best what is lost
                yield from min(outcomes, key=len)

    def _compare_objects(self, path: str, old: Schema, new: Schema) -> Iterable[str]:
        fields, new_fields = old.get("properties", {}), new.get("properties", {})
        required = set(old.get("required", ()))
        for name in sorted(set(new.get("required", ())) - required):
            yield f"{path}.{name}: now required"
        for name, schema in fields.items():
            if name not in new_fields:
                yield f"{path}.{name}: removed or renamed"
                continue
            yield from self.compare(f"{path}.{name}", schema, new_fields[name])
            given, now = _shown(schema, "default"), _shown(new_fields[name], "default")
            if name not in required and given != now:  # changes what its absence says in events already written
                yield f"{path}.{name}: default changed from {given} to {now}"
        others = old.get("additionalProperties", True)
        if others is not False:
            for name in sorted(new_fields.keys() - fields.keys()):
                yield from self.compare(f"{path}.{name}", others, new_fields[name])
            yield from self.compare(f"{path}.*", others, new.get("additionalProperties", True))


def _compare_values(path: str, old: Schema, new: Schema) -> Iterable[str]:
    allowed, said = _values(new), _values(old)
    if allowed is not None and said is None:
        yield f"{path}: now only one of {allowed}" if allowed else f"{path}: no longer allowed"
    elif allowed is not None and said is not None and (gone := [value for value in said if value not in allowed]):
        yield f"{path}: no longer accepts {', '.join(map(str, gone))}"
    elif allowed is None and (lost := _types(old) - _types(new)):
        yield f"{path}: no longer accepts type {', '.join(sorted(lost))}"
    for keyword in _LEAST:
        if keyword in new and new[keyword] > old.get(keyword, float("-inf")):
            yield f"{path}: {keyword} raised from {_shown(old, keyword)} to {new[keyword]}"
    for keyword in _MOST:
        if keyword in new and new[keyword] < old.get(keyword, float("inf")):
            yield f"{path}: {keyword} lowered from {_shown(old, keyword)} to {new[keyword]}"
    for keyword in _LOOSENED_BY_ABSENCE:
        if keyword in new and old.get(keyword) != new[keyword]:
            yield f"{path}: {keyword} changed from {_shown(old, keyword)} to {_shown(new, keyword)}"


def _whole(schema: Schema | bool, parts: Mapping[str, Schema]) -> Schema:
    """The schema as an object, its `$ref` followed; what stands beside a `$ref` stays in force."""
    if isinstance(schema, bool):
        return {} if schema else {"enum": []}
    if "$ref" not in schema:
        return schema
    beside = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
    return {**parts[schema["$ref"].removeprefix("#/$defs/")], **beside}


def _choices(schema: Schema) -> list[Schema]:
    beside = {keyword: value for keyword, value in schema.items() if keyword != "anyOf"}
    return [{**beside, **choice} for choice in schema.get("anyOf", [{}])]


def _implied(schema: Schema) -> Schema:
    """What a closed list of texts says about their length, so that it may become free text."""
    said = _values(schema)
    if not said or not all(isinstance(value, str) for value in said):
        return {}
    return {"minLength": min(map(len, said)), "maxLength": max(map(len, said))}


def _values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _types(schema: Schema) -> frozenset[str]:
    said = _values(schema)
    if "type" not in schema:
        return _ALL_TYPES if said is None else frozenset(_TYPES[type(value)] for value in said)
    named = schema["type"]
    types = frozenset([named] if isinstance(named, str) else named)
    return types | {"integer"} if "number" in types else types


def _shown(schema: Schema | bool, keyword: str) -> str:
    if isinstance(schema, bool) or keyword not in schema:
        return "none"
    return json.dumps(schema[keyword], ensure_ascii=False)


def _version(path: str) -> int:
    return int(path.rpartition("/")[2].removesuffix(".json"))
