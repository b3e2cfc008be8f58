"""Where a dossier stands: what the fold gives after each event, small and immutable.

Instants are microseconds since 1970 UTC (`events.envelope.microseconds`); dates are computed by readers in the
office's zone, never stored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple

from projections.timing import Timing


class State(StrEnum):
    """The states of a dossier, named once for wire, page and report."""

    NONE = "NONE"  # events are known, none of them opens the dossier yet
    SUBMITTED = "SUBMITTED"
    INTAKE_SUPPLEMENT = "INTAKE_SUPPLEMENT"
    REFUSED = "REFUSED"
    RECEIVED = "RECEIVED"
    PROCESSING = "PROCESSING"
    WAIT_APPLICANT = "WAIT_APPLICANT"
    WAIT_PAYMENT = "WAIT_PAYMENT"
    RESULT_READY = "RESULT_READY"
    IN_POST = "IN_POST"
    UNCLAIMED = "UNCLAIMED"
    RETURNED = "RETURNED"
    WITHDRAWN = "WITHDRAWN"
    STOPPED = "STOPPED"
    CLOSED = "CLOSED"


# For the fold, which asks for each event. Asked of its class, a member costs as much as a call (in 3.11 `EnumType` has
# a `__getattr__`); sets of states are tuples because an enum's hash is a call.
NONE: Final = State.NONE
SUBMITTED: Final = State.SUBMITTED
RECEIVED: Final = State.RECEIVED
PROCESSING: Final = State.PROCESSING
WAIT_PAYMENT: Final = State.WAIT_PAYMENT
RESULT_READY: Final = State.RESULT_READY
IN_POST: Final = State.IN_POST
RETURNED: Final = State.RETURNED

FINAL: Final = (State.REFUSED, RETURNED, State.WITHDRAWN, State.STOPPED, State.CLOSED)
AT_WORK: Final = (RECEIVED, PROCESSING)
OPEN: Final = (*AT_WORK, State.WAIT_APPLICANT, WAIT_PAYMENT)
BEFORE_RECEPTION: Final = (NONE, SUBMITTED, State.INTAKE_SUPPLEMENT)

STATE_NAMES_VI: Final[dict[State, str]] = {
    State.NONE: "Chưa rõ",
    State.SUBMITTED: "Mới đăng ký",
    State.INTAKE_SUPPLEMENT: "Chờ bổ sung trước tiếp nhận",
    State.REFUSED: "Không được tiếp nhận",
    State.RECEIVED: "Được tiếp nhận",
    State.PROCESSING: "Đang xử lý",
    State.WAIT_APPLICANT: "Chờ bổ sung giấy tờ",
    State.WAIT_PAYMENT: "Chờ nghĩa vụ tài chính",
    State.RESULT_READY: "Đã xử lý xong",
    State.IN_POST: "Bưu điện đang phát",
    State.UNCLAIMED: "Chuyển hoàn, chờ nhận",
    State.RETURNED: "Đã trả kết quả",
    State.WITHDRAWN: "Công dân rút hồ sơ",
    State.STOPPED: "Dừng xử lý",
    State.CLOSED: "Đóng hồ sơ",
}

#: The national portal's status code of each state; NONE has none.
PORTAL_STATUS: Final[dict[State, int]] = {
    State.SUBMITTED: 1,
    State.INTAKE_SUPPLEMENT: 5,
    State.REFUSED: 3,
    State.RECEIVED: 2,
    State.PROCESSING: 4,
    State.WAIT_APPLICANT: 5,
    State.WAIT_PAYMENT: 6,
    State.RESULT_READY: 9,
    State.IN_POST: 9,
    State.UNCLAIMED: 9,
    State.RETURNED: 10,
    State.WITHDRAWN: 7,
    State.STOPPED: 8,
    State.CLOSED: 8,
}


class AnomalyCode(StrEnum):
    """What an event can show to be irregular. The event is kept and applied as far as it can be."""

    UNEXPECTED = "A00"  # the state machine does not expect this here
    BEFORE_RECEPTION = "A01"
    NO_RESULT_ISSUED = "A02"  # returned or posted without a known result: the finish stays unknown
    RETURNED_TWICE = "A03"
    SECOND_RESCHEDULE = "A05"
    SUPPLEMENT_NOTICE_LATE = "A06"  # of these, A06, A11, A12, A14, A17 and A18 are shown by rules (`findings`)
    SECOND_SUPPLEMENT_REQUEST = "A07"
    FROM_THE_FUTURE = "A08"  # occurred more than five minutes after it was recorded
    OVERRIDE_WITHOUT_FORM = "A10"
    STOP_NOT_ALLOWED = "A11"
    ROUTING_LATE = "A12"
    POST_WITHOUT_HANDOVER = "A13"
    APOLOGY_LATE = "A14"
    AFTER_FINAL = "A15"
    IDENTITY_REUSED = "A16"  # same source and id, other content
    INTAKE_ANSWER_LATE = "A17"
    RESULT_TOO_EARLY = "A18"


ANOMALY_NAMES: Final[dict[AnomalyCode, tuple[str, str]]] = {
    AnomalyCode.UNEXPECTED: ("không đúng trình tự", "not expected in this state"),
    AnomalyCode.BEFORE_RECEPTION: ("trước khi tiếp nhận", "before reception"),
    AnomalyCode.NO_RESULT_ISSUED: ("trả khi chưa có kết quả", "returned without a known result"),
    AnomalyCode.RETURNED_TWICE: ("trả hai lần", "returned twice"),
    AnomalyCode.SECOND_RESCHEDULE: ("hẹn lại lần hai", "rescheduled a second time"),
    AnomalyCode.SUPPLEMENT_NOTICE_LATE: (
        "báo bổ sung quá 3 ngày làm việc",
        "supplement asked for after 3 working days",
    ),
    AnomalyCode.SECOND_SUPPLEMENT_REQUEST: ("yêu cầu bổ sung lần hai", "second supplement request"),
    AnomalyCode.FROM_THE_FUTURE: ("xảy ra sau khi ghi nhận", "occurred after it was recorded"),
    AnomalyCode.OVERRIDE_WITHOUT_FORM: ("đặt lại hẹn không có biểu mẫu", "due overridden without a form"),
    AnomalyCode.STOP_NOT_ALLOWED: ("thủ tục không cho dừng thời hạn", "the procedure does not allow this stop"),
    AnomalyCode.ROUTING_LATE: ("chuyển xử lý muộn", "routed late"),
    AnomalyCode.POST_WITHOUT_HANDOVER: ("bưu điện chưa nhận bàn giao", "post event without a hand-over"),
    AnomalyCode.APOLOGY_LATE: ("xin lỗi muộn hơn 1 ngày trước hạn", "apology less than a day before the due"),
    AnomalyCode.AFTER_FINAL: ("sau khi kết thúc", "after the end"),
    AnomalyCode.IDENTITY_REUSED: ("trùng mã, khác nội dung", "same identity, other content"),
    AnomalyCode.INTAKE_ANSWER_LATE: ("trả lời tiếp nhận quá 8 giờ làm việc", "intake answered after 8 working hours"),
    AnomalyCode.RESULT_TOO_EARLY: ("có kết quả trước ngày được phép", "result before the first day allowed"),
}


class Anomaly(Struct, frozen=True, array_like=True, gc=False):
    """An irregularity and the identity (`source\\nid`) of the event that shows it."""

    code: AnomalyCode
    identity: str


class Draft(Struct, array_like=True, gc=False):
    """A `Standing` while the fold writes it: nobody else sees it before it is one."""

    state: State = State.NONE
    office: str | None = None
    room: str | None = None  # the holder; None: nobody yet
    person: str | None = None
    step: str | None = None
    handed_to: str | None = None  # in hand-over: `room` has let go, this room has not confirmed
    procedure: str | None = None
    channel: str | None = None
    zone: str | None = None
    submitted_at: int | None = None
    received_at: int | None = None
    promised: int | None = None  # the first promise, a fact that nothing moves
    due: int | None = None  # the promise in force
    processed_at: int | None = None  # None after the end means: finish unknown (never inferred)
    outcome: str | None = None
    ended_at: int | None = None  # returned, withdrawn, stopped, closed or refused
    last_at: int | None = None
    supplements: int = 0
    reschedules: int = 0
    overrides: int = 0
    consultations: int = 0  # asked and not answered
    payment_due: bool = False
    anomalies: tuple[Anomaly, ...] = ()
    timing: Timing = Timing()


class Standing(Draft, frozen=True, array_like=True, gc=False):  # type: ignore[misc]  # the same fields, no longer written
    """Where a dossier stands after some prefix of its events in effective order."""


def draft_of(standing: Standing) -> Draft:
    """A copy to write on."""
    return Draft(*astuple(standing))


def standing_of(draft: Draft) -> Standing:
    """A copy that stays as it is."""
    return Standing(*astuple(draft))


def sealed(draft: Draft) -> Standing:
    """The draft itself, which from now on nobody can write on: for a copy less in what is done for each event."""
    draft.__class__ = Standing
    return draft  # type: ignore[return-value]  # it has just become one


class Queue(Struct, frozen=True, order=True):
    """One line a dossier waits in: an office's room at a step, or what it waits for there.

    `waits`: its state where it is somebody else's turn, or only to be handed over. Empty: the room works on it.
    """

    office: str
    room: str
    step: str
    waits: str = ""


#: Nothing to work on: it waits for the applicant or a payment, or with its result to be handed over or fetched.
_WAITING: Final = (State.INTAKE_SUPPLEMENT, State.WAIT_APPLICANT, WAIT_PAYMENT, RESULT_READY, State.UNCLAIMED)


def queue_of(standing: Standing) -> Queue | None:
    """The queue a dossier is in, or None when nobody has to act on it any more (or nothing is known)."""
    if standing.state in FINAL or standing.state is State.NONE:
        return None
    office, state = standing.office or "", standing.state
    if state is IN_POST:
        return Queue(office, "", "", state.value)
    waits = state.value if state in _WAITING else ""
    return Queue(office, standing.handed_to or standing.room or "", standing.step or "", waits)
