"""How each gateway is reached: address, key and the names of its headers. No I/O.

    dataforseo   https://api.dataforseo.com       /v3/ai_optimization/…          Basic
    aisa         https://api.aisa.one/apis/v1     /dataforseo/ai_optimization/…  Bearer, Live only

Source: API.md §1 (paths, Basic), §3 (rate headers), §12 (AIsa, whose own pages disagree about the
names of its rate headers: both spellings are read).
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.api.address import checked, has_path
from runner.api.replies import number_in
from runner.errors import CredentialsRefused
from runner.task import Gateway, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One account at one gateway. The key shows in no repr."""

    gateway: Gateway
    base_url: str
    """Without a slash at its end."""
    authorization: str = field(repr=False)
    """The value of the header ``Authorization``."""
    prefix: str
    """What stands between the base URL and ``/ai_optimization``."""
    bare_url: bool
    """Whether an unknown address is our bug rather than the fault of the base URL."""
    limit_headers: tuple[str, ...]
    """Where the gateway may state its calls per minute; the first that is there counts."""
    remaining_headers: tuple[str, ...]

    def live_path(self, provider: Provider) -> str:
        """The path of a Live call."""
        return f"{self.prefix}/ai_optimization/{provider}/llm_responses/live"

    def limit_in(self, headers: Mapping[str, str]) -> int | None:
        """Calls per minute that a reply states; None if it states none."""
        return _first(headers, self.limit_headers)

    def remaining_in(self, headers: Mapping[str, str]) -> int | None:
        """How many of them are left."""
        return _first(headers, self.remaining_headers)


def dataforseo(base_url: str, login: str, password: str) -> Access:
    """The vendor's own API, or what stands in for it.

    Raises:
        WrongAddress: *base_url* is no http(s) URL, or holds a login, a query or a fragment.
        CredentialsRefused: *login* cannot be sent.
    """
    base = checked(base_url)
    if ":" in login:
        raise CredentialsRefused("the login holds a colon, which HTTP Basic has no place for")
    pair = f"{login}:{password}".encode(errors="surrogateescape")
    return Access(
        gateway=Gateway.DATAFORSEO,
        base_url=base,
        authorization=f"Basic {b64encode(pair).decode()}",
        prefix="/v3",
        bare_url=not has_path(base),
        limit_headers=("X-RateLimit-Limit",),
        remaining_headers=("X-RateLimit-Remaining",),
    )


def aisa(base_url: str, key: str) -> Access:
    """AIsa; its base URL ends with ``/apis/v1``.

    Raises:
        WrongAddress: as for ``dataforseo``.
        CredentialsRefused: *key* cannot be sent.
    """
    base = checked(base_url, setting="AISA_BASE_URL", example="https://api.aisa.one/apis/v1")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialsRefused("the AIsa key is empty or has characters that no header can carry")
    return Access(
        gateway=Gateway.AISA,
        base_url=base,
        authorization=f"Bearer {key}",
        prefix="/dataforseo",
        bare_url=False,
        limit_headers=("X-RateLimit-Limit-Requests", "X-RateLimit-Limit"),
        remaining_headers=("X-RateLimit-Remaining-Requests", "X-RateLimit-Remaining"),
    )


def _first(headers: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        if (number := number_in(headers.get(name))) is not None:
            return number
    return None
