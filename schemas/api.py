"""What the gateway answers, as pydantic models: the OpenAPI document at /schema is made from these.

Instants are RFC 3339 in UTC; `zone` says in which zone an office reads them. Every answer about dossiers carries its
freshness.
"""

from __future__ import annotations

from datetime import date
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
    steps_by_timeliness: Annotated[
        dict[str, int],
        Field(
            description="finished steps that were given a due: early, on_the_day, late by local date · bước hoàn thành"
        ),
    ]
    received_by_month: Annotated[dict[str, int], Field(description="YYYY-MM, local → dossiers received")]
    by_official_due: Annotated[
        dict[str, int],
        Field(
            description="as by_timeliness, against the due in force at the end: moved, stopped and restarted by rule"
        ),
    ]
    as_of: Annotated[
        AwareDatetime | None,
        Field(description="what occurred later, by its corrected time, is left out; null: now"),
    ]
    known_at: Annotated[
        AwareDatetime | None, Field(description="what was recorded later is left out; null: nothing")
    ] = None
    received: Annotated[int, Field(description="= resolved + pending_in_time + overdue")]
    resolved: Annotated[int, Field(description="received, and with a result or ended otherwise")]
    pending_in_time: Annotated[
        int, Field(description="pending, and the due day is not over; a stopped clock counts here")
    ]
    overdue: Annotated[int, Field(description="pending, and the due day in force is over")]
    not_yet_due: Annotated[
        int, Field(description="of those pending in time: no result may be given yet · chưa đến ngày được trả kết quả")
    ]
    stopped: Annotated[int, Field(description="of those pending in time: the clock is stopped · tạm dừng")]
    quarantined: Annotated[int, Field(description="unreadable records that are still held now")]
    freshness: Freshness


class QueueCount(Body):
    """How many dossiers wait in one line; an empty room or step is one that no event has named, or that is past."""

    office: str
    room: str
    step: str
    waits: Annotated[
        str,
        Field(
            description="the state of those that the room does not work on (INTAKE_SUPPLEMENT, WAIT_APPLICANT, "
            "WAIT_PAYMENT), or only has to hand over (RESULT_READY, UNCLAIMED); IN_POST: in no room. "
            "Empty: it is the room's turn"
        ),
    ] = ""
    count: int
    late: Annotated[int, Field(description="of them, past the due · quá hạn")]
    soon: Annotated[int, Field(description="of them, due soon · sắp đến hạn")]


class Queues(Body):
    """All queues, the longest first; `as_of` and `known_at` are those that were asked for."""

    queues: list[QueueCount]
    as_of: AwareDatetime | None = None
    known_at: AwareDatetime | None = None
    freshness: Freshness


class OfficeCount(Body):
    """How many dossiers of one office are in one state."""

    office: str
    state: str
    count: int


class OfficeDeadlines(Body):
    """How many dossiers of one office are past their due, or soon will be."""

    office: str
    late: int
    soon: int


class Offices(Body):
    """Counts by office and state, in the order of offices."""

    offices: list[OfficeCount]
    deadlines: list[OfficeDeadlines]
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
    """Where a dossier stands, now or as of the instant that was asked for."""

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
    position: Annotated[Position, Field(description="of the newest event that was read for it")]
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
    corrected: Annotated[bool, Field(description="a later event gives one of its fields, or its time, another value")]
    corrections: Annotated[
        dict[str, object],
        Field(default={}, description="the fields that count otherwise than in `data`, and how"),
    ]
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
    as_of: Annotated[
        AwareDatetime | None,
        Field(description="what occurred later, by its corrected time, is left out; corrections and voids are not"),
    ]
    known_at: Annotated[AwareDatetime | None, Field(description="events that were recorded later are left out")]
    standing: Annotated[Dossier | None, Field(description="null: nothing had happened, or nothing was known")]
    timeline: list[TimelineStep]
    freshness: Freshness


class DifferingDossier(Body):
    """A dossier whose live state is not what the archive folds to."""

    dossier: str
    partition: int
    fault: Annotated[str, Field(description="other state, not live, not in the archive, missing alarms, extra alarms")]


class AlarmTally(Body):
    """Alarms recomputed from the archive, and those that were published: missing and extra are 0 where all is well."""

    recomputed: int
    published: int
    missing: int
    extra: int
    superseded: Annotated[int, Field(description="warnings that later facts or rules overtook")]


class Rebuild(Body):
    """What came of folding the whole archive and comparing it with the live state."""

    compared: int
    differing: int
    first_differing: list[DifferingDossier]
    unsettled: Annotated[int, Field(description="dossiers that never stood still for long enough")]
    unreadable: Annotated[int, Field(description="archived records that are no events")]
    alarms: AlarmTally
    positions: Annotated[dict[str, int], Field(description="partition → ledger offset up to which it was compared")]
    version: Annotated[int | None, Field(description="of the states that dossier_states_now shows from now on")]
    rulebook: Annotated[str, Field(description="version of the newest rulebook")]
    events: Annotated[int, Field(description="ledger records up to the positions")]
    events_per_second: int
    peak_memory_mib: Annotated[int, Field(description="most memory that the folding processes had, together")]


class Failure(Body):
    """Something that is not as it was signed, as the broker has it, or as the live state shows it."""

    kind: Annotated[str, Field(examples=["root", "ledger: missing"])]
    position: Annotated[str, Field(examples=["3@1042", "dossier.alarms.v1/3@17"])]
    message: str


