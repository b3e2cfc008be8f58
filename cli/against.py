"""The archive against what was signed, what the brokers have, and what the live state shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.progress import Progress, TaskID
from rich.text import Text

from cli.checking import Done, Job, check_all
from cli.checkpoint import held_in
from cli.console import EXIT_USAGE, CommandError, number, out
from cli.keys import installed_keys, keys_to_know_by, read_public
from cli.past import ledger_ends, open_archive
from cli.surroundings import Surroundings, listening_kafka
from cli.workers import Seen, enough, progress_bar, run_jobs, shown
from schemas.cluster import Cluster
from schemas.settings import Settings

if TYPE_CHECKING:
    from replay.archive import Archive
    from replay.checkpoint import PublicKey
    from replay.log_table import StoredCheckpoint
    from replay.pack import Held
    from replay.reconcile import Finding, Reconciliation
    from replay.verify import Failure, Signed, Verified

_SHOWN: Final = 20
#: How long an archiver may take for a checkpoint that is due, and how often it is looked whether it is there.
_MOMENT_SECONDS: Final = 5.0
_ASK_AGAIN_SECONDS: Final = 0.5
#: Kinds of failures that a part which was taken out of the table would explain.
_GONE: Final = ("missing", "truncated")


@dataclass(frozen=True, slots=True)
class _Part:
    """One partition to verify."""

    around: Surroundings
    partition: int
    checkpoints: tuple[Signed, ...]


def against_signed(
    settings: Settings, around: Surroundings, keys: Sequence[Any], held: Sequence[Held], workers: int | None
) -> tuple[list[Verified], list[Failure]]:
    """Every row against every checkpoint that is known: stored, announced, in the own file, and held elsewhere."""
    from replay.verify import signed_checkpoints

    kafka = listening_kafka(around)
    ends = ledger_ends(kafka)
    with open_archive(around) as archive:
        await_first_signatures(archive, settings.checkpoint_seconds + _MOMENT_SECONDS)
        kept = ((each.found, each.note.text) for each in held)
        stored, unlike = _stored_notes(archive)
        notes = [*stored, *_announced_notes(kafka), *own_notes(settings), *kept]
        signed, failures = signed_checkpoints(notes, keys, archive.topic)
        failures += unlike
        numbers = {*ends, *signed, *archive.cursors()}
        parts = [_Part(around, each, tuple(signed.get(each, ()))) for each in sorted(numbers)]
    with progress_bar() as bar:
        jobs = run_jobs(_verify_part, parts, workers or enough(sum(ends.values()), len(parts)), shown(bar))
        verified = list(jobs)
    return verified, failures + [failure for each in verified for failure in each.failures]


def await_first_signatures(archive: Archive, seconds: float) -> None:
    """A partition with new rows that has no checkpoint yet gets one within so many seconds, where somebody signs."""
    from replay.log_table import LogTable

    table, deadline = LogTable(archive.client, archive.topic), time.monotonic() + seconds
    while time.monotonic() < deadline:
        since_ms = (time.time() - seconds) * 1000
        new = {number for number, (_, recorded_ms) in archive.reached().items() if recorded_ms > since_ms}
        if new.issubset(table.partitions()):
            return
        time.sleep(_ASK_AGAIN_SECONDS)


def _verify_part(part: _Part, seen: Seen) -> Verified:
    from replay.log_table import LogTable
    from replay.nodes import ComputedNodes
    from replay.verify import verify_rows

    computed = ComputedNodes()
    with open_archive(part.around) as archive:
        end = archive.cursors().get(part.partition, 0)

        def blocks() -> Iterator[list[Any]]:
            for block in archive.leaves(part.partition):
                yield block
                seen(part.partition, block[-1][0] + 1, end) if block else None

        verified = verify_rows(part.partition, blocks(), part.checkpoints, computed.add)
        # Behind the last root that agrees it may be the rows that are wrong, and the nodes that are right.
        nodes = computed.differing(LogTable(archive.client, archive.topic), part.partition, verified.agreed)
    return verified._replace(failures=(*verified.failures, *altered_nodes(part.partition, nodes)))


def altered_nodes(partition: int, nodes: Iterable[tuple[int, int]]) -> Iterator[Failure]:
    """Subtrees of which another hash is stored than their leaves have: proofs made from it would not hold."""
    from replay.nodes import leaves_of
    from replay.verify import Failure

    told = "dossier_log_nodes has another hash for these leaves: dossier repair --from-ledger"
    return (Failure("node", f"{partition}@{leaves_of(*each)}", told) for each in nodes)


def _stored_notes(archive: Archive) -> tuple[list[tuple[str, str]], list[Failure]]:
    """And where a row is not what its note says; of one partition at a time the rows are in memory."""
    from replay.log_table import LogTable

    table = LogTable(archive.client, archive.topic)
    notes, unlike = list[tuple[str, str]](), list[Any]()
    for partition in table.partitions():
        rows = table.checkpoints(partition)
        notes += [(f"dossier_checkpoints {partition}@{each.size}", each.note) for each in rows]
        unlike += unlike_their_notes(rows, archive.topic)
    return notes, unlike


def unlike_their_notes(stored: Iterable[StoredCheckpoint], topic: str) -> Iterator[Failure]:
    """Rows that say otherwise than what was signed. Of a note that is none its signature tells."""
    from replay.checkpoint import CheckpointRefused
    from replay.verify import Failure

    for each in stored:
        try:
            why = each.disagreement(topic)
        except CheckpointRefused:
            continue
        if why is not None:
            yield Failure("checkpoint", f"{each.partition}@{each.size}", f"dossier_checkpoints: {why}")


def _announced_notes(kafka: Cluster) -> Iterator[tuple[str, str]]:
    """The newest of each log on the compacted topic; none where that is not there, as on a new broker.

    Raises:
        CommandError: the broker does not give them.
    """
    from events.entrance import BrokerUnreachable, NoSuchTopic
    from events.whole_topic import records_until_now
    from replay.log_table import CHECKPOINTS_TOPIC

    newest: dict[bytes, tuple[str, str]] = {}
    try:
        for each in records_until_now(kafka, CHECKPOINTS_TOPIC):
            text = (each.value or b"").decode(errors="replace")
            newest[each.key or b""] = (f"{CHECKPOINTS_TOPIC}@{each.offset}", text)
    except NoSuchTopic:
        return
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error
    yield from newest.values()


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
    for place, note in enumerate(notes if text.endswith("\n\n") else notes[:-1], 1):
        yield f"{own.name} note {place}", note


def against_brokers(around: Surroundings, wait: float) -> dict[str, Reconciliation]:
    """Law 5: the archive is the ledger, position by position; and what is archived beside it is what its topic has.

    `wait`: seconds that the archiver may take for all of it.
    """
    from aiokafka.errors import KafkaError

    from processors.archiver import ARCHIVED
    from replay.archive import Archive
    from replay.reconcile import reconcile

    kafka, deadline = listening_kafka(around), time.monotonic() + wait
    counts = {}
    with open_archive(around) as opened, progress_bar() as bar:
        for topic, _, decode in ARCHIVED:
            seen = partial(_advance, bar, bar.add_task(topic, total=None))
            left = max(0.0, deadline - time.monotonic())
            try:
                counts[topic] = asyncio.run(reconcile(kafka, Archive(opened.client, topic), decode, left, seen))
            except KafkaError as error:
                raise CommandError(f"{topic} at {kafka} cannot be read: {type(error).__name__}") from error
    return counts


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def named(counts: Mapping[str, Reconciliation]) -> list[Failure]:
    """The positions that are named, as failures."""
    from replay.verify import Failure

    return [
        Failure(f"ledger: {each.what}", each.position, _differs(each, topic))
        for topic, found in counts.items()
        for each in found.findings
    ]


def _differs(found: Finding, topic: str) -> str:
    if found.columns:
        return f"{', '.join(found.columns)}: not what the record says"
    return f"the archive is not what {topic} has"


def unnamed(counts: Mapping[str, Reconciliation]) -> int:
    """How many positions beside those are not as they should be."""
    return sum(each.found - len(each.findings) for each in counts.values())


def strangers(around: Surroundings) -> list[Failure]:
    """Rows of topics that are not archived: nothing signs or compares them, and reports would show them."""
    from processors.archiver import ARCHIVED
    from replay.verify import Failure

    sql = (
        "SELECT topic, partition, min(offset), max(offset), count() FROM dossier_events "
        "WHERE topic NOT IN {known:Array(String)} GROUP BY topic, partition ORDER BY topic, partition"
    )
    with open_archive(around) as archive:
        rows = archive.client.query(sql, {"known": [each.topic for each in ARCHIVED]}).result_rows
    return [
        Failure("stranger", f"{topic}/{partition}@{first}-{last}", f"{count} rows of a topic that is not archived")
        for topic, partition, first, last, count in rows
    ]


def scattered(around: Surroundings) -> list[Failure]:
    """Dossiers that have records in several partitions, the first of them: live state folds each partition alone."""
    from replay.verify import Failure

    with open_archive(around) as archive:
        found = archive.scattered(_SHOWN)
    told = "its records are in several partitions, so a client chose one otherwise than by the key"
    return [Failure("partition", f"{', '.join(map(str, partitions))}: {key}", told) for key, partitions in found]


def redefined(around: Surroundings) -> list[Failure]:
    """Views that do not show what they should: every row may be right, and no report show it."""
    from deploy.clickhouse.views import altered_views
    from replay.verify import Failure

    with open_archive(around) as archive:
        names = altered_views(archive.client)
    told = "not defined as this program defines it: dossier migrate, then dossier repair --from-ledger"
    return [Failure("view", name, told) for name in names]


def detached(around: Surroundings, counts: Mapping[str, Reconciliation], failures: Iterable[Failure]) -> list[Failure]:
    """Parts of the table that somebody took out, where rows are missing of whichever topic: else theirs are there."""
    from replay.verify import Failure

    if not any(each.missing for each in counts.values()) and not any(each.kind in _GONE for each in failures):
        return []
    sql = (
        "SELECT name, reason FROM system.detached_parts WHERE database = currentDatabase() AND table = 'dossier_events'"
    )
    with open_archive(around) as archive:
        rows = archive.client.query(sql).result_rows
    return [
        Failure("detached part", str(name), f"taken out of dossier_events ({reason or 'by hand'})")
        for name, reason in rows
    ]


@dataclass(frozen=True, slots=True)
class Proved:
    """The archive against the ledger, and against what was signed where there is a key to know that by (`signed`).

    `found`: failures in all; not every position is named.
    """

    failures: list[Failure]
    found: int
    signed: bool

    def as_answer(self) -> dict[str, Any]:
        return {
            "ok": not self.found,
            "signed": self.signed,
            "failures_found": self.found,
            "failures": [each._asdict() for each in self.failures],
        }


def known_keys(
    settings: Settings, given: Sequence[Path] | None, checkpoints: Sequence[Path] | None
) -> tuple[list[PublicKey], list[Held]]:
    """The public keys that were given, or else those of the installation, if it has any; and what is held elsewhere.

    Raises:
        CommandError: a file cannot be used, or there is no key to know the checkpoints by.
    """
    held = [each for file in checkpoints or [] for each in held_in(file)]
    if held:
        return keys_to_know_by(settings, given), held
    return [read_public(each) for each in given] if given else installed_keys(settings), held


def against_ledger_and_signed(
    settings: Settings, around: Surroundings, wait: float, keys: Sequence[PublicKey], held: Sequence[Held]
) -> Proved:
    """Compare; `wait`: seconds that the archiver may take."""
    counts = against_brokers(around, wait)
    failures = named(counts) + strangers(around) + redefined(around)
    if keys:
        failures += against_signed(settings, around, keys, held, None)[1]
    failures += detached(around, counts, failures)
    return Proved(failures, len(failures) + unnamed(counts), signed=bool(keys))


def print_proved(proved: Proved, right: str) -> None:
    """The first failures, what was compared with, and the verdict; `right` is said where there are none."""
    for each in proved.failures[:_SHOWN]:
        out.print(Text(f"{each.kind}  {each.position}  {each.message}", "red"))
    if proved.found > _SHOWN:
        out.print(f"liệt kê {_SHOWN} đầu trong {number(proved.found)} · the first {_SHOWN} are listed; --json")
    if not proved.signed:
        words = "chưa so với chữ ký · not compared with what was signed: no public key here, give --key FILE.pub"
        out.print(words, style="yellow")
    word = "còn sai khác · differs" if proved.found else right
    out.print(word, style="bold red" if proved.found else "bold green")


def against_live(
    around: Surroundings, ends: dict[int, int], wait: float, workers: int | None
) -> tuple[list[Done], list[Failure]]:
    """Law 4: the live state is what the archive folds to."""
    from replay.verify import Failure

    jobs = [Job(around, partition, end, wait, None, None) for partition, end in sorted(ends.items())]
    count = workers or enough(sum(ends.values()), len(jobs))
    try:
        with progress_bar() as bar:
            done = check_all(jobs, count, shown(bar))
    except CommandError as error:  # rows that are gone never come, however long one waits
        return [], [Failure("live", "", f"could not be compared: {error}")]
    return done, [
        Failure("live", f"{each.partition}: {dossier_id}", ", ".join(found.faults))
        for each in done
        for dossier_id, found in each.checked.differing.items()
    ]
