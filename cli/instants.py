"""The instants that commands are asked about: as people write them, and what can be answered of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, time
from typing import Annotated, Final

import typer

from cli.asking import VIETNAM
from cli.console import EXIT_USAGE, CommandError, err
from cli.surroundings import Surroundings
from cli.watching import moment

AsOf = Annotated[str | None, typer.Option(metavar="TIME", help="Leave out what occurred later: what was true then.")]
KnownAt = Annotated[
    str | None, typer.Option(metavar="TIME", help="Leave out what was recorded later: what was known then.")
]

_LOCAL_FORMATS: Final = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")


def require_as_of(around: Surroundings, as_of: datetime | None, known_at: datetime | None) -> None:
    """Dues are held against `as_of`, else against the instant at which something was known.

    Raises:
        CommandError: that is one of real time, and the installation goes by a simulated clock.
    """
    if as_of is None and known_at is not None and around.clock.is_simulated:
        raise CommandError(
            "--known-at is in real time, and dues go by a simulated clock here: give --as-of too", EXIT_USAGE
        )


def say_if_ahead(around: Surroundings, asked: datetime | None) -> None:
    """Say on standard error that an instant has yet to come: what is open by then would look late without a reason."""
    now = around.clock.now()
    if asked is None or asked <= now:
        return
    shown = moment(now)
    err.print(
        f"[yellow]{moment(asked)} ở sau giờ của đồng hồ, mới {shown}[/]: chưa biết những gì còn xảy ra đến lúc đó · "
        f"it lies ahead of the clock, which is at {shown}: what is still to come is not known",
        soft_wrap=True,
    )


def instant(text: str | None, option: str) -> datetime | None:
    """The instant somebody wrote: Vietnamese dd/MM/yyyy[ HH:mm[:ss]], a date alone being its end, or RFC 3339.

    Raises:
        CommandError: it is none of these; names `option`.
    """
    from events.envelope import FIRST_YEAR, LAST_YEAR

    if text is None:
        return None
    outside = CommandError(f'{option} "{text}" is outside {FIRST_YEAR}-{LAST_YEAR}', EXIT_USAGE)
    try:
        found = _written(text)
    except ValueError as error:
        raise CommandError(
            f'{option} "{text}" is no time: write 02/03/2026, "02/03/2026 15:30" or 2026-03-02T15:30:00+07:00',
            EXIT_USAGE,
        ) from error
    except OverflowError as error:
        raise outside from error
    if FIRST_YEAR <= found.year <= LAST_YEAR:
        return found
    raise outside


def _written(text: str) -> datetime:
    """Raises ValueError where it is no instant, OverflowError where its zone leads beyond all years."""
    for shape in _LOCAL_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, shape).replace(tzinfo=VIETNAM).astimezone(UTC)
    with suppress(ValueError):
        day = datetime.strptime(text, "%d/%m/%Y").date()  # noqa: DTZ007  # the zone comes in the next line
        return datetime.combine(day, time.max, VIETNAM).astimezone(UTC)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without its zone")
    return instant.astimezone(UTC)
