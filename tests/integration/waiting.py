"""Asking servers in their own protocol: do you answer yet, and what do you hold."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from schemas.cluster import Cluster


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, within_seconds: float = 60) -> None:
    """Poll until the server answers.

    Raises:
        AssertionError: it ended or did not answer in time; shows the end of its log.
    """
    deadline = time.monotonic() + within_seconds
    while not ready():
        assert process.poll() is None, f"it ended with {process.returncode}:\n{_end(log)}"
        assert time.monotonic() < deadline, f"no answer within {within_seconds} s:\n{_end(log)}"
        time.sleep(0.1)  # a poll with a deadline, not a guess of how long it takes


def is_kafka(address: str) -> bool:
    """Does a broker with a controller answer there?"""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()  # cheap while nothing listens yet
        admin = KafkaAdminClient(bootstrap_servers=[address])
        try:
            return bool(admin.describe_cluster()["brokers"])
        finally:
            admin.close()
    except (OSError, KafkaError):
        return False


def answers_ping(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", timeout=2, trust_env=False).text.strip() == "Ok."
    except httpx.HTTPError:
        return False


def records_on(kafka: Cluster, topic: str) -> list[ConsumerRecord]:
    """Every record on the topic up to its end now, read without a group."""
    consumer = KafkaConsumer(**kafka.client, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        ends = consumer.end_offsets(partitions)
        consumer.assign([partition for partition in partitions if ends[partition]])
        records: list[ConsumerRecord] = []
        deadline = time.monotonic() + 30
        while any(consumer.position(partition) < ends[partition] for partition in consumer.assignment()):
            assert time.monotonic() < deadline, f"{len(records)} records of {ends} within 30 s"
            for some in consumer.poll(timeout_ms=500).values():
                records.extend(some)
        return records
    finally:
        consumer.close()


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]
