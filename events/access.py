"""Who looked at what: reads of a dossier's past, and of quarantined bytes, as events on `dossier.access.v1`.

The envelope is that of the ledger; `subject`, and the key of the record, is what was looked at, `time` is when. Who
looks at the past of all dossiers at once looks at the ledger: its topic is the subject then. This topic is kept and
archived like the ledger, and the archive is compared with it record by record. Its log is not signed: who can change
both, the topic and the archive, is not found out.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, get_args

from events.catalogue import Code, Data, Instant
from events.envelope import Codec, Envelope

ACCESS_TOPIC: Final = "dossier.access.v1"
COMMAND_LINE: Final = "urn:dossier-ledger:command-line"


class Read(Data, frozen=True, kw_only=True):
    """Tra cứu hồ sơ: somebody looked at the past of a dossier or of all of them, or took its records away."""

    #: Account and host; the account is the operating system's word. A gateway, which knows nobody, is its own account.
    actor: Code
    #: `replay`, `explain`, `diff`, `prove`, `receipt`; of all dossiers `queues`, `summary`, `what-if`; of a gateway
    #: `gateway events`, `gateway clocks`, `gateway summary`.
    command: Code
    as_of: Instant | None = None
    known_at: Instant | None = None


class Revealed(Data, frozen=True, kw_only=True):
    """Xem bản ghi cách ly: somebody looked at the bytes of a record in quarantine; the subject is its origin."""

    actor: Code
    command: Code


AnyAccess = Read | Revealed
ACCESS_CATALOGUE: Final[tuple[type[AnyAccess], ...]] = get_args(AnyAccess)


class AccessEvent(Envelope, frozen=True):
    """An event of the access topic: the envelope around one read."""

    if TYPE_CHECKING:  # declared again, it would change its place in the canonical form
        data: AnyAccess


ACCESS: Final = Codec(AccessEvent, ACCESS_CATALOGUE)


def make_access_event(
    read: AnyAccess,
    subject: str,
    *,
    id: str,  # noqa: A002  # CloudEvents' own word
    time: datetime,
    source: str = COMMAND_LINE,
) -> AccessEvent:
    """The event that says so.

    Raises:
        Unreadable: `subject` is nothing that can be named.
    """
    return ACCESS.make(read, id=id, source=source, subject=subject, time=time)
