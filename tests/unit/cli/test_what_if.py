"""`dossier what-if` names a procedure of the rulebook, or says which one was meant."""

from __future__ import annotations

import pytest

from cli.console import EXIT_USAGE, CommandError
from cli.whatif import _require_known

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
