"""`dossier diff` for people: every field has a name in both languages, every value is said in words."""

from __future__ import annotations

from typing import Any

import pytest

from cli.diff import _INSTANTS, _NOT_COMPARED, _shown
from replay.words import FIELD_NAMES
from schemas import api

NAME = {"vi": "trả hai lần", "en": "returned twice"}


def test_every_field_that_is_compared_has_a_name() -> None:
    assert set(FIELD_NAMES) == set(api.Dossier.model_fields) - _NOT_COMPARED


def test_every_instant_is_shown_as_one() -> None:
    of_instants = {name for name, field in api.Dossier.model_fields.items() if "Datetime" in str(field.annotation)}
    assert set(_INSTANTS) == of_instants - _NOT_COMPARED


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("room", None, "–"),
        ("room", "P. Nghiệp vụ", "P. Nghiệp vụ"),
        ("state", "RESULT_READY", "Đã xử lý xong · Result ready"),
        ("timeliness", "late", "Quá hạn · Late"),
        ("due", "2026-03-02T01:30:00+00:00", "02/03/2026 08:30"),
        ("payment_due", True, "có · yes"),
        ("payment_due", False, "không · no"),
        ("overrides", 0, "0"),
        ("overrides", 1, "1"),
        ("anomalies", [], "–"),
        ("anomalies", [{"code": "A03", "name": NAME, "source": "s", "id": "1"}], "A03 trả hai lần · returned twice"),
    ],
)
def test_a_value_in_words(name: str, value: Any, shown: str) -> None:
    assert _shown(name, value, "Asia/Ho_Chi_Minh") == shown


def test_an_instant_is_told_in_the_zone_of_the_dossier() -> None:
    assert _shown("due", "2026-03-02T01:30:00+00:00", "Europe/Amsterdam") == "02/03/2026 02:30"
