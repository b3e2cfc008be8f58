"""A rulebook that somebody names by its file."""

from __future__ import annotations

from pathlib import Path

from cli.console import EXIT_USAGE, CommandError
from schemas.rulebook import Rulebook, RulebookError, load_rulebook


def rulebook_in(file: Path) -> Rulebook:
    """For a command that needs one without mistakes.

    Raises:
        CommandError: it has some, or there is no such file.
    """
    try:
        return load_rulebook(file)
    except RulebookError as error:
        count = len(error.mistakes)
        raise CommandError(
            f"{file} has {count} mistake{'s' if count > 1 else ''}: see `dossier rulebook check {file}`", EXIT_USAGE
        ) from error
    except FileNotFoundError as error:
        raise CommandError(f"there is no file {file}", EXIT_USAGE) from error
    except IsADirectoryError as error:
        raise CommandError(f"{file} is a folder, not a file", EXIT_USAGE) from error
