"""A dossier's past, from the archive."""

from __future__ import annotations

from typing import Protocol

from replay.timeline import Recorded


class HistoryUnavailable(Exception):
    """The archive does not answer; the live state still does."""


class History(Protocol):
    """What the gateway asks of the archive."""

    async def records_of(self, dossier_id: str) -> list[Recorded]:
        """All records of a dossier that the archive has, in the order of the ledger.

        Raises:
            HistoryUnavailable: if the archive does not answer.
        """

    async def answers(self) -> bool:
        """Is the archive there?"""
