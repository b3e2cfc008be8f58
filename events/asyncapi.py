"""The AsyncAPI 3.0 document: the topics, what stands on them, and who may write to the ledger."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from events.access import ACCESS, ACCESS_CATALOGUE, ACCESS_TOPIC
from events.alarms import ALARM_CATALOGUE, ALARM_WIRE_NAMES, ALARMS_TOPIC
from events.catalogue import CATALOGUE, WIRE_NAMES, Data, wire_name
from events.contract import Document, names, schema_path
from events.envelope import CONTENT_TYPE
from events.ledger import LEDGER_TOPIC
from events.quarantine import QUARANTINE_TOPIC, QuarantineRecord
from events.rulebook import RULEBOOKS_TOPIC, RulebookPublished

_BINDING_VERSION: Final = "0.5.0"
_DOSSIER_KEY: Final[Document] = {"type": "string", "description": "mã hồ sơ · the dossier (the event's subject)"}
_ORIGIN_KEY: Final[Document] = {
    "type": "string",
    "description": "nguồn gốc · ledger position or line of a file",
}


def asyncapi() -> Document:
    """The whole document; event messages point to the JSON Schemas beside it."""
    ledger = {WIRE_NAMES[fact]: _event_message(fact) for fact in CATALOGUE}
    alarms = {ALARM_WIRE_NAMES[alarm]: _event_message(alarm) for alarm in ALARM_CATALOGUE}
    rulebooks = {wire_name(RulebookPublished): _event_message(RulebookPublished, _RULEBOOK_PAYLOAD, _RULEBOOK_KEY)}
    access = {wire_name(kind): _event_message(kind, _access_payload(kind), _ACCESS_KEY) for kind in ACCESS_CATALOGUE}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sổ cái hồ sơ một cửa · Dossier Ledger",
            "version": "1.0.0",
            "description": "Facts about one-stop dossiers, and what is made of them, on Apache Kafka.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "ledger": _channel(LEDGER_TOPIC, _LEDGER, list(ledger), "delete", retention_ms=-1),
            "live": _channel("dossier.live.v1", _LIVE, ["dossier.state"], "compact"),
            "quarantine": _channel(QUARANTINE_TOPIC, _QUARANTINE, ["dossier.unreadable"], "compact"),
            "alarms": _channel(ALARMS_TOPIC, _ALARMS, list(alarms), "delete", retention_ms=-1),
            "rulebooks": _channel(RULEBOOKS_TOPIC, _RULEBOOKS, list(rulebooks), "delete", retention_ms=-1),
            "access": _channel(ACCESS_TOPIC, _ACCESS, list(access), "delete", retention_ms=-1),
            "checkpoints": _channel("dossier.checkpoints.v1", _CHECKPOINTS, ["dossier.checkpoint"], "compact"),
        },
        "operations": {
            "publish": _operation("receive", "ledger", "A back-office publishes facts; the ledger takes them."),
            "state": _operation("send", "live", "The projector writes the newest state of each dossier it touched."),
            "set-aside": _operation("send", "quarantine", "A reader sets an unreadable record aside and goes on."),
            "alarm": _operation("send", "alarms", "A clock passes its due, or has not done so after all."),
            "sign": _operation("send", "checkpoints", "The archiver signs the Merkle log of what it has archived."),
            "read": _operation("send", "access", "Somebody looks at a dossier's past: that is recorded first."),
            "rule": _operation("receive", "rulebooks", "`dossier rulebook publish` publishes the rules that hold."),
        },
        "components": {
            "messages": ledger | alarms | rulebooks | access | _OTHER_MESSAGES,
            "schemas": _own_schemas(),
        },
    }


_LEDGER: Final = (
    "Sổ cái · The ledger: every fact, kept for ever. A position is (partition, offset); recorded_at is the append time."
)
_LIVE: Final = "Trạng thái · The newest state of each dossier, compacted; made from the ledger, never the truth itself."
_QUARANTINE: Final = "Cách ly · Records no reader could understand, as they came, with position and reason."
_ALARMS: Final = (
    "Cảnh báo · What the clocks say. A record whose id is known already is the same alarm; of a breach and its "
    "clearing the later one holds."
)
_RULEBOOKS: Final = (
    "Bộ quy tắc · Every rulebook that was published, whole, in the order in which they became known: the append time."
)
_CHECKPOINTS: Final = (
    "Điểm kiểm chứng · The newest signed checkpoint of each partition's Merkle log, for who watches that it only grows."
)
_ACCESS: Final = "Nhật ký tra cứu · Who looked at what, and when; kept and archived like the ledger."
_ACCESS_KEY: Final[Document] = {"type": "string", "description": "what was looked at (the event's subject)"}
_CHECKPOINT_KEY: Final[Document] = {"type": "string", "description": "the checkpoint's origin: LEDGER/TOPIC/PARTITION"}
_RULEBOOK_KEY: Final[Document] = {"type": "string", "description": "tên · name of the rulebook (the event's subject)"}
_RULEBOOK_PAYLOAD: Final[Document] = {
    "type": "object",
    "required": ["type", "specversion", "id", "source", "subject", "time", "data"],
    "properties": {
        "data": {
            "type": "object",
            "required": ["version", "content"],
            "properties": {
                "version": {"type": "string", "description": "sha256 of the content's canonical JSON"},
                "content": {"$ref": "./rulebook.json"},
            },
        }
    },
}

_OTHER_MESSAGES: Final[Document] = {
    "dossier.state": {
        "title": "Trạng thái hồ sơ · State of a dossier",
        "summary": "A private record of this program, MessagePack; other programs ask the gateway instead.",
        "contentType": "application/vnd.msgpack",
        "payload": {"type": "string", "format": "binary"},
        "bindings": {"kafka": {"key": _DOSSIER_KEY, "bindingVersion": _BINDING_VERSION}},
    },
    "dossier.checkpoint": {
        "title": "Điểm kiểm chứng · Signed checkpoint",
        "summary": "A signed note as C2SP tlog-checkpoint has it: origin, size, root hash, Ed25519 signatures.",
        "contentType": "text/plain; charset=utf-8",
        "payload": {"type": "string"},
        "bindings": {"kafka": {"key": _CHECKPOINT_KEY, "bindingVersion": _BINDING_VERSION}},
    },
    "dossier.unreadable": {
        "title": "Bản ghi không đọc được · Unreadable record",
        "summary": "The record's own bytes and headers, where it came from, and why it could not be read.",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/QuarantineRecord"},
        "bindings": {"kafka": {"key": _ORIGIN_KEY, "bindingVersion": _BINDING_VERSION}},
    },
}


def _access_payload(kind: Any) -> Document:
    """Written by this program alone, so its schema is not published beside those of the facts."""
    return {"$ref": f"#/components/schemas/{ACCESS.envelopes[kind].__name__}"}


def _own_schemas() -> Document:
    """Of what this program alone writes."""
    kinds = [QuarantineRecord, *ACCESS.envelopes.values()]
    _, parts = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {name: _in_asyncapi_words(part) for name, part in sorted(parts.items())}


def _in_asyncapi_words(node: Any) -> Any:
    """A JSON Schema of 2020-12 as AsyncAPI's own schemas say it, which follow draft 7."""
    if isinstance(node, list):
        return [_in_asyncapi_words(each) for each in node]
    if not isinstance(node, dict):
        return " ".join(node.split()) if isinstance(node, str) else node
    words = {name: _in_asyncapi_words(each) for name, each in node.items() if name != "discriminator"}
    if "prefixItems" in words:  # a tuple; the name of the keyword changed since
        words["items"] = words.pop("prefixItems")
    return words


def _event_message(kind: type[Data], schema: Document | None = None, key: Document = _DOSSIER_KEY) -> Document:
    """The message of a kind: with its published schema, if it is not given."""
    vietnamese, english = names(kind)
    return {
        "name": wire_name(kind),
        "title": f"{kind.__name__} · {vietnamese}",
        "summary": english,
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "required": ["content-type", "ce-id", "ce-type"],
            "properties": {
                "content-type": {"type": "string", "const": CONTENT_TYPE},
                "ce-id": {"type": "string", "description": "the event's id"},
                "ce-type": {"type": "string", "const": wire_name(kind)},
            },
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": schema or {"$ref": f"./{schema_path(kind)}"},
        },
        "bindings": {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}},
    }


def _channel(
    address: str, description: str, messages: list[str], cleanup: str, retention_ms: int | None = None
) -> Document:
    topic: Document = {"cleanup.policy": [cleanup]}
    if retention_ms is not None:
        topic["retention.ms"] = retention_ms
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topic": address, "topicConfiguration": topic, "bindingVersion": _BINDING_VERSION}},
    }


def _operation(action: str, channel: str, summary: str) -> Document:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
