"""Our topics on a Kafka cluster: read `deploy/kafka/topics.yaml`, compare, create what is missing, alter what differs.

Nothing is ever deleted, and the number of partitions is never changed: the key decides the partition, so events of one
dossier would end up in two.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from events.entrance import BrokerUnreachable, require_entry
from schemas.cluster import Cluster

CREATE_TIMEOUT_MS = 30_000
CONNECT_TIMEOUT_SECONDS = 10.0


class TopicsError(Exception):
    """The topics cannot be as they should; the message says what to do."""


class TopicSpec(BaseModel):
    """One entry of topics.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{0,248}$")]
    partitions: Literal["ledger"] | Annotated[int, Field(ge=1, le=1024)]
    config: dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be: `config` in Kafka's words, every value a text."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """What `apply` did or, on a dry run, would do. `config`: setting -> (found or None, wanted)."""

    topic: str
    action: Literal["create", "alter"]
    config: dict[str, tuple[str | None, str]]


def load_topics(partitions: int, replication: int, prefix: str = "") -> tuple[Topic, ...]:
    """The topics of topics.yaml for a ledger of that many partitions; `prefix` sets private copies apart in tests."""
    text = files("deploy.kafka").joinpath("topics.yaml").read_text(encoding="utf-8")
    specs = TypeAdapter(list[TopicSpec]).validate_python(yaml.safe_load(text))
    in_sync = {"min.insync.replicas": str(max(1, replication - 1))}
    return tuple(
        Topic(
            prefix + spec.name,
            partitions if spec.partitions == "ledger" else spec.partitions,
            replication,
            in_sync | {name: str(value) for name, value in spec.config.items()},
        )
        for spec in specs
    )


def apply(kafka: Cluster, topics: Sequence[Topic], *, dry_run: bool = False) -> list[Change]:
    """Make the cluster's topics as given, and tell what that took; nothing is done when nothing differs.

    Raises:
        TopicsError: the cluster cannot be asked, refuses, or has a topic with another number of partitions or copies.
    """
    with _asking(kafka) as admin:
        existing = _existing(admin, topics)
        changes = list(_changes(topics, existing))  # all checks come before the first change
        if not dry_run:
            _create(admin, [topic for topic in topics if topic.name not in existing])
            _alter(admin, [change for change in changes if change.action == "alter"])
        return changes


def found_config(kafka: Cluster, names: Sequence[str], setting: str) -> dict[str, str | None]:
    """One setting of those of the topics that are there, by name.

    Raises:
        TopicsError: the cluster cannot be asked.
    """
    with _asking(kafka) as admin:
        found = _existing(admin, [Topic(name, 1, 1, {}) for name in names])
    return {name: each.config.get(setting) for name, each in found.items()}


def set_where_known(kafka: Cluster, names: Sequence[str], wanted: Mapping[str, str | None]) -> None:
    """Settings of those of the topics that are there; None: as the cluster has it for all topics.

    What this version of Kafka has no such setting for is passed over.

    Raises:
        TopicsError: the cluster cannot be asked, or refuses.
    """
    with _asking(kafka) as admin:
        found = _existing(admin, [Topic(name, 1, 1, {}) for name in names])
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, name, {key: _change(wanted[key]) for key in wanted.keys() & known})
            for name, known in ((name, each.config.keys()) for name, each in found.items())
        ]
        if resources:
            admin.alter_configs(resources)


def _change(value: str | None) -> str | tuple[AlterConfigOp, None]:
    return (AlterConfigOp.DELETE, None) if value is None else value


@contextlib.contextmanager
def _asking(kafka: Cluster) -> Iterator[Any]:
    """A client of the cluster; what the cluster cannot or will not is a TopicsError."""
    try:
        require_entry(kafka, CONNECT_TIMEOUT_SECONDS)
    except BrokerUnreachable as error:
        raise TopicsError(str(error)) from error
    try:
        admin = KafkaAdminClient(**kafka.client, client_id="dossier-topics")
    except KafkaError as error:
        raise TopicsError(f"no Kafka answers at {kafka}: {error}") from error
    try:
        yield admin
    except KafkaError as error:
        raise TopicsError(f"Kafka at {kafka} refuses: {error}") from error
    finally:
        admin.close()


@dataclass(frozen=True, slots=True)
class _Found:
    partitions: int
    replication: int  # of the partition that has the fewest copies
    config: dict[str, str | None]


def _existing(admin: KafkaAdminClient, topics: Sequence[Topic]) -> dict[str, _Found]:
    there = set(admin.list_topics())
    names = [topic.name for topic in topics if topic.name in there]
    if not names:
        return {}
    described = admin.describe_topics(names)
    copies = {each["name"]: [len(one["replica_nodes"]) for one in each["partitions"]] for each in described}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, Any]] = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        name: _Found(
            len(copies[name]), min(copies[name]), {key: entry["value"] for key, entry in configs[name].items()}
        )
        for name in names
    }


def _changes(topics: Sequence[Topic], existing: dict[str, _Found]) -> Iterator[Change]:
    for topic in topics:
        found = existing.get(topic.name)
        if found is None:
            yield Change(topic.name, "create", {name: (None, value) for name, value in topic.config.items()})
            continue
        if found.partitions != topic.partitions:
            raise TopicsError(
                f"{topic.name} has {found.partitions} partitions and the settings say {topic.partitions}: set "
                f"DOSSIER_PARTITIONS={found.partitions}. The number is fixed when the ledger is created, since the "
                "key decides the partition"
            )
        if found.replication != topic.replication:  # what must be in sync follows from it, and could not be
            raise TopicsError(
                f"{topic.name} has {found.replication} copies and the settings say {topic.replication}: set "
                f"DOSSIER_REPLICATION={found.replication}, or give it {topic.replication} first, with Kafka's "
                "kafka-reassign-partitions"
            )
        differing = {
            name: (found.config.get(name), value)
            for name, value in topic.config.items()
            if found.config.get(name) != value
        }
        if differing:
            yield Change(topic.name, "alter", differing)


def _create(admin: KafkaAdminClient, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    wanted = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": topic.config,
        }
        for topic in topics
    }
    with contextlib.suppress(TopicAlreadyExistsError):  # another `apply` at the same moment creates the same
        admin.create_topics(wanted, timeout_ms=CREATE_TIMEOUT_MS)
    admin.wait_for_topics(list(wanted), timeout_ms=CREATE_TIMEOUT_MS)


def _alter(admin: KafkaAdminClient, changes: Sequence[Change]) -> None:
    if not changes:
        return
    admin.alter_configs(
        [
            ConfigResource(
                ConfigResourceType.TOPIC, change.topic, {name: wanted for name, (_, wanted) in change.config.items()}
            )
            for change in changes
        ]
    )
