"""What a person sees: results on standard output, everything else on standard error, one line per mistake."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from typing import Any, Final

import typer
from rich.console import Console

from schemas.settings import SettingsError

# No markup in results: names and reasons come from strangers, and "[/x]" in one would end the command.
out = Console(highlight=False, markup=False)
err = Console(stderr=True, highlight=False)

#: Exit codes: 1 the answer is "no" (a check found something), 2 the call was wrong, 3 the surroundings failed.
EXIT_FOUND, EXIT_USAGE, EXIT_SURROUNDINGS = 1, 2, 3


#: What may be done about what the operating system refuses.
_ADVICE: Final = {
    errno.EACCES: "choose a file or folder that this user may read and write",
    errno.EPERM: "choose a file or folder that this user may read and write",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOENT: "check the path: a folder that is named must be there",
    errno.ENOTDIR: "check the path: a part of it is a file, not a folder",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "make room, then do it again",
}


class CommandError(Exception):
    """A command cannot go on; the message says why and what to do. Shown without a traceback."""

    def __init__(self, message: str, exit_code: int = EXIT_SURROUNDINGS) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def number(count: int) -> str:
    """For a person, 1.234.567: as Vietnamese writes it, and as the page does."""
    return f"{count:,}".replace(",", ".")


def emit_json(value: Any) -> None:
    """One JSON document on standard output, for programs: no colour, no wrapping."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None, default=str) + "\n")
    sys.stdout.flush()


def fail(error: Exception) -> int:
    """Say what went wrong in one line and give the exit code. `DOSSIER_DEBUG=1` adds the traceback.

    A process that keeps a log on standard error says it there, as a line of it.
    """
    message, code = _said(error)
    debugging = os.environ.get("DOSSIER_DEBUG") == "1"
    if _keeps_a_log():
        logging.getLogger("cli").error(message, exc_info=error if debugging else None)
        return code
    if debugging:
        err.print_exception()
    err.print("[bold red]error[/] ", end="")
    err.print(message, markup=False, soft_wrap=True)
    return code


def _said(error: Exception) -> tuple[str, int]:
    """One line, and the exit code."""
    match error:
        case CommandError():
            message, code = str(error), error.exit_code
        case typer.TyperException():
            message, code = f"{_usage_message(error)} (see --help)", EXIT_USAGE
        case SettingsError():
            message, code = f"wrong setting: {error}", EXIT_USAGE
        case OSError():
            message, code = _of_the_system(error), EXIT_SURROUNDINGS
        case _:
            message = f"{type(error).__name__}: {error} (unexpected; DOSSIER_DEBUG=1 shows where)"
            code = EXIT_SURROUNDINGS
    return " ".join(message.split()), code


def _of_the_system(error: OSError) -> str:
    """What the operating system refused, of which file, and what may be done."""
    if error.filename is None or error.errno not in _ADVICE:
        return str(error)
    return f"{error.filename}: {error.strerror}; {_ADVICE[error.errno]}"


def _keeps_a_log() -> bool:
    """Do log lines, as JSON, go where this process writes its errors?"""
    handlers = logging.getLogger().handlers
    streams = [each.stream for each in handlers if isinstance(each, logging.StreamHandler)]
    return sys.stderr in streams and not sys.stderr.isatty()


def _usage_message(error: Exception) -> str:
    describe = getattr(error, "format_message", None)
    return (str(describe()) if callable(describe) else str(error)) or "which command? They are listed above"
