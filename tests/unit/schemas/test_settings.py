"""Settings: where they come from, which wins, and how a wrong one is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v5
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from kafka.cluster import ClusterMetadata
from pydantic import SecretStr

from schemas.cluster import Cluster, Security
from schemas.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from this machine: a clean environment, an empty working directory."""
    for name in os.environ:
        if name.startswith("DOSSIER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_without_any_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.partitions == Settings.model_fields["partitions"].default
    assert settings.kafka is None


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_KAFKA", "k1:9092,k2:9092")
    assert load_settings().kafka == "k1:9092,k2:9092"


def test_a_toml_file_in_the_working_directory_is_read() -> None:
    Path("dossier.toml").write_text('partitions = 12\nlog_level = "debug"\n', encoding="utf-8")
    settings = load_settings()
    assert (settings.partitions, settings.log_level) == (12, "debug")


def test_a_toml_file_named_by_the_environment_is_read_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("dossier.toml").write_text("partitions = 12\n", encoding="utf-8")
    named = tmp_path / "other.toml"
    named.write_text("partitions = 3\n", encoding="utf-8")
    monkeypatch.setenv("DOSSIER_CONFIG", str(named))
    assert load_settings().partitions == 3


def test_the_command_line_beats_the_environment_and_that_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("dossier.toml").write_text('partitions = 2\nreplication = 2\nlog_level = "error"\n', encoding="utf-8")
    monkeypatch.setenv("DOSSIER_PARTITIONS", "3")
    monkeypatch.setenv("DOSSIER_REPLICATION", "3")
    settings = load_settings(partitions=4, replication=None)
    assert (settings.partitions, settings.replication, settings.log_level) == (4, 3, "error")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("partitions", "0"),
        ("partitions", "many"),
        ("replication", "10"),
        ("gateway_port", "70000"),
        ("gateway_host", "10.0.0.1"),
        ("gateway_host", "192.168.1.4"),
        ("gateway_host", "::"),
        ("kafka", "no-port"),
        ("clickhouse", "ftp://somewhere"),
        ("clickhouse", "http://proxy/clickhouse"),
        ("clickhouse", "http://archive:8123/?password=hush-hush"),
        ("clickhouse", "http://archive:8123#hush-hush"),
        ("clickhouse_database", "a; drop table b"),
        ("clickhouse_timeout_seconds", "0"),
        ("clickhouse_timeout_seconds", "61"),
        ("kafka_java_options", "-Dname='never closed"),
        ("kafka_security_protocol", "TLS"),
        ("kafka_sasl_mechanism", "GSSAPI"),
        ("kafka_user", "archiver"),  # nobody would ask for it
        ("kafka_password", "secret"),
        ("kafka_ca_file", "nowhere.pem"),
        ("kafka_key_password", "secret"),
        ("clickhouse_ca_file", "nowhere.pem"),
        ("log_level", "loud"),
    ],
)
def test_a_wrong_setting_is_named_wherever_it_stands(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(f"DOSSIER_{name.upper()}", value)
        with pytest.raises(SettingsError, match=rf"^{name} \(DOSSIER_{name.upper()}\): "):
            load_settings()
    Path("dossier.toml").write_text(f'{name} = "{value}"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=rf"^{name} \(DOSSIER_{name.upper()}\): "):
        load_settings()


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_PARTITIONS", "0")
    monkeypatch.setenv("DOSSIER_LOG_LEVEL", "loud")
    with pytest.raises(SettingsError, match=r"partitions.*; log_level"):
        load_settings()


def test_a_name_nobody_knows_in_the_file_is_an_error() -> None:
    Path("dossier.toml").write_text("partitons = 12\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="partitons"):
        load_settings()


def test_a_name_nobody_knows_is_told_with_the_file_and_no_variable() -> None:
    Path("dossier.toml").write_text('kafk = "k1:9092"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^kafk \(in dossier.toml\): no such setting; `dossier config` lists all$"):
        load_settings()


def test_a_part_of_a_setting_is_told_with_the_variable_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_WEBHOOKS", '[{"name": "a", "url": "https://example.org", "secret": "whsec_abc"}]')
    with pytest.raises(SettingsError, match=r"^webhooks.0.secret \(DOSSIER_WEBHOOKS\): write whsec_"):
        load_settings()


def test_an_address_without_its_scheme_is_told_how_to_write_it() -> None:
    with pytest.raises(SettingsError, match=r"write http://HOST:PORT$"):
        load_settings(clickhouse="127.0.0.1:8123")


def test_a_variable_nobody_knows_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_PARTITONS", "12")
    with pytest.raises(SettingsError, match=r"^DOSSIER_PARTITONS: no such setting"):
        load_settings()


@pytest.mark.parametrize("name", ["DOSSIER_DEBUG", "DOSSIER_HEALTH_FILE", "DOSSIER_TEST_LOAD"])
def test_variables_that_are_no_settings_are_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    assert load_settings().partitions == Settings.model_fields["partitions"].default


def test_a_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"DOSSIER_CONFIG names nowhere\.toml"):
        load_settings()


def test_a_file_that_is_no_toml_is_an_error_that_names_it() -> None:
    Path("dossier.toml").write_text("partitions = = 12\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"dossier\.toml"):
        load_settings()


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOSSIER_CLICKHOUSE_PASSWORD", "hush-hush")
    settings = load_settings()
    assert "hush-hush" not in repr(settings)
    monkeypatch.setenv("DOSSIER_KAFKA_PASSWORD", "psst-psst")  # nobody would ask for it
    with pytest.raises(SettingsError) as told:
        load_settings()
    assert "psst-psst" not in f"{told.value} {told.value.__cause__}"
    assert settings.clickhouse_password.get_secret_value() == "hush-hush"


def test_how_a_kafka_is_entered_is_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().kafka_security == Security()
    monkeypatch.setenv("DOSSIER_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    with pytest.raises(SettingsError, match=r"kafka_user .*SASL_SSL.*; kafka_password .*SASL_SSL"):
        load_settings()
    monkeypatch.setenv("DOSSIER_KAFKA_USER", "archiver")
    monkeypatch.setenv("DOSSIER_KAFKA_PASSWORD", "hush-hush")
    security = load_settings().kafka_security
    assert security == Security("SASL_SSL", user="archiver", password=SecretStr("hush-hush"))
    assert "hush-hush" not in repr(security)
    client = Cluster("a:1,b:2", security).client
    assert client.pop("ssl_context").check_hostname
    assert client == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "archiver",
        "sasl_plain_password": "hush-hush",
    }


def test_no_client_of_a_cluster_makes_a_topic_by_asking_for_it() -> None:
    _ = Cluster("a:1").client
    assert MetadataRequest(["ledger"]).build(MetadataRequest_v5).to_object()["allow_auto_topic_creation"] is False
    assert ClusterMetadata(bootstrap_servers="a:1").metadata_request().allow_auto_topic_creation is False


def test_certificates_that_do_not_open_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ca.pem").write_text("no certificate\n", encoding="utf-8")
    monkeypatch.setenv("DOSSIER_KAFKA_CA_FILE", "ca.pem")
    with pytest.raises(SettingsError, match=r"^kafka_ca_file .*PLAINTEXT, which has no TLS"):
        load_settings()
    monkeypatch.setenv("DOSSIER_KAFKA_SECURITY_PROTOCOL", "SSL")
    with pytest.raises(SettingsError, match=r"^kafka_ca_file .*there is no certificate in it"):
        load_settings()


def test_an_authority_is_for_an_archive_behind_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    trustme.CA().cert_pem.write_to_path("ca.pem")
    monkeypatch.setenv("DOSSIER_CLICKHOUSE_CA_FILE", "ca.pem")
    assert load_settings().clickhouse_ca_file == Path("ca.pem")
    with pytest.raises(SettingsError, match=r"^clickhouse_ca_file .*and not https$"):
        load_settings(clickhouse="http://clickhouse:8123")
    assert load_settings(clickhouse="https://clickhouse:8443").clickhouse_ca_file == Path("ca.pem")
    Path("ca.pem").write_text("no certificate", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"^clickhouse_ca_file .*there is no certificate in it"):
        load_settings()


def test_a_locked_key_asks_nobody_at_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = BestAvailableEncryption(b"opens")
    issued = trustme.CA().issue_cert("client.example")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    Path("key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    issued.cert_chain_pems[0].write_to_path("cert.pem")
    monkeypatch.setenv("DOSSIER_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("DOSSIER_KAFKA_KEY_FILE", "key.pem")
    with pytest.raises(SettingsError, match=r"^kafka_key_file .*kafka_cert_file, and there is none$"):
        load_settings()
    monkeypatch.setenv("DOSSIER_KAFKA_CERT_FILE", "cert.pem")
    with pytest.raises(SettingsError, match=r"^kafka_cert_file .*do not fit each other"):
        load_settings()
    monkeypatch.setenv("DOSSIER_KAFKA_KEY_PASSWORD", "opens")
    assert load_settings().kafka_security.tls() is not None
