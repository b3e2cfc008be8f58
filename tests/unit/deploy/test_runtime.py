"""What a run leaves for the other commands, and what they make of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from cli.console import CommandError
from cli.main import main
from cli.restore import _towards
from cli.surroundings import surroundings
from deploy.embedded.kafka import security
from deploy.embedded.runtime import (
    ProcessEntry,
    Running,
    credentials,
    exclusive,
    find,
    forget,
    run_dir,
    stop_leftovers,
)
from schemas.cluster import Cluster, Security
from schemas.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DOSSIER_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def up(tmp_path: Path) -> Running:
    """A run whose supervisor is this process."""
    running = Running(
        pid=os.getpid(),
        created=psutil.Process().create_time(),
        kafka="127.0.0.1:1",
        clickhouse="http://127.0.0.1:2",
        gateway="http://127.0.0.1:3",
    )
    running.write(tmp_path)
    return running


def settings(data_dir: Path, **given: object) -> Settings:
    return load_settings(data_dir=data_dir, **given)


def test_a_run_is_found_until_it_is_forgotten(tmp_path: Path, up: Running) -> None:
    assert find(tmp_path) == up
    forget(tmp_path)
    assert find(tmp_path) is None


@pytest.mark.parametrize("written", ["never", "null", ""])
def test_the_nightly_comparison_can_be_left_out(written: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOSSIER_NIGHTLY_AT", written)
    assert settings(tmp_path).nightly_at is None


def test_another_process_under_the_same_pid_is_not_the_run(tmp_path: Path, up: Running) -> None:
    up.model_copy(update={"created": up.created - 60}).write(tmp_path)
    assert find(tmp_path) is None


def test_the_copy_of_a_folder_is_not_where_it_runs_and_stops_nothing_of_it(tmp_path: Path) -> None:
    folder, copy = tmp_path / "here", tmp_path / "copy"
    with exclusive(folder), subprocess.Popen(["sleep", "60"]) as child:  # a child to lose
        created = psutil.Process(child.pid).create_time()
        entry = ProcessEntry(name="kafka", state="ok", pid=child.pid, created=created)
        here = psutil.Process()
        Running(
            pid=os.getpid(), created=here.create_time(), kafka="k:1", clickhouse="http://c:1", processes=(entry,)
        ).write(folder)
        shutil.copytree(folder, copy)
        moved = folder.rename(tmp_path / "moved")
        assert find(moved) is not None, "under another name it is the same"
        with exclusive(copy):
            assert find(copy) is None
            assert stop_leftovers(copy) == []
        assert child.poll() is None
        assert stop_leftovers(moved) == ["kafka"]


def test_passwords_are_kept_from_run_to_run_and_read_by_the_owner_alone(tmp_path: Path) -> None:
    first = credentials(tmp_path)
    assert credentials(tmp_path) == first
    assert first.archiver.get_secret_value() != first.report.get_secret_value()
    assert (run_dir(tmp_path) / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert first.archiver.get_secret_value() not in repr(first)


def test_a_folder_of_an_earlier_release_gets_the_password_that_it_has_not(tmp_path: Path, up: Running) -> None:
    first = credentials(tmp_path)
    path = run_dir(tmp_path) / "credentials.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "kafka"}))
    assert surroundings(settings(tmp_path)).kafka == Cluster(up.kafka)  # it runs as it was started, and asks nobody
    path.rename(path.with_suffix(".away"))  # as with a ClickHouse of the user's own
    up.model_copy(update={"embedded_clickhouse": False}).write(tmp_path)
    assert surroundings(settings(tmp_path)).kafka == Cluster(up.kafka)
    path.with_suffix(".away").rename(path)
    now = credentials(tmp_path)
    assert (now.archiver, now.report) == (first.archiver, first.report)
    assert now.kafka is not None
    assert credentials(tmp_path) == now
    assert path.stat().st_mode & 0o777 == 0o600


def test_commands_find_the_running_up(tmp_path: Path, up: Running) -> None:
    kept = credentials(tmp_path)
    found = surroundings(settings(tmp_path))
    assert kept.kafka is not None
    assert found.kafka == Cluster(up.kafka, security(kept.kafka))
    assert (found.clickhouse, found.gateway) == (up.clickhouse, up.gateway)
    assert (found.clickhouse_user, found.clickhouse_password) == ("archiver", kept.archiver)
    assert (found.report_user, found.report_password) == ("report", kept.report)


def test_settings_win_over_the_running_up_each_alone(tmp_path: Path, up: Running) -> None:
    credentials(tmp_path)
    assert surroundings(settings(tmp_path, kafka="broker:9092")).kafka == Cluster("broker:9092")
    own = surroundings(settings(tmp_path, clickhouse="http://archive:8123", clickhouse_user="writer"))
    assert (str(own.kafka), own.clickhouse, own.clickhouse_user) == (up.kafka, "http://archive:8123", "writer")


def test_the_archive_of_another_kafka_is_not_taken_for_that_of_the_named_one(tmp_path: Path, up: Running) -> None:
    credentials(tmp_path)
    other = surroundings(settings(tmp_path, kafka="broker:9092"))
    with pytest.raises(CommandError, match=r"\(127.0.0.1:1\) than broker:9092.*DOSSIER_CLICKHOUSE too"):
        _ = other.clickhouse
    with pytest.raises(CommandError, match="DOSSIER_GATEWAY_PORT too"):
        _ = other.gateway
    named = surroundings(settings(tmp_path, kafka="broker:9092", clickhouse="http://archive:8123", gateway_port=5))
    assert (named.clickhouse, named.gateway) == ("http://archive:8123", "http://127.0.0.1:5")
    assert surroundings(settings(tmp_path, kafka=up.kafka)).clickhouse == up.clickhouse  # written out


def test_the_clock_of_another_kafka_is_not_gone_by(tmp_path: Path, up: Running) -> None:
    credentials(tmp_path)
    clock = "2026-03-02T08:00:00+07:00@2026-03-02T08:00:00+07:00x60"
    up.model_copy(update={"clock": clock}).write(tmp_path)
    assert surroundings(settings(tmp_path)).clock.is_simulated
    assert not surroundings(settings(tmp_path, kafka="broker:9092")).clock.is_simulated


@pytest.mark.parametrize(
    ("command", "then"),
    [
        (["publish", "-"], r", or .*--again"),
        (["simulate", "--dossiers", "1"], ""),
        (["archiver"], ""),
        (["gateway"], ""),
        (["reconcile"], ""),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_commands_of_another_kafka_say_that_its_archive_is_to_be_named_too(
    command: list[str], then: str, tmp_path: Path, up: Running, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    credentials(tmp_path)
    monkeypatch.setenv("DOSSIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DOSSIER_KAFKA", "broker:9092")
    monkeypatch.setattr("events.entrance.require_entry", lambda *_: None)
    monkeypatch.setattr("cli.feeding.open_publisher", lambda *_: contextlib.nullcontext())
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 3
    told = capfd.readouterr().err.splitlines()[-1]
    assert re.search(rf"has another Kafka \({up.kafka}\).*set DOSSIER_CLICKHOUSE too{then}", told), told


def test_how_a_kafka_of_the_users_own_is_entered_comes_from_the_settings(tmp_path: Path, up: Running) -> None:
    kept = credentials(tmp_path).kafka
    assert kept is not None
    entered = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_user": "archiver", "kafka_password": "k"}
    theirs = Security("SASL_PLAINTEXT", user="archiver", password=SecretStr("k"))
    assert surroundings(settings(tmp_path, kafka="broker:9092", **entered)).kafka == Cluster("broker:9092", theirs)
    assert surroundings(settings(tmp_path, **entered)).kafka == Cluster(up.kafka, security(kept))
    assert surroundings(settings(tmp_path, kafka=up.kafka)).kafka == Cluster(up.kafka, security(kept))  # written out
    assert surroundings(settings(tmp_path, kafka=up.kafka, **entered)).kafka == Cluster(up.kafka, theirs)
    up.model_copy(update={"embedded_kafka": False}).write(tmp_path)
    assert surroundings(settings(tmp_path, **entered)).kafka == Cluster(up.kafka, theirs)


def test_passwords_of_a_server_of_the_users_own_come_from_the_settings(tmp_path: Path, up: Running) -> None:
    up.model_copy(update={"embedded_kafka": False, "embedded_clickhouse": False}).write(tmp_path)
    found = surroundings(settings(tmp_path, clickhouse_user="writer", clickhouse_password="w"))
    assert (found.clickhouse, found.clickhouse_user) == (up.clickhouse, "writer")
    assert found.clickhouse_password.get_secret_value() == "w"


def test_where_nothing_runs_the_error_says_what_to_do(tmp_path: Path) -> None:
    nothing = surroundings(settings(tmp_path))
    with pytest.raises(
        CommandError, match=r"nothing runs for .*: start `dossier up`.* DOSSIER_DATA_DIR\), or set DOSSIER_KAFKA"
    ):
        _ = nothing.kafka
    with pytest.raises(CommandError, match="DOSSIER_CLICKHOUSE"):
        _ = nothing.clickhouse_password


def test_what_is_restored_to_another_kafka_is_the_archive_of_here(tmp_path: Path, up: Running) -> None:
    credentials(tmp_path)
    around = _towards(settings(tmp_path, kafka="new-broker:9092"))
    assert (around.kafka, around.clickhouse) == (Cluster("new-broker:9092"), up.clickhouse)
