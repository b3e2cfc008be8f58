"""`dossier import` of a packed file that ends too early: what it gave is told, and that it was not all."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cli.console import EXIT_FOUND
from cli.main import main

COUNTER = Path(__file__).parents[3] / "examples" / "counter.csv"
MAPPING = COUNTER.with_suffix(".yaml")


@pytest.mark.parametrize("kept", [40, 250])
def test_a_file_that_was_cut_off_is_told_of_also_before_its_first_row(
    kept: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "counter.csv.gz"
    file.write_bytes(gzip.compress(COUNTER.read_bytes())[:kept])
    with pytest.raises(SystemExit) as ended:
        main(["import", str(file), "--mapping", str(MAPPING), "--dry-run", "--json"])
    told = capsys.readouterr()
    assert ended.value.code == EXIT_FOUND
    assert (json.loads(told.out)["complete"], json.loads(told.out)["dry_run"]) == (False, True)
    assert "broken or cut off" in told.err
