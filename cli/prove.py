"""`dossier prove`: what an auditor takes away of one dossier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.access import record_read
from cli.asking import is_incomplete
from cli.checkpoint import known_of, read_held
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, number, out
from cli.keys import installed_keys
from cli.past import Wait, caught_up, open_archive
from cli.surroundings import Surroundings, listening_kafka, surroundings
from schemas.settings import load_settings

if TYPE_CHECKING:
    from replay.archive import Archive, ArchiveRow
    from replay.checkpoint import PublicKey, SignedCheckpoint
    from replay.log_table import StoredCheckpoint
    from replay.pack import Pack
    from replay.subtrees import StoredSubtrees

#: So many checkpoints of one log at most, the largest, are shown to be continued: a kilobyte each.
_OLDERS: Final = 64
#: What may fail because a stored node is wrong, where all leaves are right.
_OF_NODES: Final = {"inclusion", "consistency"}


def register(app: typer.Typer) -> None:
    app.command()(prove)


def prove(
    dossier: Annotated[str, typer.Argument(metavar="ID", help="Dossier.")],
    to: Annotated[Path, typer.Option("--out", metavar="PACK", help="The audit pack to write: a zip file.")],
    since: Annotated[
        Path | None, typer.Option("--since", metavar="HELD", help="Checkpoints that the auditor already holds.")
    ] = None,
    wait: Wait = 30.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Gói kiểm chứng · Write an audit pack: the dossier's events and the proof that each is in the signed log.

    `dossier verify PACK --key PUB` checks it on any machine, without a server. --since adds the proof that the log
    which the auditor knows, as `dossier checkpoint export` wrote it down, was continued and not changed. The pack is
    checked before it is written: where the archive is not what was signed, none is, and it exits with 1. So it does
    where the archive stays behind the ledger for --wait: the pack has what was signed, not all that is there.

    Example: dossier prove GL-2020-000123 --out GL-2020-000123.zip
    """
    from replay.described import archive_freshness
    from replay.log_table import Missing
    from replay.pack import write_pack
    from replay.page import page

    held = read_held(since) if since else None
    settings = load_settings()
    keys, around = installed_keys(settings), surroundings(settings)
    record_read(around, "prove", dossier)
    with open_archive(around) as archive:
        ends, complete = caught_up(archive, around, wait)
        freshness = archive_freshness(archive.reached(), ends, complete)
        rows = archive.events_of(dossier)
        if not rows:
            raise CommandError(f"the archive has no events of {dossier}", EXIT_FOUND)
        try:
            pack = _pack(dossier, rows, ends, archive, _rulebooks(around), held, keys)
        except Missing as missing:
            raise CommandError(f"{missing}: run `dossier verify --all`", EXIT_FOUND) from missing
    to.write_bytes(write_pack(pack, page(pack)))
    count = len(pack.records)
    if json:
        emit_json({"pack": str(to), "events": count, "partition": pack.partition, "dossier": dossier})
    else:
        out.print(f"{to}: {number(count)} sự kiện · events", soft_wrap=True)
    if is_incomplete(freshness):
        raise typer.Exit(EXIT_FOUND)


def _rulebooks(around: Surroundings) -> tuple[dict[str, Any], ...]:
    """The rulebook that is shipped and those published since, with when each became known."""
    from events.rulebook_topic import read_rulebooks
    from projections.rules import SINCE_EVER
    from schemas.rulebook import shipped

    published = read_rulebooks(listening_kafka(around)).published
    all_of_them = [(SINCE_EVER, shipped().version, shipped()), *published]
    return tuple(
        {"known_at_us": known_at, "version": version, "content": rulebook.content}
        for known_at, version, rulebook in all_of_them
    )


