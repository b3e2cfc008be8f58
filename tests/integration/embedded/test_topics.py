"""`topics.yaml` on a real broker: created once, brought back when it differs, never repartitioned."""

from __future__ import annotations

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from deploy.topics import TopicsError, apply, load_topics
from schemas.cluster import Cluster
from tests.installation import eventually

pytestmark = pytest.mark.integration

PREFIX = "applied."


def test_what_is_missing_is_created_and_what_differs_is_brought_back(broker: str) -> None:
    topics = load_topics(3, 1, PREFIX)
    ledger = topics[0].name
    planned = apply(Cluster(broker), topics, dry_run=True)
    assert [change.action for change in planned] == ["create"] * len(topics)
    assert apply(Cluster(broker), topics) == planned
    assert apply(Cluster(broker), topics) == []

    admin = KafkaAdminClient(bootstrap_servers=[broker])
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, ledger, {"retention.ms": "1000"})])
    admin.close()
    eventually(lambda: bool(apply(Cluster(broker), topics, dry_run=True)), "the broker has heard of the change")
    [change] = apply(Cluster(broker), topics, dry_run=True)
    assert (change.topic, change.action, change.config) == (ledger, "alter", {"retention.ms": ("1000", "-1")})
    assert apply(Cluster(broker), topics) == [change]
    eventually(lambda: not apply(Cluster(broker), topics, dry_run=True), "the broker has heard of the change back")

    with pytest.raises(TopicsError, match="DOSSIER_PARTITIONS=3"):
        apply(Cluster(broker), load_topics(5, 1, PREFIX))
    with pytest.raises(TopicsError, match="DOSSIER_REPLICATION=1"):  # else two of one copy would have to be in sync
        apply(Cluster(broker), load_topics(3, 3, PREFIX))
    assert apply(Cluster(broker), topics) == []


def test_a_cluster_that_does_not_answer_is_named() -> None:
    with pytest.raises(TopicsError, match=r"127\.0\.0\.1:9\b"):
        apply(Cluster("127.0.0.1:9"), load_topics(1, 1))
