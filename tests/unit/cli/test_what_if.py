"""`dossier what-if` names a procedure of the rulebook, or says which one was meant; and up to where it has read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from cli import whatif
from cli.console import EXIT_USAGE, CommandError
from cli.main import main
from cli.whatif import _require_known
from projections.rules import rule_history
from schemas.rulebook import shipped

KNOWN = ["GPLX-CAP-MOI", "GPLX-DOI", "LLTP-1"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("gplx-cap-moi", "did you mean GPLX-CAP-MOI"),
        ("GPLX-DOII", "did you mean GPLX-DOI"),
        ("???", "`dossier rulebook show --yaml` has all there are"),
    ],
)
def test_a_procedure_that_there_is_not(code: str, hint: str) -> None:
    with pytest.raises(CommandError, match=r"the rulebook has no such procedure") as refused:
        _require_known(code, KNOWN)
    assert hint in str(refused.value)
    assert refused.value.exit_code == EXIT_USAGE


def test_a_procedure_that_there_is() -> None:
    for code in KNOWN:
        _require_known(code, KNOWN)


class BehindArchive:
    """One record of the three that are on the ledger."""

    def reached(self) -> dict[int, tuple[int, int]]:
        return {0: (1, 1_772_413_200_000)}


@pytest.mark.parametrize("as_json", [True, False])
def test_the_answer_tells_up_to_where_it_has_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    waited = list[float]()

    @contextmanager
    def open_archive(_: object) -> Iterator[BehindArchive]:
        yield BehindArchive()

    def caught_up(_archive: object, _around: object, seconds: float) -> tuple[dict[int, int], bool]:
        waited.append(seconds)
        return {0: 3}, False

    rules = (rule_history(shipped(), []), shipped())
    for name, value in {
        "surroundings": lambda _: SimpleNamespace(), "listening_kafka": lambda _: None, "_in_force": lambda _: rules,
        "record_look_back": lambda *_: None, "open_archive": open_archive, "caught_up": caught_up,
        "folded": lambda _: iter(()),
    }.items():  # fmt: skip
        monkeypatch.setattr(whatif, name, value)
    code = shipped().content["procedures"][0]["code"]
    with pytest.raises(SystemExit) as ended:
        main(["what-if", "--procedure", code, "--legal-time", "3d", "--wait", "7", *(["--json"] if as_json else [])])
    assert (ended.value.code, waited) == (1, [7.0])
    told = capsys.readouterr().out
    if as_json:
        assert json.loads(told)["freshness"] | {"recorded_at": ""} == {
            "positions": {"0": 1}, "recorded_at": "", "lag": 2, "complete": False,
        }  # fmt: skip
    else:
        assert "2 events behind" in " ".join(told.split())
