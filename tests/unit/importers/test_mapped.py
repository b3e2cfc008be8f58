"""Rows become the events that the mapping says, and no row is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from events.catalogue import Processed, Received, StepCompleted, StepStarted, SupplementReceived
from events.envelope import encode
from events.importers.rows import BadRow
from schemas.mapping import MappingError
from tests.unit.importers.logs import HEADER, MAPPING, bad, found, mapped


def test_a_named_activity_becomes_its_event(tmp_path: Path) -> None:
    event = mapped(tmp_path, HEADER + "c1,in,2020-01-02T08:00:00+07:00,mot-cua,2020-01-09,web,\n")[0].event
    assert event.subject == "c1"
    assert event.source == "urn:log:book"
    assert event.time == datetime(2020, 1, 2, 8, tzinfo=timezone(timedelta(hours=7)))
    fact = event.data
    assert isinstance(fact, Received)
    assert (fact.procedure, fact.channel, fact.room, fact.zone) == ("p1", "online", "mot-cua", "Europe/Amsterdam")
    assert fact.promised == datetime(2020, 1, 8, 23, tzinfo=UTC)


def test_what_no_rule_names_is_a_step_of_its_own_name_with_all_its_columns(tmp_path: Path) -> None:
    fact = mapped(tmp_path, HEADER + "c1,T06 look,2020-01-02T08:00:00Z,EMPTY,,,\n")[0].event.data
    assert isinstance(fact, StepCompleted)
    assert (fact.step, fact.room) == ("T06 look", "EMPTY")
    assert fact.attributes == {"case": "c1", "what": "T06 look", "when": "2020-01-02T08:00:00Z", "room": "EMPTY"}


def test_a_case_level_column_is_one_event_a_case(tmp_path: Path) -> None:
    rows = (
        "c1,in,2020-01-02T08:00:00Z,r,,,2020-01-05\nc1,x,2020-01-03T08:00:00Z,r,,,2020-01-05\nc2,in,2020-01-02,r,,,\n"
    )
    events = mapped(tmp_path, HEADER + rows)
    assert [each.by for each in events] == ["row", "case", "row", "row"]
    ended = events[1].event
    assert isinstance(ended.data, Processed)
    assert (ended.data.room, ended.data.actor, ended.data.attributes) == (None, None, {"end": "2020-01-05"})
    assert ended.time == datetime(2020, 1, 4, 23, tzinfo=UTC)


def test_ids_keep_the_order_of_the_file_and_case_events_come_after_rows(tmp_path: Path) -> None:
    same = "2020-01-05T00:00:00+01:00"
    rows = "".join(f"c1,a{number},{same},r,,,{same}\n" for number in range(12))
    events = [each.event for each in mapped(tmp_path, HEADER + rows)]
    in_order = sorted(events, key=lambda event: (event.time, event.sourcerank, event.source, event.id))
    steps = [event.data.step if isinstance(event.data, StepCompleted) else "end" for event in in_order]
    assert steps == [*(f"a{number}" for number in range(12)), "end"]


def test_a_case_event_that_goes_before_the_rows_is_first_of_its_instant(tmp_path: Path) -> None:
    same = "2020-01-05T00:00:00+01:00"
    before = MAPPING.replace("  - column: end\n", "  - column: end\n    before_rows: true\n")
    events = [each.event for each in mapped(tmp_path, HEADER + f"c1,a,{same},r,,,{same}\n" * 2, before)]
    in_order = sorted(events, key=lambda event: (event.time, event.sourcerank, event.source, event.id))
    assert [type(event.data) for event in in_order] == [Processed, StepCompleted, StepCompleted]


def test_a_step_keeps_its_due_and_its_finish_beside_the_time_of_its_row(tmp_path: Path) -> None:
    rules = """
name: book
zone: Europe/Amsterdam
case: "{case}"
activity: what
time: {column: when}
office: gl
events:
  - type: step-completed
    fields: {step_due: "{due}", finished: "{end}"}
