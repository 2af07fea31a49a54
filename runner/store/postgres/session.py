"""What a session of the server is told first: a database or a role may have defaults of its own."""

from typing import Final

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.types.string import StrDumper

_SETTINGS: Final = {
    "application_name": "runner",
    "statement_timeout": "60s",
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "30s",
    # A host that lost its power says nothing: its locks, and with them its life, end in a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # How what is sent is read, and how what comes back is written.
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
}


class _TextDumper(StrDumper):
    """PostgreSQL's text has no NUL: it becomes U+FFFD. Replies are kept as bytes, as they came."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\x00", "\ufffd"))


class _WholeNumber(Loader):
    """Sums of integers are ``numeric`` on the server, and integers here."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


def set_up(link: psycopg.Connection[tuple[object, ...]]) -> None:
    """Have *link* read and write values as our statements mean them, whoever set up the server."""
    link.adapters.register_dumper(str, _TextDumper)
    link.adapters.register_loader("numeric", _WholeNumber)
    # All at once: a worker connects three times, and a far server answers each question late.
    asked = ", ".join(["set_config(%s, %s, false)"] * len(_SETTINGS))
    values = [each for pair in _SETTINGS.items() for each in pair]
    psycopg.ClientCursor(link).execute(f"SELECT {asked}".encode(), values)
