"""`dossier replay` says first whether anybody set the due by hand, and to what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.replay import _print
from events.catalogue import Actor, AnyFact, Corrected, DueOverridden, Received, Voided
from events.envelope import make_event, microseconds
from replay.described import describe_step
from replay.timeline import Recorded, timeline
from schemas import api

AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
RECEIVED = Received(office="GL", procedure="1.002809", channel="direct")
APPROVER = Actor(id="pgd-07")
OVERRIDDEN = DueOverridden(
    office="GL", new_due=AT + timedelta(days=30), reason="lũ", approver=APPROVER, actor=Actor(id="cv-12")
)
CORRECTED = Corrected(
    office="GL", target_source="motcua", target_id="e1", field="new_due", new=(AT + timedelta(days=3)).isoformat(),
    reason="nhầm", approver=APPROVER,
)  # fmt: skip
VOIDED = Voided(office="GL", target_source="motcua", target_id="e1", reason="nhầm", approver=APPROVER)
BY = "(duyệt · approved by pgd-07)"
NAME = "Đặt lại ngày hẹn · Due overridden"


def told(*facts: AnyFact) -> api.Replay:
    records = []
    for number, fact in enumerate(facts):
        time = AT + timedelta(hours=number)
        event = make_event(fact, id=f"e{number}", source="motcua", subject="D", time=time)
        records.append(Recorded(event, 0, number, microseconds(time)))
    return api.Replay(
        dossier="D", as_of=None, known_at=None, standing=None,
        timeline=[describe_step(each) for each in timeline("D", records).steps],
        freshness=api.Freshness(positions={}, recorded_at=None, lag=None, complete=None),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ([RECEIVED], f"{NAME}: không có · none"),
        ([RECEIVED, OVERRIDDEN], f"⚠ {NAME} 02/03/2026 09:00:00 → 01/04/2026 08:00:00 cv-12 {BY}"),
        (
            [RECEIVED, OVERRIDDEN, CORRECTED],
            f"⚠ {NAME} 02/03/2026 09:00:00 → 05/03/2026 08:00:00 cv-12 {BY} (đã đính chính · corrected)",
        ),
        (
            [RECEIVED, OVERRIDDEN, VOIDED],
            f"⚠ {NAME} 02/03/2026 09:00:00 → 01/04/2026 08:00:00 cv-12 {BY} (đã hủy · voided)",
        ),
    ],
    ids=["none", "one", "corrected", "voided"],
)
def test_the_second_line_is_about_overrides(
    facts: list[AnyFact], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _print(told(*facts))
    assert capsys.readouterr().out.splitlines()[1] == line


def test_corrections_and_voids_are_told_above_the_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    _print(told(RECEIVED, OVERRIDDEN, CORRECTED, VOIDED))
    assert capsys.readouterr().out.splitlines()[2:4] == [
        f"⚠ Đính chính · Corrected 02/03/2026 10:00:00 e1 new_due → 2026-03-05T01:00:00+00:00 {BY}",
        f"⚠ Hủy ghi nhận · Voided 02/03/2026 11:00:00 e1 {BY}",
    ]


def test_a_corrected_field_is_told_beside_the_fact_as_it_was_published() -> None:
    received, overridden, corrected = told(RECEIVED, OVERRIDDEN, CORRECTED).timeline
    assert overridden.data["new_due"] == "2026-04-01T01:00:00Z"
    assert overridden.corrections == {"new_due": "2026-03-05T01:00:00Z"}
    assert received.corrections == corrected.corrections == {}