"""
    rows = "c1,a,2020-01-02T08:00:00Z,r,2020-01-07,,2020-01-05 00:00:00\nc1,b,2020-01-03T08:00:00Z,r,,,\n"
    given, missing = (each.event.data for each in mapped(tmp_path, HEADER + rows, rules))
    assert isinstance(given, StepCompleted)
    assert isinstance(missing, StepCompleted)
    assert given.finished == datetime(2020, 1, 4, 23, tzinfo=UTC), "midnight where the office is"
    assert given.step_due == datetime(2020, 1, 6, 23, tzinfo=UTC)
    assert (missing.step_due, missing.finished) == (None, None)


def test_reading_again_gives_the_same_bytes_packed_or_not(tmp_path: Path) -> None:
    content = HEADER + "c1,in,2020-01-02,r,,web,2020-01-05\nc2,b,2020-01-02,r,,,\n"
    once = [encode(each.event) for each in mapped(tmp_path, content)]
    again = [encode(each.event) for each in mapped(tmp_path, content, packed=True)]
    assert once == again


def test_two_logs_under_one_mapping_do_not_take_each_others_ids(tmp_path: Path) -> None:
    first = mapped(tmp_path, HEADER + "c1,a,2020-01-02,r,,,2020-01-05\n")
    second = mapped(tmp_path, HEADER + "c2,a,2020-01-02,r,,,\nc1,b,2020-01-03,r,,,2020-01-05\n")
    assert not {each.event.id for each in first if each.by == "row"} & {each.event.id for each in second}
    ends = [each.event.id for each in (*first, *second) if each.by == "case"]
    assert len(ends) == 2, "both halves tell the end"
    assert len(set(ends)) == 1, "of one case it is the same event"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",in,2020-01-02,r,,,", "empty: {case}"),
        ("c1,,2020-01-02,r,,,", "empty: what"),
        ("c1,in,,r,,,", "empty: when"),
        ("c1,in,02.01.2020,r,,,", "when: no time as `iso`"),
        ("c1,in,2020-01-02,r,soon,,", "promised: no time as `iso`"),
        ("c1,in,0005-01-02,r,,,", "time is outside 1901-2199"),
        ("c1,in,2020-01-02,r,,,,", "8 cells, the header has 7"),
        ("c1,in,2020-01-02", "3 cells, the header has 7"),
        ('c1,"in"x,2020-01-02,r,,,', "no CSV: ',' expected after '\"'"),
        (f"c1,{'x' * 200},2020-01-02,r,,,", "step-completed: Expected `str` of length <= 128 - at `$.step`"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_line_and_bytes(tmp_path: Path, row: str, reason: str) -> None:
    good = "c9,a,2020-01-02,r,,,\n"
    content = f"{HEADER}{good}{row}\n{good}{good}"
    assert [(each.line, each.raw, each.reason) for each in bad(tmp_path, content)] == [(3, row.encode(), reason)]
    assert len(found(tmp_path, content)) == 4, "the rest goes on"


def test_a_case_level_value_that_cannot_be_read_does_not_cost_its_rows(tmp_path: Path) -> None:
    rows = found(tmp_path, HEADER + "c1,a,2020-01-02,r,,,never\nc1,b,2020-01-02,r,,,never\n")
    assert [each.by for each in rows] == ["row", "case", "row"]
    unread = rows[1]
    assert isinstance(unread, BadRow)
    assert (unread.line, unread.reason) == (2, "end: end: no time as `iso`")


def test_a_value_that_is_not_listed_makes_the_row_unreadable_without_being_shown(tmp_path: Path) -> None:
    strict = MAPPING.replace(", default: direct", "")
    [row] = bad(tmp_path, HEADER + "c1,in,2020-01-02,r,,secret,\n", strict)
    assert row.reason == "by has a value that the mapping does not list"


def test_a_value_that_is_none_of_a_few_is_told_with_these_and_not_shown(tmp_path: Path) -> None:
    own = MAPPING.replace("{column: by, values: {web: online}, default: direct}", '"{by}"')
    [row] = bad(tmp_path, HEADER + "c1,in,2020-01-02,r,,Mai' - at `$.office`,\n", own)
    assert row.reason == (
        "received: Invalid enum value - at `$.channel`; it can be: direct, online, post, zalo, ministry, other"
    )
    own = MAPPING.replace('promised: "{due}"', 'legal_time: {n: "{due}", unit: "{by}"}')
    [row] = bad(tmp_path, HEADER + "c1,in,2020-01-02,r,5,Mai,\n", own)
    assert row.reason == "received: Invalid enum value - at `$.legal_time.unit`; it can be: d, h, cd, mo"


@pytest.mark.parametrize(
    ("change", "choices"),
    [
        (("web: online", "web: counter"), "direct, online, post, zalo, ministry, other"),
        (("{outcome: issued}", "{outcome: done}"), "issued, refused, immediate"),
        (('promised: "{due}"', "legal_time: {n: 5, unit: y}"), "d, h, cd, mo"),
    ],
)
def test_a_constant_that_is_none_of_a_few_is_told_with_these(
    tmp_path: Path, change: tuple[str, str], choices: str
) -> None:
    with pytest.raises(MappingError, match=f"Invalid enum value '.*; it can be: {choices}$"):
        found(tmp_path, HEADER, MAPPING.replace(*change))


def test_lifecycles_and_repeated_activities(tmp_path: Path) -> None:
    rules = """
