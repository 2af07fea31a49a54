"""Where a PostgreSQL store is, and how to say so without its password."""

from dataclasses import dataclass, field
from typing import Self

import psycopg
from psycopg.conninfo import conninfo_to_dict

from runner.errors import WrongInput


@dataclass(frozen=True, slots=True)
class Address:
    """A connection URI; its secrets stay out of every text about it."""

    dsn: str = field(repr=False)
    shown: str
    """``postgresql://USER@HOST:PORT/DATABASE``"""
    place: str
    """``HOST:PORT/DATABASE``: the same for whoever logs in."""
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, dsn: str) -> Self:
        """
        Raises:
            WrongInput: it is no connection URI that libpq can read.
        """
        try:
            parts = conninfo_to_dict(dsn)
        except psycopg.Error:
            # libpq's own words repeat what it could not read, which may be the password.
            raise WrongInput(
                "the address of the PostgreSQL store cannot be read",
                how="write it as postgresql://USER@HOST:5432/DATABASE, with %XX for special "
                "characters, and the password in PGPASSWORD or ~/.pgpass",
            ) from None
        user, host, port = (parts.get(name) for name in ("user", "host", "port"))
        place = f"{host or 'localhost'}{f':{port}' if port else ''}/{parts.get('dbname') or ''}"
        shown = f"postgresql://{user}@{place}" if user else f"postgresql://{place}"
        secrets = tuple(str(parts[name]) for name in ("password", "sslpassword") if parts.get(name))
        return cls(dsn, shown, place, secrets)

    def masked(self, text: str) -> str:
        """*text* without what must not be shown."""
        for secret in (self.dsn, *self.secrets):
            text = text.replace(secret, "***")
        return text
