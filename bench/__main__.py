"""`python -m bench`: every peer, one at a time, on one broker; ratios on the terminal, numbers in a file."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import paced
from bench.load import LEDGER, PARTITIONS, PREFIX, fill, load
from bench.servers import kafka_broker

#: Peers in the order of the table, and what part of the events each is given: plain Faust would take a minute.
PEERS = {"faust_table": 0.1, "quix_state": 1.0, "projector": 1.0, "aiokafka_fold": 1.0, "memory_fold": 1.0}
RATIOS = (("projector", "faust_table"), ("projector", "quix_state"), ("projector", "aiokafka_fold"))
RATES = (1_000, 5_000, 15_000)
PEER_TIMEOUT_SECONDS = 300.0

out = Console(highlight=False)


def main() -> None:
    chosen = _arguments()
    figures: dict[str, float] = {"events": chosen.events}
    with kafka_broker((PREFIX, paced.PREFIX), PARTITIONS) as broker:
        peers = [name for name in PEERS if name in chosen.only]
        if peers:
            asyncio.run(fill(broker, LEDGER, list(load(chosen.events))))
        for name in peers:
            events = int(chosen.events * PEERS[name])
            figures[f"{name}.events_per_s"] = round(_run_peer(name, broker, events))
            out.print(f"{name}: {figures[f'{name}.events_per_s']:,} events/s ({events:,} events)")
        if "paced" in chosen.only:
            for key, value in _paced(broker, chosen.seconds):
                figures[key] = value
                out.print(f"{key}: {value:,}")
    figures |= _ratios(figures)
    _show(figures)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parts = (*PEERS, "paced")
    parser.add_argument("--only", default=",".join(parts), help="comma-separated, of: " + ", ".join(parts))
    parser.add_argument("--events", type=int, default=200_000, help="events of the throughput runs, ten a dossier")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each paced run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "latest.json")
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",")
    if unknown := set(chosen.only) - set(parts):
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if chosen.events < 100 or chosen.events % 100:
        parser.error("--events: a multiple of 100")
    return chosen


def _run_peer(name: str, broker: str, events: int) -> float:
    """Run one peer in a process of its own; gives its events per second."""
    with tempfile.TemporaryDirectory(prefix="dossier-bench-") as folder:
        result = Path(folder) / name
        command = [sys.executable, "-m", f"bench.peers.{name}", broker, LEDGER, str(events), str(result)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PEER_TIMEOUT_SECONDS)
        if not result.exists():
            sys.exit(f"{name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return float(result.read_text(encoding="ascii"))


def _paced(broker: str, seconds: float) -> Iterator[tuple[str, float]]:
    for rate, latency in paced.measure(broker, RATES, seconds).items():
        yield f"paced_{rate}.p50_ms", latency.p50_ms
        yield f"paced_{rate}.p99_ms", latency.p99_ms


def _ratios(figures: dict[str, float]) -> dict[str, float]:
    """How many times as fast the first is as the second, where both were measured."""
    return {
        f"ratio.{ours}_to_{peer}": round(figures[f"{ours}.events_per_s"] / figures[f"{peer}.events_per_s"], 2)
        for ours, peer in RATIOS
        if f"{ours}.events_per_s" in figures and f"{peer}.events_per_s" in figures
    }


def _show(figures: dict[str, float]) -> None:
    table = Table("figure", "value", box=None)
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    out.print(table)


if __name__ == "__main__":
    main()