name: book
case: "{case}"
activity: what
time: {column: when, format: "%d/%m/%Y %H:%M"}
office: o
attributes: rest
events:
  - where: {phase: start}
    type: step-started
  - activity: submit
    first: true
    type: received
    fields: {procedure: p, channel: online, legal_time: {n: "5", unit: d}}
  - activity: submit
    type: supplement-received
    fields: {complete: "true", items: ["{phase}"]}
"""
    rows = (
        "a,submit,02/01/2020 08:00,\na,submit,03/01/2020 08:00,papers\n"
        "a,check,03/01/2020 09:00,start\nb,submit,03/01/2020 09:00,\n"
    )
    facts = [each.event.data for each in mapped(tmp_path, "case,what,when,phase\n" + rows, rules)]
    assert [type(fact) for fact in facts] == [Received, SupplementReceived, StepStarted, Received]
    received, supplement, started = facts[:3]
    assert isinstance(received, Received)
    assert received.legal_time is not None
    assert (received.legal_time.n, received.zone) == (5, None)
    assert isinstance(supplement, SupplementReceived)
    assert (supplement.complete, supplement.items, supplement.attributes) == (True, ("papers",), {})
    assert isinstance(started, StepStarted)
    assert started.attributes == {"phase": "start"}


@pytest.mark.parametrize(("clock", "utc_hour"), [("2020-10-25T02:30:00", 0), ("2020-10-25T03:30:00", 2)])
def test_a_local_time_that_occurs_twice_is_the_first(tmp_path: Path, clock: str, utc_hour: int) -> None:
    event = mapped(tmp_path, HEADER + f"c,a,{clock},r,,,\n")[0].event
    assert event.time == datetime(2020, 10, 25, utc_hour, 30, tzinfo=UTC)


@pytest.mark.parametrize(("unit", "value"), [("epoch_s", "1577923200.25"), ("epoch_ms", "1577923200250")])
def test_epoch_times_are_exact(tmp_path: Path, unit: str, value: str) -> None:
    mapping = MAPPING.replace("{column: when}", f"{{column: when, format: {unit}}}")
    event = mapped(tmp_path, HEADER + f"c,a,{value},r,,,\n", mapping)[0].event
    assert event.time == datetime(2020, 1, 2, 0, 0, 0, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "second", "cell", "time"),
    [
        ("%d/%m/%Y", "%m/%d/%Y", "02/03/2020", datetime(2020, 3, 2, tzinfo=UTC)),
        ("%m/%d/%Y", "%d/%m/%Y", "02/03/2020", datetime(2020, 2, 3, tzinfo=UTC)),
        ("%m/%d/%Y", "%d/%m/%Y", "13/03/2020", datetime(2020, 3, 13, tzinfo=UTC)),
        ("iso", "epoch_s", "1577923200", datetime(2020, 1, 2, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_by_the_first_format_that_fits(
    tmp_path: Path, first: str, second: str, cell: str, time: datetime
) -> None:
    mapping = MAPPING.replace("{column: when}", f'{{column: when, format: ["{first}", "{second}"], zone: UTC}}')
    assert mapped(tmp_path, HEADER + f"c,a,{cell},r,,,\n", mapping)[0].event.time == time


def test_a_log_may_write_times_in_several_ways(tmp_path: Path) -> None:
    mapping = MAPPING.replace("{column: when}", '{column: when, format: [iso, "%d/%m/%Y %H:%M", "%d/%m/%Y"]}')
    row = "c,in,2020-01-02T08:00:00Z,r,09/01/2020,,10/01/2020 16:30\n"
    received, ended = (each.event for each in mapped(tmp_path, HEADER + row, mapping))
    assert isinstance(received.data, Received)
    assert received.time == datetime(2020, 1, 2, 8, tzinfo=UTC)
    assert received.data.promised == datetime(2020, 1, 8, 23, tzinfo=UTC)
    assert ended.time == datetime(2020, 1, 10, 15, 30, tzinfo=UTC)
    [unread] = bad(tmp_path, HEADER + "c,in,2020-01-02,r,soon,,\n", mapping)
    assert unread.reason == "promised: no time as `iso`, `%d/%m/%Y %H:%M`, `%d/%m/%Y`"


@pytest.mark.parametrize("value", ["1E+999999", "1E+999990", "NaN", "-Infinity", "1" * 400])
@pytest.mark.parametrize("unit", ["epoch_s", "epoch_ms"])
def test_a_number_that_is_no_time_is_a_bad_row_and_no_more(tmp_path: Path, unit: str, value: str) -> None:
    mapping = MAPPING.replace("{column: when}", f"{{column: when, format: {unit}}}")
    rows = list(found(tmp_path, HEADER + f"c,a,{value},r,,,\nc,a,1577923200,r,,,\n", mapping))
    assert [type(each).__name__ for each in rows] == ["BadRow", "Mapped"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{due}", "{deadline}"), "book.yaml line 14: events.0.fields.promised: no column `deadline` in the log; it"),
        (("activity: what", "activity: act"), "book.yaml line 5: activity: no column `act` in the log"),
        (("column: when", "column: time"), "book.yaml line 6: time.column: no column `time` in the log"),
        (("column: end", "column: ended"), "book.yaml line 17: case_events.0.column: no column `ended` in the log"),
        (("type: received", "type: recieved"), "book.yaml line 11: events.0.type: no event `recieved`; there are: "),
        (("procedure: p1", "procedur: p1"), "book.yaml line 13: events.0.fields.procedur: `Received` has no field"),
        (("      procedure: p1\n", ""), "book.yaml line 12: events.0.fields: `Received` needs: procedure"),
        (("web: online", "web: internet"), "book.yaml line 15: events.0.fields.channel: `internet` cannot be: "),
        (
            ('promised: "{due}"', "legal_time: {n: 5, unit: y}"),
            "book.yaml line 14: events.0.fields.legal_time: `{'n': '5', 'unit': 'y'}` cannot be: ",
        ),
    ],
)  # fmt: skip
def test_a_mapping_that_does_not_fit_names_its_line(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(MappingError) as told:
        found(tmp_path, HEADER + "c,in,2020-01-02,r,,,\n", MAPPING.replace(*change))
    assert str(told.value).startswith(message)
