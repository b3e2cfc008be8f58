"""The log against another hand's (pymerkle) and RFC 6962's own definitions; forged proofs are refused."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree  # type: ignore[import-untyped]  # ships no types

from replay.merkle import (
    EMPTY_ROOT,
    CompactRange,
    Leaves,
    ProofError,
    consistency_proof,
    inclusion_proof,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [sha256(b"\x00%d" % number).digest() for number in range(300)]
SIZES = st.integers(1, 300)


def root_by_definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + root_by_definition(leaves[:split]) + root_by_definition(leaves[split:])).digest()


def test_roots_of_every_size_are_those_of_the_definition_and_of_another_hand() -> None:
    grown, other = CompactRange(), InmemoryTree(algorithm="sha256")
    assert grown.root() == EMPTY_ROOT == root_by_definition([])
    for size, leaf in enumerate(LEAVES, 1):
        grown.extend([leaf])
        other.append_entry(b"%d" % (size - 1))
        assert grown.root() == root_by_definition(LEAVES[:size])
        assert grown.root() == other.get_root(size)


@given(cuts=st.lists(st.integers(0, 300), max_size=5))
def test_a_log_that_grows_by_pieces_names_each_subtree_once(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), 300]
    log = CompactRange()
    found: dict[tuple[int, int], bytes] = {}
    for first, end in pairwise(bounds):
        log = CompactRange(log.size, log.hashes)  # as it is stored, and read back
        for each in log.extend(LEAVES[first:end]):
            named = {(each.level, index): made for index, made in enumerate(each.hashes, each.first)}
            assert found.keys().isdisjoint(named)
            found |= named
        assert (log.size, log.root()) == (end, root_by_definition(LEAVES[:end]))
    whole = Leaves(LEAVES)
    assert found.keys() == {(level, index) for level in range(1, 9) for index in range(300 >> level)}
    assert all(whole.subtree(*place) == made for place, made in found.items())


def test_a_range_with_another_number_of_hashes_is_none() -> None:
    with pytest.raises(ValueError, match="no range"):
        CompactRange(3, [LEAVES[0]])


def test_every_leaf_of_every_small_log_is_shown_to_be_in_it() -> None:
    for size in range(1, 66):
        subtrees, root = Leaves(LEAVES[:size]), root_by_definition(LEAVES[:size])
        for index in range(size):
            proof = inclusion_proof(subtrees, index, size)
            assert len(proof) <= size.bit_length()
            verify_inclusion(LEAVES[index], index, size, proof, root)


def test_every_small_log_is_shown_to_continue_every_smaller_one() -> None:
    roots = [root_by_definition(LEAVES[:size]) for size in range(66)]
    for second in range(1, 66):
        subtrees = Leaves(LEAVES[:second])
        for first in range(1, second + 1):
            proof = consistency_proof(subtrees, first, second)
            verify_consistency(first, second, proof, roots[first], roots[second])


@given(size=SIZES, data=st.data())
def test_proofs_are_those_of_another_hand(size: int, data: st.DataObject) -> None:
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    other = InmemoryTree(algorithm="sha256")
    for number in range(size):
        other.append_entry(b"%d" % number)
    subtrees = Leaves(LEAVES[:size])
    theirs = other.prove_inclusion(index + 1, size).path[1:]  # theirs begins with the leaf itself
    assert inclusion_proof(subtrees, index, size) == [bytes(each) for each in theirs]
    verify_consistency(
        first, size, consistency_proof(subtrees, first, size), other.get_root(first), other.get_root(size)
    )


@st.composite
def forged(draw: st.DrawFn, proof: list[bytes]) -> list[bytes]:
    """Another proof than this: a bit, a hash, the order or the length of it changed."""
    places = st.integers(0, max(0, len(proof) - 1))
    how = draw(st.sampled_from(["bit", "cut", "more", "swap", "front"]))
    other = list(proof)
    if how == "bit" and other:
        place, bit = draw(places), draw(st.integers(0, 255))
        flipped = bytearray(other[place])
        flipped[bit // 8] ^= 1 << (bit % 8)
        other[place] = bytes(flipped)
    elif how == "cut" and other:
        del other[draw(places)]
    elif how == "swap" and len(other) > 1:
        place = draw(st.integers(0, len(other) - 2))
        other[place], other[place + 1] = other[place + 1], other[place]
    elif how == "front":
        other.insert(0, draw(st.sampled_from(LEAVES)))
    else:
        other.append(draw(st.sampled_from(LEAVES)))
    return other


@settings(max_examples=1_500)
@given(size=SIZES, data=st.data())
def test_a_forged_proof_of_inclusion_shows_nothing(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    subtrees, root = Leaves(LEAVES[:size]), root_by_definition(LEAVES[:size])
    proof = inclusion_proof(subtrees, index, size)
    other = data.draw(forged(proof))
    if other != proof:
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], index, size, other, root)
    elsewhere = data.draw(st.integers(-1, size + 1))
    if elsewhere != index:
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], elsewhere, size, proof, root)
    with pytest.raises(ProofError):
        verify_inclusion(sha256(b"another").digest(), index, size, proof, root)


@settings(max_examples=1_500)
@given(size=SIZES, data=st.data())
def test_a_forged_proof_of_consistency_shows_nothing(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size))
    old, new = root_by_definition(LEAVES[:first]), root_by_definition(LEAVES[:size])
    proof = consistency_proof(Leaves(LEAVES[:size]), first, size)
    other = data.draw(forged(proof))
    if other != proof:
        with pytest.raises(ProofError):
            verify_consistency(first, size, other, old, new)
    for wrong_old, wrong_new in ((node_hash(old, old), new), (old, node_hash(new, new))):
        with pytest.raises(ProofError):
            verify_consistency(first, size, proof, wrong_old, wrong_new)


@settings(max_examples=500)
@given(size=SIZES, data=st.data())
def test_a_log_in_which_one_leaf_was_changed_does_not_continue_the_old_one(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size))
    changed = list(LEAVES[:size])
    changed[data.draw(st.integers(0, first - 1))] = sha256(b"rewritten").digest()
    proof = consistency_proof(Leaves(changed), first, size)
    with pytest.raises(ProofError):
        verify_consistency(first, size, proof, root_by_definition(LEAVES[:first]), root_by_definition(changed))
