"""`dossier topics`: our topics on the Kafka cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import CommandError, emit_json, out
from cli.surroundings import surroundings
from schemas.settings import load_settings


def register(app: typer.Typer) -> None:
    topics = typer.Typer(no_args_is_help=True, help="Chủ đề Kafka · The topics: see `dossier topics apply --help`.")
    topics.command()(apply)
    app.add_typer(topics, name="topics")


def apply(
    kafka: Annotated[str | None, typer.Option(help="HOST:PORT; default: the running `dossier up`.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tạo và chỉnh chủ đề · Create missing topics and bring settings that differ back to deploy/kafka/topics.yaml.

    Example: dossier topics apply --kafka broker:9092 --dry-run
    """
    from deploy.topics import TopicsError, load_topics
    from deploy.topics import apply as apply_topics

    settings = load_settings(kafka=kafka)
    wanted = load_topics(settings.partitions, settings.replication)
    try:
        changes = apply_topics(surroundings(settings).kafka, wanted, dry_run=dry_run)
    except TopicsError as error:
        raise CommandError(str(error)) from error
    if json:
        emit_json(
            {
                "dry_run": dry_run,
                "changes": [{"topic": each.topic, "action": each.action, "config": each.config} for each in changes],
            }
        )
        return
    for each in changes:
        if each.action == "alter":
            changed = ", ".join(f"{name}: {found} → {value}" for name, (found, value) in each.config.items())
            out.print(f"chỉnh · alter {each.topic} ({changed})", soft_wrap=True)
        else:
            out.print(f"tạo · create {each.topic}")
    would = "chủ đề sẽ đúng · topics would be" if dry_run and changes else "chủ đề đúng · topics are"
    out.print(f"{len(wanted)} {would} as topics.yaml says")
