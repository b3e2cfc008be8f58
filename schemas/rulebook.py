"""The rulebook: procedures, offices, calendars and limits of a province, as one document that people write in YAML.

A rulebook is identified by its content: `Rulebook.version` is the hash of its canonical JSON. It is published whole
(`events/rulebook.py`) and compiled for the clocks (`projections/rules.py`). docs/rulebook.md explains every key.

Each model checks itself; `disagreements` checks what only shows when the parts are seen together. A mistake says where
it is, so that `read_rulebook` can tell all mistakes of a file with their lines.
"""

from __future__ import annotations

import hashlib
import json
from datetime import time
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from schemas.coherence import disagreements
from schemas.lines import Disagreements, NotReadable, Written, parse, read_text
from schemas.mapping import Zone
from schemas.timewords import WEEKDAYS, Day, Days, Moment, Term, Weekday, Window, WrittenTerm

MAX_RULEBOOK_BYTES: Final = 1024 * 1024
REFERENCE: Final = "docs/rulebook.md"

Cause = Literal["supplement", "payment", "consultation"]
#: One-stop, one-stop with other authorities, or not through the one-stop counter at all.
Mechanism = Literal["mot-cua", "mot-cua-lien-thong", "outside"]


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("a control character, or a space at an end")
    return text


Code = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_printable)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000), AfterValidator(_printable)]


class RulebookError(ValueError):
    """The file is no rulebook; one message a mistake, each with its line."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Names(_Model):
    """What people read, in both languages."""

    vi: Text
    en: Text


class ProcedureField(_Model):
    """A field of work (lĩnh vực). `procedures`, if given, is how many there must be: a check on the list."""

    code: Code
    name: Names
    procedures: Annotated[int, Field(ge=0, le=10_000)] | None = None


class Procedure(_Model):
    """One administrative procedure (thủ tục hành chính) and how its time is counted.

    Its legal time is `legal_time`, or the same day up to `same_day_cutoff` (after that the next working day).
    `authority` is the office that decides, where that is not the office that receives.
    """

    code: Code
    name: Names
    field: Code
    mechanism: Mechanism = "mot-cua"
    service_level: Annotated[int, Field(ge=1, le=4)] | None = None
    authority: Code | None = None
    legal_time: Term | None = None
    same_day_cutoff: Moment | None = None
    not_before: Term | None = None
    steps: Annotated[dict[Code, Term], Field(max_length=200)] = {}
    supplement: Literal["restart", "resume", "limit"] = "restart"
    supplement_limit: Term = WrittenTerm(n=15, unit="cd")
    stops: Annotated[frozenset[Cause], PlainSerializer(sorted)] = frozenset({"supplement"})
    reschedule_limit: Annotated[int, Field(ge=0, le=9)] = 1
    after_hours: Literal["same_day", "next_working_day"] = "same_day"
    basis: Text | None = None


class Room(_Model):
    """A room of an office, by the code that events name."""

    code: Code
    name: Names


class Office(_Model):
    """An office, by the code that events name; `calendar` where it is not the rulebook's."""

    code: Code
    name: Names
    calendar: Code | None = None
    rooms: Annotated[tuple[Room, ...], Field(max_length=1_000)] = ()


class Announcement(_Model):
    """What one document said about days, and when it said so.

    A later announcement may speak of the same day again and then holds. `off`: no working day. `working`: a working
    day to make up for one off. `reception_only`: the counter is open, deadlines do not count it.
    """

    basis: Text
    announced: Day
    off: Annotated[tuple[Days, ...], Field(max_length=400)] = ()
    working: Annotated[tuple[Days, ...], Field(max_length=400)] = ()
    reception_only: Annotated[tuple[Days, ...], Field(max_length=400)] = ()


class Calendar(_Model):
    """Working days and hours, in the dates of `zone`."""

    code: Code
    zone: Zone = "Asia/Ho_Chi_Minh"
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = WEEKDAYS[:5]
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=10)]
    announcements: Annotated[tuple[Announcement, ...], Field(max_length=2_000)] = ()


class Routing(_Model):
    """Until when a received dossier leaves the counter (R9), and the receiving room confirms it.

    Received up to `cutoff`: by closing time of the day; later: `grace_minutes` after the next opening.
    """

    cutoff: Moment = time(15)
    grace_minutes: Annotated[int, Field(ge=0, le=480)] = 30
    handoff: Term | None = None


