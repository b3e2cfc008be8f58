"""The event catalogue: every fact the ledger knows, as frozen Structs that form one tagged union.

A fact is what the publisher says happened; its envelope (who published it, when it happened, to which dossier)
is `events.envelope.Event`. A new kind of fact is a new class here, never a changed one, and final, since the fold asks
for the exact class; the wire name comes from the class name: `DeliveredByPost` is `dossier.delivered-by-post`. A
docstring opens with the Vietnamese name and a colon: the published schemas and docs/events.md are made from it.

No fact carries personal data: people appear as references that mean nothing outside their own system, and free
text is for reasons, not for names.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from typing import Annotated, ClassVar, Literal, final, get_args

from msgspec import Meta, Struct

#: A short name or code: a room, a step, a procedure, a person's reference in the office's own system.
Code = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=4_000)]
Label = Annotated[str, Meta(min_length=1, max_length=128)]
Instant = Annotated[datetime, Meta(tz=True)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Dong = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Codes = Annotated[tuple[Code, ...], Meta(max_length=10)]
Items = Annotated[tuple[Text, ...], Meta(max_length=100)]
Attributes = Annotated[dict[Label, Text], Meta(max_length=200)]

#: How a dossier came in. `zalo` is intake on Zalo through the post office; `other` keeps foreign logs honest.
Channel = Literal["direct", "online", "post", "zalo", "ministry", "other"]
ReturnMode = Literal["counter", "online", "post"]


class Actor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Who acted, by references of the office's own system."""

    id: Code
    role: Code | None = None
    org: Code | None = None
    unit: Code | None = None


class LegalTime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A legal processing time: working days, working hours, calendar days or months."""

    n: Annotated[int, Meta(ge=0, le=10_000)]
    unit: Literal["d", "h", "cd", "mo"]


class Data(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What an event carries in its envelope: a fact here, an alarm in `events.alarms`."""

    #: Version of the published schema. Raise it, and keep reading the versions before, where a change would break
    #: those who write to the old one; `dossier schemas` says when.
    schema_version: ClassVar[int] = 1


class Fact(Data, frozen=True, kw_only=True):
    """What every fact may say: where, by whom, in which room, on which form."""

    office: Code
    actor: Actor | None = None
    room: Code | None = None
    form: Code | None = None
    note: Text | None = None
    attributes: Attributes = {}


# -- Intake ------------------------------------------------------------------------------------------------


@final
class Submitted(Fact, frozen=True):
    """Nộp hồ sơ: the legal submission; by post, the signing of the handover minutes (QĐ 45/2016 Art. 7.4)."""

    procedure: Code
    channel: Channel
    subject_ref: Code | None = None
    components: Items = ()
    item_code: Code | None = None
    minutes_no: Code | None = None
    signatories: Codes = ()
    zalo_ref: Code | None = None


@final
class CollectedByPost(Fact, frozen=True):
    """Bưu điện nhận hồ sơ: the applicant gave the dossier to the post."""

    item_code: Code
    post_office: Code | None = None
    checklist: Items = ()


@final
class SupplementRequested(Fact, frozen=True):
    """Yêu cầu bổ sung: at intake, or after appraisal (NĐ 118/2025 Art. 17.1, 19.5)."""

    stage: Literal["intake", "processing"]
    reason: Text
    items: Items = ()
    deadline: Instant | None = None
    guide: Code | None = None


@final
class SupplementReceived(Fact, frozen=True):
    """Nhận bổ sung: `complete` says whether all that was asked for is there."""

    complete: bool
    items: Items = ()


@final
class IntakeRefused(Fact, frozen=True):
    """Từ chối tiếp nhận: the dossier was not taken in, and why (NĐ 118/2025 Art. 17.1)."""

    reason: Text


@final
class Received(Fact, frozen=True):
    """Tiếp nhận và hẹn trả: full and valid; the receipt slip carries the promised date (Art. 17.3)."""

    procedure: Code
    channel: Channel
    promised: Instant | None = None
    code: Code | None = None
    procedure_version: Code | None = None
    legal_time: LegalTime | None = None
    return_mode: ReturnMode | None = None
    components: Items = ()
    subject_ref: Code | None = None
    #: IANA name of the office's time zone, where that is not Asia/Ho_Chi_Minh (imports of foreign logs).
    zone: Code | None = None


# -- Routing and processing ----------------------------------------------------------------------------------


@final
class Routed(Fact, frozen=True):
    """Chuyển xử lý: `room` lets go, `to` has not confirmed yet. `back` returns it, `recall` takes it back,
    `authority` forwards it to the competent authority."""

    to: Code
    step: Code | None = None
    step_due: Instant | None = None
    direction: Literal["forward", "back", "recall", "authority"] = "forward"
    reason: Text | None = None
    paper_sent_at: Instant | None = None


@final
class HandoffConfirmed(Fact, frozen=True):
    """Ký nhận: the receiving room takes the dossier."""

    room: Code
    step: Code | None = None
    sender: Code | None = None


@final
class StepStarted(Fact, frozen=True):
    """Bắt đầu bước: work on a step began."""

    step: Code
    step_due: Instant | None = None


@final
class StepCompleted(Fact, frozen=True):
    """Hoàn thành bước: a step is done. `finished` is for who enters it at another time than it was done at."""

    step: Code
    outcome: Text | None = None
    step_due: Instant | None = None
    finished: Instant | None = None


@final
class ConsultationRequested(Fact, frozen=True):
    """Lấy ý kiến cơ quan khác: never stops the clock (NĐ 118/2025 Art. 19.4)."""

    agency: Code
    ref: Code | None = None
    reply_due: Instant | None = None
    content: Text | None = None


