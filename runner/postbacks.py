"""The address that the API delivers an answer to, and how we know that it was the API who did.

    posted with   PUBLIC/postback/$id?tag=$tag&sig=SIG       the API puts id and tag in (API.md §6)
    delivered to  PUBLIC/postback/0611…?tag=nqyn….1.k3fa&sig=SIG

SIG is an HMAC of the task's tag: the API signs nothing itself, but only it was told the address.
Pure. A signature is a secret: ``without_signatures`` takes it out of whatever is kept or shown.
"""

import hashlib
import hmac
import re
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

PATH: Final = "/postback"
"""Below the public URL; the id follows."""

PROBE: Final = "probe"
"""Stands for tag and id in an address that only asks who is there: no task's tag looks like it."""

SHORTEST_SECRET: Final = 16
"""Characters. What can be guessed proves nothing."""

_LENGTH: Final = 32
"""Characters of a signature: 160 bits in base32."""

_PURPOSE: Final = b"runner postback 1\0"
"""So that a secret used for something else as well never makes the same signature."""

_SIGNED: Final = re.compile(
    rb"(sig(?:=|%3[dD]|\\u003[dD]))[a-z2-7]{" + str(_LENGTH).encode() + rb"}(?![a-z2-7])"
)


def signature(secret: str, tag: str) -> str:
    """What the address of *tag* carries as ``sig``."""
    key = secret.encode(errors="surrogateescape")
    digest = hmac.digest(key, _PURPOSE + tag.encode(errors="surrogatepass"), hashlib.sha256)
    return b32encode(digest).decode().lower()[:_LENGTH]


def is_signed(secrets: Sequence[str], tag: str, given: str) -> bool:
    """Whether *given* is the signature of *tag* under one of *secrets*; takes the same time for
    any wrong one."""
    claim = given.encode(errors="surrogatepass")
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(signature(secret, tag).encode(), claim)
    return found


def without_signatures(data: bytes) -> bytes:
    """*data* with ``***`` in the place of each signature, however its URL was escaped."""
    return _SIGNED.sub(rb"\1***", data) if b"sig" in data else data


@dataclass(frozen=True, slots=True)
class PostbackAddress:
    """Where answers are to be delivered."""

    public_url: str
    """Where the outside reaches our receiver, without a slash at the end."""
    secret: str = field(repr=False)

    def url_for(self, tag: str) -> str:
        """The ``postback_url`` of the task posted under *tag*."""
        return f"{self.public_url}{PATH}/$id?tag=$tag&sig={signature(self.secret, tag)}"

    def probe_url(self) -> str:
        """Where a receiver with this secret says that it is one; nothing is delivered there."""
        return f"{self.public_url}{PATH}/{PROBE}?tag={PROBE}&sig={signature(self.secret, PROBE)}"
