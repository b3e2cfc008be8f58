"""`dossier rulebook`: check a rulebook, compare two, publish one, show what was published."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import uuid_utils
import yaml

from cli.asking import VIETNAM
from cli.console import EXIT_FOUND, emit_json, err, out
from cli.impact import impact
from cli.rulebook_file import rulebook_in
from cli.surroundings import surroundings
from schemas.difference import differences
from schemas.rulebook import Rulebook, RulebookError, load_rulebook, shipped
from schemas.settings import load_settings

if TYPE_CHECKING:
    from events.rulebook import Published, Shelf

#: What can stand for a file: the rulebook that comes with the program, and the newest on the ledger.
SHIPPED, NEWEST = "shipped", "newest"
_SHORT: Final = len("sha256-") + 12

Kafka = Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def register(app: typer.Typer) -> None:
    rulebook = typer.Typer(
        no_args_is_help=True, help="Bộ quy tắc · The rulebook: procedures, calendars and limits, as one document."
    )
    for command in (check, diff, publish, show, impact):
        rulebook.command()(command)
    app.add_typer(rulebook, name="rulebook")


def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A rulebook in YAML; docs/rulebook.md explains it.", exists=True, dir_okay=False
        ),
    ],
    json: Json = False,
) -> None:
    """Kiểm tra bộ quy tắc · Explain every mistake of a rulebook, each with its line; exit 1 if there is one.

    Example: dossier rulebook check gia-lai.yaml
    """
    try:
        rulebook = load_rulebook(file)
    except RulebookError as error:
        if json:
            emit_json({"file": file.name, "valid": False, "mistakes": error.mistakes})
        else:
            for mistake in error.mistakes:
                err.print(mistake, markup=False, soft_wrap=True)
            count = len(error.mistakes)
            err.print(f"{count} lỗi · {count} mistake{'s' if count > 1 else ''}")
        raise typer.Exit(EXIT_FOUND) from error
    if json:
        emit_json({"file": file.name, "valid": True, **_summary(rulebook, rulebook.version)})
    else:
        out.print(f"hợp lệ · valid: {_described(rulebook)}, {rulebook.version[:_SHORT]}", soft_wrap=True)


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A file, `shipped`, or `newest` (of the ledger).")],
    b: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    kafka: Kafka = None,
    json: Json = False,
) -> None:
    """So sánh hai bộ quy tắc · What differs between two rulebooks, item by item; exit 1 if anything does.

    Example: dossier rulebook diff newest gia-lai.yaml
    """
    before, after = _found(a, kafka), _found(b, kafka)
    found = list(differences(before.content, after.content))
    if json:
        emit_json(
            {
                "a": before.version,
                "b": after.version,
                "differences": [each._asdict() for each in found],
            }
        )
    else:
        for place, was, becomes in found:
            out.print(f"{place}: {_value(was)} → {_value(becomes)}", soft_wrap=True)
        if before.version == after.version:
            out.print("như nhau · the same")
        elif not found:
            out.print("chỉ khác thứ tự · only the order differs")
    if before.version != after.version:
        raise typer.Exit(EXIT_FOUND)


def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rulebook in YAML.")],
    kafka: Kafka = None,
    json: Json = False,
    prefix: Annotated[str, typer.Option(hidden=True, help="Prefix of the topic's name.")] = "",
) -> None:
    """Ban hành bộ quy tắc · Put a rulebook on the ledger. The newest once more publishes nothing.

    Example: dossier rulebook publish gia-lai.yaml
    """
    from events.rulebook import RULEBOOKS_TOPIC
    from events.rulebook_topic import publish_rulebook

    rulebook = rulebook_in(file)
    done = publish_rulebook(
        surroundings(load_settings(kafka=kafka)).kafka,
        rulebook,
        id=str(uuid_utils.uuid7()),
        time=datetime.now(UTC),
        topic=prefix + RULEBOOKS_TOPIC,
    )
    if json:
        known_at = None if done is None else _local(done)
        emit_json({"published": done is not None, "known_at": known_at, **_summary(rulebook, rulebook.version)})
    elif done is None:
        out.print(
            f"không có gì mới · nothing to publish: {rulebook.version[:_SHORT]} đã mới nhất · is the newest already",
            soft_wrap=True,
        )
    else:
        out.print(f"đã ban hành · published: {_described(rulebook)}, {rulebook.version[:_SHORT]}", soft_wrap=True)


def show(
    kafka: Kafka = None,
    json: Json = False,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="The newest as a file to edit, check and publish.")] = False,
    prefix: Annotated[str, typer.Option(hidden=True, help="Prefix of the topic's name.")] = "",
) -> None:
    """Các bộ quy tắc đã ban hành · Every rulebook that was published, the newest last, after the one that is shipped.

    Example: dossier rulebook show --yaml > mine.yaml
    """
    shelf = _shelf(kafka, prefix)
    newest = shelf.published[-1].rulebook if shelf.published else shipped()
    if as_yaml:
        out.file.write(yaml.safe_dump(newest.content, allow_unicode=True, sort_keys=False, width=120))
    elif json:
        rulebooks = [{"known_at": None, **_summary(shipped(), shipped().version)}]
        rulebooks += [{"known_at": _local(each), **_summary(each.rulebook, each.version)} for each in shelf.published]
        unreadable = [each._asdict() for each in shelf.unreadable]
        emit_json({"rulebooks": rulebooks, "unreadable": unreadable, "newest": newest.content})
    else:
        _print(shelf)


def _print(shelf: Shelf) -> None:
    out.print(f"{'có sẵn · shipped':25}  {shipped().version[:_SHORT]}  {_described(shipped())}", soft_wrap=True)
    for each in shelf.published:
        out.print(f"{_local(each)[:25]:25}  {each.version[:_SHORT]}  {_described(each.rulebook)}", soft_wrap=True)
    for offset, reason in shelf.unreadable:
        err.print(f"bản ghi · record {offset} is no rulebook: {reason}", markup=False, soft_wrap=True)


def _found(name: str, kafka: str | None) -> Rulebook:
    if name == SHIPPED:
        return shipped()
    if name == NEWEST:
        shelf = _shelf(kafka, "")
        return shelf.published[-1].rulebook if shelf.published else shipped()
    return rulebook_in(Path(name))


def _shelf(kafka: str | None, prefix: str) -> Shelf:
    from events.rulebook import RULEBOOKS_TOPIC
    from events.rulebook_topic import read_rulebooks

    return read_rulebooks(surroundings(load_settings(kafka=kafka)).kafka, topic=prefix + RULEBOOKS_TOPIC)


def _summary(rulebook: Rulebook, version: str) -> dict[str, Any]:
    return {
        "version": version,
        "name": rulebook.name,
        "effective_from": rulebook.effective_from.isoformat(),
        "basis": rulebook.basis,
        "procedures": len(rulebook.procedures),
        "calendars": [each.code for each in rulebook.calendars],
    }


def _described(rulebook: Rulebook) -> str:
    return (
        f"{rulebook.name} từ · from {rulebook.effective_from:%d/%m/%Y}, {len(rulebook.procedures)} thủ tục · procedures"
    )


def _local(published: Published) -> str:
    from events.envelope import from_microseconds

    return from_microseconds(published.known_at).astimezone(VIETNAM).isoformat(timespec="seconds")


def _value(value: Any) -> str:
    match value:
        case None:
            return "–"
        case dict():
            return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case _:
            return str(value)
