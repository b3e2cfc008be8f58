"""`dossier verify`: is everything there, and is it what was signed? Of the whole archive, or of an audit pack."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.checking import Job, check_partition
from cli.checkpoint import read_held
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, out
from cli.keys import read_public
from cli.past import ledger_ends, open_archive
from cli.surroundings import Surroundings, listening_kafka, surroundings
from cli.workers import Seen, enough, progress_bar, run_jobs, shown
from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from replay.archive import Archive
    from replay.pack import Held, Pack
    from replay.verify import Failure, Signed, Verified

_SHOWN: Final = 50
#: Kinds of failures that a part which was taken out of the table would explain.
_GONE: Final = ("missing", "truncated", "ledger: missing")

Keys = Annotated[list[Path] | None, typer.Option("--key", help="Public key (.pub) of who signs; may be repeated.")]


def register(app: typer.Typer) -> None:
    app.command()(verify)


def verify(
    pack: Annotated[Path | None, typer.Argument(metavar="[PACK]", help="An audit pack of `dossier prove`.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="The whole archive, the ledger and the live state.")] = False,
    key: Keys = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(metavar="HELD", help="Checkpoints that were kept elsewhere; may be repeated."),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write the PACK's page anew, from the records that were checked.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes; default: one a processor.")] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long live state and archive may take.")
    ] = 120.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Kiểm chứng · Check that the archive is what was signed, is the ledger, and is what the live state shows.

    A PACK is checked without any server; the page in it is not, --page makes it anew. With checkpoints that you hold it
    must show that its log continues theirs: `dossier prove --since` makes such a pack. Exits with 1 on any failure.

    Example: dossier verify --all --key keys/gia-lai.pub --checkpoints checkpoints-of-elsewhere.txt
    """
    if (pack is None) == (not whole):
        raise CommandError("give either a PACK, or --all", EXIT_USAGE)
    if page is not None and whole:
        raise CommandError("--page is for a PACK", EXIT_USAGE)
    settings, files = load_settings(), checkpoints or []
    content = _read_pack(pack) if pack else None
    held = [each for file in files for each in _held_in(file)]
    keys = [read_public(each) for each in key or own_keys(settings)]
    if content is not None:
        answer = content.verify(keys, _held_of(content, held, files))
        if page is not None and answer["ok"]:
            _write_page(page, content)
    else:
        answer = _verify_all(settings, keys, held, workers, wait)
    if json:
        emit_json(answer)
    else:
        _print(answer)
    if not answer["ok"]:
        raise typer.Exit(EXIT_FOUND)


def own_keys(settings: Settings) -> list[Path]:
    """The public keys of the installation: enough for its own operators; an auditor brings the key."""
    found = sorted((settings.data_dir / "keys").glob("*.pub"))
    if not found:
        raise CommandError("whose signature? Give the public key: --key FILE.pub", EXIT_USAGE)
    return found


def _held_in(file: Path) -> list[Held]:
    """The checkpoints in a file that somebody keeps.

    Raises:
        CommandError: it is none of checkpoints, or none of them is of a ledger.
    """
    from events.ledger import LEDGER_TOPIC
    from replay.pack import Held

    held = [Held(f"{file.name} note {number}", note) for number, note in enumerate(read_held(file), 1)]
    if all(each.note.checkpoint.partition_of(LEDGER_TOPIC) is None for each in held):
        raise CommandError(f"{file}: no checkpoint in it is of {LEDGER_TOPIC}", EXIT_USAGE)
    return held


# -- An audit pack ---------------------------------------------------------------------------------------------------


def _read_pack(file: Path) -> Pack:
    """Its own page is not looked at: whoever forges one need not touch what is proved."""
    from replay.pack import PackRefused, read_pack

    try:
        return read_pack(file.read_bytes())
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}", EXIT_USAGE) from None
    except (PackRefused, OSError) as error:
        raise CommandError(f"{file}: {error}") from error


