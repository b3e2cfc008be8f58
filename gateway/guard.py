"""What every request passes first and every answer last: limits, the raw path, security headers, a count.

A plain ASGI layer around the application, so that nothing (not an error page, not an unknown path) goes around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

MAX_PATH_BYTES: Final = 2_048
MAX_QUERY_BYTES: Final = 2_048

#: The page loads nothing but its own files; nobody may frame it.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = tuple(
    (name.encode(), value.encode())
    for name, value in {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    }.items()
)
_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))
_TOO_LONG: Final = b'{"status_code":414,"detail":"path or query is too long"}'


class Guard:
    """The outermost ASGI layer. `count(method, route, status)` hears of each request."""

    def __init__(self, app: ASGIApp, count: Callable[[str, str, int], None]) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        if len(raw_path) > MAX_PATH_BYTES or len(scope.get("query_string", b"")) > MAX_QUERY_BYTES:
            await _refuse(self._guarded(scope, send))
            return
        # Routed still percent-encoded: a dossier's id may hold slashes, and only its handler may decode them.
        scope["path"] = raw_path.partition(b"?")[0].decode("ascii", errors="replace")
        await self._app(scope, receive, self._guarded(scope, send))

    def _guarded(self, scope: Any, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SECURITY_HEADERS]
                method = scope["method"] if scope["method"] in _METHODS else "other"  # a caller chooses the word
                self._count(method, scope.get("path_template") or "other", message["status"])
            await send(message)

        return guarded


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_TOO_LONG)).encode())]
    await send({"type": "http.response.start", "status": 414, "headers": headers})
    await send({"type": "http.response.body", "body": _TOO_LONG, "more_body": False})
