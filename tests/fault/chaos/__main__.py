"""Chaos for some minutes: `python -m tests.fault.chaos --seed 1 --minutes 20`, or `make chaos SEED=1 MINUTES=20`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fault.chaos.faults import FAULTS
from tests.fault.chaos.run import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the load and the faults (default: 1)")
    parser.add_argument("--minutes", type=float, default=20, help="faults go on for so long (default: 20)")
    parser.add_argument("--events", type=int, default=200, help="events a second (default: 200)")
    parser.add_argument("--only", action="append", help="only faults with these words in their names; may be repeated")
    parser.add_argument("--each", action="store_true", help="each fault once by itself, instead of for some minutes")
    parser.add_argument("--folder", type=Path, help="where the processes' logs and data stay (default: nowhere)")
    chosen = parser.parse_args()
    faults = [each for each in FAULTS if not chosen.only or any(words in each.name for words in chosen.only)]
    if not faults:
        parser.error(f"no such fault; there are: {', '.join(each.name for each in FAULTS)}")
    with tempfile.TemporaryDirectory(prefix="dossier-chaos-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        seconds = None if chosen.each else chosen.minutes * 60
        report = run(folder, chosen.seed, seconds, chosen.events, faults, say=print)
    print(report.text)  # noqa: T201  # its output
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
