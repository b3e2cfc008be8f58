"""`dossier status` while something of it does not work: it says so, and programs can tell by the exit code."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from cli.main import main
from deploy.embedded.runtime import ProcessEntry, ProcessState, Running, exclusive


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("starting", 1), ("restarting", 1), ("failed", 1)])
def test_ready_means_that_all_of_it_works(
    state: ProcessState, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOSSIER_DATA_DIR", str(tmp_path))
    processes = (ProcessEntry(name="kafka", state="ok"), ProcessEntry(name="archiver", state=state))
    here = psutil.Process()
    with exclusive(tmp_path):
        Running(
            pid=os.getpid(), created=here.create_time(), ready=True, kafka="k:1", clickhouse="http://c:1",
            processes=processes,
        ).write(tmp_path)  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(["status", "--json"])
    assert ended.value.code == code
    told = json.loads(capsys.readouterr().out)
    assert told["ready"] is (code == 0)
    addresses = {"kafka": "k:1", "clickhouse": "http://c:1", "gateway": None}
    assert told["addresses"] == addresses
    assert addresses.items() <= told.items()
