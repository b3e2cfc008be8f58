"""The Merkle log of RFC 6962 (section 2.1), SHA-256: roots, and proofs that need no more than O(log n) hashes.

A log is only ever read through `Subtrees`: the hash of a complete, aligned subtree. So who keeps some of these hashes
(every 256 leaves, say) makes a proof in a log of millions from a few hundred, and a growing log is kept as the
`CompactRange` of its perfect subtrees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
_NODE_PREFIX: Final = b"\x01"


class ProofError(Exception):
    """The proof does not show what it should; the message says how it fails."""


class Subtrees(Protocol):
    """Hashes of complete subtrees: `level` 0 are leaves, subtree `index` of a level covers 2^level leaves."""

    def subtree(self, level: int, index: int) -> bytes: ...


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE_PREFIX + left + right).digest()


class Completed(NamedTuple):
    """Neighbouring subtrees of one level, from index `first` on."""

    level: int
    first: int
    hashes: list[bytes]


class CompactRange:
    """The first `size` leaves of a log as the hashes of their perfect subtrees, the largest first: O(log n) of them.

    Args:
        size: number of leaves.
        hashes: of the subtrees that the binary digits of `size` name.

    Raises:
        ValueError: that is another number of hashes.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if size.bit_count() != len(hashes) or any(len(each) != HASH_BYTES for each in hashes):
            raise ValueError(f"{len(hashes)} hashes are no range of {size} leaves")
        self.size = size
        self.hashes = list(hashes)

    def extend(self, leaves: Sequence[bytes]) -> list[Completed]:
        """Add leaf hashes, a level of the tree at a time; gives the subtrees that they complete, the lowest first."""
        sha256 = hashlib.sha256
        waiting = dict(zip(perfect_levels(self.size), self.hashes, strict=True))  # for a neighbour on the right
        completed = []
        level, first, nodes = 0, self.size, list(leaves)
        while nodes:
            if first & 1:
                nodes = [waiting.pop(level), *nodes]
            if len(nodes) & 1:
                waiting[level] = nodes[-1]
            pairs = zip(nodes[::2], nodes[1::2], strict=False)  # without the one that waits
            nodes = [sha256(_NODE_PREFIX + left + right).digest() for left, right in pairs]
            level, first = level + 1, first >> 1
            if nodes:
                completed.append(Completed(level, first, nodes))
        self.size += len(leaves)
        self.hashes = [waiting[each] for each in perfect_levels(self.size)]
        return completed

    def root(self) -> bytes:
        """The root hash of the log as it is now."""
        if not self.hashes:
            return EMPTY_ROOT
        *rest, root = self.hashes
        for each in reversed(rest):
            root = node_hash(each, root)
        return root


class Leaves:
    """Subtrees of leaf hashes that are all at hand."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            self._levels.append([node_hash(below[n], below[n + 1]) for n in range(0, len(below) - 1, 2)])

    def subtree(self, level: int, index: int) -> bytes:
        return self._levels[level][index]


def root_of(subtrees: Subtrees, begin: int, end: int) -> bytes:
    """MTH of the leaves from `begin` to before `end`; `begin` is a multiple of the power of two that covers them."""
    count = end - begin
    if count == 0:
        return EMPTY_ROOT
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return subtrees.subtree(level, begin >> level)
    split = begin + _split(count)
    return node_hash(root_of(subtrees, begin, split), root_of(subtrees, split, end))


def inclusion_proof(subtrees: Subtrees, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]): the hashes beside the way from leaf `index` to the root of the first `size` leaves.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} among {size}")
    proof: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        split = begin + _split(end - begin)
        if index < split:
            proof.append(root_of(subtrees, split, end))
            end = split
        else:
            proof.append(root_of(subtrees, begin, split))
            begin = split
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that leaf hash `leaf` is number `index` of the `size` leaves under `root` (RFC 9162, 2.1.3.2).

    Raises:
        ProofError: it is not shown.
    """
    if not 0 <= index < size:
        raise ProofError(f"no leaf {index} among {size}")
    at, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise ProofError("the proof is longer than the way to the root")
        if at & 1 or at == last:
            found = node_hash(each, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, each)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the proof is shorter than the way to the root")
    if found != root:
        raise ProofError("the proof leads to another root")


def consistency_proof(subtrees: Subtrees, first: int, second: int) -> list[bytes]:
    """PROOF(first, D[second]): that the first `first` of `second` leaves are the log as it was then.

    Raises:
        ValueError: unless 0 < first ≤ second.
    """
    if not 0 < first <= second:
        raise ValueError(f"no proof from {first} to {second} leaves")
    proof: list[bytes] = []
    begin, end, whole = 0, second, True
    while first != end:
        split = begin + _split(end - begin)
        if first <= split:
            proof.append(root_of(subtrees, split, end))
            end = split
        else:
            proof.append(root_of(subtrees, begin, split))
            begin, whole = split, False
    if not whole:
        proof.append(root_of(subtrees, begin, end))
    return proof[::-1]


def verify_consistency(  # noqa: C901  # one walk, as the RFC has it
    first: int, second: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Check that the `first` leaves under `old_root` begin the `second` under `new_root` (RFC 9162, 2.1.4.2).

    Raises:
        ProofError: it is not shown.
    """
    if not 0 < first <= second:
        raise ProofError(f"{second} leaves cannot continue {first}")
    if first == second:
        if proof or old_root != new_root:
            raise ProofError("one size, two roots")
        return
    path = [old_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        raise ProofError("the proof is shorter than the way to the root")
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            raise ProofError("the proof is longer than the way to the root")
        if at & 1 or at == last:
            old, new = node_hash(each, old), node_hash(each, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, each)
        at, last = at >> 1, last >> 1
    if last:
        raise ProofError("the proof is shorter than the way to the root")
    if old != old_root:
        raise ProofError("the proof starts from another log")
    if new != new_root:
        raise ProofError("the proof leads to another root")


def perfect_levels(size: int) -> list[int]:
    """Of the perfect subtrees that `size` leaves are made of, the largest first."""
    return [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
