"""A Kafka of the user's own before `dossier topics apply`, which makes topics as clients ask for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from processors.transport import partitions_of
from schemas.cluster import Cluster
from tests.installation import Installation

pytestmark = pytest.mark.integration
EVENT = '{"specversion":"1.0"}'


def test_no_command_makes_a_topic_by_asking_for_it(
    start_broker: Callable[..., contextlib.AbstractContextManager[str]], tmp_path: Path
) -> None:
    office = Installation(tmp_path / "office")
    with start_broker("auto.create.topics.enable=true") as address:
        for command in (["publish", "-", "--again"], ["quarantine", "list"], ["rulebook", "show"]):
            done = office.run(*command, "--kafka", address, stdin=EVENT)
            assert (done.returncode, done.stdout) == (3, ""), done.stderr
            assert "run `dossier topics apply`" in done.stderr
        assert asyncio.run(partitions_of(Cluster(address), ["dossier.events.v1"])) == {"dossier.events.v1": 0}
        admin = KafkaAdminClient(bootstrap_servers=[address])
        with contextlib.closing(admin):
            assert [each for each in admin.list_topics() if not each.startswith("__")] == []
