"""`dossier schemas`: write what is published about the events, or check that it still tells the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import schemas as schemas_package
from cli.console import EXIT_FOUND, CommandError, err, out
from events.asyncapi import asyncapi
from events.compatibility import Schema, broken_promises
from events.contract import PUBLISHED_KINDS, Document, event_schema, schema_path
from events.reference import catalogue_page
from schemas.rulebook import rulebook_schema

PUBLISHED = Path("schemas", "published")
PAGE = Path("docs", "events.md")


def register(app: typer.Typer) -> None:
    app.command()(schemas)


def schemas(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is not up to date.")] = False,
) -> None:
    """Lược đồ sự kiện · Write the JSON Schemas, the AsyncAPI and OpenAPI documents and docs/events.md from the code.

    A version that is checked in is a promise: a change that would break it is refused.

    Example: dossier schemas --check
    """
    root = _checkout()
    broken = broken_promises(shipped(root), _current())
    if broken:
        for line in broken:
            err.print(line, markup=False, soft_wrap=True)
        raise CommandError(
            "these changes break publishers of a shipped version; raise schema_version of the fact instead", EXIT_FOUND
        )
    outdated = {path: text for path, text in published().items() if _read(root / path) != text}
    if check and outdated:
        raise CommandError(f"not up to date, run `make schemas`: {', '.join(map(str, sorted(outdated)))}", EXIT_FOUND)
    for path, text in outdated.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        out.print(f"wrote {path}", markup=False, soft_wrap=True)
    if not outdated:
        out.print("up to date")


def published() -> dict[Path, str]:
    """Every published file by its path in the checkout, and its text as the code has it now."""
    from gateway.app import openapi_document

    documents = {
        **_current(),
        "asyncapi.json": asyncapi(),
        "openapi.json": openapi_document(),
        "rulebook.json": rulebook_schema(),
    }
    return {PUBLISHED / path: _render(document) for path, document in documents.items()} | {PAGE: catalogue_page()}


def shipped(root: Path) -> dict[str, Schema]:
    """The event schemas in the checkout at `root`, by path under `schemas/published/`."""
    folder = root / PUBLISHED
    return {
        path.relative_to(folder).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in folder.glob("*/*.json")
    }


def _current() -> dict[str, Document]:
    return {schema_path(kind): event_schema(kind) for kind in PUBLISHED_KINDS}


def _render(document: Document) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _checkout() -> Path:
    root = Path(schemas_package.__file__).parents[1]
    if not (root / "pyproject.toml").is_file():
        raise CommandError(f"{root} is not a checkout of the ledger's source; the published files are written there")
    return root
