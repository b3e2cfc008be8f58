"""What the codes are called, Vietnamese and English side by side: one place for page, API and command line."""

from __future__ import annotations

from typing import Final

from events.catalogue import CATALOGUE, WIRE_NAMES, AnyFact
from events.contract import names
from projections.clocks import ClockKind
from projections.expectation import Timeliness
from projections.outlook import Urgency
from projections.standing import ANOMALY_NAMES, STATE_NAMES_VI, AnomalyCode, State
from schemas.api import Name

#: Types of events that an audit asks for first: a due that was set by hand, and what takes others back.
OVERRIDDEN: Final = "dossier.due-overridden"
AMENDING: Final = ("dossier.corrected", "dossier.voided")

_STATE_NAMES_EN: Final[dict[State, str]] = {
    State.NONE: "Not known yet",
    State.SUBMITTED: "Submitted",
    State.INTAKE_SUPPLEMENT: "Supplement asked at intake",
    State.REFUSED: "Not taken in",
    State.RECEIVED: "Received",
    State.PROCESSING: "In processing",
    State.WAIT_APPLICANT: "Waiting for the applicant",
    State.WAIT_PAYMENT: "Waiting for payment",
    State.RESULT_READY: "Result ready",
    State.IN_POST: "In the post",
    State.UNCLAIMED: "Came back, unclaimed",
    State.RETURNED: "Returned",
    State.WITHDRAWN: "Withdrawn",
    State.STOPPED: "Stopped",
    State.CLOSED: "Closed",
}

STATE_NAMES: Final = {state: Name(vi=STATE_NAMES_VI[state], en=_STATE_NAMES_EN[state]) for state in State}

TIMELINESS_NAMES: Final[dict[Timeliness, Name]] = {
    Timeliness.EARLY: Name(vi="Trước hạn", en="Early"),
    Timeliness.ON_THE_DAY: Name(vi="Đúng ngày hẹn", en="On the day"),
    Timeliness.LATE: Name(vi="Quá hạn", en="Late"),
    Timeliness.NO_FINISH: Name(vi="Chưa có kết quả", en="No finish known"),
    Timeliness.NO_PROMISE: Name(vi="Không có ngày hẹn", en="No promise known"),
}

CLOCK_NAMES: Final[dict[ClockKind, Name]] = {
    ClockKind.INTAKE: Name(vi="Trả lời tiếp nhận", en="Answer at intake"),
    ClockKind.ROUTING: Name(vi="Chuyển xử lý", en="Routing"),
    ClockKind.PROCEDURE: Name(vi="Giải quyết hồ sơ", en="Whole dossier"),
    ClockKind.STEP: Name(vi="Bước", en="Step"),
    ClockKind.SUPPLEMENT: Name(vi="Hạn bổ sung của công dân", en="Applicant's supplement"),
    ClockKind.COLLECTION: Name(vi="Bưu điện chuyển đến", en="Brought by the post"),
}

STATUS_NAMES: Final[dict[str, Name]] = {
    Urgency.LATE: Name(vi="Quá hạn", en="Late"),
    Urgency.SOON: Name(vi="Sắp đến hạn", en="Due soon"),
    Urgency.NOT_YET_DUE: Name(vi="Chưa đến hạn", en="Not yet due"),
    Urgency.IN_TIME: Name(vi="Còn hạn", en="In time"),
    Urgency.STOPPED: Name(vi="Tạm dừng", en="Stopped"),
    Urgency.NONE: Name(vi="Không tính hạn", en="No clock runs"),
    "done": Name(vi="Xong đúng hạn", en="Done in time"),
    "done_late": Name(vi="Xong quá hạn", en="Done late"),
}

ANOMALIES: Final[dict[AnomalyCode, Name]] = {
    code: Name(vi=vi[:1].upper() + vi[1:], en=en[:1].upper() + en[1:]) for code, (vi, en) in ANOMALY_NAMES.items()
}

#: The fields of `schemas.api.Dossier`.
FIELD_NAMES: Final[dict[str, Name]] = {
    "state": Name(vi="Trạng thái", en="State"),
    "timeliness": Name(vi="So với ngày hẹn", en="Against the promise"),
    "office": Name(vi="Cơ quan", en="Office"),
    "room": Name(vi="Phòng", en="Room"),
    "person": Name(vi="Người giữ", en="Holder"),
    "step": Name(vi="Bước", en="Step"),
    "handed_to": Name(vi="Đang bàn giao cho", en="Being handed to"),
    "procedure": Name(vi="Thủ tục", en="Procedure"),
    "channel": Name(vi="Kênh", en="Channel"),
    "zone": Name(vi="Múi giờ", en="Time zone"),
    "submitted_at": Name(vi="Nộp", en="Submitted"),
    "received_at": Name(vi="Tiếp nhận", en="Received"),
    "promised": Name(vi="Hẹn trả", en="Promised"),
    "due": Name(vi="Hẹn trả hiện hành", en="Due now"),
    "processed_at": Name(vi="Có kết quả", en="Result"),
    "outcome": Name(vi="Loại kết quả", en="Outcome"),
    "ended_at": Name(vi="Kết thúc", en="Ended"),
    "supplements": Name(vi="Số lần yêu cầu bổ sung", en="Supplements asked"),
    "reschedules": Name(vi="Số lần hẹn lại", en="Reschedules"),
    "overrides": Name(vi="Số lần đặt lại hạn", en="Overrides"),
    "consultations": Name(vi="Ý kiến đang chờ", en="Consultations open"),
    "payment_due": Name(vi="Chờ nộp phí", en="Payment due"),
    "anomalies": Name(vi="Bất thường", en="Anomalies"),
    "events": Name(vi="Số sự kiện", en="Events"),
}


def _event_name(fact: type[AnyFact]) -> Name:
    english = WIRE_NAMES[fact].removeprefix("dossier.").replace("-", " ")
    return Name(vi=names(fact)[0], en=english.capitalize())


#: By wire name: "dossier.routed" is "Chuyển xử lý", "Routed".
EVENT_NAMES: Final = {WIRE_NAMES[fact]: _event_name(fact) for fact in CATALOGUE}
