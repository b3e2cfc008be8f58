"""`dossier diff` for people: every field has a name in both languages, every value is said in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cli.diff import _INSTANTS, _NOT_COMPARED, _event, _print, _shown, difference
from events.catalogue import Corrected, Voided
from replay.described import describe_step
from replay.timeline import timeline
from replay.words import FIELD_NAMES
from schemas import api
from tests.unit.replay.test_timeline import BOSS, PROCESSED, RECEIVED, START, record

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


def test_an_event_is_told_with_the_time_that_counts_and_what_became_of_it() -> None:
    target: Any = {"office": "GL", "target_source": "motcua", "target_id": "e2", "reason": "nhầm", "approver": BOSS}
    moved = record(3, Corrected(field="time", new=(START + timedelta(hours=7)).isoformat(), **target), hours=8)
    void = record(4, Voided(**target), hours=9)
    lines = [
        _event(describe_step(timeline("D1", records).steps[1]), None)
        for records in ([RECEIVED, PROCESSED, moved], [RECEIVED, PROCESSED, void])
    ]
    assert lines == [
        "+ 02/03/2026 15:00 Đã xử lý xong · Processed đã đính chính · corrected (0@2)",
        "+ 02/03/2026 13:00 Đã xử lý xong · Processed đã hủy · voided (0@2)",
    ]


def test_the_answer_tells_up_to_where_both_have_read(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (
        api.Replay(
            dossier="D1",
            as_of=None,
            known_at=None,
            standing=None,
            timeline=[],
            freshness=api.Freshness(positions={"0": read}, lag=9 - read),
        )
        for read in (7, 8)
    )
    answer = difference(first, second)
    assert (answer["freshness"]["positions"], answer["freshness"]["lag"]) == ({"0": 7}, 2)
    _print(answer, None)
    assert "2 events behind" in capsys.readouterr().out
