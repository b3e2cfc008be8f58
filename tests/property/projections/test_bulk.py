"""The short way through the fold gives the very bytes of the long one, whatever comes in whatever order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import Event, microseconds
from projections.bulk import Folding
from projections.dossier import Dossier, admit, new_dossier, pack
from tests.strategies import events, histories

#: In order, as most events come, and in any order, with identities used twice.
IN_ORDER = histories().map(lambda found: sorted(found, key=lambda event: (event.time, event.sourcerank)))
STREAMS = st.tuples(IN_ORDER, st.lists(events("H01-2"), max_size=8), histories("H01-3"))


@settings(max_examples=500)
@given(stream=STREAMS.map(lambda found: [event for history in found for event in history]), again=st.data())
def test_a_stream_folded_in_one_go_is_what_admit_makes_of_it(stream: list[Event], again: st.DataObject) -> None:
    twice = again.draw(st.lists(st.sampled_from(stream), max_size=4)) if stream else []
    dossiers: dict[str, Dossier] = {}
    folding = Folding()
    for offset, event in enumerate([*stream, *twice]):
        recorded = microseconds(event.time) + offset
        before = dossiers.get(event.subject) or new_dossier(event.subject)
        after = dossiers[event.subject] = admit(before, event, offset=offset, recorded=recorded)
        folding.admit(event, offset=offset, recorded=recorded)
        assert folding.standing(event.subject) == after.standing
    assert {each.dossier_id: pack(each) for each in folding.dossiers()} == {
        dossier_id: pack(each) for dossier_id, each in dossiers.items()
    }
