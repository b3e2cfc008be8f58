"""Timers against the plainest way to keep them: a dictionary that is searched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processors.timers import Timers

KEYS = st.sampled_from([b"a", b"b", b"c"])
INSTANTS = st.integers(0, 20)
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, INSTANTS | st.none()),
    st.tuples(st.just("hasten"), KEYS, INSTANTS),
    st.tuples(st.just("take"), INSTANTS),
)


@given(st.dictionaries(KEYS, INSTANTS), st.lists(STEPS, max_size=40))
def test_what_is_due_comes_in_order_and_each_timer_once(
    begun: dict[bytes, int], steps: list[tuple[object, ...]]
) -> None:
    timers, plain = Timers(begun), dict(begun)
    for step in steps:
        match step:
            case ("set", bytes() as key, None):
                timers.set(key, None)
                plain.pop(key, None)
            case ("set", bytes() as key, int() as instant):
                timers.set(key, instant)
                plain[key] = instant
            case ("hasten", bytes() as key, int() as instant):
                timers.hasten(key, instant)
                plain[key] = min(instant, plain.get(key, instant))
            case ("take", int() as until):
                due = timers.take_due(until)
                assert (due is None) == all(instant > until for instant in plain.values())
                if due is not None:
                    assert plain[due] == min(plain.values())
                    del plain[due]
            case _:
                raise AssertionError(step)
        assert len(timers) == len(plain)
        assert timers.next() == min(plain.values(), default=None)


def test_timers_set_again_and_again_do_not_pile_up() -> None:
    timers = Timers({})
    for instant in range(50_000):
        timers.set(b"a", instant)
        timers.set(b"b", -instant)
    assert len(timers._heap) < 2_000
    assert [timers.take_due(50_000), timers.take_due(50_000), timers.take_due(50_000)] == [b"b", b"a", None]
