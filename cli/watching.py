"""`--watch`: a table that is drawn again as long as one looks at it."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli.asking import VIETNAM
from cli.console import EXIT_USAGE, CommandError, out

if TYPE_CHECKING:
    from schemas import api

#: Remaining time is shown in minutes, deadlines come by the second.
EVERY_SECONDS: Final = 1.0

#: Of a column of ids; a longer one goes on in the next line.
_WIDEST: Final = 30
#: Beside the word, never instead of it.
COLOURS: Final = {"late": "bold red", "soon": "yellow", "done_late": "red", "stopped": "cyan", "not_yet_due": "cyan"}


def watch(draw: Callable[[], Sequence[RenderableType]]) -> None:
    """Draw the parts of an answer again every second, until interrupted; the last first: a long list leaves the screen.

    Raises:
        CommandError: nobody looks: standard output is no terminal.
    """
    if not out.is_terminal:
        raise CommandError("--watch draws on a terminal: leave it out, and ask again", EXIT_USAGE)
    with Live(Group(*reversed(draw())), console=out, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(EVERY_SECONDS)
            live.update(Group(*reversed(draw())), refresh=True)


def identified(id_: str, *more: str) -> Text:
    """A cell for a column that is not wrapped: whoever reads an id wants to type it, so no part of it is left out."""
    lines = [Text(id_[start : start + _WIDEST], "bold") for start in range(0, len(id_), _WIDEST)]
    return Text("\n").join([*lines, *(Text(line) for each in more for line in textwrap.wrap(each, _WIDEST))])


def status(of: api.Status) -> Text:
    """`Quá hạn · Late`, with its colour."""
    return Text(f"{of.name.vi} · {of.name.en}", style=COLOURS.get(of.code, "green"))


def both(name: api.Name) -> str:
    return f"{name.vi} · {name.en}"


def day(of: date | None) -> str:
    return f"{of:%d/%m/%Y}" if of else "–"


def moment(instant: datetime | None, zone: str | None = None) -> str:
    """dd/MM/yyyy HH:mm in a zone; one that nobody knows counts as Vietnam's."""
    if instant is None:
        return "–"
    from projections.calendar import zone_named

    return f"{instant.astimezone(zone_named(zone) if zone else VIETNAM):%d/%m/%Y %H:%M}"
