"""Alarms of running projectors: at their instant with nothing arriving, each once whatever dies or moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from bench.alarms import due_at
from events.alarms import AlarmEvent, BreachCleared, ClockBreached, standing_breaches
from events.catalogue import AnyFact, Processed, Rescheduled
from events.envelope import encode, make_event, microseconds
from tests.integration.projector.world import World, wait_until

#: An alarm is said about a third of a second after its instant, which bench measures. Here it is told from one that
#: somebody went to look for, on a machine that may be doing much else.
WITHIN_SECONDS = 5.0


def record(fact: AnyFact, dossier: str, time: datetime) -> tuple[bytes, bytes]:
    event = make_event(fact, id=type(fact).__name__, source="test", subject=dossier, time=time)
    return dossier.encode(), encode(event)


def breached(world: World) -> list[str]:
    """The dossiers of the breaches on the topic, in its order."""
    return [event.subject for event, _ in world.alarms() if isinstance(event.data, ClockBreached)]


def test_a_breach_with_no_traffic_one_that_moves_and_one_that_is_taken_back(world: World) -> None:
    with world.projector() as member:
        wait_until(lambda: member.has_partitions(4), "it is ready")
        now = datetime.now(UTC)
        due = now + timedelta(seconds=6)
        world.publish(due_at(f"plain-{n}", due, now) for n in range(8))
        world.publish(due_at(f"moved-{n}", due, now) for n in range(3))
        later = Rescheduled(office="H01", new_due=due + timedelta(days=9), reason="r", apology_no="1")
        world.publish(record(later, f"moved-{n}", now + timedelta(seconds=1)) for n in range(3))
        assert datetime.now(UTC) < due, "the machine is too slow for this test"

        wait_until(lambda: len(breached(world)) >= 8, "the breaches are said")
        delays = [
            at - microseconds(event.time) for event, at in world.alarms() if isinstance(event.data, ClockBreached)
        ]
        assert max(delays) < WITHIN_SECONDS * 1_000_000
        assert min(delays) >= 0
        assert sorted(breached(world)) == [f"plain-{n}" for n in range(8)]

        world.publish(
            [record(Processed(office="H01", outcome="issued"), "plain-3", now + timedelta(seconds=1))]
        )  # heard of late
        wait_until(lambda: any(isinstance(event.data, BreachCleared) for event, _ in world.alarms()), "one is cleared")
        assert subjects(standing_breaches(event for event, _ in world.alarms()).values()) == {
            f"plain-{n}" for n in range(8) if n != 3
        }
        assert member.stop() == 0


def test_two_hundred_due_instants_across_kills_and_rebalances(world: World) -> None:
    dossiers = [f"D{n:03}" for n in range(200)]
    with world.projector("a") as a, world.projector("b") as b:
        wait_until(lambda: a.has_partitions(2) and b.has_partitions(2), "the two share the partitions")
        now = datetime.now(UTC)
        world.publish(
            due_at(dossier, now + timedelta(seconds=1.5, milliseconds=80 * n), now)
            for n, dossier in enumerate(dossiers)
        )
        wait_until(lambda: len(breached(world)) > 20, "some have been said")
        a.kill()
        with world.projector("c") as c:
            wait_until(lambda: b.has_partitions(2) and c.has_partitions(2), "they share what the killed one had")
            c.kill()
            wait_until(lambda: {*breached(world)} == {*dossiers}, "all are said")
            wait_until(lambda: b.has_partitions(4), "one has them all")
            assert b.stop() == 0
    ids = Counter(event.id for event, _ in world.alarms())
    assert {*ids.values()} == {1}
    assert len(breached(world)) == 200
    with world.projector("d") as d:  # a restart says nothing again
        wait_until(lambda: d.has_partitions(4), "it is ready")
        assert d.stop() == 0
    assert Counter(event.id for event, _ in world.alarms()) == ids


def subjects(events: Iterable[AlarmEvent]) -> set[str]:
    return {event.subject for event in events}
