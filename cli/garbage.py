"""Looking for cycles, seldom: in processes whose memory is records, events and states, which hold none.

Each header of a record is an object, so a backlog makes Python look through all of them again and again: a twentieth of
the projector's time, a tenth of the archiver's. What tasks and errors leave behind can wait for a minute.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

_EVERY_SECONDS: Final = 60.0


def look_for_cycles_seldom() -> None:
    """From now on only where it is asked for, and never among what is there already: our modules."""
    gc.freeze()
    gc.disable()


async def look_for_cycles() -> None:
    """Once a minute, until cancelled."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        gc.collect()
