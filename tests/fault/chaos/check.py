"""After the faults: is everything there, once, the same everywhere, and proved?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.envelope import Unreadable, decode_record
from events.ledger import LEDGER_TOPIC
from events.quarantine import QUARANTINE_TOPIC, LedgerOrigin, decode
from tests.fault.chaos.world import PARTITIONS, World


@dataclass(slots=True)
class Found:
    """What a check counted. `faults`: what is not as it should be, in words; empty is good."""

    ledger: int = 0
    archived: int = 0
    dossiers: int = 0
    alarms: int = 0
    leaves: int = 0
    checkpoints: int = 0
    quarantined: int = 0
    lost: int = 0
    duplicate: int = 0
    differing: int = 0
    faults: list[str] = field(default_factory=list)

    def require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)


def check(world: World) -> Found:
    """The load must be at rest. Gives counts, and every fault found; raises NoProgress if something stands still."""
    found = Found()
    world.require_progress()
    _against_the_publisher(world, found)
    _archive_is_the_ledger(world, found)
    _live_is_replay(world, found)
    _is_proved(world, found)
    return found


def _against_the_publisher(world: World, found: Found) -> None:
    """What was confirmed is where the broker said; what was refused or never sent is not there."""
    events, unreadable, found.ledger = asyncio.run(_read_ledger(world.kafka))
    load = world.load
    for identity, (partition, offset) in load.confirmed.items():
        places = events.get(identity, set())
        if not places or (offset is not None and (partition, offset) not in places):
            found.lost += 1
            found.require(False, f"confirmed and not there: {identity} at {partition}@{offset}")
    for identity in load.refused & events.keys():
        found.require(False, f"refused and there: {identity}")
    strangers = [
        each for each in events if each[0].startswith(("urn:simulated", "urn:chaos")) and each not in load.offered
    ]
    found.require(not strangers, f"nobody sent {strangers[:3]}")
    held = asyncio.run(_read_quarantine(world.kafka))
    found.quarantined = len(held)
    found.lost += len(unreadable - held)
    found.require(unreadable <= held, f"unreadable and not in quarantine: {sorted(unreadable - held)[:3]}")
    found.require(held <= unreadable, f"in quarantine and readable: {sorted(held - unreadable)[:3]}")


def _archive_is_the_ledger(world: World, found: Found) -> None:
    for words in ((), ("--alarms",)):
        told = world.dossier("reconcile", "--wait", "120", *words)
        findings: list[dict[str, Any]] = told.get(
            "findings", [{"what": told.get("error", "no answer"), "position": ""}]
        )
        found.lost += sum(each["what"] == "missing" for each in findings)
        found.duplicate += sum(each["what"] == "duplicate" for each in findings)
        for each in findings:
            found.require(False, f"archive{' of alarms' if words else ''}: {each['what']} {each['position']}")
        if not words:
            found.archived = told.get("archived", 0) + told.get("quarantined", 0)
    found.require(found.archived == found.ledger, f"{found.archived} archived, {found.ledger} on the ledger")


def _live_is_replay(world: World, found: Found) -> None:
    told = world.dossier("rebuild", "--compare-only", "--wait", "180")
    if "error" in told:
        found.require(False, f"rebuild: {told['error']}")
        return
    found.dossiers, found.differing = told["compared"], told["differing"]
    alarms = told["alarms"]
    found.alarms = alarms["published"]
    found.require(not told["differing"], f"live is not replay: {told['first_differing'][:3]}")
    found.require(not told["unsettled"], f"{told['unsettled']} dossiers never stood still, and nothing was going on")
    found.require(not alarms["missing"] and not alarms["extra"], f"alarms: {alarms}")


def _is_proved(world: World, found: Found) -> None:
    told = world.dossier("verify", "--all", "--wait", "180")
    if "error" in told:
        found.require(False, f"verify: {told['error']}")
        return
    found.leaves, found.checkpoints = told["leaves"], told["checkpoints"]
    for each in told["failures"]:
        found.require(False, f"verify: {each['kind']} {each['position']} {each['message']}")
    found.require(found.leaves == found.ledger, f"{found.leaves} leaves, {found.ledger} records on the ledger")
    found.require(found.checkpoints > 0, "no checkpoint was signed")


Identity = tuple[str, str]
Place = tuple[int, int]


async def _read_ledger(kafka: str) -> tuple[dict[Identity, set[Place]], set[Place], int]:
    """Where each event is, where something is that is none, and how many records there are."""
    events: dict[Identity, set[Place]] = {}
    unreadable: set[Place] = set()
    count = 0
    async for record in _records(kafka, LEDGER_TOPIC, PARTITIONS):
        count += 1
        try:
            event = decode_record(record.key, record.value)
        except Unreadable:
            unreadable.add((record.partition, record.offset))
        else:
            events.setdefault((event.source, event.id), set()).add((record.partition, record.offset))
    return events, unreadable, count


async def _read_quarantine(kafka: str) -> set[Place]:
    """The places on the ledger that quarantine has records of."""
    origins = [decode(record.value).origin async for record in _records(kafka, QUARANTINE_TOPIC, 1)]
    return {(each.partition, each.offset) for each in origins if isinstance(each, LedgerOrigin)}


async def _records(kafka: str, topic: str, partitions: int) -> Any:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        every = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(every)
        ends = await consumer.end_offsets(every)
        while any([await consumer.position(each) < ends[each] for each in every]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    yield record
    finally:
        await consumer.stop()
