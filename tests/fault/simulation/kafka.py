"""A broker in memory: logs of records, and one group with generations, sessions and commits, as Kafka keeps them.

Who does not send a heartbeat or a commit for a session is put out. A member learns of a rebalance at its next
heartbeat; the others wait for it for a session at most. A commit is refused from who is no member of the present
generation, and counts as a heartbeat from who is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaConnectionError,
    KafkaError,
    RequestTimedOutError,
    UnknownMemberIdError,
)

from tests.fault.simulation.world import Process, World


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_type: int = 1


class Partition(TopicPartition):  # type: ignore[misc]  # aiokafka ships no types
    """Hashes alike in every run, so that sets of them keep an order that the seed alone decides."""

    __slots__ = ()

    def __hash__(self) -> int:
        return int(self.partition)


@dataclass(eq=False)
class _Member:
    name: str
    last_seen: float
    partitions: list[int] = field(default_factory=list)
    join: Callable[[tuple[str, int, list[int]]], None] | None = None  # answers the request it waits for


class Broker:
    """One ledger topic with its group. Records come to their partitions by `append`."""

    def __init__(self, world: World, topic: str, partitions: int, session_seconds: float) -> None:
        self.world = world
        self.topic = topic
        self.session_seconds = session_seconds
        self.logs: list[list[Record]] = [[] for _ in range(partitions)]
        self.ends = [0] * partitions
        self.committed = [0] * partitions
        self.generation = 0
        self._members: dict[str, _Member] = {}
        self._rebalancing = False
        self._names = 0
        self._waiting: list[tuple[Process, asyncio.Future[None]]] = []

    def append(self, partition: int, record: Record) -> None:
        self.logs[partition].append(record)
        self.ends[partition] = record.offset + 1
        waiting, self._waiting = self._waiting, []
        for process, future in waiting:
            process.answer(future)

    def wake(self, process: Process, future: asyncio.Future[None]) -> None:
        self._waiting.append((process, future))

    # The group, as requests arrive --------------------------------------------------------------------------------

    def join(self, known: str | None, answer: Callable[[tuple[str, int, list[int]]], None]) -> None:
        if known is None or known not in self._members:
            self._names += 1
            known = f"member-{self._names}"
            self._members[known] = _Member(known, self.world.now)
            self._watch(self._members[known])
        self._members[known].join = answer
        self._rebalance()

    def heartbeat(self, name: str, generation: int) -> bool:
        """False: join again."""
        self._seen(name, generation)
        return not self._rebalancing

    def commit(self, name: str, generation: int, positions: Mapping[int, int]) -> None:
        self._seen(name, generation)
        for partition, offset in positions.items():
            self.committed[partition] = offset

    def leave(self, name: str) -> None:
        if self._members.pop(name, None) is not None and self._members:
            self._rebalance()

    def _seen(self, name: str, generation: int) -> None:
        member = self._members.get(name)
        if member is None:
            raise UnknownMemberIdError
        if generation != self.generation:
            raise IllegalGenerationError
        member.last_seen = self.world.now

    def _watch(self, member: _Member) -> None:
        def look() -> None:
            if self._members.get(member.name) is not member:
                return
            if member.join is None and self.world.now >= member.last_seen + self.session_seconds:
                self.world.note(member.name, "is put out")
                self.leave(member.name)
            else:
                self._watch(member)

        self.world.at(max(member.last_seen + self.session_seconds, self.world.now + 0.1), look)

    def _rebalance(self) -> None:
        if not self._rebalancing:
            self._rebalancing = True
            generation = self.generation
            self.world.after(self.session_seconds, lambda: self._complete(generation))
        if all(member.join is not None for member in self._members.values()):
            self._complete(self.generation)

    def _complete(self, generation: int) -> None:
        if generation != self.generation or not self._rebalancing:
            return
        self._members = {name: member for name, member in self._members.items() if member.join is not None}
        self.generation += 1
        self._rebalancing = False
        members = list(self._members.values())
        self.world.rng.shuffle(members)
        for index, member in enumerate(members):
            member.partitions = [each for each in range(len(self.logs)) if each % len(members) == index]
            member.last_seen = self.world.now
            answer, member.join = member.join, None
            assert answer is not None
            self.world.point("assigned", self.generation, member.name, member.partitions)
            answer((member.name, self.generation, list(member.partitions)))


class Member:
    """A process's side of the group: what aiokafka does in the background. `listener` is told as aiokafka tells."""

    def __init__(self, broker: Broker, process: Process, listener: Any) -> None:
        self.broker = broker
        self.process = process
        self.listener = listener
        self.assigned: list[Partition] = []
        self.positions: dict[int, int] = {}
        self._name: str | None = None
        self._generation = -1

    async def coordinate(self) -> None:
        while self.process.alive:
            await self.listener.on_partitions_revoked(list(self.assigned))
            self.assigned, self.positions = [], {}
            if not await self._join():
                continue
            await self.listener.on_partitions_assigned(list(self.assigned))
            while await self._is_member():
                seldom = 2 if self.broker.world.healed else 4  # then nothing is lost, and fewer are enough
                await asyncio.sleep(self.broker.session_seconds / seldom)

    async def _join(self) -> bool:
        world, process = self.broker.world, self.process
        future: asyncio.Future[tuple[str, int, list[int]]] = process.loop.create_future()

        def answer(reply: tuple[str, int, list[int]]) -> None:
            world.after(world.rng.uniform(0.0005, 0.01), lambda: process.answer(future, result=reply))

        world.after(world.rng.uniform(0.0005, 0.01), lambda: self.broker.join(self._name, answer))
        try:
            self._name, self._generation, mine = await asyncio.wait_for(future, 2 * self.broker.session_seconds)
        except TimeoutError:
            self._name = None
            return False
        self.positions = {each: self.broker.committed[each] for each in mine}
        self.assigned = [Partition(self.broker.topic, each) for each in mine]
        return True

    async def _is_member(self) -> bool:
        try:
            return bool(await self.ask(lambda: self.broker.heartbeat(self._name or "", self._generation)))
        except (UnknownMemberIdError, IllegalGenerationError) as error:
            self._name = None if isinstance(error, UnknownMemberIdError) else self._name
            return False
        except KafkaError:
            return True  # no answer: try again

    async def commit(self, positions: Mapping[Any, int]) -> None:
        if not {tp.partition for tp in positions} <= set(self.positions):
            raise ValueError("a partition is not assigned to this consumer")
        name, generation = self._name or "", self._generation
        offsets = {tp.partition: offset for tp, offset in positions.items()}
        await self.ask(lambda: self.broker.commit(name, generation, offsets))

    def leave(self) -> None:
        world, name = self.broker.world, self._name
        if name is not None:
            world.after(world.rng.uniform(0.0005, 0.01), lambda: self.broker.leave(name))

    async def ask(self, do: Callable[[], Any]) -> Any:
        return await self.broker.world.request(self.process, do, lost=RequestTimedOutError)


