"""The jars that run are the locked ones, or none."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

from deploy.embedded import jars
from deploy.embedded.jars import Jar, JarError, checked_jars, locked_jars


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one jar, and a lock that names it."""
    (tmp_path / "broker-1.0.jar").write_bytes(b"the jar")
    locked = Jar("org.example", "broker", "1.0", hashlib.sha256(b"the jar").hexdigest())
    monkeypatch.setattr(jars, "locked_jars", lambda: (locked,))
    return tmp_path


def test_jars_as_locked_are_given_in_order_and_in_silence(cache: Path) -> None:
    said: list[str] = []
    assert checked_jars(said.append, cache) == (cache / "broker-1.0.jar",)
    assert said == []


def test_a_tampered_jar_is_refused_with_its_path_and_what_to_do(cache: Path) -> None:
    with (cache / "broker-1.0.jar").open("ab") as file:
        file.write(b"!")
    with pytest.raises(JarError, match=rf"broker-1\.0\.jar is not the one .* delete {re.escape(str(cache))}"):
        checked_jars(lambda _: None, cache)


def test_a_download_that_is_not_the_locked_jar_never_reaches_the_cache(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch_something_else(incoming: Path) -> object:
        def fetch(jar: Jar) -> Path:
            path = incoming / jar.filename
            path.write_bytes(b"something else")
            return path

        return fetch

    (cache / "broker-1.0.jar").unlink()
    monkeypatch.setattr(jars, "_fetcher", fetch_something_else)
    said: list[str] = []
    with pytest.raises(JarError, match="the repository delivered something else"):
        checked_jars(said.append, cache)
    assert "downloading" in said[0]
    assert list(cache.iterdir()) == []


def test_the_lock_has_a_hash_for_every_jar_one_kafka_and_no_host() -> None:
    locked = locked_jars()
    assert len({jar.filename for jar in locked}) == len(locked)
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in locked)
    assert {jar.version for jar in locked if jar.group == "org.apache.kafka"} == {"4.3.0"}
    assert "://" not in files("deploy.kafka").joinpath("jgo.lock.toml").read_text(encoding="utf-8")
