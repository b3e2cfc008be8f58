"""`python -m tests.kafka_cache FILE`: keep what Java has read and linked of Kafka for the brokers that tests start.

With it a broker is there in half the time; tests go without it where it has not been made. It is Java's own (JEP 514),
from one short life of a broker: started, given our topics, written to, read and ended.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from kafka import KafkaProducer

from deploy import topics
from deploy.embedded import kafka, ports
from deploy.embedded.leash import leashed
from events.ledger import LEDGER_TOPIC
from schemas.cluster import Cluster
from tests.installation import ONE_COMPILER
from tests.integration.waiting import is_kafka, records_on, until

#: Java writes some 60 MB when the broker ends.
_ENDS_WITHIN_SECONDS = 120


def main(file: Path) -> None:
    """Make the file; it is there as a whole or not at all."""
    with TemporaryDirectory(prefix="dossier-kafka-") as folder:
        made = file.with_suffix(".new")
        made.unlink(missing_ok=True)
        log = _live(Path(folder), made)
        assert made.exists(), f"Java kept nothing:\n{log.read_text(encoding='utf-8')}"
        made.replace(file)


def _live(folder: Path, cache: Path) -> Path:
    """One short life of a broker; gives its log."""
    chosen = ports.choose_ports(folder, {"kafka": 0, "controller": 0})
    java, *rest = kafka.prepare(folder, chosen["kafka"], chosen["controller"], print, ONE_COMPILER)
    address, log = f"127.0.0.1:{chosen['kafka']}", folder / "kafka.log"
    with log.open("ab") as output:
        command = leashed((java, f"-XX:AOTCacheOutput={cache}", *rest))
        process = subprocess.Popen(command, stdout=output, stderr=output, env=kafka.java_environment())
    try:
        until(lambda: is_kafka(address), process, log)
        topics.apply(Cluster(address), topics.load_topics(1, 1))
        producer = KafkaProducer(bootstrap_servers=[address], acks="all", enable_idempotence=True)
        producer.send(LEDGER_TOPIC, b"{", b"D-1").get(30)
        producer.close()
        assert len(records_on(Cluster(address), LEDGER_TOPIC)) == 1
    finally:
        process.terminate()
        process.wait(_ENDS_WITHIN_SECONDS)
    return log


if __name__ == "__main__":
    main(Path(sys.argv[1]))
