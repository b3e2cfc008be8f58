"""Is the archive there? Told in time, also of one that takes a question and says nothing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway import history
from gateway.history import ArchiveHistory


class Silent:
    """A client whose server answers when it is told to; counts what it was asked."""

    def __init__(self) -> None:
        self.speak = threading.Event()
        self.asked = 0

    def ping(self) -> bool:
        self.asked += 1
        return self.speak.wait(30)


def test_an_archive_that_says_nothing_is_told_in_time_and_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_ANSWER_SECONDS", 0.05)
    client = Silent()

    async def asked() -> list[bool]:
        archive = ArchiveHistory(lambda: client)
        silent = [await archive.answers() for _ in range(3)]
        client.speak.set()
        monkeypatch.setattr(history, "_ANSWER_SECONDS", 30)
        return [*silent, await archive.answers()]

    assert asyncio.run(asked()) == [False, False, False, True]
    assert client.asked == 1


def test_whoever_asks_in_the_turn_in_which_an_answer_comes_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is a new one then, and those before it still wait for the old one's answer to be handed on."""
    turns = 5

    async def there(_: ArchiveHistory) -> bool:
        for _turn in range(turns):
            await asyncio.sleep(0)
        return True

    async def asked() -> list[bool]:
        archive = ArchiveHistory(Silent)

        async def after(turn: int) -> bool:
            for _turn in range(turn):
                await asyncio.sleep(0)
            return await archive.answers()

        return await asyncio.gather(*(after(turn) for turn in range(3 * turns)))

    monkeypatch.setattr(ArchiveHistory, "_is_there", there)
    assert all(asyncio.run(asked()))
