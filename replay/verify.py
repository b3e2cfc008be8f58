"""Is the archive what was signed? Every leaf computed anew from its row, every root compared with every checkpoint.

What it relies on: the rows, the checkpoints wherever they were kept, and public keys. Not the leaves and nodes that are
stored in the table; those only help to say which row was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from events.ledger import Header
from replay.checkpoint import CheckpointRefused, PublicKey, parse
from replay.leaf import leaf_hasher
from replay.merkle import CompactRange

#: Offset, append time in ms, key, value, headers, and the leaf hash that is stored beside them.
StoredRow = tuple[int, int, bytes | None, bytes | None, Sequence[Header], bytes]


class Failure(NamedTuple):
    """Something that is not as it was signed. `kind`: missing, duplicate, changed, truncated, forked, signature, …"""

    kind: str
    position: str
    message: str


class Signed(NamedTuple):
    """A checkpoint whose signature holds, and where it was found."""

    size: int
    root: bytes
    found: str


class Verified(NamedTuple):
    """The outcome for one partition: how many leaves were computed, how many checkpoints compared."""

    leaves: int
    checkpoints: int
    failures: tuple[Failure, ...]


def signed_checkpoints(
    notes: Iterable[tuple[str, str]], keys: Sequence[PublicKey], topic: str
) -> tuple[dict[int, list[Signed]], list[Failure]]:
    """The checkpoints of a ledger's partitions that one of `keys` has signed, and those that nobody has.

    Args:
        notes: where each was found, and its text. Those of other logs are passed over.
    """
    found: dict[int, list[Signed]] = {}
    failures = []
    for where, text in notes:
        try:
            note = parse(text)
            log, _, partition = note.checkpoint.origin.rpartition("/")
            if not log.endswith(f"/{topic}") or not partition.isdecimal():
                continue
            note.verified(keys)
        except CheckpointRefused as error:
            failures.append(Failure("signature", where, str(error)))
            continue
        signed = Signed(note.checkpoint.size, note.checkpoint.root, where)
        found.setdefault(int(partition), []).append(signed)
    return found, failures


def verify_rows(
    topic: str, partition: int, blocks: Iterable[Iterable[StoredRow]], checkpoints: Sequence[Signed]
) -> Verified:
    """Compare the rows of a partition, in the order of their offsets, with its checkpoints."""
    expected = sorted(checkpoints)
    failures = list(_forks(partition, expected))
    log, due, hash_of = CompactRange(), iter(expected), leaf_hasher(topic, partition)
    next_due = next(due, None)
    whole, good = True, 0  # no row missing so far; the size up to which the last root agreed
    end = leaves = 0
    for offset, recorded_ms, key, value, headers, stored in (row for block in blocks for row in block):
        if offset < end:
            failures.append(Failure("duplicate", f"{partition}@{offset}", "there is another row for this offset"))
            continue
        if offset > end:
            gap = f"{partition}@{end}" if offset == end + 1 else f"{partition}@{end}-{offset - 1}"
            failures.append(Failure("missing", gap, f"{offset - end} rows are not there"))
            whole = False
        end, leaves = offset + 1, leaves + 1
        leaf = hash_of(offset, recorded_ms, key, value, headers)
        if leaf != stored:
            failures.append(Failure("changed", f"{partition}@{offset}", "this row is not the one that was archived"))
        if not whole:
            continue
        log.grow(leaf)
        while next_due is not None and next_due.size == log.size:
            if next_due.root != log.root():
                message = f"rows {good} to {log.size - 1} are not those that were signed ({next_due.found})"
                failures.append(Failure("root", f"{partition}@{good}-{log.size - 1}", message))
                whole = False  # every later root differs too
                break
            good, next_due = log.size, next(due, None)
    newest = expected[-1] if expected else None
    if newest is not None and end < newest.size:
        message = f"the archive ends before offset {end}, {newest.size} leaves were signed ({newest.found})"
        failures.append(Failure("truncated", f"{partition}@{end}", message))
    return Verified(leaves, len(expected), tuple(failures))


def _forks(partition: int, checkpoints: Sequence[Signed]) -> Iterable[Failure]:
    roots: dict[int, Signed] = {}
    for each in checkpoints:
        other = roots.setdefault(each.size, each)
        if other.root != each.root:
            message = f"two logs of {each.size} leaves were signed ({other.found}, {each.found})"
            yield Failure("forked", f"{partition}@{each.size}", message)
