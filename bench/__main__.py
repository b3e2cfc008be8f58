"""`python -m bench`: every peer, one at a time, on one broker; ratios on the terminal, numbers in a file.

What else the machine does comes and goes, so the peers take turns, round after round, and the median of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import alarms, paced
from bench.load import LEDGER, PARTITIONS, PREFIX, fill, load
from bench.peers.archive import URL_VARIABLE
from bench.servers import clickhouse, kafka_broker

PEERS = ("faust_table", "quix_state", "projector", "aiokafka_fold", "memory_fold")
ARCHIVE = ("archiver", "engine_insert")
RATIOS = (
    ("projector.events_per_s", "faust_table.events_per_s"),
    ("projector.events_per_s", "quix_state.events_per_s"),
    ("projector.events_per_s", "aiokafka_fold.events_per_s"),
    ("archiver.rows_per_s", "engine_insert.rows_per_s"),
)
RATES = (1_000, 5_000, 15_000)
TIMERS = 1_000_000
PEER_TIMEOUT_SECONDS = 600.0

out = Console(highlight=False)


def main() -> None:
    chosen = _arguments()
    figures: dict[str, float] = {"events": chosen.events, "rows": chosen.rows}
    for name, value in itertools.chain(_throughput(chosen), _delays(chosen)):
        figures[name] = value
        out.print(f"{name}: {value:,}")
    figures |= _ratios(figures)
    _show(figures)
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _throughput(chosen: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """The median of each peer's rounds."""
    for each, events in (PEERS, chosen.events), (ARCHIVE, chosen.rows):
        peers = [name for name in each if name in chosen.only]
        if peers:
            yield from _medians(peers, list(load(events)), chosen.rounds)


def _medians(peers: Sequence[str], records: Sequence[tuple[bytes, bytes]], rounds: int) -> Iterator[tuple[str, float]]:
    taken = []
    for number in range(rounds):
        out.print(f"{len(records):,}, round {number + 1} of {rounds}")
        taken.append(_round(peers, records))
    for name in peers:
        yield f"{name}.{'rows' if name in ARCHIVE else 'events'}_per_s", round(median(each[name] for each in taken))


def _round(peers: Sequence[str], records: Sequence[tuple[bytes, bytes]]) -> dict[str, float]:
    """Every peer once, on a broker of the round: in the next one nobody remembers anything."""
    with kafka_broker((PREFIX,), PARTITIONS) as broker:
        asyncio.run(fill(broker, LEDGER, records))
        rates = {}
        for name in peers:
            rates[name] = _run(name, broker, len(records))
            out.print(f"  {name} {rates[name]:,.0f}")
        return rates


def _delays(chosen: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Each figure as soon as it is known."""
    if not {"paced", "alarms"} & {*chosen.only}:
        return
    with kafka_broker((paced.PREFIX, alarms.PREFIX), PARTITIONS) as broker:
        if "paced" in chosen.only:
            for rate, latency in paced.measure(broker, RATES, chosen.seconds).items():
                yield f"paced_{rate}.p50_ms", latency.p50_ms
                yield f"paced_{rate}.p99_ms", latency.p99_ms
        if "alarms" in chosen.only:
            armed = alarms.timers(TIMERS)
            yield "timers_1m.armed_per_s", armed.per_s
            yield "timers_1m.bytes_each", armed.bytes_each
            yield "timers_1m.due_us_each", armed.due_us_each
            for name, delay in zip(("p50_ms", "p99_ms"), alarms.delays(broker), strict=True):
                yield f"alarm_delay.{name}", delay


def _run(name: str, broker: str, events: int) -> float:
    if name not in ARCHIVE:
        return _run_peer(name, broker, LEDGER, events)
    with clickhouse() as url:  # one for each, so that none merges what the other has written
        os.environ[URL_VARIABLE] = url
        return _run_peer(name, broker, LEDGER, events)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parts = (*PEERS, *ARCHIVE, "paced", "alarms")
    parser.add_argument("--only", default=",".join(parts), help="comma-separated, of: " + ", ".join(parts))
    parser.add_argument("--events", type=int, default=200_000, help="events of the throughput runs, ten a dossier")
    parser.add_argument("--rows", type=int, default=1_000_000, help="the same, of the archiver and the engine's insert")
    parser.add_argument("--rounds", type=int, default=3, help="throughput runs of each, of which the median counts")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each paced run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "latest.json")
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",")
    if unknown := set(chosen.only) - set(parts):
        parser.error(f"--only: unknown {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    for name in ("events", "rows"):
        if getattr(chosen, name) < 100 or getattr(chosen, name) % 100:
            parser.error(f"--{name}: a multiple of 100")
    return chosen


def _run_peer(name: str, broker: str, topic: str, events: int) -> float:
    """Run one peer in a process of its own; gives what it did in a second."""
    with tempfile.TemporaryDirectory(prefix="dossier-bench-") as folder:
        result = Path(folder) / name
        command = [sys.executable, "-m", f"bench.peers.{name}", broker, topic, str(events), str(result)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PEER_TIMEOUT_SECONDS)
        if not result.exists():
            sys.exit(f"{name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        return round(float(result.read_text(encoding="ascii")))


def _ratios(figures: dict[str, float]) -> dict[str, float]:
    """How many times as fast the first is as the second, where both were measured."""
    return {
        f"ratio.{first.split('.')[0]}_to_{second.split('.')[0]}": round(figures[first] / figures[second], 2)
        for first, second in RATIOS
        if first in figures and second in figures
    }


def _show(figures: dict[str, float]) -> None:
    table = Table("figure", "value", box=None)
    for name, value in figures.items():
        table.add_row(name, f"{value:,}")
    out.print(table)


if __name__ == "__main__":
    main()
