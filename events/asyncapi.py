"""The AsyncAPI 3.0 document: the topics, what stands on them, and who may write to the ledger."""

from __future__ import annotations

from typing import Final

from events.catalogue import CATALOGUE, WIRE_NAMES, AnyFact
from events.contract import Document, names, schema_path
from events.envelope import CONTENT_TYPE

_BINDING_VERSION: Final = "0.5.0"
_DOSSIER_KEY: Final[Document] = {"type": "string", "description": "mã hồ sơ · the dossier (the event's subject)"}
_POSITION_KEY: Final[Document] = {"type": "string", "description": "vị trí trên sổ cái · position on the ledger"}


def asyncapi() -> Document:
    """The whole document; event messages point to the JSON Schemas beside it."""
    ledger = {WIRE_NAMES[fact]: _event_message(fact) for fact in CATALOGUE}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sổ cái hồ sơ một cửa · Dossier Ledger",
            "version": "1.0.0",
            "description": "Facts about one-stop dossiers, and what is made of them, on Apache Kafka.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            "ledger": _channel("dossier.events.v1", _LEDGER, list(ledger), "delete", retention_ms=-1),
            "live": _channel("dossier.live.v1", _LIVE, ["dossier.state"], "compact"),
            "quarantine": _channel("dossier.quarantine.v1", _QUARANTINE, ["dossier.unreadable"], "compact"),
            "alarms": _channel("dossier.alarms.v1", _ALARMS, ["dossier.alarm"], "delete", retention_ms=-1),
        },
        "operations": {
            "publish": _operation("receive", "ledger", "A back-office publishes facts; the ledger takes them."),
            "state": _operation("send", "live", "The projector writes the newest state of each dossier it touched."),
            "set-aside": _operation("send", "quarantine", "A reader sets an unreadable record aside and goes on."),
            "alarm": _operation("send", "alarms", "A clock passed its due."),
        },
        "components": {"messages": ledger | _OTHER_MESSAGES},
    }


_LEDGER: Final = (
    "Sổ cái · The ledger: every fact, kept for ever. A position is (partition, offset); recorded_at is the append time."
)
_LIVE: Final = "Trạng thái · The newest state of each dossier, compacted; made from the ledger, never the truth itself."
_QUARANTINE: Final = "Cách ly · Records no reader could understand, as they came, with position and reason."
_ALARMS: Final = "Cảnh báo · Clocks that passed their due."

_OTHER_MESSAGES: Final[Document] = {
    "dossier.state": {
        "title": "Trạng thái hồ sơ · State of a dossier",
        "summary": "A private record of this program, MessagePack; other programs ask the gateway instead.",
        "contentType": "application/vnd.msgpack",
        "payload": {"type": "string", "format": "binary"},
        "bindings": {"kafka": {"key": _DOSSIER_KEY, "bindingVersion": _BINDING_VERSION}},
    },
    "dossier.unreadable": {
        "title": "Bản ghi không đọc được · Unreadable record",
        "summary": "The record's own bytes and headers, where on the ledger it stands, and why it could not be read.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
        "bindings": {"kafka": {"key": _POSITION_KEY, "bindingVersion": _BINDING_VERSION}},
    },
    "dossier.alarm": {
        "title": "Quá hạn · Breach",
        "summary": "Which clock of which dossier passed its due, and when.",
        "contentType": CONTENT_TYPE,
        "payload": {"type": "object"},
        "bindings": {"kafka": {"key": _DOSSIER_KEY, "bindingVersion": _BINDING_VERSION}},
    },
}


def _event_message(fact: type[AnyFact]) -> Document:
    vietnamese, english = names(fact)
    return {
        "name": WIRE_NAMES[fact],
        "title": f"{fact.__name__} · {vietnamese}",
        "summary": english,
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "required": ["content-type", "ce-id", "ce-type"],
            "properties": {
                "content-type": {"type": "string", "const": CONTENT_TYPE},
                "ce-id": {"type": "string", "description": "the event's id"},
                "ce-type": {"type": "string", "const": WIRE_NAMES[fact]},
            },
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{schema_path(fact)}"},
        },
        "bindings": {"kafka": {"key": _DOSSIER_KEY, "bindingVersion": _BINDING_VERSION}},
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
