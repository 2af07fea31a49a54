"""Where the API can deliver answers to us, and the secret that shows which come from it."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from runner.postbacks import SHORTEST_SECRET, PostbackAddress
from runner.settings.endpoint import is_loopback
from runner.settings.sources import Given, Sources, Wrong, shown

_LONGEST_URL = 200
"""Characters: id, tag and signature follow, and servers refuse long addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """What holds for postbacks; without a public URL none are asked for."""

    public_url: str | None = None
    secret: str | None = field(default=None, repr=False)
    """RUNNER_SECRET."""
    secret_previous: str | None = field(default=None, repr=False)
    """RUNNER_SECRET_PREVIOUS: still accepted, for what was posted before the last change."""
    warnings: tuple[str, ...] = ()

    @property
    def address(self) -> PostbackAddress | None:
        """What tasks are posted with; None: they are only asked for."""
        if self.public_url is None or self.secret is None:
            return None
        return PostbackAddress(self.public_url, self.secret)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The secrets under which a delivery may be signed."""
        return tuple(each for each in (self.secret, self.secret_previous) if each)

    def secrets(self) -> frozenset[str]:
        """What no output may show."""
        return frozenset(self.accepted)


def find_receiving(sources: Sources) -> tuple[Receiving, list[Wrong]]:
    """What *sources* say of postbacks, and every mistake in it."""
    wrong: list[Wrong] = []
    secrets: dict[str, str | None] = {}
    for key in ("secret", "secret_previous"):
        given = sources.find(key)
        secrets[key] = None if given is None else str(given.value)
        if given is not None and len(str(given.value).strip()) < SHORTEST_SECRET:
            wrong.append(
                given.wrong(
                    f"{key} must have at least {SHORTEST_SECRET} characters; "
                    "make one with: openssl rand -hex 32"
                )
            )
    url, warnings = None, []
    if (given := sources.find("public_url")) is not None:
        reason = _reason_against(given.value)
        if reason:
            wrong.append(given.wrong(f"public_url {reason}"))
        elif secrets["secret"] is None:
            wrong.append(_without_secret(given))
        else:
            url = str(given.value).strip().rstrip("/")
            parts = urlsplit(url)
            if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
                warnings.append(
                    f"public_url {url} is not encrypted: answers arrive in clear, and who reads "
                    "an address on the way can send another answer there"
                )
    receiving = Receiving(
        public_url=url,
        secret=secrets["secret"],
        secret_previous=secrets["secret_previous"],
        warnings=tuple(warnings),
    )
    return receiving, wrong


def _without_secret(given: Given) -> Wrong:
    return given.wrong(
        "public_url is set, but RUNNER_SECRET is not: anybody could send answers there; "
        "make one with: openssl rand -hex 32"
    )


def _reason_against(value: object) -> str:
    if not isinstance(value, str):
        return f"must be a text, got {shown(value)}"
    text = value.strip()
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return "must be a URL such as https://runner.example.com; its host or port cannot be read"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be a URL such as https://runner.example.com"
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > _LONGEST_URL:
        return f"must be at most {_LONGEST_URL} printable ASCII characters without spaces"
    if "@" in parts.netloc:
        return "must not hold a login or password"
    if any(mark in text for mark in "?#$"):
        return "must end with the host or a path, without ?, # and $"
    return ""
