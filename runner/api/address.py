"""Where the API is and which way leads there: the base URL and the environment's proxies."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from runner.api.errors import WrongAddress

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def checked(
    base_url: str,
    *,
    setting: str = "DATAFORSEO_BASE_URL",
    example: str = "https://api.dataforseo.com",
) -> str:
    """*base_url*, the value of *setting*, without a slash at its end.

    Raises:
        WrongAddress: it is no http or https URL, or holds a login, a query or a fragment.
    """
    base = base_url.strip().rstrip("/")
    how = f"set {setting} to a URL such as {example}"
    try:
        parts = urlsplit(base)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise WrongAddress("the base URL is no http or https URL", how=how)
    # Not repeated in the message: what stands before the @ may be a password.
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise WrongAddress("the base URL holds more than scheme, host, port and path", how=how)
    return base


def has_path(base: str) -> bool:
    """Whether the base URL has a path of its own, which every address is then put behind."""
    return urlsplit(base).path != ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A way out that the environment names."""

    url: str
    login: str | None
    password: str = field(repr=False)


def proxy_for(base: str) -> Proxy | None:
    """The http or https proxy that ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``
    name for *base*; none for an address on this machine."""
    parts = urlsplit(base)
    host = parts.hostname or ""
    if host in _LOOPBACK or proxy_bypass(host):
        return None
    proxies = getproxies()
    named = urlsplit(proxies.get(parts.scheme) or proxies.get("all") or "")
    if named.scheme not in {"http", "https"} or not named.hostname:
        return None
    return Proxy(
        url=f"{named.scheme}://{named.netloc.rpartition('@')[2]}",
        login=None if named.username is None else unquote(named.username),
        password=unquote(named.password or ""),
    )
