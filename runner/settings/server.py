"""A store on PostgreSQL as a setting: told from a file, named, and hidden; not opened."""

import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit


def is_server(value: object) -> bool:
    """Whether the setting ``store`` names a server, and no file."""
    return isinstance(value, str) and value.strip().startswith(("postgresql://", "postgres://"))


def side_name(dsn: str) -> str:
    """What files of this host's processes for the store are called after: ``queue@db.postgresql``.

    Whatever of *dsn* may be secret is not in it.
    """
    parts = _split(dsn)
    host = parts.netloc.rpartition("@")[2] if parts else ""
    name = f"{parts.path.strip('/') if parts else ''}@{host or 'localhost'}"
    return re.sub(r"[^A-Za-z0-9@._-]", "_", name) + ".postgresql"


def shown_address(dsn: str) -> str:
    """*dsn* for people: without password and parameters."""
    parts = _split(dsn)
    if parts is None:
        return "postgresql://…"
    login, at, host = parts.netloc.rpartition("@")
    return f"postgresql://{login.partition(':')[0]}{at}{host}{parts.path}"


def secrets_of(dsn: str) -> frozenset[str]:
    """Every part of *dsn* that no output may show."""
    hidden = {dsn}
    if parts := _split(dsn):
        # Else the store could not be named at all where no password stands in its address.
        hidden = set() if dsn == shown_address(dsn) else hidden
        login = parts.netloc.rpartition("@")[0]
        written = [login.partition(":")[2], *parse_qs(parts.query).get("password", ())]
        hidden.update(text for word in written for text in (word, unquote(word)) if text)
    return frozenset(hidden)


def _split(dsn: str) -> SplitResult | None:
    try:
        return urlsplit(dsn)
    except ValueError:
        return None
