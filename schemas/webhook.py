"""One endpoint that alarms are posted to, as people write it in the settings."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Annotated, Final, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    StringConstraints,
    field_serializer,
    field_validator,
    model_validator,
)

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # the scheme's mark of a secret, not one
#: Bytes of a signing secret, as the scheme wants them.
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")]
EventType = Annotated[str, StringConstraints(pattern=r"^dossier\.[a-z]+(-[a-z]+)*$")]


class WebhookEndpoint(BaseModel):
    """Where alarms go, which, and the secret they are signed with.

    The address may carry a secret in its path, as chat services do it: it is shown up to the host only, and nothing of
    it is logged. `private` allows plain http and addresses of this machine or its network; without it an endpoint is
    a public one over https, whatever its name resolves to on the day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    url: HttpUrl
    secret: SecretStr = Field(description="whsec_ and 24 to 64 random bytes in base64")
    types: tuple[EventType, ...] = ()  # of the alarms it gets; none: all of them
    private: bool = False

    @field_validator("secret")
    @classmethod
    def _is_secret(cls, secret: SecretStr) -> SecretStr:
        _key(secret)
        return secret

    @model_validator(mode="after")
    def _may_be_posted_to(self) -> Self:
        if self.url.username or self.url.password:
            raise ValueError("no user or password in the address: alarms are signed with the secret")
        if not self.private and self.url.scheme != "https":
            raise ValueError("http is for a private endpoint: write https, or set private = true")
        if not self.private and _is_private_literal(self.url.host or ""):
            raise ValueError("this is an address of a private network: set private = true if that is meant")
        return self

    @field_serializer("url")
    def _shown(self, url: HttpUrl) -> str:
        return f"{url.scheme}://{url.host}:{url.port}/…"

    @property
    def key(self) -> bytes:
        """The bytes to sign with."""
        return _key(self.secret)

    def wants(self, event_type: str) -> bool:
        return not self.types or event_type in self.types


def is_private(address: str) -> bool:
    """Is that IP address one that only this machine or its network reaches?"""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inside = _within(found)
        if inside is not None:
            return is_private(str(inside))
        return not found.is_global or found.is_multicast or found.is_site_local
    return not found.is_global or found.is_multicast


def _within(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for where networks translate: mapped, 6to4, NAT64 and their elders."""
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


#: RFC 6052 (NAT64), RFC 2765 (IPv4-translated), RFC 4291 (IPv4-compatible, deprecated; `::1` is loopback either way).
_TRANSLATED: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::ffff:0:0:0/96", "::/96")))


def _is_private_literal(host: str) -> bool:
    try:
        return is_private(host.strip("[]"))
    except ValueError:  # a name: what it resolves to is looked at when it is posted to
        return host == "localhost"


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"write {SECRET_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes in base64")
    return key