class Consumer:
    """What the archiver uses of AIOKafkaConsumer."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process
        self._highwaters: dict[int, int] = {}
        self._member: Member | None = None
        self._coordinating: asyncio.Task[None] | None = None

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        assert list(topics) == [self._broker.topic]
        self._member = Member(self._broker, self._process, listener)

    async def start(self) -> None:
        world = self._broker.world
        if not world.healed and world.rng.random() < 0.05:
            raise KafkaConnectionError("nobody there")
        self._coordinating = self._process.loop.create_task(self._ours.coordinate())

    @property
    def _ours(self) -> Member:
        assert self._member is not None
        return self._member

    async def stop(self) -> None:
        if self._coordinating is not None:
            self._coordinating.cancel()
        if self._process.alive and self._member is not None:
            self._member.leave()

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[Any, list[Record]]:
        """Some of the next records, of one partition or more; an idle wait may be longer than what was asked for."""
        rng = self._broker.world.rng
        found = self._next(rng.randint(1, max_records))
        if not found and timeout_ms:
            future: asyncio.Future[None] = self._process.loop.create_future()
            self._broker.wake(self._process, future)
            idle = timeout_ms / 1000 * (1 if timeout_ms < 100 else 80 if self._broker.world.healed else 10)
            await asyncio.wait({future}, timeout=idle)
        else:
            await asyncio.sleep(rng.uniform(0, 0.01))
        return found or self._next(rng.randint(1, max_records))

    def _next(self, most: int) -> dict[Any, list[Record]]:
        found: dict[Any, list[Record]] = {}
        for tp in self._ours.assigned:
            log, position = self._broker.logs[tp.partition], self._ours.positions[tp.partition]
            self._highwaters[tp.partition] = self._broker.ends[tp.partition]
            records = [each for each in log if each.offset >= position][: most - sum(map(len, found.values()))]
            if records:
                self._ours.positions[tp.partition] = records[-1].offset + 1
                found[tp] = records
        return found

    def seek(self, tp: Any, offset: int) -> None:
        if tp.partition in self._ours.positions:
            self._ours.positions[tp.partition] = offset

    async def end_offsets(self, partitions: Sequence[Any]) -> dict[Any, int]:
        ends: list[int] = await self._ours.ask(lambda: list(self._broker.ends))
        return {tp: ends[tp.partition] for tp in partitions}

    def highwater(self, tp: Any) -> int | None:
        return self._highwaters.get(tp.partition)

    async def commit(self, positions: Mapping[Any, int]) -> None:
        await self._ours.commit(positions)


class Reader:
    """Of one partition, in no group: what is used of AIOKafkaConsumer to read a record at an offset."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._next = 0

    async def start(self) -> None:
        if not self._broker.world.healed and self._broker.world.rng.random() < 0.05:
            raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        """Nothing ran."""

    def assign(self, partitions: Sequence[Any]) -> None:
        assert len(partitions) == 1

    def seek(self, _tp: Any, offset: int) -> None:
        self._next = offset

    async def position(self, _tp: Any) -> int:
        return self._next

    async def getmany(self, tp: Any, timeout_ms: int, max_records: int) -> dict[Any, list[Record]]:
        await asyncio.sleep(self._broker.world.rng.uniform(0, min(timeout_ms, 50) / 1000))
        found = [each for each in self._broker.logs[tp.partition] if each.offset >= self._next][:max_records]
        self._next = found[-1].offset + 1 if found else self._next
        return {tp: found} if found else {}
