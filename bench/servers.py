"""The servers of one run: the real ones, in a folder that goes when the run ends, on the leash of this process."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deploy import topics
from deploy.embedded import kafka, ports
from deploy.embedded.leash import leashed

START_SECONDS = 60.0


@contextlib.contextmanager
def kafka_broker(prefixes: tuple[str, ...], partitions: int) -> Iterator[str]:
    """Apache Kafka with a set of our topics for each prefix; gives its address."""
    with tempfile.TemporaryDirectory(prefix="dossier-bench-") as folder:
        home = Path(folder)
        chosen = ports.choose_ports(home, {"kafka": 0, "controller": 0})
        command = kafka.prepare(home, chosen["kafka"], chosen["controller"], print)
        with (home / "kafka.log").open("ab") as log:
            process = subprocess.Popen(leashed(command), stdout=log, stderr=log, env=kafka.java_environment())
        try:
            address = f"127.0.0.1:{chosen['kafka']}"
            _apply_when_up(address, prefixes, partitions)
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _apply_when_up(address: str, prefixes: tuple[str, ...], partitions: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    for prefix in prefixes:
        while True:
            try:
                topics.apply(address, topics.load_topics(partitions, 1, prefix))
                break
            except topics.TopicsError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
