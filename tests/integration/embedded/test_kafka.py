"""The embedded broker: what it has acknowledged it keeps, wherever its folder lies."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer

from deploy import topics
from deploy.embedded import kafka
from deploy.embedded.kafka import KafkaError
from schemas.cluster import Cluster
from tests.integration.conftest import run_broker
from tests.integration.waiting import records_on

pytestmark = pytest.mark.integration


def test_acknowledged_records_outlive_a_kill_in_a_folder_with_a_vietnamese_name(tmp_path: Path) -> None:
    folder = tmp_path / "hồ sơ một cửa"
    with run_broker(folder) as address:
        topics.apply(Cluster(address), topics.load_topics(1, 1))
        producer = KafkaProducer(bootstrap_servers=[address], acks="all")
        for number in range(100):
            producer.send("dossier.events.v1", value=str(number).encode())
        producer.flush()
        producer.close()
        [broker] = [each for each in psutil.Process().children() if str(folder) in each.cmdline()[-1]]
        broker.kill()
    with run_broker(folder) as again:
        assert again == address
        assert [record.value for record in records_on(Cluster(again), "dossier.events.v1")] == [
            str(number).encode() for number in range(100)
        ]


def test_options_for_its_java_come_after_ours_and_so_win(tmp_path: Path) -> None:
    command = kafka.prepare(tmp_path, 1, 2, lambda _: None, "-Xmx300m '-Dname=of two words'")
    places = [command.index(each) for each in (f"-Xmx{kafka.HEAP_MIB}m", "-Xmx300m", "-Dname=of two words", "-cp")]
    assert places == sorted(places)


def test_options_java_does_not_know_are_told(tmp_path: Path) -> None:
    with pytest.raises(KafkaError, match=r"cannot format.*-Xnonsense"):
        kafka.prepare(tmp_path, 1, 2, lambda _: None, "-Xnonsense")


def test_a_folder_that_kafka_would_take_for_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KafkaError, match="comma"):
        kafka.prepare(tmp_path / "a,b", 1, 2, lambda _: None)
