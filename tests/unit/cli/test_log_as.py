"""A process whose standard error is a log ends with a line of that log, whatever went wrong and however early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.settings import LOG_AS


def _ends(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOSSIER_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env={**environment, "DOSSIER_DATA_DIR": str(folder), **variables},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "variables", "code", "says"),
    [
        (["projector"], {"DOSSIER_PARTITIONS": "many"}, 2, "wrong setting: partitions (DOSSIER_PARTITIONS)"),
        (["projector", "--kafka", "127.0.0.1:1"], {}, 3, "no Kafka broker answers at 127.0.0.1:1"),
        (["simulate", "--warp", "9"], {}, 2, "No such option: --warp"),
        (["simulate"], {}, 3, "nothing runs for "),
    ],
)
def test_its_end_is_a_line_of_the_log(
    words: list[str], variables: dict[str, str], code: int, says: str, tmp_path: Path
) -> None:
    done = _ends(tmp_path, *words, **variables, **{LOG_AS: "feed"})
    assert done.returncode == code
    line = [json.loads(each) for each in done.stderr.splitlines()][-1]
    assert says in line["event"]
    assert line["level"] == "error"
    assert line["process"] in ("feed", words[0])


def test_a_process_that_keeps_a_log_of_its_own_ends_it_so(tmp_path: Path) -> None:
    done = _ends(tmp_path, "projector", "--kafka", "127.0.0.1:1")
    (line,) = [json.loads(each) for each in done.stderr.splitlines()]
    assert (line["process"], line["level"]) == ("projector", "error")


def test_with_the_traceback_in_it_where_one_is_wanted(tmp_path: Path) -> None:
    done = _ends(tmp_path, "projector", "--kafka", "127.0.0.1:1", DOSSIER_DEBUG="1")
    (line,) = [json.loads(each) for each in done.stderr.splitlines()]
    assert line["exception"][0]["exc_type"] == "CommandError"


def test_a_command_of_a_person_ends_with_words(tmp_path: Path) -> None:
    done = _ends(tmp_path, "summary")
    assert done.returncode == 3
    assert done.stderr.startswith("error nothing runs for ")
