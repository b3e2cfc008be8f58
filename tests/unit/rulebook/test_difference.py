"""What differs between two rulebooks is told by what it is about, not by where in a list it stands."""

from __future__ import annotations

from schemas.difference import Difference, differences
from tests.unit.rulebook.documents import small


def test_the_same_differ_in_nothing() -> None:
    assert list(differences(small().content, small().content)) == []


def test_a_change_is_named_by_its_code() -> None:
    found = list(differences(small().content, small(("legal_time: 5d", "legal_time: 7d")).content))
    assert found == [Difference("procedures.P1.legal_time", "5d", "7d")]


def test_order_is_no_difference() -> None:
    content = small().content
    turned = {**content, "procedures": content["procedures"][::-1]}
    assert list(differences(content, turned)) == []


def test_what_is_new_and_what_is_gone() -> None:
    before = small().content
    after = {**before, "procedures": [before["procedures"][0], {**before["procedures"][0], "code": "P3"}]}
    found = {each.place: (each.before is None, each.after is None) for each in differences(before, after)}
    assert found == {"procedures.P2": (False, True), "procedures.P3": (True, False)}


def test_days_of_an_announcement_are_a_set() -> None:
    after = small(("off: [2026-01-02]", "off: [2026-01-02, 2026-01-05]")).content
    assert list(differences(small().content, after)) == [
        Difference("calendars.vn.announcements.the swap.off.2026-01-05", None, "2026-01-05")
    ]


def test_items_without_a_name_of_their_own_are_compared_in_order() -> None:
    assert list(differences([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 3}])) == [Difference("· (2).a", 2, 3)]
