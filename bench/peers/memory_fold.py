"""Decode and fold in memory: no broker, no store. What the pure core can do."""

from __future__ import annotations

from bench.load import load
from bench.peers import Run, fold_batch
from projections.dossier import Dossier


def main() -> None:
    run = Run.from_arguments()
    keys, values = map(list, zip(*load(run.events), strict=True))
    states: dict[bytes | None, Dossier] = {}
    run.begin()
    fold_batch(states, keys, values, range(len(keys)))
    run.count(len(keys))
    run.finish()


main()
