"""One way to connect to the archive, so that every process agrees on what the client may do by itself."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect

_DEFAULT_PORTS: Final = {"http": 8123, "https": 8443}


def connect(
    url: str, *, user: str, password: str, database: str, timeout_seconds: int = 300, ca_file: Path | None = None
) -> Any:
    """A clickhouse-connect client for `url` (http or https), to be used by several threads, closed by the caller.

    Args:
        ca_file: who vouches for the server's certificate, PEM; None: whom the operating system trusts.

    Raises:
        clickhouse_connect.driver.exceptions.ClickHouseError: nothing answers there, or it refuses the user.
    """
    parts = urlsplit(url)
    client: Any = clickhouse_connect.get_client(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        secure=parts.scheme == "https",
        ca_cert=None if ca_file is None else str(ca_file),
        username=user,
        password=password,
        database=database,
        send_receive_timeout=timeout_seconds,
        compress=not _is_loopback(parts.hostname or ""),  # there it costs more than it saves
        autogenerate_session_id=False,  # a session takes one query at a time
        form_encode_query_params=True,  # a list of ids does not fit into a URL
        show_clickhouse_errors=True,
        dedicated_pool=True,
    )
    client.http_retries = 0  # who retries is decided by the caller, who knows what may be done twice
    return client


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
