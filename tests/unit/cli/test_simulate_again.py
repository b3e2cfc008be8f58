"""`dossier simulate` on a ledger that has some of it: what is there is left out, another fact under an id is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli import feeding
from cli.main import main
from cli.simulate import _FIGURES, _new, _shown
from events.catalogue import StepCompleted
from events.envelope import Event, make_event
from events.feed import CHUNK, Identity
from events.publisher import Delivery, Outcome
from events.simulation import GIA_LAI_2020_H1, Tally


def event(number: int, step: str = "s") -> Event:
    fact = StepCompleted(office="so", step=step)
    return make_event(fact, id=f"{number}", source="t", subject="d", time=datetime(2026, 3, 2, tzinfo=UTC))


class Refusing:
    """A publisher of which the ledger does not take the first event."""

    def publish_many(self, events: Iterable[Event]) -> Iterator[Delivery]:
        for number, each in enumerate(events):
            outcome = Outcome.CONFIRMED if number else Outcome.REFUSED
            yield Delivery(each, outcome, reason=None if number else "too large")


def left_of(events: list[Event], there: list[Event]) -> tuple[list[Event], list[tuple[int, int]]]:
    """What is still to be published, and what was told of the rest."""
    told: list[tuple[int, int]] = []

    def known(identities: Sequence[Identity]) -> Mapping[Identity, Sequence[Event]]:
        return {(each.source, each.id): [each] for each in there if (each.source, each.id) in set(identities)}

    left = list(_new(iter(events), known, lambda same, other: told.append((same, other))))
    return left, told


def test_it_goes_on_with_the_first_that_is_not_there() -> None:
    events = [event(number) for number in range(CHUNK + 3)]
    left, told = left_of(events, events[: CHUNK + 1])
    assert left == events[CHUNK + 1 :]
    assert told == [(CHUNK, 0), (1, 0)]


def test_another_event_under_an_id_is_counted_apart_and_not_published() -> None:
    events = [event(number) for number in range(4)]
    left, told = left_of(events, [events[0], event(1, "of an earlier release")])
    assert left == events[2:]
    assert told == [(1, 1)]


def test_nothing_is_left_where_all_is_there() -> None:
    events = [event(number) for number in range(4)]
    assert left_of(events, [*events[:3], event(3, "of an earlier release")]) == ([], [(3, 1)])


def test_events_that_are_refused_are_told_and_it_ends_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `dossier publish` does."""
    monkeypatch.setattr(feeding, "open_known", lambda _around: nullcontext(lambda _identities: {}))
    monkeypatch.setattr(feeding, "open_publisher", lambda _around, _name: nullcontext(Refusing()))
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--dossiers", "3", "--json"])
    told = capsys.readouterr()
    figures = json.loads(told.out)
    assert ended.value.code == 1
    assert (figures["published"], figures["refused"]) == (figures["events"] - 1, 1)
    assert "refused urn:simulated:gia-lai-2020-h1:1:3 000000-00: too large\n" in told.err


def test_every_figure_has_its_words() -> None:
    figures = Tally(GIA_LAI_2020_H1.end).figures()
    beside = {"profile", "seed", "published", "duplicates", "conflicts", "refused"}
    assert set(_FIGURES) == set(figures) | beside


def test_figures_are_grouped_as_vietnamese_writes_them() -> None:
    assert (_shown(1_234_567), _shown({"direct": 1_000, "zalo": 2}), _shown({})) == (
        "1.234.567", "direct 1.000, zalo 2", "–",
    )  # fmt: skip


def test_a_file_is_written_at_once_and_whoever_asks_for_a_speed_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.jsonl"
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--dossiers", "3", "--speed", "600", "--output", str(file)])
    assert ended.value.code == 2
    assert "leave out --speed" in capsys.readouterr().err
    assert not file.exists()
