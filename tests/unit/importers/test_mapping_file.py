"""A wrong mapping file is told with the line of the mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.importers.log import find_mapping, shipped_mappings
from schemas.mapping import MAX_MAPPING_BYTES, MappingError, load_mapping, parse_mapping, split_template
from tests.unit.importers.logs import MAPPING


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name: book", "name: The Book"), "m.yaml line 2: name: String should match pattern"),
        (("zone: Europe/Amsterdam", "zone: Mars/Base"), "m.yaml line 3: zone: no time zone 'Mars/Base'"),
        (("zone: Europe/Amsterdam", "zone: /etc/passwd"), "m.yaml line 3: zone: no time zone '/etc/passwd'"),
        (('case: "{case}"', "case: c1"), "m.yaml line 4: case: no column in it"),
        (("office: so-gtvt\n", ""), "m.yaml line 2: `office` is missing"),
        (("office: so-gtvt", "ofice: so-gtvt"), "m.yaml line 7: ofice: there is no such key here"),
        (('"{room}"', '"{room"'), "m.yaml line 8: room: a brace is not closed"),
        (("{column: when}", "{column: when, format: european}"), "m.yaml line 6: time.format: write iso, epoch_s"),
        (("type: received", "kind: received"), "m.yaml line 11: events.0.kind: there is no such key here"),
        (("values: {web: online}", "valeus: {web: online}"), "m.yaml line 15: events.0.fields.channel.valeus"),
        (("office: so-gtvt", "office: so-gtvt\noffice: b"), "m.yaml line 8: `office` is there twice"),
        (("office: so-gtvt", "office: &a so-gtvt\ntitle: *a"), "m.yaml line 8: aliases (*name) are not read"),
        (("office: so-gtvt", "office: [a"), "m.yaml line 8: no YAML: "),
        (("zone: Europe/Amsterdam", "encoding: utf-16"), "m.yaml line 3: encoding: encoding 'utf-16' does not"),
        (("zone: Europe/Amsterdam", "encoding: utf-7"), "m.yaml line 3: encoding: encoding 'utf-7' does not"),
        (("zone: Europe/Amsterdam", "encoding: idna"), "m.yaml line 3: encoding: encoding 'idna' does not"),
        (("{column: when}", '{column: when, format: "%d%d"}'), "m.yaml line 6: time.format: no strptime format: a"),
        (("{column: when}", '{column: when, format: "%d/%Q"}'), "m.yaml line 6: time.format: no strptime format: 'Q'"),
        (("{column: when}", "{column: when, format: []}"), "m.yaml line 6: time.format: no format in it; leave it out"),
        (("{column: when}", "{column: when, format: [iso, iso]}"), "m.yaml line 6: time.format: 'iso' is there twice"),
        (("{column: when}", "{column: when, format: [iso, eu]}"), "m.yaml line 6: time.format.1: write iso, epoch_s"),
    ],
)  # fmt: skip
def test_each_mistake_names_its_line(change: tuple[str, str], message: str) -> None:
    with pytest.raises(MappingError) as told:
        parse_mapping(MAPPING.replace(*change), "m.yaml")
    assert str(told.value).startswith(message)


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "[" * 100_000, "{a: " * 5_000, "\x00"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(MappingError):
        parse_mapping(text, "m.yaml")


def test_a_scalar_is_always_text() -> None:
    file = parse_mapping(MAPPING.replace("{web: online}", "{no: online, 1: online}"), "m.yaml")
    assert ("events", 0, "fields", "channel", "values", "no") in file.written.lines


def test_a_template_in_parts() -> None:
    assert split_template("a {b:c} {{d}}") == [
        ("a ", False),
        ("b:c", True),
        (" ", False),
        ("{", False),
        ("d", False),
        ("}", False),
    ]


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text("#" * (MAX_MAPPING_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    for path, reason in ((large, "larger than"), (binary, "not UTF-8")):
        with pytest.raises(MappingError, match=reason):
            load_mapping(path)


def test_shipped_mappings_are_found_by_name_and_others_are_listed() -> None:
    assert "receipt" in shipped_mappings()
    for name in shipped_mappings():
        assert find_mapping(name).mapping.name == name
    with pytest.raises(MappingError, match=r"or one of: .*receipt"):
        find_mapping("no-such-mapping")
