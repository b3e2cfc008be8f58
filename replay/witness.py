"""What a witness signs: checkpoints that the log has signed, of a log that has grown since and was not changed.

No I/O; time and keys are arguments. What the witness has signed before is its memory: without it a signature says only
that this checkpoint was there at that time, and that two of them would show a fork. What is given back is the memory of
the next time, so it has the logs too that nobody asks about now: they would be new then, whatever they have become.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from replay.checkpoint import (
    LOG,
    WITNESS,
    Checkpoint,
    CheckpointRefused,
    Continued,
    PublicKey,
    SignedCheckpoint,
    Signer,
)
from replay.merkle import EMPTY_ROOT, ProofError, verify_consistency


def cosigned(
    asked: Sequence[Continued],
    before: Sequence[SignedCheckpoint] | None,
    log: PublicKey,
    witness: Signer,
    at_seconds: int,
) -> list[SignedCheckpoint]:
    """All of these checkpoints with the signature of the witness, or none of them; then what it keeps of other logs.

    Args:
        before: what the witness has signed before; each log must continue the largest of it. None: it has no memory.
        log: the key that the log signs with.

    Raises:
        CheckpointRefused: a key is of the other kind, the log has not signed one of them, or its log is not shown to
            have grown from what was signed before; or that has two roots of one size.
    """
    if witness.type != WITNESS or log.type != LOG:
        raise CheckpointRefused("a witness signs with a key of `dossier keys new --witness`, the log with one without")
    origin, count = Counter(each.note.checkpoint.origin for each in asked).most_common(1)[0]
    if count > 1:
        raise CheckpointRefused(f"{count} checkpoints of {origin}: one of each log is signed at a time")
    for each in asked:
        checkpoint = each.note.checkpoint
        try:
            each.note.verified([log])
            if before is not None:
                _require_growth(_newest(before, checkpoint.origin, log, witness.public), each)
        except (CheckpointRefused, ProofError) as error:
            raise CheckpointRefused(f"{checkpoint.origin} with {checkpoint.size} leaves: {error}") from error
    origins = {each.note.checkpoint.origin for each in asked}
    kept = [each for each in before or () if each.checkpoint.origin not in origins]
    _require_one_root(each.checkpoint for each in kept if _signed_by_both(each, log, witness.public))
    return [*(each.note.signed_by(witness, at_seconds) for each in asked), *kept]


def _signed_by_both(note: SignedCheckpoint, log: PublicKey, witness: PublicKey) -> bool:
    """What a witness keeps may be of several ledgers, each with a key of its own."""
    try:
        return bool(note.verified([log]) and note.verified([witness]))
    except CheckpointRefused:
        return False


def _require_one_root(before: Iterable[Checkpoint]) -> None:
    roots: dict[tuple[str, int], bytes] = {}
    for each in before:
        if roots.setdefault((each.origin, each.size), each.root) != each.root:
            raise CheckpointRefused(
                f"what was signed before has two roots of {each.size} leaves of {each.origin}: the log was forked, and "
                "these two prove it; keep both"
            )


def _newest(before: Iterable[SignedCheckpoint], origin: str, log: PublicKey, witness: PublicKey) -> Checkpoint:
    """The largest checkpoint of this log that both have signed."""
    of_it = [each for each in before if each.checkpoint.origin == origin]
    if not of_it:
        raise CheckpointRefused(
            "nothing of this log was signed before: if it is new, sign it alone without --since, and add it to what is "
            "kept"
        )
    for each in of_it:
        try:
            each.verified([log])
            each.verified([witness])
        except CheckpointRefused as error:
            raise CheckpointRefused(
                f"what is given as signed before ({each.checkpoint.size} leaves) is not: {error}; the first time a "
                "witness signs without --since"
            ) from error
    _require_one_root(each.checkpoint for each in of_it)
    return max((each.checkpoint for each in of_it), key=lambda each: each.size)


def _require_growth(old: Checkpoint, asked: Continued) -> None:
    new = asked.note.checkpoint
    if new.size < old.size:
        raise CheckpointRefused(f"{old.size} leaves were signed before: the log was rolled back")
    if new.size == old.size:
        if new.root != old.root:
            raise CheckpointRefused("another root was signed before: the log was forked")
        return
    if old.size == 0:
        if old.root != EMPTY_ROOT:
            raise CheckpointRefused("the empty log that was signed before was none")
        return
    if asked.old != old.size:
        raise CheckpointRefused(
            f"no proof that it continues the {old.size} leaves that were signed before: the ledger gives it with "
            "`dossier checkpoint export FILE --since` and the file of those"
        )
    verify_consistency(old.size, new.size, asked.proof, old.root, new.root)
