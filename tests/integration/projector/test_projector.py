"""Whatever happens to projectors, the live state is the fold of the ledger, byte for byte."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from bench.load import load
from deploy import topics
from events.quarantine import LedgerOrigin
from schemas.cluster import Cluster
from tests.integration.projector.world import PARTITIONS, Raw, World, wait_until
from tests.poison import POISON

pytestmark = pytest.mark.integration


def assert_live_is_the_fold(world: World) -> None:
    wait_until(world.is_live, "the cursors are at the end of the ledger")
    states, cursors = world.live()
    folded = world.folded()
    assert states.keys() == folded.keys()
    assert [key for key, state in folded.items() if states[key] != state] == []
    assert [cursor.folded + cursor.quarantined for _, cursor in sorted(cursors.items())] == world.ends()


def publish_slowly(world: World, records: Sequence[Raw], at_once: int) -> None:
    for at in range(0, len(records), at_once):
        world.publish(records[at : at + at_once])


def test_a_kill_in_the_middle_of_a_load_changes_nothing(world: World) -> None:
    records = list(load(100_000))
    publishing = threading.Thread(target=publish_slowly, args=(world, records, 2_000))
    with world.projector() as first:
        wait_until(lambda: first.has_partitions(4), "it has recovered")
        publishing.start()
        wait_until(lambda: any(cursor.next_offset for cursor in world.live()[1].values()), "something has been flushed")
        first.kill()
    _, cursors = world.live()
    publishing.join()
    assert sum(cursor.next_offset for cursor in cursors.values()) < sum(world.ends()), "killed too late to tell"

    with world.projector() as second:
        assert_live_is_the_fold(world)
        assert second.stop() == 0


def test_one_two_and_one_projectors_under_load(world: World) -> None:
    publishing = threading.Thread(target=publish_slowly, args=(world, list(load(20_000)), 250))
    with world.projector("a") as a, world.projector("b") as b:
        publishing.start()
        wait_until(lambda: a.has_partitions(2) and b.has_partitions(2), "the two share the partitions")
        assert a.stop() == 0
        wait_until(lambda: b.has_partitions(4), "the second took over what the first left")
        with world.projector("c") as c:
            wait_until(lambda: b.has_partitions(2) and c.has_partitions(2), "a third joined")
            b.kill()
            wait_until(lambda: c.has_partitions(4), "it took over from the killed one")
            publishing.join()
            assert_live_is_the_fold(world)
            assert c.stop() == 0


def test_an_emptied_live_topic_is_rebuilt_from_the_ledger_whatever_the_group_has_committed(world: World) -> None:
    world.publish(load(2_000))
    with world.projector() as before:
        assert_live_is_the_fold(world)
        assert before.stop() == 0
    assert world.committed() == world.ends()  # the courtesy

    world.empty_the_live_topic()

    with world.projector():
        assert_live_is_the_fold(world)


def test_a_commit_that_is_ahead_passes_nothing_over_and_one_that_is_behind_repeats_nothing(world: World) -> None:
    world.publish(load(2_000))
    with world.projector() as before:
        assert_live_is_the_fold(world)
        assert before.stop() == 0
    world.publish(load(2_000, year=2021))

    world.commit(world.ends())
    with world.projector() as second:
        assert_live_is_the_fold(world)
        assert second.stop() == 0
    written = len(world.live_records())

    world.commit([0, 0, 0, 0])
    with world.projector() as third:
        wait_until(lambda: third.has_partitions(4), "it is ready")
        assert third.report() is not None
        assert third.stop() == 0
    assert len(world.live_records()) == written


def test_poison_goes_to_quarantine_and_the_stream_goes_on(world: World) -> None:
    good = list(load(2_000))
    with world.projector() as member:
        world.publish(good[:1_000])
        world.publish((row.key, row.value) for row in POISON)
        world.publish(good[1_000:])
        assert_live_is_the_fold(world)
        assert member.stop() == 0
    held = world.quarantined()
    assert Counter((each.key, each.value) for each in held) == Counter((row.key, row.value) for row in POISON)
    assert len({each.origin for each in held}) == len(POISON)
    assert all(isinstance(each.origin, LedgerOrigin) and each.reason for each in held)
    assert len(world.live()[0]) == 200


def test_a_paused_projector_does_not_write_when_it_wakes(world: World) -> None:
    world.publish(load(2_000))
    with world.projector("sleeper") as sleeper:
        wait_until(lambda: sleeper.has_partitions(4), "it has the partitions")
        sleeper.process.send_signal(signal.SIGSTOP)
        with world.projector("successor") as successor:
            wait_until(lambda: successor.has_partitions(4), "the broker gave up the sleeper")
            world.publish(load(2_000, year=2021))
            assert_live_is_the_fold(world)
            sleeper.process.send_signal(signal.SIGCONT)
            assert sleeper.process.wait(30) == 3
            assert "paused" in sleeper.tail()
            assert_live_is_the_fold(world)
            assert successor.stop() == 0


def test_a_live_topic_of_another_ledger_is_refused(world: World) -> None:
    world.publish(load(2_000))
    with world.projector() as before:
        assert_live_is_the_fold(world)
        assert before.stop() == 0
    world.empty_the_ledger()

    with world.projector() as refusing:
        assert refusing.process.wait(60) == 3
        assert "made from another ledger" in refusing.tail()


def test_missing_topics_are_one_clear_line(world: World) -> None:
    world.prefix = "nothing-here."
    with world.projector() as member:
        assert member.process.wait(30) == 3
        assert "dossier topics apply" in member.tail()


def test_a_broker_that_dies_in_the_middle_of_a_load_and_comes_back(
    start_broker: Callable[[], contextlib.AbstractContextManager[str]], tmp_path: Path
) -> None:
    with start_broker() as address:
        world = World(address, "", tmp_path)
        topics.apply(Cluster(address), topics.load_topics(PARTITIONS, 1))
        world.publish(load(100_000))
        with contextlib.ExitStack() as running:
            members = [running.enter_context(world.projector())]

            def is_live_with_a_supervisor() -> bool:
                if members[-1].has_ended():
                    members.append(running.enter_context(world.projector()))
                return world.is_live()

            wait_until(lambda: bool(world.live()[1]), "something has been flushed")
            kill_the_broker_in(tmp_path)
            time.sleep(1)  # long enough to be noticed; what happens then is what is tested
            with start_broker() as again:
                assert again == address, "the same port"
                wait_until(is_live_with_a_supervisor, "all is live again")
                assert_live_is_the_fold(world)


def kill_the_broker_in(folder: Path) -> None:
    """kill -9, as the kernel does it when memory runs out."""
    (broker,) = [
        each
        for each in psutil.Process().children(recursive=True)
        if str(folder) in " ".join(each.cmdline()) and "kafka.Kafka" in each.cmdline()
    ]
    broker.kill()
    broker.wait(10)