class Reconciled(Body):
    """Records of a topic compared with their rows, bytes included: ledger = archived + quarantined + missing."""

    ledger: Annotated[int, Field(description="records that the broker has")]
    archived: int
    quarantined: Annotated[int, Field(description="archived as unreadable")]
    missing: int
    duplicate: int
    different: Annotated[int, Field(description="rows with other bytes, or of no record")]
    altered: Annotated[int, Field(description="rows whose columns do not say what their record says")]


class Verification(Reconciled):
    """The whole archive against what was signed, the brokers and the live state. The counts are of the ledger."""

    ok: bool
    leaves: Annotated[int, Field(description="rows of which the leaf was hashed anew")]
    checkpoints: Annotated[int, Field(description="that the rows were compared with")]
    leaves_per_second: int
    beside: Annotated[dict[str, Reconciled], Field(description="topic → counts, of those archived beside the ledger")]
    dossiers_compared: Annotated[int, Field(description="archive against live state; 0 where that could not be done")]
    alarms_compared: Annotated[int, Field(description="recomputed, and looked for among those that were published")]
    unsettled: Annotated[int, Field(description="dossiers that never stood still for long enough")]
    failures_found: Annotated[int, Field(description="in all; of each topic's positions the first 20 are listed")]
    failures: list[Failure]


class Status(Body):
    """How a clock stands: late, soon, not_yet_due, in_time, stopped, none; done or done_late if it has ended."""

    code: str
    name: Name


class Remaining(Body):
    """Working time to a due, or past it: whole working days, and minutes beside them."""

    late: bool
    days: int
    minutes: int
    words: Annotated[Name, Field(examples=[{"vi": "còn 1 ngày 2 giờ làm việc", "en": "1 working day 2 hours left"}])]


class EventName(Body):
    """An event, as the cause of something."""

    type: str
    name: Name
    source: str
    id: str
    occurred_at: AwareDatetime


class Stretch(Body):
    """Consecutive days that count, or do not, for one reason."""

    first: date
    last: date
    counted: bool
    days: Annotated[int, Field(description="days that count; of a time in hours 0")]
    minutes: Annotated[int | None, Field(description="of a time in hours: working minutes that count")]
    rule: Annotated[str, Field(examples=["R10"])]
    why: Name
    event: Annotated[EventName | None, Field(description="the event that caused it")]


class ProcedureClock(Body):
    """Why a dossier is due when it is: every stretch of its clock, from the reception on."""

    legal_time: Annotated[str | None, Field(examples=["5d"])]
    unit: Annotated[str, Field(description="days, or minutes of working time")]
    began_at: Annotated[AwareDatetime, Field(description="later than the instant of the answer: nothing is due then")]
    stretches: list[Stretch]
    counted: Annotated[int, Field(description="since the clock began, or was started anew")]
    left: Annotated[int | None, Field(description="until the due; null: past it, or nothing is due")]
    total: Annotated[
        Name,
        Field(
            description="of days: those to the end of the day of the answer, or of the clock",
            examples=[
                {
                    "vi": "hết 05/03/2026 đã tính 3, còn 2 ngày làm việc",
                    "en": "by the end of 05/03/2026: 3 counted, 2 left, working days",
                }
            ],
        ),
    ]
    due_day: Annotated[date | None, Field(description="null while the clock is stopped")]
    due: Annotated[AwareDatetime | None, Field(description="its end: the office's closing, or the instant")]
    legal_due: Annotated[AwareDatetime | None, Field(description="its end in law: the day's end, or the instant")]
    ended_at: AwareDatetime | None
    status: Status
    remaining: Remaining | None
    official_class: Annotated[str, Field(description="against the due in force")]
    first_class: Annotated[str, Field(description="against the first promise, which nothing moves")]


class ClockLine(Body):
    """One clock of a dossier in a table, as its last span is."""

    kind: str
    name: Name
    step: str
    began_at: AwareDatetime
    ended_at: AwareDatetime | None
    due: AwareDatetime | None
    status: Status
    remaining: Remaining | None


class Explanation(Body):
    """The clocks of one dossier, explained as of an instant."""

    dossier: str
    at: AwareDatetime
    ahead_of: Annotated[
        AwareDatetime | None,
        Field(description="the clock's now, where the dossier was done ahead of it: then `at` is when that was"),
    ]
    known_at: Annotated[AwareDatetime | None, Field(description="what was recorded later is left out; null: nothing")]
    zone: str
    state: str
    state_name: Name
    office: str | None
    procedure: str | None
    procedure_name: Name | None
    promised: Annotated[AwareDatetime | None, Field(description="the first promise, a fact")]
    clock: Annotated[ProcedureClock | None, Field(description="null: not received, or nothing is known to be due")]
    not_before: Annotated[date | None, Field(description="first day on which a result may be given")]
    not_yet_due: Annotated[bool, Field(description="that day has not come · chưa đến hạn")]
    clocks: list[ClockLine]
    anomalies: list[Anomaly]
    freshness: Freshness


class Deadline(Body):
    """One running clock of a dossier."""

    dossier: str
    office: str
    room: str
    step: str
    person: str | None
    clock: str
    clock_name: Name
    due: AwareDatetime
    status: Status
    remaining: Remaining


class Deadlines(Body):
    """Running clocks, the earliest due first."""

    at: AwareDatetime
    deadlines: list[Deadline]
    total: Annotated[int, Field(description="how many match, those that are not listed included")]
    freshness: Freshness


class Words(Body):
    """What the codes mean, in both languages."""

    states: dict[str, Name]
    timeliness: dict[str, Name]
    anomalies: dict[str, Name]
    events: dict[str, Name]
    statuses: dict[str, Name]


class Time(Body):
    """The instant that deadlines are held against."""

    now: AwareDatetime
    simulated: bool
    speed: Annotated[float, Field(description="seconds of it in a real one")]


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
