"""topics.yaml says what the laws need."""

from __future__ import annotations

import base64

from deploy.topics import load_topics


def test_the_ledger_is_kept_for_ever_and_dated_by_the_broker() -> None:
    ledger = {topic.name: topic for topic in load_topics(6, 3)}["dossier.events.v1"]
    assert (ledger.partitions, ledger.replication) == (6, 3)
    wanted = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": "2",
    }
    assert wanted.items() <= ledger.config.items()


def test_the_live_topic_is_compacted_and_partitioned_as_the_ledger() -> None:
    topics = {topic.name: topic for topic in load_topics(6, 1)}
    live = topics["dossier.live.v1"]
    assert live.partitions == topics["dossier.events.v1"].partitions
    assert live.config["cleanup.policy"] == "compact"
    assert live.config["min.insync.replicas"] == "1"


def test_whatever_fits_the_ledger_fits_the_quarantine() -> None:
    topics = {topic.name: topic for topic in load_topics(1, 1)}
    ledger = int(topics["dossier.events.v1"].config["max.message.bytes"])
    quarantine = int(topics["dossier.quarantine.v1"].config["max.message.bytes"])
    assert ledger > 1024 * 1024
    assert len(base64.b64encode(bytes(ledger))) + 64 * 1024 < quarantine
