"""Asking the gateway, for the commands that print its answers."""

from __future__ import annotations

from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import httpx
from pydantic import ValidationError

from cli.console import EXIT_FOUND, EXIT_SURROUNDINGS, EXIT_USAGE, CommandError, err
from schemas import api

B = TypeVar("B", bound=api.Body)

#: How much longer than the asked wait an answer may take.
_GRACE_SECONDS: Final = 60.0

VIETNAM: Final = ZoneInfo("Asia/Ho_Chi_Minh")


def ask(gateway: str, path: str, body: type[B], wait_seconds: float, **asked: str | int | None) -> B:
    """GET one answer; with a wait, the gateway first reads to the end of the ledger as of now. None is not asked for.

    Raises:
        CommandError: the gateway does not answer, or not with this.
    """
    parameters = {name: value for name, value in asked.items() if value is not None}
    try:
        answer = httpx.get(
            f"{gateway}{path}",
            params={"wait": wait_seconds, **parameters},
            timeout=wait_seconds + _GRACE_SECONDS,
            trust_env=False,
        )
        answer.raise_for_status()
        return body.model_validate_json(answer.content)
    except httpx.HTTPStatusError as error:
        raise _refused(gateway, error.response) from error
    except httpx.HTTPError as error:
        raise CommandError(f"no answer from the gateway at {gateway}: is `dossier up` running?") from error
    except ValidationError as error:
        raise CommandError(f"{gateway} is not a gateway of this version of the ledger") from error


def _refused(gateway: str, answer: httpx.Response) -> CommandError:
    """What the gateway says is wrong with the question, if it is the question."""
    try:
        problem = api.Problem.model_validate_json(answer.content)
    except ValidationError:
        return CommandError(f"the gateway at {gateway} answers {answer.status_code}")
    code = {400: EXIT_USAGE, 404: EXIT_FOUND}.get(problem.status_code, EXIT_SURROUNDINGS)
    return CommandError(problem.detail, code)


def is_incomplete(freshness: api.Freshness) -> bool:
    """Say so on standard error if the answer does not include all that was on the ledger when it was asked."""
    if freshness.complete is not False:
        return False
    lag = "some" if freshness.lag is None else freshness.lag
    err.print(f"[yellow]chưa đọc hết sổ cái[/] · {lag} events are not in this answer yet; --wait SECONDS waits longer")
    return True


def freshness_line(freshness: api.Freshness) -> str:
    """Up to where the answer goes: "cập nhật đến 02/03/2026 08:00:00, chậm 0 sự kiện · …"."""
    read = freshness.recorded_at.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S") if freshness.recorded_at else "–"
    lag = "?" if freshness.lag is None else freshness.lag
    return f"cập nhật đến {read}, chậm {lag} sự kiện · read up to then, {lag} events behind"
