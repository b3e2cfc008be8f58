"""The small decisions of supervision."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from pathlib import Path

from deploy.embedded.child import LONGEST_PAUSE_SECONDS, Child, Supervised, last_words, pause_seconds
from deploy.embedded.probes import trusts
from deploy.embedded.runtime import ProcessEntry


def test_pauses_double_up_to_a_limit() -> None:
    pauses = [pause_seconds(failures) for failures in range(1, 50)]
    assert pauses[0] == 0.5
    assert pauses[-1] == LONGEST_PAUSE_SECONDS
    assert all(later == min(2 * earlier, LONGEST_PAUSE_SECONDS) for earlier, later in pairwise(pauses))


def test_the_last_words_are_the_line_that_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("starting\nBindException: Address already in use\n\tat java.net.Bind(Native)\nbye\n", "utf-8")
    assert last_words(log) == "BindException: Address already in use"
    log.write_text("starting\nbye\n", "utf-8")
    assert last_words(log) == "bye"
    assert last_words(tmp_path / "none") == "it left no log"


def test_the_last_words_of_java_are_the_option_it_does_not_know_and_none_of_a_life_before(tmp_path: Path) -> None:
    log = tmp_path / "kafka.log"
    before = "2026-03-02 ERROR disk failure\n"
    log.write_text(
        f"{before}Unrecognized VM option 'Xpert'\nError: Could not create the Java Virtual Machine.\n"
        "Error: A fatal exception has occurred. Program will exit.\n"
    )
    assert last_words(log, len(before)) == "Unrecognized VM option 'Xpert'"


def test_the_last_words_of_a_json_log_are_what_its_line_says(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started, ended = '{"event": "starting", "level": "info"}', '{"event": "no Kafka answers at k:1", "level": "error"}'
    log.write_text(f"{started}\n{ended}\n{started}\n", "utf-8")
    assert last_words(log) == "no Kafka answers at k:1"
    failed = '{"event": "cannot go on", "level": "error", "exception": [{"exc_type": "OSError", "exc_value": "full"}]}'
    log.write_text(f"{started}\n{failed}\n", "utf-8")
    assert last_words(log) == "cannot go on: OSError: full"
    log.write_text('["error"]\n', "utf-8")
    assert last_words(log) == '["error"]'


def test_what_keeps_ending_is_shown_with_its_last_words(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "raise SystemExit('error: no Kafka answers')")
    entry = asyncio.run(_first_restart(Child("weak", command, {}, trusts), tmp_path / "log"))
    assert (entry.name, entry.detail) == ("weak", "ended with exit code 1: error: no Kafka answers")


async def _first_restart(child: Child, log: Path) -> ProcessEntry:
    """What is shown while it waits to be started again."""
    restarting = asyncio.Event()

    def changed() -> None:
        if supervised.entry.state == "restarting":
            restarting.set()

    supervised = Supervised(child, log, print, print, changed)
    supervised.start()
    async with asyncio.timeout(30):
        await restarting.wait()
    entry = supervised.entry
    await supervised.stop(asyncio.Event())
    return entry
