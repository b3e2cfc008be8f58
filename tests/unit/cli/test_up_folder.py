"""`dossier up` on what is no folder says so before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.console import EXIT_USAGE
from cli.main import main


def test_a_file_is_no_data_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "README.md"
    file.write_text("# not a folder\n", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["--data-dir", str(file), "up"])
    assert ended.value.code == EXIT_USAGE
    assert f"{file} is a file, not a folder" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "# not a folder\n"
