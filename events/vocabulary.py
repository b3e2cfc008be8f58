"""What each field means, in Vietnamese and English, with an example: the words of the published schemas and docs.

One entry a name: a name means the same in every fact. The examples are made up.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Meaning(NamedTuple):
    """What people read about one field, and a value they might see in it."""

    vi: str
    en: str
    example: Any


ENVELOPE: dict[str, Meaning] = {
    "type": Meaning("loại sự kiện", "kind of event, from the catalogue", None),
    "specversion": Meaning("phiên bản CloudEvents", "version of CloudEvents", "1.0"),
    "id": Meaning(
        "mã sự kiện", "the publisher's own id, unique within its source", "0192f3a0-7c1e-7b52-9d0e-3f5a6c7d8e9f"
    ),
    "source": Meaning(
        "hệ thống gửi", "name of the publishing system; (source, id) is the event's identity", "motcua.gialai"
    ),
    "subject": Meaning("mã hồ sơ", "the dossier; also the key of the Kafka record", "H21.18-200315-0042"),
    "time": Meaning(
        "thời điểm xảy ra",
        "when it happened in the office, with its offset, to the microsecond",
        "2020-03-16T08:30:00+07:00",
    ),
    "data": Meaning("nội dung", "the fact", None),
    "datacontenttype": Meaning("kiểu nội dung", "media type of data", "application/json"),
    "dataschema": Meaning("lược đồ", "URI of the schema, with its version", None),
    "sourcerank": Meaning("thứ tự nguồn", "order among sources that report the same instant; lower goes first", 50),
    "correlationid": Meaning("mã liên kết", "what belongs together across dossiers", "dot-giao-12"),
    "causationid": Meaning(
        "mã nguyên nhân", "id of the event that led to this one", "0192f3a0-7c1e-7b52-9d0e-000000000001"
    ),
    "traceparent": Meaning("vết gọi", "W3C trace context", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
}

COMMON: dict[str, Meaning] = {
    "office": Meaning("cơ quan", "office that reports the fact", "H21.18"),
    "actor": Meaning(
        "người thực hiện", "who acted, by reference; never a name", {"id": "cb-017", "role": "chuyen-vien"}
    ),
    "room": Meaning("phòng", "room that acts, or lets go", "van-thu"),
    "form": Meaning("mẫu giấy", "form used: circular and number", "TT03/2025-01"),
    "note": Meaning("ghi chú", "free text; no personal data", "bổ sung vào hồ sơ giấy"),
    "attributes": Meaning("thuộc tính", "what the source says beyond these fields", {"so-bo": "1"}),
}

FIELDS: dict[str, Meaning] = {
    "agency": Meaning("cơ quan được hỏi", "agency that is consulted", "so-tnmt"),
    "amount": Meaning("số tiền", "amount in đồng", 135_000),
    "apology_no": Meaning("số phiếu xin lỗi", "number of the apology slip", "12/PXL-SGTVT"),
    "approver": Meaning("người duyệt", "who approved it", {"id": "ld-002"}),
    "attempt": Meaning("lần phát", "which attempt this was, from 1", 1),
    "basis": Meaning("căn cứ", "legal basis", "Điều 21 NĐ 118/2025/NĐ-CP"),
    "channel": Meaning("kênh nộp", "how the dossier came in", "direct"),
    "checklist": Meaning("danh mục kiểm", "what the post ticked off", ("đơn đề nghị", "giấy phép cũ")),
    "code": Meaning("mã trên giấy tiếp nhận", "code printed on the receipt slip", "H21.18-200315-0042"),
    "complete": Meaning("đủ", "whether all that was asked for is there", True),
    "components": Meaning("thành phần hồ sơ", "papers handed in", ("đơn đề nghị", "giấy khám sức khỏe")),
    "content": Meaning("nội dung hỏi", "what the agency is asked", "ý kiến về điểm đấu nối"),
    "deadline": Meaning("hạn bổ sung", "until when the supplement may come", "2020-03-31T17:00:00+07:00"),
    "direction": Meaning("chiều chuyển", "forward, back a step, recalled, or on to the competent authority", "forward"),
    "document": Meaning("số văn bản từ chối", "number of the refusal", "31/SGTVT-VT"),
    "due": Meaning("hạn nộp", "until when to pay", "2020-03-19T17:00:00+07:00"),
    "field": Meaning("trường sửa", "name of the field of `data` that is corrected", "promised"),
    "finished": Meaning("ngày làm xong", "when the step was done; absent: at `time`", "2020-03-16T16:00:00+07:00"),
    "guide": Meaning("người hướng dẫn", "who told the applicant what is missing, by reference", "cb-017"),
    "id": Meaning("mã người", "reference of the person in the office's own system", "cb-017"),
    "item_code": Meaning("mã bưu gửi", "code of the postal item", "EA123456789VN"),
    "items": Meaning("giấy tờ", "papers asked for, or brought", ("giấy khám sức khỏe",)),
    "kind": Meaning("loại ý kiến", "kind of feedback", "rating"),
    "legal_time": Meaning("thời hạn theo quy định", "legal processing time", {"n": 5, "unit": "d"}),
    "method": Meaning("hình thức nộp", "how it was paid", "chuyen-khoan"),
    "minutes_no": Meaning("số biên bản bàn giao", "number of the handover minutes with the post", "BB-0316-02"),
    "mode": Meaning("hình thức trả", "how the result was handed over", "counter"),
    "n": Meaning("số lượng", "how many units", 5),
    "new": Meaning("giá trị mới", "the value that should have been there", "2020-03-23T17:00:00+07:00"),
    "new_due": Meaning("ngày hẹn mới", "the new due date", "2020-03-25T17:00:00+07:00"),
    "old": Meaning("giá trị cũ", "the value that stands there", "2020-03-20T17:00:00+07:00"),
    "old_due": Meaning("ngày hẹn cũ", "the due date it replaces", "2020-03-20T17:00:00+07:00"),
    "outcome": Meaning("kết quả", "how it ended", "đạt"),
    "paper_sent_at": Meaning("lúc gửi bản giấy", "when the papers went after it", "2020-03-17T08:00:00+07:00"),
    "parcel": Meaning("bưu gửi", "what was handed to the post", "result"),
    "post_office": Meaning("bưu cục", "post office that collected it", "600000"),
    "procedure": Meaning("mã thủ tục", "procedure applied for", "1.002809"),
    "rulebook": Meaning("phiên bản bộ quy tắc", "version of the rulebook it follows from", "sha256-5f1c"),
    "procedure_version": Meaning("phiên bản thủ tục", "version of the procedure in force", "2020-01"),
    "promised": Meaning("ngày hẹn trả", "promise: the due date printed on the receipt", "2020-03-20T17:00:00+07:00"),
    "rating": Meaning("điểm", "1 to 5", 5),
    "reason": Meaning("lý do", "why; no personal data", "thiếu giấy khám sức khỏe"),
    "receipt_no": Meaning("số biên lai", "number of the payment receipt", "BL-0001234"),
    "recipient_ref": Meaning("mã người nhận", "reference of who took the result", "ng-5521"),
    "ref": Meaning("số văn bản", "number of the letter or case", "218/SGTVT-VP"),
    "reply_due": Meaning("hạn trả lời", "until when the agency should reply", "2020-03-18T17:00:00+07:00"),
    "result_no": Meaning("số kết quả", "number of the issued result", "GPLX-640123"),
    "return_mode": Meaning("hình thức nhận kết quả", "how the applicant wants the result", "counter"),
    "role": Meaning("vai trò", "role of the person", "chuyen-vien"),
    "org": Meaning("tổ chức", "organisation of the person", "so-gtvt"),
    "rule": Meaning("quy định", "rule under which it was closed", "Điều 19.5 NĐ 118/2025/NĐ-CP"),
    "sender": Meaning("nơi giao", "room that let go", "van-thu"),
    "signature_ref": Meaning("mã chữ ký", "reference of the recipient's signature", "ck-99812"),
    "signatories": Meaning("người ký biên bản", "who signed the handover minutes, by reference", ("bd-031", "cb-017")),
    "signed_at": Meaning("lúc ký", "when the result was signed", "2020-03-19T15:20:00+07:00"),
    "signer": Meaning("người ký", "who signed the result, by reference", "ld-002"),
    "stage": Meaning("giai đoạn", "at intake, or after appraisal", "intake"),
    "step": Meaning("bước", "step of the procedure", "tham-dinh"),
    "step_due": Meaning("hạn của bước", "until when the step should be done", "2020-03-17T11:30:00+07:00"),
    "subject_ref": Meaning("mã người nộp", "reference of the applicant; never a name or number", "ng-5521"),
    "target_id": Meaning("mã sự kiện gốc", "id of the earlier event", "0192f3a0-7c1e-7b52-9d0e-000000000001"),
    "target_source": Meaning("nguồn sự kiện gốc", "source of the earlier event", "motcua.gialai"),
    "to": Meaning("nơi nhận", "room or agency that should take it", "van-tai"),
    "unit": Meaning("đơn vị", "unit of the person; or of a time: d, h (working), cd, mo (calendar)", "d"),
    "zalo_ref": Meaning("mã Zalo", "reference of the Zalo conversation", "zl-20417"),
    "zone": Meaning("múi giờ", "IANA time zone of the office, if not Asia/Ho_Chi_Minh", "Europe/Amsterdam"),
}

#: What alarms say beside the words above, or under a name that means something else in a fact.
ALARM_FIELDS: dict[str, Meaning] = {
    "alarm": Meaning("mã cảnh báo bị hủy", "id of the alarm that is taken back", "5d41402abc4b2a76b9719d911017c592"),
    "archived": Meaning("trạng thái theo kho lưu", "sha256 of the state that the archive gives", "9f86d081884c7d65"),
    "clock": Meaning("thời hạn", "which clock", "procedure"),
    "differs": Meaning("khác nhau ở", "what differs, by name", ("due", "state")),
    "due": Meaning("thời điểm đến hạn", "the instant that was due", "2020-03-20T17:00:00+07:00"),
    "live": Meaning("trạng thái đang chạy", "sha256 of the live state", "60303ae22b998861"),
    "name": Meaning("bước", "the step of a step clock", "tham-dinh"),
    "office": Meaning("cơ quan", "office that has the dossier", "H21.18"),
    "person": Meaning("người giữ hồ sơ", "who has the dossier, by reference", "cb-017"),
    "position": Meaning("vị trí", "ledger position up to which was compared", "dossier.events.v1/3@1841"),
    "room": Meaning("phòng", "room that has the dossier, or should take it", "van-tai"),
}
