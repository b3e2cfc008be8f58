"""The `dossier` command: every subcommand is a module of this package with a `register(app)`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.console import fail, out
from schemas.settings import LOG_AS

# In the order in which help lists them: run it, feed it, ask it, look back, keep it well.
COMMANDS = (
    "up", "simulate", "publish", "import_log",
    "summary", "queues", "deadlines", "explain", "clock", "quarantine", "rulebook",
    "replay", "diff", "whatif", "prove", "checkpoint", "receipt", "verify", "repair", "restore", "rebuild", "reconcile",
    "projector", "archiver", "gateway", "webhooks", "nightly", "migrate", "topics", "keys", "config", "schemas",
)  # fmt: skip

_DATA_DIR: Final = "--data-dir"

# The module of a command that is not named like it.
_MODULES = {
    "import": "import_log",
    "down": "up",
    "status": "up",
    "breaches": "deadlines",
    "due": "deadlines",
    "what-if": "whatif",
    "verify-receipt": "receipt",
}


def command_line(modules: Iterable[str] = COMMANDS) -> typer.Typer:
    """The commands of these modules under one root."""
    app = typer.Typer(
        name="dossier",
        help="Sổ cái hồ sơ một cửa · The ledger of one-stop dossiers: publish, watch, replay, prove.",
        callback=_root,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for module in modules:
        import_module(f"cli.{module}").register(app)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        import platform
        from importlib import metadata

        out.print(f"dossier-ledger {metadata.version('dossier-ledger')}, Python {platform.python_version()}")
        raise typer.Exit


def _root(
    data_dir: Annotated[
        Path | None,
        typer.Option(_DATA_DIR, metavar="FOLDER", help="That of the `dossier up` that is meant, as DOSSIER_DATA_DIR."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Sổ cái hồ sơ một cửa · The ledger of one-stop dossiers: publish, watch, replay, prove."""
    if data_dir is not None:
        os.environ["DOSSIER_DATA_DIR"] = str(data_dir)  # for every command alike, and what it starts


def _needed(arguments: Sequence[str]) -> Sequence[str]:
    """The module of the command that is called: a command, and each child of `up`, loads no other's libraries."""
    words = iter(arguments)
    for name in words:
        if name == _DATA_DIR:
            next(words, None)
        elif not name.startswith("-"):
            break
    else:
        return COMMANDS
    module = _MODULES.get(name, name)
    return [module] if module in COMMANDS else COMMANDS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in one clear line and a non-zero exit code."""
    # A library's warning is no line for a person; processes, which keep logs, configure logging themselves.
    logging.basicConfig(handlers=[logging.NullHandler()])
    if name := os.environ.pop(LOG_AS, ""):  # for this process alone: what it starts itself is no such log
        from deploy.logs import configure_logging

        configure_logging(name)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = command_line(_needed(words))(args=words, standalone_mode=False)
    except typer.TyperException as error:  # a wrong option or argument: typer's own words and code
        code = fail(error)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    except Exception as error:  # the last place before a person: sorted by cli.console.fail
        code = fail(error)
    sys.exit(code or 0)
