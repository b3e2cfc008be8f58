"""What was shipped is read for ever, and folds to what it always folded to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import schemas
from events.catalogue import CATALOGUE, wire_name
from events.envelope import decode, encode
from events.rulebook import read_rulebook_event
from projections.rules import compile_rules
from tests.golden.corpus import FOLDER, KINDS, event_file, folded, history_file

EVENTS = sorted((FOLDER / "events").glob("*.jsonl"))
STATES = sorted((FOLDER / "histories").glob("*.state.json"))
CODECS = {wire_name(kind): codec for kind, codec in KINDS.items()}
ADD = "python -m tests.golden add"


def test_every_version_that_was_published_has_its_events() -> None:
    published = {
        event_file(path.parent.name, int(path.stem))
        for path in (Path(schemas.__file__).parent / "published").glob("dossier.*/*.json")
    }
    now = {event_file(wire_name(kind), kind.schema_version) for kind in KINDS}
    assert published | now <= {*EVENTS}, f"run `{ADD}`"


@pytest.mark.parametrize("file", EVENTS, ids=lambda path: path.stem)
def test_an_event_that_was_shipped_is_read(file: Path) -> None:
    kind, _, version = file.stem.rpartition(".v")
    lines = file.read_bytes().splitlines()
    assert len(lines) >= 2
    for line in lines:
        event = CODECS[kind].decode(line)
        assert CODECS[kind].decode_again(line) == event
        assert CODECS[kind].decode(encode(event)) == event
        if type(event.data).schema_version == int(version):
            said = json.loads(line)["data"]
            kept = json.loads(encode(event))["data"]
            assert {name: said.get(name) for name in kept} == kept, "nothing is made up; defaults are left out"


@pytest.mark.parametrize("file", STATES, ids=lambda path: path.name.removesuffix(".state.json"))
def test_a_history_folds_to_the_state_it_always_folded_to(file: Path) -> None:
    name = file.name.removesuffix(".state.json")
    events = [decode(line) for line in history_file(name).read_bytes().splitlines()]
    found = json.dumps(folded(events), ensure_ascii=False, indent=1).splitlines()
    assert found == file.read_text(encoding="utf-8").splitlines(), (
        f"the state of {name} has drifted. If that is right, it is another behaviour under another name: leave this "
        f"file, add a history with `{ADD}`, and say why in the commit that takes this one out"
    )


def test_every_history_has_its_state() -> None:
    told = {path.stem for path in (FOLDER / "histories").glob("*.jsonl")}
    assert told == {path.name.removesuffix(".state.json") for path in STATES}
    assert len(told) >= 9


def test_every_kind_of_fact_is_folded_in_a_history() -> None:
    told = {
        type(decode(line).data)
        for file in (FOLDER / "histories").glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    }
    assert {*CATALOGUE} - told == set(), f"give it a history in tests/golden/corpus.py, and run `{ADD}`"


def test_a_rulebook_that_was_published_holds_as_it_did() -> None:
    for file in EVENTS:
        if file.stem.startswith("dossier.rulebook-published."):
            for line in file.read_bytes().splitlines():
                key = json.loads(line)["subject"].encode()
                version, rulebook = read_rulebook_event(key, line)
                assert rulebook.version == version
                assert compile_rules(rulebook).procedures
