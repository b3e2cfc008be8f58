"""Our projector: states confirmed by the broker in the live topic, every event read by a confirmed cursor."""

from __future__ import annotations

import asyncio
import time

from bench.load import LEDGER, PARTITIONS
from bench.peers import Run
from events.ledger import LEDGER_TOPIC, LedgerRecord
from events.quarantine import LedgerOrigin
from processors.projector import Projector, ProjectorOptions
from projections.rules import rule_history
from schemas.cluster import Cluster
from schemas.rulebook import shipped


async def main() -> None:
    run = Run.from_arguments()
    assert run.topic == LEDGER
    options = ProjectorOptions(Cluster(run.broker), PARTITIONS, run.folder)
    prefix = LEDGER.removesuffix(LEDGER_TOPIC)
    projector = Projector(options.prefixed(prefix), nothing_is_unreadable, lambda: time.time_ns() // 1000)
    projector.use_rules(rule_history(shipped()))
    running = asyncio.create_task(projector.run(asyncio.Event()))
    while not running.done():
        if projector.ready:
            run.begin()  # before the first record: the fetch counts too
        if sum(projector.durable().values()) >= run.events:
            run.count(run.events)
            run.finish()
        projector.tick()
        await asyncio.sleep(0.005)
    await running


async def nothing_is_unreadable(origin: LedgerOrigin, _record: LedgerRecord, reason: str) -> None:
    raise AssertionError(f"{origin.offset}: {reason}")


asyncio.run(main())
