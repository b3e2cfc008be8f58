"""What a witness signs: checkpoints that the log has signed, of a log that has grown since and was not changed.

No I/O; time and keys are arguments. What the witness has signed before is its memory: without it a signature says only
that this checkpoint was there at that time, and that two of them would show a fork.
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
    """All of these checkpoints with the signature of the witness, or none of them.

    Args:
        before: what the witness has signed before; each log must continue the largest of it. None: it has no memory.
        log: the key that the log signs with.

    Raises:
        CheckpointRefused: a key is of the other kind, the log has not signed one of them, or its log is not shown to
            have grown from what was signed before.
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
    return [each.note.signed_by(witness, at_seconds) for each in asked]


def _newest(before: Iterable[SignedCheckpoint], origin: str, log: PublicKey, witness: PublicKey) -> Checkpoint:
    """The largest checkpoint of this log that both have signed."""
    of_it = [each for each in before if each.checkpoint.origin == origin]
    if not of_it:
        raise CheckpointRefused("nothing of this log was signed before: if it is new, sign it without --since")
    for each in of_it:
        try:
            each.verified([log])
            each.verified([witness])
        except CheckpointRefused as error:
            raise CheckpointRefused(
                f"what is given as signed before ({each.checkpoint.size} leaves) is not: {error}; the first time a "
                "witness signs without --since"
            ) from error
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
