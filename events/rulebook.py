"""Rulebooks on the ledger: `dossier.rulebooks.v1`, one partition, each record one rulebook with its whole content.

`version` is the hash of the content, and checked when it is read. When a rulebook became known is the broker's append
time. Publishing the newest once more publishes nothing; going back to an older one is a publication like any other.
A record that cannot be read is no rule: readers keep what they have, and say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import ValidationError

from events.catalogue import Code, Data
from events.envelope import MAX_REASON_CHARS, Codec, Envelope, Unreadable, printable
from events.ledger import LedgerRecord
from schemas.rulebook import MAX_RULEBOOK_BYTES, Rulebook, shipped, version_of

RULEBOOKS_TOPIC: Final = "dossier.rulebooks.v1"
SOURCE: Final = "urn:dossier-ledger:rulebooks"
#: Around the content: the envelope, and what JSON takes to escape.
MAX_RECORD_BYTES: Final = MAX_RULEBOOK_BYTES + 64 * 1024


class RulebookPublished(Data, frozen=True, kw_only=True):
    """Ban hành bộ quy tắc: a rulebook with its whole content holds from now on, for the days it is effective for."""

    version: Code
    content: dict[str, Any]


class RulebookEvent(Envelope, frozen=True):
    """An event of the rulebooks topic; its subject, and the key of its record, is the rulebook's name."""

    if TYPE_CHECKING:  # declared again, it would change its place in the canonical form
        data: RulebookPublished


RULEBOOKS: Final = Codec(RulebookEvent, (RulebookPublished,), max_bytes=MAX_RECORD_BYTES)


class Published(NamedTuple):
    """A rulebook on the ledger. `known_at` is its append time in microseconds since 1970 UTC."""

    known_at: int
    version: str
    rulebook: Rulebook


class NoRulebook(NamedTuple):
    """A record at `offset` that is none, and why."""

    offset: int
    reason: str


def make_rulebook_event(rulebook: Rulebook, *, id: str, time: datetime) -> RulebookEvent:  # noqa: A002  # CloudEvents' own word
    """The event that publishes a rulebook.

    Raises:
        Unreadable: it is too large.
    """
    data = RulebookPublished(version=rulebook.version, content=rulebook.content)
    return RULEBOOKS.make(data, id=id, source=SOURCE, subject=rulebook.name, time=time)


def read_rulebook_event(key: bytes | None, value: bytes | None) -> tuple[str, Rulebook]:
    """The version and the rulebook of one record.

    Raises:
        Unreadable: with the reason; also if the content is not what the version says.
    """
    data = RULEBOOKS.decode_record(key, value).data
    if version_of(data.content) != data.version:
        raise Unreadable("the content is not what its version says")
    try:
        return data.version, Rulebook.model_validate(data.content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{error.error_count()} mistakes: {place}: {first['msg']}"[:MAX_REASON_CHARS]
        raise Unreadable(printable(reason)) from error


@dataclass
class Shelf:
    """The rulebooks that have been read so far, in the order in which they became known."""

    published: tuple[Published, ...] = ()
    unreadable: tuple[NoRulebook, ...] = ()
    next_offset: int = 0

    def take(self, records: Iterable[LedgerRecord]) -> None:
        """Add what the records publish."""
        for record in records:
            if record.offset < self.next_offset:  # the topic was made anew
                self.published, self.unreadable = (), ()
            self.next_offset = record.offset + 1
            self._take(record)

    @property
    def newest_version(self) -> str:
        """Of the last one published; if there is none, of the one that is shipped."""
        return self.published[-1].version if self.published else shipped().version

    def _take(self, record: LedgerRecord) -> None:
        try:
            version, rulebook = read_rulebook_event(record.key, record.value)
        except Unreadable as error:
            self.unreadable += (NoRulebook(record.offset, str(error)),)
            return
        if version == self.newest_version:  # two published the same at one moment
            return
        # A broker's clock may be set back; what is read later is known later.
        known_at = max(record.timestamp * 1000, self.published[-1].known_at if self.published else 0)
        self.published += (Published(known_at, version, rulebook),)
