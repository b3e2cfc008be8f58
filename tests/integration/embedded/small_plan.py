"""A supervisor over small processes: `python -m tests.integration.embedded.small_plan DATA_DIR NAME=BEHAVIOUR…`.

The supervisor is the real one and so are the processes; only what they do is small. Behaviours: `steady` beats until
told to stop, `stubborn` beats and ignores that, `crashing` says why and ends, `wrong` ends as wrong settings do.
Processes whose name starts with "server" are servers. Each appends its name to DATA_DIR/stopped when told to stop.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from deploy.embedded.child import Child
from deploy.embedded.probes import Probe, Sign
from deploy.embedded.runtime import EmbeddedError, exclusive, run_dir, stop_leftovers
from deploy.embedded.supervisor import Plan, Supervisor

PROCESS = """
import pathlib, signal, sys, time
name, behaviour, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
if behaviour in ("crashing", "wrong"):
    sys.exit(print("error the reason it gives") or {"crashing": 1, "wrong": 2}[behaviour])
def stop(*_):
    with (folder / "stopped").open("a") as file:
        file.write(name + " ")
    if behaviour != "stubborn":
        sys.exit(0)
signal.signal(signal.SIGTERM, stop)
while True:
    (folder / (name + ".beat")).touch()
    time.sleep(0.05)
"""
SILENT_AFTER_SECONDS = 1.0


def beats(heart: Path) -> Probe:
    async def probe(_pid: int) -> Sign:
        try:
            beaten = heart.stat().st_mtime  # noqa: ASYNC240  # a file of no bytes in a temporary folder
            return "ok" if time.time() - beaten < SILENT_AFTER_SECONDS else "silent"
        except FileNotFoundError:
            return "silent"

    return probe


def small_child(folder: Path, name: str, behaviour: str) -> Child:
    return Child(
        name,
        (sys.executable, "-c", PROCESS, name, behaviour, str(folder)),
        dict(os.environ),
        beats(folder / f"{name}.beat"),
        silence_seconds=2.0,
        stop_seconds=1.0,
    )


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(folder: Path, processes: list[str]) -> None:
    children = [small_child(folder, *each.split("=", 1)) for each in processes]
    servers = tuple(child for child in children if child.name.startswith("server"))
    plan = Plan(
        kafka="127.0.0.1:1",
        clickhouse="http://127.0.0.1:2",
        gateway=None,
        servers=servers,
        prepare=lambda: None,
        processes=tuple(child for child in children if child not in servers),
    )
    try:
        with exclusive(folder):
            run_dir(folder).mkdir(parents=True, exist_ok=True)
            say("left over: " + " ".join(stop_leftovers(folder)))
            asyncio.run(Supervisor(plan, folder, say, say, lambda _: None).run())
    except EmbeddedError as error:
        sys.exit(f"error {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
