"""Whom to call: the vendor, its sandbox, the simulator inside, or another URL that a person names.

A base URL is checked before anything is sent to it: credentials travel with every call, so plain
HTTP is for this machine only, and a URL is never repeated in an error if it may hold a secret.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

LIVE_URL: Final = "https://api.dataforseo.com"
"""The vendor's API (API.md §1)."""

SANDBOX_URL: Final = "https://sandbox.dataforseo.com"
"""Free, dummy answers, the same paths and login (API.md §1, §7 Sandbox)."""


AISA_URL: Final = "https://api.aisa.one/apis/v1"
"""The reseller's API: Live only, paid, without a sandbox (API.md §12)."""

AISA_PATH: Final = "/apis/v1"
"""Where the simulator speaks as AIsa does."""


class ApiKind(StrEnum):
    """Which API a store belongs to."""

    LIVE = "live"
    SANDBOX = "sandbox"
    SIM = "sim"
    """A simulator that runner starts inside itself, for a rehearsal without an account."""
    URL = "url"


@dataclass(frozen=True, slots=True)
class Api:
    """The API that is called."""

    kind: ApiKind
    base_url: str | None
    """Scheme, host and path, without a slash at the end; None for ``sim``, whose port only the
    one who starts it knows."""

    def __str__(self) -> str:
        """As it is said on the command line: ``live``, ``sandbox``, ``sim`` or the URL."""
        return self.base_url if self.kind is ApiKind.URL and self.base_url else str(self.kind)


LIVE: Final = Api(ApiKind.LIVE, LIVE_URL)
SANDBOX: Final = Api(ApiKind.SANDBOX, SANDBOX_URL)
SIM: Final = Api(ApiKind.SIM, None)
_NAMED: Final = {str(api): api for api in (LIVE, SANDBOX, SIM)}
_BY_URL: Final = {LIVE_URL: LIVE, SANDBOX_URL: SANDBOX}


class NotAnApi(ValueError):
    """What was written names no API that may be called; each argument is one reason."""


def api_named(text: str, *, allow_http: bool) -> Api:
    """The API that ``--api`` names.

    Raises:
        NotAnApi: neither a known name nor a base URL that may be called.
    """
    if text in _NAMED:
        return _NAMED[text]
    if re.match(r"https?:", text, re.IGNORECASE):
        return api_at(text, allow_http=allow_http)
    near = get_close_matches(text.lower(), tuple(_NAMED), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NotAnApi(f"must be live, sandbox, sim or a URL that begins with https://{hint}")


def api_at(text: str, *, allow_http: bool) -> Api:
    """The API at the base URL *text*.

    Raises:
        NotAnApi: not a base URL, or one that credentials must not be sent to.
    """
    reasons = list(_reasons_against(text, allow_http=allow_http))
    if reasons:
        raise NotAnApi(*reasons)
    url = _normal(urlsplit(text))
    return _BY_URL.get(url) or Api(ApiKind.URL, url)


def aisa_at(text: str, *, allow_http: bool) -> str:
    """AIsa's base URL *text* in its one spelling.

    Raises:
        NotAnApi: not a base URL, or one that a key must not be sent to.
    """
    reasons = list(_reasons_against(text, allow_http=allow_http, hint="set AISA_API_KEY instead"))
    if reasons:
        raise NotAnApi(*reasons)
    return _normal(urlsplit(text))


def speaks_clear_text(api: Api) -> bool:
    """Whether credentials would cross a network unencrypted."""
    parts = urlsplit(api.base_url or "")
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address, is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reasons_against(
    text: str,
    *,
    allow_http: bool,
    hint: str = "set DATAFORSEO_LOGIN and DATAFORSEO_PASSWORD instead",
) -> Iterator[str]:
    if not text.isprintable() or re.search(r"[\s\\]", text):
        yield "must be a URL without spaces, backslashes and control characters"
        return
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        yield f"must be a URL such as {LIVE_URL}; its host or port cannot be read"
        return
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield f"must be a URL such as {LIVE_URL}, with https:// and a host"
        return
    if "@" in parts.netloc:
        yield f"must not hold a login or password; {hint}"
    if "?" in text or "#" in text:
        yield "must end with the host or a path, without ? and #"
    if re.search(r"/v3/?$", parts.path):
        yield "must not end with /v3: runner adds it"
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not allow_http:
        yield (
            "must begin with https://, as the password would cross the network in clear; "
            "RUNNER_ALLOW_HTTP=1 allows it all the same"
        )


def _normal(parts: SplitResult) -> str:
    """One spelling for one API: a store is bound to it."""
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
