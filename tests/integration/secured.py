"""A Kafka that asks who you are: TLS, SASL with passwords, client certificates, and rules of who may do what."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from deploy.embedded import kafka, ports
from schemas.cluster import Cluster, SaslMechanism, Security
from tests.installation import java_options
from tests.integration.conftest import leash
from tests.integration.waiting import is_kafka, until

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Secured:
    """`open`: an address where nobody is asked, for whoever sets it up. `sasl`, `tls`: those that are for clients."""

    open: str
    sasl: str
    tls: str
    ca_file: Path
    folder: Path
    ca: trustme.CA

    def as_user(self, name: str, password: str, mechanism: SaslMechanism = "SCRAM-SHA-512") -> Cluster:
        """By password, over TLS."""
        return Cluster(self.sasl, Security("SASL_SSL", mechanism, name, SecretStr(password), ca_file=self.ca_file))

    def with_certificate(self, name: str) -> Cluster:
        """By a client certificate."""
        return Cluster(self.tls, Security("SSL", ca_file=self.ca_file, cert_file=_certificate(self, name)))

    def allow_everything(self, name: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=[self.open])
        kinds = ((ResourceType.TOPIC, "*"), (ResourceType.GROUP, "*"), (ResourceType.CLUSTER, "kafka-cluster"))
        try:
            admin.create_acls(
                [
                    ACL(f"User:{name}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, ResourcePattern(*each))
                    for each in kinds
                ]
            )
        finally:
            admin.close()

    def add_user(self, name: str, password: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=[self.open])
        try:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                said = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, mechanism, password)])
                assert not any(said.values()), said
        finally:
            admin.close()


@contextlib.contextmanager
def run_secured_broker(folder: Path) -> Iterator[Secured]:
    """A broker whose `sasl` and `tls` addresses let in who is known, and let do what a rule allows."""
    chosen = ports.choose_ports(folder, {"kafka": 0, "controller": 0, "sasl": 0, "tls": 0})
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    command = kafka.prepare(folder, chosen["kafka"], chosen["controller"], print, java_options())
    open_, sasl, tls = (f"{HOST}:{chosen[name]}" for name in ("kafka", "sasl", "tls"))
    server = Secured(open_, sasl, tls, folder / "ca.pem", folder, ca)
    _secure(Path(command[-1]), server, f"{HOST}:{chosen['controller']}")
    log = folder / "kafka.log"
    with leash(command, log, kafka.java_environment()) as process:
        until(lambda: is_kafka(server.open), process, log)
        yield server


@contextlib.contextmanager
def tls_before(port: int, kafka: Secured) -> Iterator[str]:
    """An https address, with a certificate by the same authority, of what listens on `port` without TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(_certificate(kafka, HOST))
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Server]] = queue.Queue()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(64 * 1024):
                writer.write(some)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(HOST, port)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    async def run() -> None:
        server = await asyncio.start_server(serve, HOST, 0, ssl=context)
        started.put((asyncio.get_running_loop(), server))
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve_forever()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    loop, server = started.get(timeout=10)
    try:
        yield f"https://{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(server.close)
        thread.join(10)


def _secure(properties: Path, server: Secured, controller: str) -> None:
    """Add what a cluster that strangers can reach has."""
    clients = f"LOOPBACK://{server.open},SASL://{server.sasl},TLS://{server.tls}"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    plain = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_plain="plain-secret";'
    more = {
        "listeners": f"{clients},CONTROLLER://{controller}",
        "advertised.listeners": clients,
        "listener.security.protocol.map": "LOOPBACK:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL",
        "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
        "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.sasl.plain.sasl.jaas.config": plain,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(_certificate(server, HOST)),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(server.ca_file),
        "listener.name.tls.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    kept = [
        line
        for line in properties.read_text(encoding="ascii").splitlines()
        if line.partition("=")[0] not in more and line
    ]
    properties.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in more.items())]), encoding="ascii")


def _certificate(server: Secured, name: str) -> Path:
    """A certificate and its key in one file, the key as Java wants it (PKCS 8)."""
    issued = server.ca.issue_cert(name, common_name=name)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    file = server.folder / f"{name}.pem"
    chain = b"".join(each.bytes() for each in issued.cert_chain_pems)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)
    return file