def _pack(
    dossier: str,
    rows: list[ArchiveRow],
    ends: Mapping[int, int],
    archive: Archive,
    rulebooks: tuple[dict[str, Any], ...],
    held: list[SignedCheckpoint] | None,
    keys: Sequence[PublicKey],
) -> Pack:
    """`ends`: by partition, up to where all of the dossier is in `rows`.

    Raises:
        Missing: a leaf is not there, or twice and not the same.
    """
    from concurrent.futures import ThreadPoolExecutor

    from replay.log_table import LogTable
    from replay.merkle import consistency_proof, inclusion_proof
    from replay.pack import Older, Pack, PackedRecord, packed, packed_name
    from replay.subtrees import StoredSubtrees

    table, partition = LogTable(archive.client, archive.topic), partition_of(dossier, rows)
    subtrees = StoredSubtrees(table, partition)
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(table.newest_sound, partition)
        subtrees.prepare([each.offset for each in rows])
        newest = asked.result()
    last = rows[-1].offset
    if newest is None or newest.size <= last:
        size = newest.size if newest else 0
        raise CommandError(
            f"the newest checkpoint of partition {partition} has {size} leaves, the last event is leaf {last}: "
            "wait a moment for the archiver to sign it; it needs a signing_key"
        )
    if newest.size > ends.get(partition, 0):  # signed since: the pack must have all that is under its checkpoint
        rows = [each for each in archive.events_of(dossier) if each.offset < newest.size]
    subtrees.until(newest)
    known = [] if held is None else _known(held, archive.topic, newest)

    def made() -> Pack:
        records = tuple(
            PackedRecord(
                each.offset, each.recorded_ms, packed(each.key), packed(each.raw),
                tuple((packed_name(name), packed(value)) for name, value in each.headers),
                _texts(inclusion_proof(subtrees, each.offset, newest.size)),
            )
            for each in rows
        )  # fmt: skip
        olders = [
            Older(each.text, _texts(consistency_proof(subtrees, each.checkpoint.size, newest.size))) for each in known
        ]
        first = olders[0] if olders else None
        return Pack(
            dossier, archive.topic, partition, records, newest.note,
            first.checkpoint if first else None, first.consistency if first else (), rulebooks,
            earlier=tuple(olders[1:]),
        )  # fmt: skip

    return holding(made, subtrees, keys)


def partition_of(dossier: str, rows: Sequence[ArchiveRow]) -> int:
    """Where its records are.

    Raises:
        CommandError: in several partitions, each a log of its own.
    """
    first, *others = sorted({each.partition for each in rows})
    if others:
        places = ", ".join(map(str, (first, *others)))
        raise CommandError(
            f"{dossier} has records in the partitions {places}, and a pack proves the log of one: a client chose the "
            "partition otherwise than by the key, see `dossier verify --all`",
            EXIT_FOUND,
        )
    return first


def holding(make: Callable[[], Pack], subtrees: StoredSubtrees, keys: Sequence[PublicKey]) -> Pack:
    """The pack, which holds: made from the stored nodes, or else from the leaves alone.

    Raises:
        CommandError: it does not hold even so; nobody should be given it.
        Missing: a leaf is not there.
    """
    pack = make()
    failures = _failures(pack, keys)
    if not _OF_NODES.isdisjoint(each["kind"] for each in failures):
        subtrees.recompute()
        pack = make()
        failures = _failures(pack, keys)
    if failures:
        first = failures[0]
        raise CommandError(
            f"no pack was written, it would not hold: {first['position']} {first['message']}: "
            "the archive is not what was signed, run `dossier verify --all`",
            EXIT_FOUND,
        )
    return pack


def _failures(pack: Pack, keys: Sequence[PublicKey]) -> list[dict[str, str]]:
    """As `dossier verify PACK` finds them; where no public key is here, all but the signatures'."""
    if not keys:
        return pack.unproved()
    found: list[dict[str, str]] = pack.verify(keys)["failures"]
    return found


def _known(held: list[SignedCheckpoint], topic: str, newest: StoredCheckpoint) -> list[SignedCheckpoint]:
    known = known_of(held, topic, newest)
    if not known:
        raise CommandError(
            f"--since: no checkpoint of {topic}/{newest.partition}, the log of this dossier, is in it", EXIT_USAGE
        )
    return known[:_OLDERS]


def _texts(proof: list[bytes]) -> tuple[str, ...]:
    from replay.pack import packed

    return tuple(str(packed(each)) for each in proof)
