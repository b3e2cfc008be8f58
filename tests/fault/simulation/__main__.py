"""`python -m tests.fault.simulation --seed S --schedules N`: explore N schedules, of each kind from seed S on.

Prints one line for each kind, with the hash of all traces: the same seeds give the same hash, on every machine with
the same Python. Exit code 1 and the seed at the first schedule after which an invariant does not hold.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import logging
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from tests.fault.simulation.archiving import Archiving
from tests.fault.simulation.projecting import Projecting
from tests.fault.simulation.world import Violation


class _Schedule(Protocol):
    def run(self) -> str: ...


KINDS: Final[dict[str, Callable[[int], _Schedule]]] = {"archiver": Archiving, "projector": Projecting}
#: Of a hundred schedules; one of the archiver's takes longer, and side by side both kinds are to end together.
_SHARES: Final = {"archiver": 38, "projector": 62}
#: Else sets of bytes would be in another order in every run.
_SAME_ORDER: Final = os.environ | {"PYTHONHASHSEED": "0"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule")
    parser.add_argument("--schedules", type=int, default=1_000, help="of all kinds together")
    parser.add_argument("--kind", choices=KINDS, help="default: all of them, side by side")
    parser.add_argument("--logs", action="store_true", help="show what the processes log")
    chosen = parser.parse_args()
    if chosen.kind is None:
        return _side_by_side(chosen.schedules)
    if os.environ.get("PYTHONHASHSEED") != _SAME_ORDER["PYTHONHASHSEED"]:
        arguments = [sys.executable, "-m", "tests.fault.simulation", *sys.argv[1:]]
        os.execve(sys.executable, arguments, _SAME_ORDER)  # noqa: S606  # ourselves, again
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # its process was killed before it began
    if not chosen.logs:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # a schedule is short, and what is dead of it can wait
    return _explore(chosen.kind, chosen.seed, chosen.schedules)


def _side_by_side(schedules: int) -> int:
    """Every kind in a process of its own: neither depends on the other."""
    command = [sys.executable, "-m", "tests.fault.simulation", *sys.argv[1:]]
    running = [
        subprocess.Popen([*command, "--kind", kind, "--schedules", str(schedules * share // 100)], env=_SAME_ORDER)
        for kind, share in _SHARES.items()
    ]
    return max([each.wait() for each in running])


def _explore(kind: str, seed: int, schedules: int) -> int:
    digest, began = hashlib.sha256(), time.perf_counter()
    for each in range(seed, seed + schedules):
        try:
            digest.update(KINDS[kind](each).run().encode())
        except Violation as violation:
            print(f"{kind}: seed {each}: {violation}")  # noqa: T201  # the report
            print(f"again: python -m tests.fault.simulation --kind {kind} --seed {each} --schedules 1 --logs")  # noqa: T201  # the report
            return 1
    seconds = time.perf_counter() - began
    report = f"{kind}: seeds {seed}-{seed + schedules - 1}: {schedules} schedules hold, {seconds:.1f} s"
    print(report, digest.hexdigest())  # noqa: T201  # the report
    return 0


if __name__ == "__main__":
    sys.exit(main())
