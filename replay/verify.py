"""Is the archive what was signed? Every leaf hashed anew from its row, every root compared with every checkpoint.

What it relies on: the rows, the checkpoints wherever they were kept, and public keys. Not the leaves and nodes that are
stored in the table; those only help to say which row was changed.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from replay.checkpoint import CheckpointRefused, PublicKey, parse
from replay.leaf import leaf_hash
from replay.merkle import CompactRange, Completed

#: Offset, the bytes of the row's leaf as they follow from the row now, and the leaf hash that is stored beside it.
StoredRow = tuple[int, bytes, bytes]

#: So many leaves at most are kept for the next comparison: two megabytes of hashes.
_LEAVES: Final = 1 << 14


class Failure(NamedTuple):
    """What is not as it was signed. `kind`: missing, duplicate, changed, truncated, forked, signature, unsigned, …"""

    kind: str
    position: str
    message: str


class Signed(NamedTuple):
    """A checkpoint whose signature holds, and where it was found."""

    size: int
    root: bytes
    found: str


class Verified(NamedTuple):
    """The outcome for one partition: how many leaves were computed, how many checkpoints compared.

    `agreed`: the size of the largest log whose root was the computed one.
    """

    leaves: int
    checkpoints: int
    failures: tuple[Failure, ...]
    agreed: int = 0


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
            partition = note.checkpoint.partition_of(topic)
            if partition is None:
                continue
            note.verified(keys)
        except CheckpointRefused as error:
            failures.append(Failure("signature", where, str(error)))
            continue
        signed = Signed(note.checkpoint.size, note.checkpoint.root, where)
        found.setdefault(partition, []).append(signed)
    return found, failures


def verify_rows(
    partition: int,
    blocks: Iterable[Iterable[StoredRow]],
    checkpoints: Sequence[Signed],
    completed: Callable[[Iterable[Completed]], None] = lambda _: None,
) -> Verified:
    """Compare the rows of a partition, in the order of their offsets, with its checkpoints.

    Rows without any checkpoint are a failure: nothing says what they should be.

    Args:
        completed: is given the subtrees of the computed log, the lower ones first.
    """
    expected = sorted(checkpoints)
    failures = list(_forks(partition, expected))
    signed = _Against(partition, expected, completed)
    failures += signed.compare([])
    end = leaves = 0
    new: list[bytes] = []  # leaves of which no root was compared yet
    for offset, leaf, stored in (row for block in blocks for row in block):
        if offset < end:
            failures.append(Failure("duplicate", f"{partition}@{offset}", "there is another row for this offset"))
            continue
        if offset > end:
            gap = f"{partition}@{end}" if offset == end + 1 else f"{partition}@{end}-{offset - 1}"
            failures.append(Failure("missing", gap, f"{offset - end} rows are not there"))
            signed.give_up()
        end, leaves = offset + 1, leaves + 1
        found = leaf_hash(leaf)
        if found != stored:
            failures.append(Failure("changed", f"{partition}@{offset}", "this row is not the one that was archived"))
        if end <= signed.until:
            new.append(found)
            if end == signed.until:
                failures += signed.compare(new)
                new.clear()
    failures += signed.end()
    newest = expected[-1] if expected else None
    if newest is not None and end < newest.size:
        message = f"the archive ends before offset {end}, {newest.size} leaves were signed ({newest.found})"
        failures.append(Failure("truncated", f"{partition}@{end}", message))
    if end and (newest is None or not newest.size):
        message = "no known key has signed a checkpoint of these rows: the archiver needs a signing_key, and a moment"
        failures.append(Failure("unsigned", f"{partition}@0-{end - 1}", message))
    return Verified(leaves, signed.compared, tuple(failures), signed.agreed)


class _Against:
    """The log as it is computed, and the checkpoints that it has not come to. `until`: its size at the next one.

    `agreed`: the size up to which the last root agreed.

    Where a row differs every later root does too, so a root that differs says that rows do, unless a later one agrees:
    then it was the earlier statement that is false.
    """

    def __init__(
        self, partition: int, expected: Sequence[Signed], completed: Callable[[Iterable[Completed]], None]
    ) -> None:
        self._partition = partition
        self._completed = completed
        self._log = CompactRange()
        self._due = deque(expected)
        self._others = dict[tuple[int, bytes], Signed]()  # those since then that do not, by size and root
        self.agreed = 0
        self.compared = 0
        self.until = 0

    def compare(self, leaves: Sequence[bytes]) -> Iterator[Failure]:
        """Go on with these leaves, to the size of the next checkpoint."""
        self._completed(self._log.extend(leaves))
        root, agrees = self._log.root(), None
        while self._due and self._due[0].size == self._log.size:
            signed = self._due.popleft()
            self.compared += 1
            if signed.root == root:
                agrees = signed
            else:
                self._others.setdefault((signed.size, signed.root), signed)
        if agrees is not None:
            yield from self._false(agrees)
            self.agreed = agrees.size
        self.until = min(self._log.size + _LEAVES, self._due[0].size) if self._due else 0

    def _false(self, agrees: Signed) -> Iterator[Failure]:
        """What was signed and is no log of these rows. Of two roots of one size `_forks` has told."""
        roots = Counter(size for size, _ in self._others)
        for other in self._others.values():
            if other.size < agrees.size and roots[other.size] == 1:
                message = f"signed ({other.found}), and no beginning of what was signed later ({agrees.found})"
                yield Failure("forked", f"{self._partition}@{other.size}", message)
        self._others.clear()

    def give_up(self) -> None:
        """There is no log of these rows: some are not there."""
        self._due.clear()
        self.until = 0

    def end(self) -> Iterator[Failure]:
        """What no later root has explained."""
        if self._others:
            first = next(iter(self._others.values()))
            rows = f"{self.agreed}-{first.size - 1}" if first.size else "0"
            message = f"rows {rows} are not those that were signed ({first.found})"
            yield Failure("root", f"{self._partition}@{rows}", message)


def _forks(partition: int, checkpoints: Sequence[Signed]) -> Iterable[Failure]:
    """Each other root of a size once, in however many places it was found."""
    first: dict[int, Signed] = {}
    told: set[tuple[int, bytes]] = set()
    for each in checkpoints:
        other, log = first.setdefault(each.size, each), (each.size, each.root)
        if other.root != each.root and log not in told:
            told.add(log)
            message = f"two logs of {each.size} leaves were signed ({other.found}, {each.found})"
            yield Failure("forked", f"{partition}@{each.size}", message)