def _held_of(pack: Pack, held: Sequence[Held], files: Sequence[Path]) -> list[Held]:
    """The checkpoints of the pack's log; those of other partitions say nothing of it.

    Raises:
        CommandError: there are files, and none of them has one.
    """
    ours = [each for each in held if each.note.checkpoint.partition_of(pack.topic) == pack.partition]
    if files and not ours:
        raise CommandError(
            f"{', '.join(map(str, files))}: no checkpoint of {pack.topic}/{pack.partition}, the log of this pack: "
            "nothing to compare it with",
            EXIT_USAGE,
        )
    return ours


def _write_page(file: Path, pack: Pack) -> None:
    from replay.page import page

    try:
        file.write_text(page(pack), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", EXIT_USAGE) from error


# -- The whole archive -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One partition to verify."""

    around: Surroundings
    partition: int
    end: int
    checkpoints: tuple[Signed, ...]


def _verify_all(
    settings: Settings, keys: Sequence[Any], held: Sequence[Held], workers: int | None, wait: float
) -> dict[str, Any]:
    """1. rows against checkpoints, 2. archive against ledger, 3. archive against live state."""
    around = surroundings(settings)
    ends = ledger_ends(listening_kafka(around))
    began = time.monotonic()
    verified, failures = against_signed(settings, keys, held, workers)
    seconds = time.monotonic() - began
    failures += against_ledger(around, wait)
    if any(each.kind in _GONE for each in failures):
        with open_archive(around) as archive:
            failures += _detached(archive)
    failures += _against_live(around, ends, wait, workers)
    leaves = sum(each.leaves for each in verified)
    return {
        "ok": not failures,
        "leaves": leaves,
        "checkpoints": sum(each.checkpoints for each in verified),
        "leaves_per_second": round(leaves / seconds) if seconds else 0,
        "failures": [each._asdict() for each in failures],
    }


def against_signed(
    settings: Settings, keys: Sequence[Any], held: Sequence[Held], workers: int | None
) -> tuple[list[Verified], list[Failure]]:
    """Every row against every checkpoint that is known: stored, announced, in the own file, and held elsewhere."""
    from replay.verify import signed_checkpoints

    around = surroundings(settings)
    kafka = listening_kafka(around)
    ends = ledger_ends(kafka)
    with open_archive(around) as archive:
        kept = ((each.found, each.note.text) for each in held)
        notes = [*_stored_notes(archive), *_announced_notes(kafka), *own_notes(settings), *kept]
        signed, failures = signed_checkpoints(notes, keys, archive.topic)
        numbers = {*ends, *signed, *archive.cursors()}
        parts = [_Part(around, each, 2**62, tuple(signed.get(each, ()))) for each in sorted(numbers)]
    with progress_bar() as bar:
        jobs = run_jobs(_verify_part, parts, workers or enough(sum(ends.values()), len(parts)), shown(bar))
        verified = list(jobs)
    return verified, failures + [failure for each in verified for failure in each.failures]


def _verify_part(part: _Part, seen: Seen) -> Verified:
    from replay.verify import verify_rows

    with open_archive(part.around) as archive:
        end = archive.cursors().get(part.partition, 0)

        def blocks() -> Iterator[list[Any]]:
            for block in archive.leaves(part.partition, part.end):
                yield block
                seen(part.partition, block[-1][0] + 1, end) if block else None

        return verify_rows(part.partition, blocks(), part.checkpoints)


def _stored_notes(archive: Archive) -> Iterator[tuple[str, str]]:
    from replay.log_table import LogTable

    table = LogTable(archive.client, archive.topic)
    for partition in table.partitions():
        for each in table.checkpoints(partition):
            yield f"dossier_checkpoints {partition}@{each.size}", each.note


def _announced_notes(kafka: str) -> Iterator[tuple[str, str]]:
    """The newest of each log on the compacted topic."""
    from kafka import KafkaConsumer, TopicPartition

    from replay.log_table import CHECKPOINTS_TOPIC

    consumer = KafkaConsumer(bootstrap_servers=kafka.split(","), auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        tp = TopicPartition(CHECKPOINTS_TOPIC, 0)
        if not consumer.partitions_for_topic(CHECKPOINTS_TOPIC):
            return
        consumer.assign([tp])
        end = consumer.end_offsets([tp])[tp]
        newest: dict[bytes, tuple[str, str]] = {}
        while consumer.position(tp) < end:
            for records in consumer.poll(timeout_ms=500).values():
                for each in records:
                    text = (each.value or b"").decode(errors="replace")
                    newest[each.key or b""] = (f"{CHECKPOINTS_TOPIC}@{each.offset}", text)
        yield from newest.values()
    finally:
        consumer.close()


def own_notes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Of the installation's own file, if it is on this host. The archiver may be writing its last note just now."""
    from replay.checkpoint import split_notes

    own = settings.checkpoint_file or settings.data_dir / "checkpoints.txt"
    if not own.exists():
        return
    try:
        text = own.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{own}: {error}", EXIT_USAGE) from error
    notes = split_notes(text)
    for number, note in enumerate(notes if text.endswith("\n\n") else notes[:-1], 1):
        yield f"{own.name} note {number}", note


def _detached(archive: Archive) -> list[Failure]:
    """Parts of the table that somebody took out. Asked for where something is missing: else their rows are there."""
    from replay.verify import Failure

    rows = archive.client.query(
        "SELECT name, reason FROM system.detached_parts WHERE database = currentDatabase() AND table = 'dossier_events'"
    ).result_rows
    return [
        Failure("detached part", str(name), f"taken out of dossier_events ({reason or 'by hand'})")
        for name, reason in rows
    ]


def against_ledger(around: Surroundings, wait: float) -> list[Failure]:
    """Law 5: the archive is the ledger, position by position."""
    from aiokafka.errors import KafkaError

    from replay.reconcile import reconcile
    from replay.verify import Failure

    kafka = listening_kafka(around)
    with open_archive(around) as archive:
        try:
            counts = asyncio.run(reconcile(kafka, archive, wait, lambda _done, _total: None))
        except KafkaError as error:
            raise CommandError(f"the ledger at {kafka} cannot be read: {type(error).__name__}") from error
    return [
        Failure(f"ledger: {each.what}", each.position, "the archive is not what the ledger has")
        for each in counts.findings
    ]


def against_ledger_and_signed(settings: Settings, around: Surroundings, wait: float) -> list[Failure]:
    """The archive against the ledger, and against what was signed if there is a key to know it by."""
    failures = against_ledger(around, wait)
    if any((settings.data_dir / "keys").glob("*.pub")):
        keys = [read_public(each) for each in own_keys(settings)]
        failures += against_signed(settings, keys, [], None)[1]
    return failures


def _against_live(around: Surroundings, ends: dict[int, int], wait: float, workers: int | None) -> list[Failure]:
    """Law 4: the live state is what the archive folds to."""
    from replay.verify import Failure

    jobs = [Job(around, partition, end, wait, None, None) for partition, end in sorted(ends.items())]
    count = workers or enough(sum(ends.values()), len(jobs))
    try:
        with progress_bar() as bar:
            done = list(run_jobs(check_partition, jobs, count, shown(bar)))
    except CommandError as error:  # rows that are gone never come, however long one waits
        return [Failure("live", "", f"could not be compared: {error}")]
    return [
        Failure("live", f"{each.partition}: {dossier_id}", ", ".join(found.faults))
        for each in done
        for dossier_id, found in each.checked.differing.items()
    ]


def _print(answer: dict[str, Any]) -> None:
    failures = answer["failures"]
    if failures:
        table = Table("loại · kind", "vị trí · position", "", box=None, pad_edge=False)
        for each in failures[:_SHOWN]:
            table.add_row(Text(each["kind"], "red"), Text(each["position"]), Text(each["message"]))
        out.print(table)
        if len(failures) > _SHOWN:
            out.print(f"… {len(failures) - _SHOWN}: --json")
    facts = ", ".join(f"{value:,} {name}" for name, value in answer.items() if isinstance(value, int) and name != "ok")
    out.print(facts)
    word = "Đúng như đã ký · As it was signed" if answer["ok"] else f"{len(failures)} sai khác · failures"
    out.print(word, style="bold green" if answer["ok"] else "bold red")
