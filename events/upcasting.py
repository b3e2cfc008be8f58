"""Events of earlier schema versions, lifted to the one that this program has.

What is on the ledger is never rewritten, so an event of version 1 is there as long as the ledger is. Every reader
(live, archive, quarantine retry, audit pack) goes through one `Codec`, and that through here: the data of version n
is lifted to n + 1 by a pure function of its own, and so on to the version of the class in the catalogue.

To ship version 2 of a kind: change its class, raise its `schema_version`, register the step from 1 in `UPCASTS`, run
`make schemas` and `python -m tests.golden add`. The step must take everything that version 1 accepts. Live states are
folded again by themselves, since their own version counts those of the facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

#: From the data of one version to that of the next.
Upcast = Callable[[dict[str, Any]], dict[str, Any]]
#: By `type` on the wire and the version that is lifted.
Upcasts = Mapping[tuple[str, int], Upcast]

#: All that this program needs to read: none so far, every kind is of version 1.
UPCASTS: Final[Upcasts] = {}

_SCHEMA: Final = re.compile(r"urn:dossier-ledger:schema:([a-z-]+\.[a-z-]+):([1-9]\d{0,3})")


class NewerVersion(Exception):
    """The event is of a version that this program does not know yet; the message says which."""


def require_whole(upcasts: Upcasts, versions: Mapping[str, int]) -> None:
    """Check that each version that was shipped can be lifted to the newest, and that nothing else can.

    Args:
        versions: the newest of each type.

    Raises:
        ValueError: naming a step that is missing, or one that leads nowhere.
    """
    needed = {(kind, version) for kind, newest in versions.items() for version in range(1, newest)}
    if missing := sorted(needed - upcasts.keys()):
        raise ValueError(f"no step from version {missing[0][1]} of {missing[0][0]}")
    if extra := sorted(upcasts.keys() - needed):
        raise ValueError(f"a step from version {extra[0][1]} of {extra[0][0]}, of which there is no newer one")


def lift(value: bytes, upcasts: Upcasts, versions: Mapping[str, int]) -> Iterator[bytes]:
    """The event as its newest version would say it; nothing if it is of no earlier version, or is no event at all.

    An event that names no schema may be of any: it is of the newest that takes it, and they are tried in that order.

    Raises:
        NewerVersion: its schema is of a version that was never shipped.
    """
    try:
        event = msgspec.json.decode(value)
        kind, data = event["type"], event["data"]
        newest = versions[kind]
        named = _version(event.get("dataschema"), kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return
    if named is not None and named > newest:
        raise NewerVersion(f"version {named} of {kind} is newer than this program knows: update it")
    if not isinstance(data, dict):
        return
    schema = f"urn:dossier-ledger:schema:{kind}:{newest}"
    for version in range(newest - 1, 0, -1):
        if named in (None, version):
            with suppress(LookupError, TypeError, ValueError, AttributeError):  # it is no valid data of that version
                lifted = _lifted(data, [upcasts[kind, each] for each in range(version, newest)])
                yield msgspec.json.encode({**event, "data": lifted, "dataschema": schema})


def _lifted(data: dict[str, Any], steps: Iterable[Upcast]) -> dict[str, Any]:
    for step in steps:
        data = step(data)
    return data


def _version(schema: Any, kind: str) -> int | None:
    """What a `dataschema` says; None: nothing. Raises LookupError: it is of another kind or house."""
    if schema is None:
        return None
    found = _SCHEMA.fullmatch(schema)
    if found is None or found[1] != kind:
        raise LookupError(schema)
    return int(found[2])