@final
class ConsultationAnswered(Fact, frozen=True):
    """Cơ quan được hỏi đã trả lời: the consulted agency replied."""

    agency: Code
    ref: Code | None = None


@final
class PaymentRequested(Fact, frozen=True):
    """Yêu cầu thực hiện nghĩa vụ tài chính: the applicant was told what to pay."""

    amount: Dong
    due: Instant | None = None


@final
class PaymentReceived(Fact, frozen=True):
    """Hoàn thành nghĩa vụ tài chính: it was paid."""

    amount: Dong
    receipt_no: Code | None = None
    method: Code | None = None


@final
class Rescheduled(Fact, frozen=True):
    """Xin lỗi và hẹn lại: extension, apology and new date as one act, once (NĐ 118/2025 Art. 19.6)."""

    new_due: Instant
    apology_no: Code
    reason: Text
    old_due: Instant | None = None


@final
class DueOverridden(Fact, frozen=True):
    """Đặt lại ngày hẹn: exceptional, with an approver, always listed in the audit."""

    new_due: Instant
    reason: Text
    approver: Actor
    old_due: Instant | None = None


@final
class Withdrawn(Fact, frozen=True):
    """Rút hồ sơ: the applicant took the dossier back (NĐ 118/2025 Art. 21)."""

    reason: Text | None = None


@final
class Stopped(Fact, frozen=True):
    """Dừng giải quyết: processing was stopped, on a legal basis."""

    reason: Text
    basis: Text


@final
class ClosedWithoutSupplement(Fact, frozen=True):
    """Đóng hồ sơ: the supplement never came (NĐ 118/2025 Art. 19.5)."""

    rule: Text


# -- Result and return ---------------------------------------------------------------------------------------


@final
class Processed(Fact, frozen=True):
    """Đã xử lý xong: the result or refusal reached the one-stop office; the clock ends here."""

    outcome: Literal["issued", "refused", "immediate"]
    result_no: Code | None = None
    reason: Text | None = None
    signer: Code | None = None
    signed_at: Instant | None = None
    document: Code | None = None


@final
class Returned(Fact, frozen=True):
    """Trả kết quả: handed over at the counter or online."""

    mode: Literal["counter", "online"] = "counter"
    recipient_ref: Code | None = None
    signature_ref: Code | None = None


@final
class HandedToPost(Fact, frozen=True):
    """Bàn giao Bưu điện: the result, or the dossier after a driving test."""

    parcel: Literal["result", "post_exam_dossier"] = "result"
    item_code: Code | None = None


@final
class PostDeliveryFailed(Fact, frozen=True):
    """Phát không thành công: the post could not deliver the result."""

    attempt: Annotated[int, Meta(ge=1, le=100)]
    reason: Text | None = None


@final
class ReturnedByPost(Fact, frozen=True):
    """Chuyển hoàn: the post gave the result back, after two invitations (TT 17/2017 Art. 5.2h)."""

    reason: Text | None = None


@final
class DeliveredByPost(Fact, frozen=True):
    """Bưu điện phát thành công: the post delivered the result."""

    item_code: Code | None = None
    signature_ref: Code | None = None


# -- About the dossier and its record ------------------------------------------------------------------------


@final
class FeedbackReceived(Fact, frozen=True):
    """Đánh giá, phản ánh, khiếu nại, tố cáo: what people said of the service."""

    kind: Literal["rating", "complaint", "denunciation", "proposal"]
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None
    ref: Code | None = None


@final
class Corrected(Fact, frozen=True):
    """Đính chính: one field of an earlier event, by (source, id); the earlier event stays as it was.

    So does the first promise: a corrected one is the due in force, from the reception on.
    """

    target_source: Code
    target_id: Code
    field: Code
    new: Text | Int64 | bool | None
    reason: Text
    approver: Actor
    old: Text | Int64 | bool | None = None


@final
class Voided(Fact, frozen=True):
    """Hủy ghi nhận: an earlier event, by (source, id), did not happen; it stays on the ledger."""

    target_source: Code
    target_id: Code
    reason: Text
    approver: Actor


@final
class DueRecomputed(Fact, frozen=True):
    """Tính lại hạn do lịch làm việc thay đổi: the calendar was amended, and the applicant was told the new date."""

    new_due: Instant
    rulebook: Code
    old_due: Instant | None = None


AnyFact = (
    Submitted
    | CollectedByPost
    | SupplementRequested
    | SupplementReceived
    | IntakeRefused
    | Received
    | Routed
    | HandoffConfirmed
    | StepStarted
    | StepCompleted
    | ConsultationRequested
    | ConsultationAnswered
    | PaymentRequested
    | PaymentReceived
    | Rescheduled
    | DueOverridden
    | Withdrawn
    | Stopped
    | ClosedWithoutSupplement
    | Processed
    | Returned
    | HandedToPost
    | PostDeliveryFailed
    | ReturnedByPost
    | DeliveredByPost
    | FeedbackReceived
    | Corrected
    | Voided
    | DueRecomputed
)

#: Every kind of fact. The position is the kind's number inside stored states: append only, never reorder.
CATALOGUE: tuple[type[AnyFact], ...] = get_args(AnyFact)


@cache
def wire_name(kind: type[Data]) -> str:
    """The `type` of a fact or an alarm on the wire: `HandedToPost` → `dossier.handed-to-post`."""
    return "dossier." + re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


WIRE_NAMES: dict[type[AnyFact], str] = {kind: wire_name(kind) for kind in CATALOGUE}
