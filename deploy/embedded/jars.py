"""Kafka's jars: fetched once by jgo's pure-Python resolver, checked against our lock before every start.

jgo writes the hashes into its lock and does not compare them afterwards, so this module does. The lock names every
jar with its exact version, so nothing is resolved here: what is not in the cache is downloaded, checked and then moved
into the cache in one step, so that an interrupted download never looks like a jar.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from deploy.embedded.runtime import EmbeddedError

PARALLEL_DOWNLOADS = 8
DOWNLOAD_ATTEMPTS = 3


class JarError(EmbeddedError):
    """A jar cannot be had or is not the one the lock names; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> tuple[Jar, ...]:
    """The jars of `deploy/kafka/jgo.lock.toml`."""
    lock = tomllib.loads(files("deploy.kafka").joinpath("jgo.lock.toml").read_text(encoding="utf-8"))
    return tuple(
        Jar(each["groupId"], each["artifactId"], each["version"], each["sha256"]) for each in lock["dependencies"]
    )


def cache_dir() -> Path:
    """Where jars are kept for every data folder of this user (`XDG_CACHE_HOME`, else `~/.cache`)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dossier-ledger" / "jars"


def checked_jars(say: Callable[[str], None], cache: Path | None = None) -> tuple[Path, ...]:
    """Every locked jar, present and with the locked hash, in class path order. Says so when it must download.

    Raises:
        JarError: a jar differs from the lock or cannot be downloaded.
    """
    cache = cache or cache_dir()
    jars = locked_jars()
    missing = [jar for jar in jars if not (cache / jar.filename).is_file()]
    if missing:
        say(f"đang tải · downloading Apache Kafka: {len(missing)} jars (44 MB) → {cache}")
        _download(missing, cache)
    for jar in jars:
        _check(jar, cache / jar.filename, f"delete {cache / jar.filename} and start again to fetch it anew")
    return tuple(cache / jar.filename for jar in jars)


def _download(jars: Sequence[Jar], cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="incoming-") as incoming:
        fetch = _fetcher(Path(incoming))
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            for jar, path in zip(jars, pool.map(fetch, jars), strict=True):
                _check(jar, path, "the repository delivered something else; try again or use another one (jgo.conf)")
                path.replace(cache / jar.filename)


def _fetcher(incoming: Path) -> Callable[[Jar], Path]:
    try:
        # Here and not above: a user with a Kafka of their own has no jgo.
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise JarError(
            "the embedded Kafka needs the extra: pip install '.[embedded]' in the checkout, or --kafka HOST:PORT"
        ) from error
    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(PythonResolver(), repo_cache=incoming, remote_repos=repositories, timeout=60)

    def fetch(jar: Jar) -> Path:
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact(packaging="jar")
        for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
            try:
                return Path(artifact.resolve())
            except Exception as error:  # requests', jgo's RuntimeError, OSError: all mean "not delivered"
                if artifact.cached_path is not None:  # or a half one would be taken for the jar
                    artifact.cached_path.unlink(missing_ok=True)
                if attempt == DOWNLOAD_ATTEMPTS:
                    raise JarError(f"cannot download {jar.filename}: {error}") from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    return fetch


def _check(jar: Jar, path: Path, what_to_do: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != jar.sha256:
        raise JarError(
            f"{jar.filename} is not the one deploy/kafka/jgo.lock.toml names "
            f"(sha256 {found[:16]}…, locked {jar.sha256[:16]}…): {what_to_do}"
        )
