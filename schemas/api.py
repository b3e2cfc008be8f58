"""What the gateway answers, as pydantic models: the OpenAPI document at /schema is made from these.

Instants are RFC 3339 in UTC; `zone` says in which zone an office reads them. Every answer about dossiers carries its
freshness.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Body(BaseModel):
    """An answer: frozen, and exactly these fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Freshness(Body):
    """Up to where the answer has read the ledger. Tính đến đâu."""

    positions: Annotated[
        dict[str, int], Field(description="partition → first ledger offset that is not in the answer")
    ] = {}
    recorded_at: Annotated[
        AwareDatetime | None, Field(description="newest append time among what has been read; null: nothing read")
    ] = None
    lag: Annotated[
        int | None, Field(description="ledger records that are not in the answer; null: the ledger's end is unknown")
    ] = None
    complete: Annotated[
        bool | None,
        Field(description="does it include all that was on the ledger when you asked; null: you did not ask to wait"),
    ] = None


class Name(Body):
    """A name in both languages."""

    vi: str
    en: str


class Position(Body):
    """Where an event stands on the ledger."""

    partition: int
    offset: int


class Anomaly(Body):
    """An irregularity and the event that shows it."""

    code: Annotated[str, Field(examples=["A02"])]
    name: Name
    source: str
    id: str


class Summary(Body):
    """What the live state says now: every state and class is there, an explicit 0 where there is none."""

    dossiers: int
    by_state: dict[str, int]
    by_timeliness: Annotated[
        dict[str, int],
        Field(description="early, on_the_day, late by local date against the promise; no_finish, no_promise"),
    ]
    received_by_month: Annotated[dict[str, int], Field(description="YYYY-MM, local → dossiers received")]
    quarantined: Annotated[int, Field(description="unreadable records that are still held")]
    freshness: Freshness


class QueueCount(Body):
    """How many dossiers wait in one line; an empty room or step is one that no event has named."""

    office: str
    room: str
    step: str
    count: int


class Queues(Body):
    """All queues, the longest first."""

    queues: list[QueueCount]
    freshness: Freshness


class OfficeCount(Body):
    """How many dossiers of one office are in one state."""

    office: str
    state: str
    count: int


class Offices(Body):
    """Counts by office and state, in the order of offices."""

    offices: list[OfficeCount]
    freshness: Freshness


class DossierLine(Body):
    """One dossier in a listing."""

    dossier: str
    office: str
    state: str
    timeliness: str
    room: str | None
    step: str | None


class Dossiers(Body):
    """The dossiers that changed last, the newest change first."""

    dossiers: list[DossierLine]
    more: Annotated[bool, Field(description="there are others that match")]
    freshness: Freshness


class Dossier(Body):
    """Where a dossier stands now."""

    dossier: str
    state: str
    state_name: Name
    portal_status: Annotated[int | None, Field(description="status code of the national portal")]
    timeliness: str
    office: str | None
    room: str | None
    person: str | None
    step: str | None
    handed_to: Annotated[str | None, Field(description="room that has not confirmed the hand-over yet")]
    procedure: str | None
    channel: str | None
    zone: str
    submitted_at: AwareDatetime | None
    received_at: AwareDatetime | None
    promised: Annotated[AwareDatetime | None, Field(description="the promise on the receipt, a fact")]
    due: Annotated[AwareDatetime | None, Field(description="the promise in force")]
    processed_at: Annotated[AwareDatetime | None, Field(description="null after the end: the finish is not known")]
    outcome: str | None
    ended_at: AwareDatetime | None
    last_at: AwareDatetime | None
    supplements: int
    reschedules: int
    overrides: int
    consultations: int
    payment_due: bool
    anomalies: list[Anomaly]
    events: Annotated[int, Field(description="events in the state, each identity once")]
    position: Annotated[Position, Field(description="of the newest event that changed the state")]
    freshness: Freshness


class TimelineStep(Body):
    """One event of a dossier, and the state after it in effective order."""

    type: str
    name: Name
    source: str
    id: str
    occurred_at: AwareDatetime
    effective_at: Annotated[AwareDatetime | None, Field(description="when it counts, if a correction moved it")]
    recorded_at: AwareDatetime
    position: Position
    office: str
    room: Annotated[str | None, Field(description="room that acts, or lets go")]
    to: Annotated[str | None, Field(description="room that should take it next")]
    actor: str | None
    step: str | None
    note: str | None
    data: Annotated[dict[str, object], Field(description="the fact, as it was published")]
    state: str
    state_name: Name
    voided: Annotated[bool, Field(description="a later event says that this did not happen")]
    corrected: Annotated[bool, Field(description="a later event gives one of its fields another value")]
    repeats: Annotated[int, Field(description="further records on the ledger with the same identity")]
    anomalies: list[str]


class Timeline(Body):
    """A dossier's events in effective order, a page of them, from the archive."""

    dossier: str
    total: int
    offset: int
    timeline: list[TimelineStep]
    freshness: Freshness


class Replay(Body):
    """A dossier replayed from the archive, as of one time and as known at another."""

    dossier: str
    as_of: Annotated[AwareDatetime | None, Field(description="events that occurred later are left out")]
    known_at: Annotated[AwareDatetime | None, Field(description="events that were recorded later are left out")]
    standing: Annotated[Dossier | None, Field(description="null: nothing had happened, or nothing was known")]
    timeline: list[TimelineStep]
    freshness: Freshness


class DifferingDossier(Body):
    """A dossier whose live state is not what the archive folds to."""

    dossier: str
    partition: int
    fault: Annotated[str, Field(description="other state, not live, or not in the archive")]


class Rebuild(Body):
    """What came of folding the whole archive and comparing it with the live state."""

    compared: int
    differing: int
    first_differing: list[DifferingDossier]
    unreadable: Annotated[int, Field(description="archived records that are no events")]
    positions: Annotated[dict[str, int], Field(description="partition → ledger offset up to which it was compared")]


class Words(Body):
    """What the codes mean, in both languages."""

    states: dict[str, Name]
    timeliness: dict[str, Name]
    anomalies: dict[str, Name]
    events: dict[str, Name]


class Health(Body):
    """Is the process alive."""

    alive: bool = True


class Readiness(Body):
    """Can it answer: has it read the live topic to its end, does the archive answer."""

    ready: bool
    live: bool
    archive: bool
    detail: str = ""


class Problem(Body):
    """Why there is no answer."""

    status_code: int
    detail: str
