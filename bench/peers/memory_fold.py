"""Decode and fold in memory: no broker, no store. What the pure core can do."""

from __future__ import annotations

from bench.load import load
from bench.peers import Run, folded
from projections.dossier import Dossier


def main() -> None:
    run = Run.from_arguments()
    records = list(load(run.events))
    states: dict[bytes, Dossier] = {}
    run.begin()
    for offset, (key, value) in enumerate(records):
        states[key] = folded(states.get(key), key, value, offset)
    run.count(len(records))
    run.finish()


main()
