"""The simulated half-year has the figures of the published report, whole or in proportion."""

from __future__ import annotations

from collections import Counter
from datetime import time
from itertools import islice

import pytest

from events.catalogue import Received
from events.envelope import Event, encode
from events.simulation import GIA_LAI_2020_H1, Tally, simulate


def figures(events: list[Event]) -> dict[str, object]:
    tally = Tally(GIA_LAI_2020_H1.end)
    for event in events:
        tally.add(event)
    return tally.figures()


@pytest.fixture(scope="module")
def whole() -> list[Event]:
    return list(simulate(GIA_LAI_2020_H1))


@pytest.fixture(scope="module")
def small() -> list[Event]:
    return list(simulate(GIA_LAI_2020_H1, dossiers=1_000, seed=7))


def test_the_whole_period_has_the_published_figures(whole: list[Event]) -> None:
    counted = figures(whole)
    assert counted["received"] == 21_609
    assert counted["resolved"] == 21_102
    assert (counted["pending_in_time"], counted["overdue"]) == (507, 0)
    assert counted["postal_movements"] == {"collected": 4_780, "result": 5_242, "post_exam_dossier": 1_405}
    assert counted["same_day"] == 4_533 + 1_155
    by_channel = counted["by_channel"]
    assert isinstance(by_channel, dict)
    assert (by_channel["zalo"], by_channel["online"]) == (370, 623)


def test_licences_and_other_procedures_add_up(whole: list[Event]) -> None:
    received = Counter(event.data.procedure for event in whole if isinstance(event.data, Received))
    licences = sum(received[code] for code in ("GPLX-CAP-MOI", "GPLX-DOI", "GPLX-CAP-LAI"))
    assert (licences, received["GPLX-MAT"]) == (19_603, 507)
    assert received.total() - licences - received["GPLX-MAT"] == 1_499


def test_there_are_121_working_days() -> None:
    assert len(GIA_LAI_2020_H1.working_days()) == 121


def test_events_come_in_order_with_identities_of_their_own(small: list[Event]) -> None:
    assert [event.time for event in small] == sorted(event.time for event in small)
    assert len({(event.source, event.id) for event in small}) == len(small)


def test_nothing_happens_outside_working_hours(small: list[Event]) -> None:
    days = set(GIA_LAI_2020_H1.working_days())
    for event in small:
        at = event.time.time()
        assert event.time.date() in days
        assert time(7) <= at <= time(11, 30) or time(13, 30) <= at <= time(17), event


@pytest.mark.parametrize("dossiers", [1, 2, 37, 1_000])
def test_a_smaller_number_keeps_the_proportions(dossiers: int) -> None:
    counted = figures(list(simulate(GIA_LAI_2020_H1, dossiers=dossiers)))
    pending = 507 * dossiers / 21_609
    assert counted["received"] == dossiers
    assert counted["pending_in_time"] == pytest.approx(pending, abs=1)


def test_a_seed_gives_the_same_events_and_another_gives_others(small: list[Event]) -> None:
    again = islice(simulate(GIA_LAI_2020_H1, dossiers=1_000, seed=7), 500)
    other = islice(simulate(GIA_LAI_2020_H1, dossiers=1_000, seed=8), 500)
    assert [encode(event) for event in again] == [encode(event) for event in small[:500]]
    assert [event.time for event in other] != [event.time for event in small[:500]]
