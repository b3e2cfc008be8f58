"""YAML that people write, with the line of everything in it, so that each mistake can be shown where it is.

Every scalar is text (no `no` that means false): the pydantic model it goes into decides what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from pydantic import ValidationError

MAX_DEPTH: Final = 10

#: Where something is in a document: keys and list indexes from the top.
Place = tuple[str | int, ...]


class Mistake(NamedTuple):
    """Something wrong at a place of a document."""

    place: Place
    message: str


class Disagreements(ValueError):
    """Parts of a document that are well formed and do not fit together; raised by a model's validator."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(f"{place_text(place)}: {message}" for place, message in mistakes))
        self.mistakes = mistakes


class NotReadable(ValueError):
    """The text is no YAML document of ours; the message names the file and, where it is known, the line."""


@dataclass(frozen=True)
class Written:
    """A document as it was written: `content` is plain dicts, lists and text."""

    where: str
    content: dict[str, Any]
    lines: dict[Place, int]

    def nearest(self, place: Place) -> Place:
        """`place`, or the nearest thing around it that is written down."""
        while place and place not in self.lines:
            place = place[:-1]
        return place

    def line(self, place: Place) -> int:
        """The line of `place`, or of the nearest thing around it."""
        return self.lines.get(self.nearest(place), 1)

    def told(self, mistake: Mistake) -> str:
        """The mistake in one line: `rules.yaml line 12: procedures.3.code: …`."""
        return _located(self.where, self.line(mistake.place), self.nearest(mistake.place), mistake.message)

    def mistakes(self, error: ValidationError, reference: str) -> list[Mistake]:
        """What pydantic found, by place; `reference` is where all keys are explained."""
        return [
            mistake
            for each in error.errors()
            if not (each["type"] == "too_short" and len(each["input"]) >= each["ctx"]["min_length"])  # items are bad
            for mistake in self._mistakes(each, reference)
        ]

    def _mistakes(self, each: Any, reference: str) -> Iterator[Mistake]:
        place = self._known_place(each["loc"])
        match each["type"]:
            case "missing":
                yield Mistake(place, f"`{each['loc'][-1]}` is missing")
            case "extra_forbidden":
                yield Mistake(place, f"there is no such key here; {reference} has them all")
            case "value_error" if isinstance(disagreements := each["ctx"]["error"], Disagreements):
                yield from (Mistake(place + inner, message) for inner, message in disagreements.mistakes)
            case _:
                yield Mistake(place, each["msg"].removeprefix("Value error, "))

    def _known_place(self, loc: tuple[int | str, ...]) -> Place:
        """pydantic's location without the names of the forms it tried."""
        place: Place = ()
        for part in loc:
            if (*place, part) in self.lines:
                place = (*place, part)
        return place


def read_text(path: Path, max_bytes: int, what: str) -> str:
    """The text of a file that should be `what`.

    Raises:
        NotReadable: it is too large, or not UTF-8.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise NotReadable(f"{path.name}: larger than {max_bytes} bytes; is it a {what}?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReadable(f"{path.name}: not UTF-8") from error


def parse(text: str, where: str) -> Written:
    """A document from its YAML text; aliases, deep nesting and keys that are there twice are refused.

    Raises:
        NotReadable: naming `where`, the line and what is wrong.
    """
    root = _compose(text, where)
    lines: dict[Place, int] = {}
    return Written(where, _content(root, (), lines, where), lines)


def place_text(place: Place) -> str:
    """A place in one word: `procedures.3.code`."""
    return ".".join(str(part) for part in place)


def _compose(text: str, where: str) -> yaml.Node:
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for gigabytes
                raise _not_readable(where, _line(event.start_mark), (), "aliases (*name) are not read; write it out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _not_readable(where, _line(event.start_mark), (), f"nested deeper than {MAX_DEPTH}")
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_readable(where, _line(error.problem_mark), (), f"no YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise NotReadable(f"{where}: no YAML: {' '.join(str(error).split()) or 'nested too deep'}") from error
    if not isinstance(root, yaml.MappingNode):
        raise _not_readable(where, 1, (), "no mapping: it must begin with keys such as `name: …`")
    return root


def _content(node: yaml.Node, place: Place, lines: dict[Place, int], where: str) -> Any:
    """The node as plain dicts, lists and text, noting the line of everything in it."""
    line = _line(node.start_mark)
    lines.setdefault(place, line)
    match node:
        case yaml.MappingNode():
            content: dict[str, Any] = {}
            for key, value in node.value:
                key_line = _line(key.start_mark)
                if not isinstance(key, yaml.ScalarNode):
                    raise _not_readable(where, key_line, place, "a key must be text")
                if key.value in content:
                    raise _not_readable(where, key_line, place, f"`{key.value}` is there twice")
                lines[(*place, key.value)] = key_line
                content[key.value] = _content(value, (*place, key.value), lines, where)
            return content
        case yaml.SequenceNode():
            return [_content(item, (*place, n), lines, where) for n, item in enumerate(node.value)]
        case _:
            return node.value


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1


def _not_readable(where: str, line: int, place: Place, message: str) -> NotReadable:
    return NotReadable(_located(where, line, place, message))


def _located(where: str, line: int, place: Place, message: str) -> str:
    return f"{where} line {line}: {place_text(place) + ': ' if place else ''}{message}"