class Intake(_Model):
    """Until when an application from afar is noticed and answered (R8)."""

    notify: Term = WrittenTerm(n=2, unit="h")
    answer: Term = WrittenTerm(n=8, unit="h")


class AlarmPolicy(_Model):
    """When the clocks speak: a warning after this fraction of the time, a breach at the end of the day.

    `day_ends`: `operational`, when the office closes; `legal`, at midnight.
    """

    warn_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.8
    day_ends: Literal["operational", "legal"] = "operational"


class Rulebook(_Model):
    """The whole document. `effective_from` is the first day of reception it holds for.

    `late_calendar` (R18): whether a due date that a later announcement moved back replaces the promise: `if_notified`
    once the applicant was told, `always`, `never`. A promise is never made earlier.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    title: Names
    effective_from: Day
    basis: Text
    calendar: Code
    calendars: Annotated[tuple[Calendar, ...], Field(min_length=1, max_length=100)]
    offices: Annotated[tuple[Office, ...], Field(max_length=5_000)] = ()
    fields: Annotated[tuple[ProcedureField, ...], Field(max_length=1_000)] = ()
    mechanisms: dict[Mechanism, Annotated[int, Field(ge=0)]] = {}
    procedures: Annotated[tuple[Procedure, ...], Field(max_length=10_000)] = ()
    routing: Routing = Routing()
    intake: Intake = Intake()
    post_collection: Term | None = None
    alarms: AlarmPolicy = AlarmPolicy()
    late_calendar: Literal["if_notified", "always", "never"] = "if_notified"

    @model_validator(mode="after")
    def _fits_together(self) -> Rulebook:
        if found := list(disagreements(self.content)):
            raise Disagreements(found)
        return self

    @cached_property
    def content(self) -> dict[str, Any]:
        """The document as plain JSON values, defaults included; terms, windows and days as people write them."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def version(self) -> str:
        """What identifies it: `sha256-` and the hash of its canonical JSON."""
        return version_of(self.content)


def version_of(content: dict[str, Any]) -> str:
    """The version of a rulebook with this content."""
    return f"sha256-{hashlib.sha256(_canonical(content)).hexdigest()}"


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def rulebook_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document; `disagreements` is beyond it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:dossier-ledger:schema:rulebook:1",
        **Rulebook.model_json_schema(),
    }


def load_rulebook(path: Path) -> Rulebook:
    """Read a rulebook file.

    Raises:
        RulebookError: with every mistake and its line.
        OSError: it cannot be read.
    """
    try:
        text = read_text(path, MAX_RULEBOOK_BYTES, "rulebook")
    except NotReadable as error:
        raise RulebookError([str(error)]) from error
    return parse_rulebook(text, path.name)


def parse_rulebook(text: str, where: str) -> Rulebook:
    """A rulebook from its YAML text.

    Raises:
        RulebookError: with every mistake and its line, in the order of the lines.
    """
    try:
        written = parse(text, where)
    except NotReadable as error:
        raise RulebookError([str(error)]) from error
    try:
        rulebook = Rulebook.model_validate(written.content)
    except ValidationError as error:
        raise RulebookError(_all_mistakes(written, error)) from error
    if (size_bytes := len(_canonical(rulebook.content))) > MAX_RULEBOOK_BYTES:
        raise RulebookError([f"{where}: {size_bytes} bytes with all defaults, the limit is {MAX_RULEBOOK_BYTES}"])
    return rulebook


def _all_mistakes(written: Written, error: ValidationError) -> list[str]:
    """Those of form, and those of parts that do not fit together, which pydantic looks for only when all is formed."""
    found = {*written.mistakes(error, REFERENCE), *disagreements(written.content)}
    return [written.told(mistake) for mistake in sorted(found, key=lambda each: (written.line(each.place), each[1]))]


@cache
def shipped() -> Rulebook:
    """The rulebook that comes with the ledger: it begins every history. Read when first asked for."""
    text = files("schemas.rulebooks").joinpath("gia-lai.yaml").read_text(encoding="utf-8")
    return parse_rulebook(text, "gia-lai.yaml")
