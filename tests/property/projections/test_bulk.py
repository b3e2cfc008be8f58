"""The short way through the fold gives the very bytes of the long one, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import Event, microseconds
from projections.bulk import fold_at_once
from projections.dossier import admit, new_dossier, pack
from tests.strategies import events, histories

#: In order, as most events come, and in any order.
IN_ORDER = histories().map(lambda found: sorted(found, key=lambda event: (event.time, event.sourcerank)))


@settings(max_examples=500)
@given(stream=IN_ORDER | histories("H01-1"), more=st.lists(events(), max_size=8), again=st.data())
def test_a_dossier_folded_in_one_go_is_what_admit_makes_of_it(
    stream: list[Event], more: list[Event], again: st.DataObject
) -> None:
    """Identities come twice, too, with the same contents and with others."""
    twice = again.draw(st.lists(st.sampled_from(stream), max_size=4)) if stream else []
    dossier = new_dossier("H01-1")
    records = [
        (event, offset, microseconds(event.time) + offset) for offset, event in enumerate([*stream, *more, *twice])
    ]
    for end, (event, offset, recorded) in enumerate(records, 1):
        dossier = admit(dossier, event, offset=offset, recorded=recorded)
        assert pack(fold_at_once("H01-1", records[:end])) == pack(dossier)
