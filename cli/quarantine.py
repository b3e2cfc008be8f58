"""`dossier quarantine`: what could not be read, why, the way back to the ledger, and the end of what has none."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer
from rich.table import Table

from cli.access import record_revealed
from cli.console import EXIT_FOUND, EXIT_USAGE, CommandError, emit_json, number, out
from cli.surroundings import listening_kafka, surroundings
from cli.watching import identified, moment
from events.envelope import Unreadable, printable
from events.ledger import LEDGER_TOPIC
from events.quarantine import (
    MAX_CLOSING_CHARS,
    QUARANTINE_TOPIC,
    NoQuarantineRecord,
    QuarantineRecord,
    Status,
    WebhookOrigin,
    origin_text,
)
from schemas.cluster import Cluster
from schemas.settings import load_settings

_BYTES_A_LINE = 16
_STATUSES: Final[dict[Status, str]] = {
    "held": "đang giữ · held",
    "retried": "đã chuyển · retried",
    "closed": "đã đóng · closed",
}
_STILL: Final[dict[Status, str]] = {"held": "vẫn giữ · still held", "closed": "vẫn đóng · still closed"}
_SHOWN_BYTES = 4_096

Kafka = Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")]
Prefix = Annotated[str, typer.Option(hidden=True, help="Prefix of the topics' names.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
T = TypeVar("T")


def register(app: typer.Typer) -> None:
    quarantine = typer.Typer(no_args_is_help=True, help="Khu cách ly · Unreadable records: list, show, retry, close.")
    quarantine.command("list")(list_)
    quarantine.command()(show)
    quarantine.command()(retry)
    quarantine.command()(close)
    app.add_typer(quarantine, name="quarantine")


def list_(
    kafka: Kafka = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that went to the ledger later or were closed.")
    ] = False,
    json: Json = False,
    prefix: Prefix = "",
) -> None:
    """Liệt kê bản ghi không đọc được · List the records that could not be read.

    Example: dossier quarantine list --json
    """
    records = [each for each in quarantined(_brokers(kafka), prefix).values() if everything or each.status == "held"]
    if json:
        emit_json([_summary(each) for each in records])
        return
    if not records:
        out.print("khu cách ly trống · the quarantine is empty")
        return
    table = Table(box=None)
    table.add_column("nguồn\norigin", no_wrap=True)  # whole, since the other commands ask for it
    for heading in ("lý do\nreason", "byte\nbytes", "vào lúc\nsince", *(["tình trạng\nstatus"] if everything else [])):
        table.add_column(heading)
    for each in records:
        size = "null" if each.value is None else number(each.cut.value_bytes if each.cut else len(each.value))
        status = [_STATUSES[each.status]] if everything else []  # without --all they are held
        table.add_row(identified(origin_text(each)), each.reason, size, moment(each.quarantined_at), *status)
    out.print(table)


def show(
    origin: Annotated[str, typer.Argument(help="As `dossier quarantine list` names it.")],
    kafka: Kafka = None,
    json: Json = False,
    prefix: Prefix = "",
) -> None:
    """Xem một bản ghi · Show one record: reason, headers, bytes.

    Example: dossier quarantine show dossier.events.v1/3@1042
    """
    record = _find(quarantined(_brokers(kafka), prefix), origin)
    record_revealed(surroundings(load_settings(kafka=kafka)), "quarantine show", origin, prefix)
    details = _summary(record) | {
        "key": _hex(record.key),
        "headers": [[name, _hex(value)] for name, value in record.headers],
        "value": _hex(record.value),
    }
    if json:
        emit_json(details)
        return
    for name, value in _lines(record):
        out.print(f"{name:<31}{value}", markup=False, soft_wrap=True)
    _print_bytes(record.value)


def _lines(record: QuarantineRecord) -> Iterator[tuple[str, str]]:
    yield "nguồn · origin", origin_text(record)
    yield "lý do · reason", record.reason
    yield "ghi nhận lúc · recorded at", moment(record.recorded_at)
    yield "cách ly lúc · quarantined at", moment(record.quarantined_at)
    yield "tình trạng · status", _STATUSES[record.status]
    if record.went_to:
        yield "đã đến · went to", record.went_to
    if record.closed is not None:
        yield "đóng lúc · closed at", moment(record.closed.at)
        yield "lý do đóng · closed because", record.closed.reason
    yield "khóa · key", _visible(record.key)
    if record.cut is not None:
        all_of_it = f"{number(record.cut.value_bytes)} byte, sha256 {record.cut.sha256}"
        yield "chỉ giữ phần đầu · cut, of", f"{all_of_it}, {number(record.cut.headers)} đầu mục · headers"
    for name, value in record.headers:
        yield "đầu mục · header", f"{printable(name)}: {_visible(value)}"


def retry(
    origin: Annotated[str | None, typer.Argument(help="As `dossier quarantine list` names it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are held.")] = False,
    kafka: Kafka = None,
    json: Json = False,
    prefix: Prefix = "",
) -> None:
    """Đọc lại và đưa về sổ cái · Read again; what is readable now goes to the ledger. Exit 1 if any is not.

    An alarm that an endpoint did not take is posted to that endpoint again. A row of a file is read again by importing
    that file, under a mapping that can read it: then it is held no more. One that was corrected in the file is another
    row: `close` the one that is held. What was closed is tried if it is named.

    Example: dossier quarantine retry --all
    """
    from processors import quarantine

    if (origin is None) != everything:
        raise CommandError("name one record, or --all", EXIT_USAGE)
    brokers = _brokers(kafka)
    known = quarantined(brokers, prefix)
    chosen = [_find(known, origin)] if origin is not None else list(known.values())
    waiting: tuple[Status, ...] = ("held",) if everything else ("held", "closed")
    tried = [each for each in chosen if each.status in waiting]
    retrying = quarantine.retry(
        brokers, tried, prefix + LEDGER_TOPIC, prefix + QUARANTINE_TOPIC, post_again=_post_again
    )
    done = _run(retrying, brokers)
    if json:
        emit_json([_summary(each.record) | {"still": each.reason} for each in done])
    else:
        for record, why in done:
            what = f"{_STILL[record.status]}: {why}" if why else f"đã đến · went to {record.went_to}"
            out.print(f"{origin_text(record)} {what}", markup=False, soft_wrap=True)
        went = f"{sum(not each.reason for each in done)}/{len(done)}"
        out.print(f"{went} đã về đúng chỗ · went where they belong")
    if any(each.reason for each in done):
        raise typer.Exit(EXIT_FOUND)


def close(
    origin: Annotated[str, typer.Argument(help="As `dossier quarantine list` names it.")],
    reason: Annotated[str, typer.Option(help="Why nothing is left to do about it; it is kept with the record.")],
    kafka: Kafka = None,
    json: Json = False,
    prefix: Prefix = "",
) -> None:
    """Đóng một bản ghi đã xử lý cách khác · Close a record that was dealt with otherwise, or never can be read.

    It is held no more, and nothing is deleted: its bytes stay, with the time and the reason, and `list --all` and
    `show` go on showing it. A `retry`, or an import that can read the row, still releases it; what is imported again
    and is still unreadable is held again.

    Example: dossier quarantine close log.csv:17#0f3a5c7d9e1b --reason "corrected in the file, imported again"
    """
    from processors import quarantine

    because = _closing_reason(reason)
    brokers = _brokers(kafka)
    record = _find(quarantined(brokers, prefix), origin)
    if record.status == "retried":
        raise CommandError(f"{origin} is held no more: it went to {record.went_to}", EXIT_USAGE)
    already = record.closed if record.status == "closed" else None
    if already is None:
        record = _run(quarantine.close(brokers, record, because, prefix + QUARANTINE_TOPIC), brokers)
    if json:
        emit_json(_summary(record) | {"already": already is not None})
        return
    what = f"đã đóng từ trước · was closed before: {already.reason}" if already else _STATUSES[record.status]
    out.print(f"{origin} {what}", markup=False, soft_wrap=True)


def _closing_reason(text: str) -> str:
    """What was said, if others can read it."""
    reason = text.strip()
    if not (reason.isprintable() and 0 < len(reason) <= MAX_CLOSING_CHARS):
        raise CommandError(
            f"--reason: one line of 1 to {MAX_CLOSING_CHARS} characters, all of them printable", EXIT_USAGE
        )
    return reason


async def _post_again(record: QuarantineRecord, origin: WebhookOrigin) -> str:
    """Why the endpoint does not take it now; empty: it does. A person waits, so it is tried once."""
    from processors.posting import GivenUp, Patience, Poster
    from processors.webhooks import post_again

    endpoint = next((each for each in load_settings().webhooks if each.name == origin.endpoint), None)
    if endpoint is None:
        return f"no endpoint {origin.endpoint} in the settings (webhooks)"
    try:
        async with Poster(endpoint, Patience(attempts=1)) as poster:
            await post_again(poster, record)
    except (GivenUp, Unreadable) as error:
        return str(error)
    return ""


def _brokers(kafka: str | None) -> Cluster:
    return listening_kafka(surroundings(load_settings(kafka=kafka)))


def quarantined(brokers: Cluster, prefix: str = "") -> dict[str, QuarantineRecord]:
    """By origin, all that was ever put into quarantine.

    Raises:
        CommandError: the broker does not answer, or what it holds is no quarantine record.
    """
    from events.entrance import BrokerUnreachable
    from processors.quarantine import read_quarantine

    try:
        return _run(read_quarantine(brokers, prefix + QUARANTINE_TOPIC), brokers)
    except BrokerUnreachable as error:
        raise CommandError(str(error)) from error
    except NoQuarantineRecord as error:
        raise CommandError(f"{prefix}{QUARANTINE_TOPIC} holds what is no quarantine record: {error}") from error


def _run(work: Coroutine[Any, Any, T], brokers: Cluster) -> T:
    from aiokafka.errors import KafkaError

    try:
        return asyncio.run(work)
    except KafkaError as error:
        raise CommandError(f"Kafka at {brokers}: {type(error).__name__}") from error


def _find(known: dict[str, QuarantineRecord], origin: str) -> QuarantineRecord:
    if origin not in known:
        raise CommandError(
            f"nothing in quarantine comes from {origin}: see `dossier quarantine list --all`", EXIT_USAGE
        )
    return known[origin]


def _summary(record: QuarantineRecord) -> dict[str, Any]:
    return {
        "origin": origin_text(record),
        "reason": record.reason,
        "bytes": None if record.value is None else len(record.value),
        **({} if record.cut is None else {"cut": msgspec.to_builtins(record.cut)}),
        "recorded_at": record.recorded_at and record.recorded_at.isoformat(),
        "quarantined_at": record.quarantined_at.isoformat(),
        "status": record.status,
        "went_to": record.went_to,
        "closed": record.closed and {"at": record.closed.at.isoformat(), "reason": record.closed.reason},
    }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _visible(value: bytes | None) -> str:
    return "null" if value is None else printable(value.decode("utf-8", "replace")) or "(empty)"


def _print_bytes(value: bytes | None) -> None:
    if not value:
        out.print(f"{'nội dung · value':<31}{_visible(value)}")
        return
    for start in range(0, min(len(value), _SHOWN_BYTES), _BYTES_A_LINE):
        some = value[start : start + _BYTES_A_LINE]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in some)
        out.print(f"{start:08x}  {some.hex(' '):{_BYTES_A_LINE * 3}} {text}", markup=False, soft_wrap=True)
    if len(value) > _SHOWN_BYTES:
        out.print(f"… {number(len(value) - _SHOWN_BYTES)} byte nữa · more bytes; --json")
