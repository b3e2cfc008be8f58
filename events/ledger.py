"""The ledger as its readers see it: its topic, and what a record of it shows whatever client fetched it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

LEDGER_TOPIC: Final = "dossier.events.v1"
#: How long a broker may hold back its answer to a fetch when there is nothing new, for readers that ask it other things
#: as well, such as where topics end: it answers a connection's requests one after the other.
BROKER_WAIT_MS: Final = 20

Header = tuple[str, bytes | None]


def header_name_bytes(name: str) -> bytes:
    """The bytes of a header's name as its reader has it: what is no UTF-8 as `surrogateescape` has it (PEP 383)."""
    return name.encode(errors="surrogateescape")


class LedgerRecord(Protocol):
    """One record of a known partition; `timestamp` is the broker's append time in milliseconds."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[Header]: ...
