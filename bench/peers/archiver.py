"""Our archiver: rows read from the broker, encoded, inserted and counted."""

from __future__ import annotations

import asyncio
import uuid

from bench.load import PARTITIONS
from bench.peers import Run
from bench.peers.archive import table
from processors.archiver import Archiver, ArchiverOptions
from schemas.cluster import Cluster


async def main() -> None:
    run = Run.from_arguments()
    archiver = Archiver(ArchiverOptions(Cluster(run.broker), run.topic), table(run.topic), uuid.uuid4())
    running = asyncio.create_task(archiver.run(asyncio.Event()))
    while not running.done():
        positions = archiver.positions()
        if len(positions) == PARTITIONS:
            run.begin()  # before the first record: the fetch counts too
        if sum(positions.values()) >= run.events:
            run.count(run.events)
            run.finish()
        await asyncio.sleep(0.005)
    await running


asyncio.run(main())
