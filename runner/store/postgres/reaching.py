"""Why a server is not reached, and whether that may pass by itself: the exit code says which."""

from typing import Final

from runner.errors import Exit, StoreBroken
from runner.store.postgres.address import Address

_WRONG: Final = ("FATAL:", "no password supplied", "invalid ", "SSL", "certificate")
"""In what libpq says where trying again does not help, unless it is one of the next."""
_LATER: Final = ("starting up", "shutting down", "recovery", "too many", "remaining connection")


class ServerAway(StoreBroken):
    """Nobody answers at the address, or has no room now: a later start may find it."""

    exit_code = Exit.TRY_LATER


def not_opened(address: Address, words: str) -> StoreBroken:
    """What libpq says of a first try, in one line; a failed login has only words, and no code."""
    said = " ".join(address.masked(words).split())
    wrong = any(word in said for word in _WRONG) and not any(word in said for word in _LATER)
    kind, how = (
        (StoreBroken, "correct the address (--store, RUNNER_STORE), or PGPASSWORD or ~/.pgpass")
        if wrong
        else (ServerAway, "start again when the server is up, or name another with --store")
    )
    return kind(f"cannot open the store {address.shown}: {said}", how=how)
