"""Every mistake of a rulebook is told with its line; what it is identified by is its content."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from schemas.rulebook import (
    MAX_RULEBOOK_BYTES,
    REFERENCE,
    Rulebook,
    RulebookError,
    load_rulebook,
    parse_rulebook,
    rulebook_schema,
)
from tests.unit.rulebook.documents import changed, small

MISTAKES = [
    (("effective_from: 2026-01-01", "effective_from: 2026-13-01"), "line 3: effective_from: Input should be a valid"),
    (("effective_from: 2026-01-01", "effective_from: 1600-01-01"), "line 3: effective_from: 1600-01-01 is outside"),
    (("basis: test\n", ""), "line 1: `basis` is missing"),
    (("calendar: vn", "calendar: us"), "line 5: calendar: there is no calendar `us`; there are: vn, reception"),
    (("13:30-17:00", "11:00-17:00"), "line 8: calendars.0.windows.1: 11:00-17:00 begins before 07:00-11:30 has ended"),
    (("13:30-17:00", "17:00-13:30"), "line 8: calendars.0.windows.1: a window begins before it ends"),
    (("13:30-17:00", "half past one"), "line 8: calendars.0.windows.1: 'half past one' is no window; write"),
    (("[2026-01-10]", "[2026-01-09]"), "2026-01-09 is a Friday and a working day already: `working` says nothing"),
    (("[2026-01-10]", "[2026-01-02]"), "line 16: calendars.0.announcements.1.working.0: 2026-01-02 is also in `off`"),
    (("working: [2026-01-10]", "reception_only: [2026-01-08]"), "line 16: calendars.0.announcements.1.reception_only"),
    (("off: [2026-01-01]", "off: [2026-02-20..2026-02-16]"), "2026-02-20..2026-02-16 is not 1 to 31 days"),
    (("off: [2026-01-01]", "off: [01/01/2026]"), "line 12: calendars.0.announcements.0.off.0: '01/01/2026' is no day"),
    (("announced: 2025-12-25", "announced: soon"), "line 14: calendars.0.announcements.1.announced: Input should be"),
    (("calendar: reception}", "calendar: moon}"), "line 24: offices.1.calendar: there is no calendar `moon`"),
    (("- {code: mot-cua, name: {vi: Một cửa, en: Counter}}", "- {code: mot-cua}"), "rooms.0: `name` is missing"),
    (("code: xa", "code: so"), "line 24: offices.1.code: `so` is there twice: also offices.0"),
    (("procedures: 2", "procedures: 3"), "line 26: fields.0.procedures: 3 procedures, and the list has 2"),
    (("mot-cua: 1", "mot-cua: 93"), "line 27: mechanisms.mot-cua: 93 procedures, and the list has 1"),
    (("code: P2", "code: P1"), "line 30: procedures.1.code: `P1` is there twice: also procedures.0"),
    (("field: f, legal_time", "field: g, legal_time"), "line 29: procedures.0.field: there is no field `g`"),
    (("legal_time: 5d", "legal_time: 5 days"), "procedures.0.legal_time: '5 days' is no length of time; write 5d, 8h"),
    (("legal_time: 5d", "legal_time: 0d"), "line 29: procedures.0.legal_time: Input should be greater than"),
    (("legal_time: 5d, ", ""), "line 29: procedures.0: neither `legal_time` nor `same_day_cutoff`"),
    (("steps: {appraise: 3d}", "steps: {appraise: 6d}"), "procedures.0.steps.appraise: 6d is longer than the 5d"),
    (("steps: {appraise: 3d}", "not_before: 6d"), "line 29: procedures.0.not_before: 6d is longer than the 5d"),
    (("steps: {appraise: 3d}", "stops: [lunch]"), "line 29: procedures.0.stops.0: Input should be 'supplement'"),
    (("steps: {appraise: 3d}", "stops: [], supplement: resume"), "procedures.0.supplement: `resume` has no effect"),
    (("steps: {appraise: 3d}", 'same_day_cutoff: "15:00"'), "due the same day and after 5d: leave one of the two out"),
    (("steps: {appraise: 3d}", "step: {}"), "line 29: procedures.0.step: there is no such key here; docs/rulebook.md"),
    (('same_day_cutoff: "15:00"', 'same_day_cutoff: "12:00"'), "12:00 is outside the working hours of vn (07:00-11:30"),
    (('same_day_cutoff: "15:00"', "same_day_cutoff: 15:00:30"), "same_day_cutoff: write hours and minutes"),
    (("basis: test", "basis: test\nintake: {notify: 9h}"), "line 5: intake.notify: 9h is longer than the 8h"),
    (("basis: test", 'basis: test\nrouting: {cutoff: "06:00"}'), "line 5: routing.cutoff: 06:00 is outside the"),
    (("basis: test", "basis: test\nalarms: {warn_fraction: 1.5}"), "line 5: alarms.warn_fraction: Input should be"),
    (("basis: test", "basis: test\nlate_calendar: maybe"), "line 5: late_calendar: Input should be 'if_notified'"),
    (("basis: test", 'basis: "a\\e[2Jb"'), "line 4: basis: a control character"),
    (("basis: test", "basis: test\nbasis: again"), "line 5: `basis` is there twice"),
    (("basis: test", "basis: [a"), "no YAML"),
    (("basis: test", "basis: &a test\ntitel: *a"), "line 5: aliases (*name) are not read"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), MISTAKES, ids=[change[1][:40] for change, _ in MISTAKES])
def test_each_mistake_names_its_line(change: tuple[str, str], told: str) -> None:
    with pytest.raises(RulebookError) as error:
        small(change)
    assert sum(told in mistake for mistake in error.value.mistakes) == 1, error.value.mistakes
    assert all(mistake.startswith("small.yaml line ") for mistake in error.value.mistakes)


def test_mistakes_of_every_kind_are_told_at_once_in_the_order_of_the_lines() -> None:
    changes = [
        ("effective_from: 2026-01-01", "effective_from: never"),  # of form
        ("13:30-17:00", "11:00-17:00"),  # within a part that has another mistake of form
        ("off: [2026-01-01]", "off: [never]"),
        ("mot-cua: 1", "mot-cua: 5"),  # of the parts together
        ("steps: {appraise: 3d}", "steps: {appraise: 6d}, speed: high"),
    ]
    with pytest.raises(RulebookError) as error:
        small(*changes)
    lines = [int(mistake.split(" line ")[1].split(":")[0]) for mistake in error.value.mistakes]
    assert lines == sorted(lines) == [3, 8, 12, 27, 29, 29]


def test_a_later_announcement_may_take_back_an_earlier_one() -> None:
    back = "      - {basis: taken back, announced: 2025-12-28, working: [2026-01-02], off: [2026-01-10]}\n"
    assert len(small(("  - code: reception", back + "  - code: reception")).calendars[0].announcements) == 3


def test_written_time_may_come_as_values_too() -> None:
    fields = {"n": 5, "unit": "d"}
    content = yaml.safe_load(json.dumps(small().content))
    content["procedures"][0]["legal_time"] = fields
    assert Rulebook.model_validate(content).version == small().version


def test_the_version_is_the_content_not_the_way_it_is_written() -> None:
    other = changed(
        ("legal_time: 5d", "legal_time: {n: 5, unit: d}"),
        ("name: small\n", ""),
        ("basis: test", "# comment\nbasis: 'test'\nname: small"),
        ("steps: {appraise: 3d}", "stops: [supplement], steps: {appraise: 3d}"),
    )
    assert parse_rulebook(other, "other.yaml").version == small().version
    assert small(("legal_time: 5d", "legal_time: 6d")).version != small().version


def test_the_version_is_the_same_in_every_process() -> None:
    text = changed(("steps: {appraise: 3d}", "stops: [payment, supplement, consultation]"))
    program = "import sys; from schemas.rulebook import parse_rulebook as p; print(p(sys.stdin.read(), 's').version)"
    versions = {
        subprocess.run(
            [sys.executable, "-c", program], input=text, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": str(seed), "PYTHONUTF8": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
        ).stdout
        for seed in (1, 2, 3)
    }  # fmt: skip
    assert versions == {parse_rulebook(text, "s").version + "\n"}


def test_its_content_is_a_rulebook_again_also_as_yaml() -> None:
    again = parse_rulebook(yaml.safe_dump(small().content, allow_unicode=True), "again.yaml")
    assert again == small()
    assert again.version == small().version


def test_the_content_is_what_the_published_schema_says() -> None:
    Draft202012Validator.check_schema(rulebook_schema())
    Draft202012Validator(rulebook_schema()).validate(small().content)


def test_a_model_made_in_code_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="there is no calendar `us`"):
        Rulebook.model_validate({**small().content, "calendar": "us"})


def test_what_is_no_rulebook_is_refused() -> None:
    for text in ("", "- a\n", "just text", "[" * 100_000, "\x00", "a: {1: [x]}", "procedures: {a: 1}\ncalendars: 3"):
        with pytest.raises(RulebookError):
            parse_rulebook(text, "r.yaml")


def test_a_file_that_is_too_large_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("large") / "large.yaml"
    path.write_text("#" * (MAX_RULEBOOK_BYTES + 1))
    with pytest.raises(RulebookError, match="larger than"):
        load_rulebook(path)


def test_the_reference_names_every_key() -> None:
    schema = rulebook_schema()
    parts = [schema, *schema["$defs"].values()]
    keys = {key for part in parts for key in part.get("properties", {})} - {"vi", "en"}
    page = (Path(__file__).parents[3] / REFERENCE).read_text(encoding="utf-8")
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_one_that_would_not_fit_on_the_ledger_is_told_before_it_is_published() -> None:
    line = "  - {{code: X{n}, name: {{vi: a, en: b}}, field: f, legal_time: 5d}}\n"
    many = "".join(line.format(n=n) for n in range(5_000))
    text = changed(("procedures: 2", "procedures: 5002"), ("mot-cua: 1", "mot-cua: 5001")) + many
    assert len(text.encode()) < MAX_RULEBOOK_BYTES
    with pytest.raises(RulebookError, match="with all defaults, the limit is"):
        parse_rulebook(text, "many.yaml")
