"""Logs as offices write them: thousands with points, tones of their own, marks before the first byte, empty cells."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.catalogue import PaymentReceived, Received, StepCompleted
from events.importers.mapped import Mapped
from events.importers.rows import BadRow
from schemas.mapping import MappingError
from tests.unit.importers.logs import HEADER, MAPPING, bad, found, mapped

PAID = MAPPING.replace(
    "case_events:", "  - {activity: paid, type: payment-received, fields: {amount: '{due}'}}\ncase_events:"
)


def amounts(folder: Path, *cells: str) -> list[int | str]:
    rows = "".join(f"c,paid,2020-01-02,r,{cell},,\n" for cell in cells)
    return [
        each.event.data.amount if isinstance(each, Mapped) and isinstance(each.event.data, PaymentReceived)
        else each.reason if isinstance(each, BadRow) else "?"
        for each in found(folder, HEADER + rows, PAID)
    ]  # fmt: skip


def test_a_number_that_can_be_read_in_two_ways_is_read_in_none(tmp_path: Path) -> None:
    """135.000 đồng is a hundred and thirty-five thousand, and to a lenient reader 135."""
    assert amounts(tmp_path, "135000", "0") == [135_000, 0]
    for cell in ("135.000", "1.135.000", "1e5", "135.0", "1_000", "+5"):
        assert amounts(tmp_path, cell) == ["amount: no whole number, written in digits alone"]


def test_so_are_those_of_which_a_field_is_made(tmp_path: Path) -> None:
    mapping = MAPPING.replace("      procedure: p1\n", "      procedure: p1\n      legal_time: {n: '{end}', unit: d}\n")
    assert [each.reason for each in bad(tmp_path, HEADER + "c,in,2020-01-02,r,,,5.0\n", mapping)] == [
        "legal_time.n: no whole number, written in digits alone"
    ]
    with pytest.raises(MappingError, match=r"legal_time.*`\{'n': '5\.0', 'unit': 'd'\}` cannot be: legal_time\.n"):
        found(tmp_path, HEADER, mapping.replace("'{end}'", "'5.0'"))


def test_an_empty_cell_names_nobody(tmp_path: Path) -> None:
    mapping = MAPPING.replace('room: "{room}"', 'room: "{room}"\nactor: {id: "{by}", unit: "{room}"}')
    named, nobody = mapped(tmp_path, HEADER + "c,a,2020-01-02,r,,cb-01,\nc,a,2020-01-03,r,,,\n", mapping)
    assert named.event.data.actor is not None
    assert (named.event.data.actor.id, nobody.event.data.actor) == ("cb-01", None)


def test_nor_does_it_give_a_time(tmp_path: Path) -> None:
    mapping = MAPPING.replace("      procedure: p1\n", "      procedure: p1\n      legal_time: {n: '{by}', unit: d}\n")
    mapping = mapping.replace(
        "      channel: {column: by, values: {web: online}, default: direct}\n", "      channel: direct\n"
    )
    given, none = (
        each.event.data for each in mapped(tmp_path, HEADER + "c,in,2020-01-02,r,,5,\nd,in,2020-01-02,r,,,\n", mapping)
    )
    assert isinstance(given, Received)
    assert isinstance(none, Received)
    assert given.legal_time is not None
    assert none.legal_time is None


TONED = MAPPING.replace("activity: in\n", "activity: Tiếp nhận\n").replace('"{room}"', '"{phòng}"')


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("mapping_form", ["NFC", "NFD"])
def test_a_tone_is_a_tone_however_it_is_written(tmp_path: Path, form: str, mapping_form: str) -> None:
    text = HEADER.replace("room", "phòng") + "c,Tiếp nhận,2020-01-02,Một cửa,,,\n"
    mapping = unicodedata.normalize(mapping_form, TONED)  # type: ignore[arg-type]  # one of its forms
    (event,) = mapped(tmp_path, unicodedata.normalize(form, text), mapping)  # type: ignore[arg-type]  # one of its forms
    assert isinstance(event.event.data, Received)
    assert event.event.data.room == "Một cửa"


def test_vietnamese_of_the_nineties_is_the_same(tmp_path: Path) -> None:
    text = HEADER.replace("room", "phòng") + "c,Tiếp nhận,2020-01-02,Một cửa,,,\n"
    data = "".join(_for_cp1258(letter) for letter in text).encode("cp1258")
    (event,) = mapped(
        tmp_path, data, TONED.replace("zone: Europe/Amsterdam", "zone: Europe/Amsterdam\nencoding: cp1258")
    )
    assert isinstance(event.event.data, Received)
    assert event.event.data.room == "Một cửa"


def _for_cp1258(letter: str) -> str:
    """The letter and its tone apart, as that code page has them."""
    try:
        letter.encode("cp1258")
    except UnicodeEncodeError:
        apart = unicodedata.normalize("NFD", letter)
        below = "".join(each for each in apart if unicodedata.combining(each) == 220)
        rest = apart.replace(below, "") if below else apart[:-1]
        return unicodedata.normalize("NFC", rest) + (below or apart[-1])
    return letter


def test_a_mark_before_quoted_names_is_no_part_of_them(tmp_path: Path) -> None:
    quoted = ",".join(f'"{name}"' for name in HEADER.strip().split(",")) + "\n"
    (event,) = mapped(tmp_path, b"\xef\xbb\xbf" + quoted.encode() + b'"c","a","2020-01-02","r",,,\n')
    assert isinstance(event.event.data, StepCompleted)


def test_a_constant_in_a_list_is_looked_at_before_the_first_row(tmp_path: Path) -> None:
    mapping = MAPPING.replace("type: received", "type: submitted").replace(
        '      promised: "{due}"\n', f'      signatories: ["{{by}}", {"z" * 200}]\n'
    )
    with pytest.raises(MappingError, match=r"fields\.signatories: .* cannot be: "):
        found(tmp_path, HEADER, mapping)


def test_a_local_time_of_old_offsets_is_the_instant_it_was(tmp_path: Path) -> None:
    """Hà Nội was 7:06:30 ahead until 1911; RFC 3339 has no seconds there."""
    mapping = MAPPING.replace("zone: Europe/Amsterdam", "zone: Asia/Ho_Chi_Minh")
    (event,) = mapped(tmp_path, HEADER + "c,a,1908-01-01T10:00:00,r,,,\n", mapping)
    assert event.event.time == datetime(1908, 1, 1, 2, 53, 30, tzinfo=UTC)
