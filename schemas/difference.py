"""What differs between two documents of plain values, item by item rather than line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

#: What is known of an item of a list, in the order of preference.
_NAMES = ("code", "basis", "name")


class Difference(NamedTuple):
    """One place where they differ: `procedures.GPLX-DOI.legal_time`. None: it is not there."""

    place: str
    before: Any
    after: Any


def differences(before: Any, after: Any, place: str = "") -> Iterator[Difference]:
    """What it takes to get from `before` to `after`, in the order of `before` and then of what is new.

    Items of a list are the same if they have the same code (or basis), wherever in the list they are; texts in a list
    are a set.
    """
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _by_key(before, after, place)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _by_key(_named(before), _named(after), place)
    else:
        yield Difference(place, before, after)


def _by_key(before: dict[str, Any], after: dict[str, Any], place: str) -> Iterator[Difference]:
    for key in [*before, *(key for key in after if key not in before)]:
        inner = f"{place}.{key}" if place else key
        yield from differences(before.get(key), after.get(key), inner)


def _named(items: list[Any]) -> dict[str, Any]:
    """The items by name; where a name is there twice, the second gets a number."""
    named: dict[str, Any] = {}
    for item in items:
        name = first = _name(item)
        number = 1
        while name in named:
            number += 1
            name = f"{first} ({number})"
        named[name] = item
    return named


def _name(item: Any) -> str:
    if isinstance(item, dict):
        return next((str(item[key]) for key in _NAMES if key in item), "·")
    return str(item)
