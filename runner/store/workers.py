"""The engines of a store: which of them live, what each does, and what one does for all.

    process ── beat, every 10 s ──▶ heartbeat_at
    others ─── silent for 60 s, or for 15 s without its connection ──▶ taken for dead
                 └▶ what it was posting: in doubt · Live: answer lost · what it was asking for: free

On a file the kernel's lock proves that there is no other engine, and heartbeats are only shown. On
a server death is assumed, by the server's clock alone. It may be wrong (a partition, a host that
stood still), so nothing depends on it: what is in doubt waits the settle time, late replies are
booked (FAULTS.md 34), and who beats again lives again. RECONCILING.md R1.
"""

import os
import socket
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

BEAT: Final = timedelta(seconds=10)
"""Between two heartbeats."""

SILENCE: Final = timedelta(seconds=60)
"""After this without a heartbeat a worker is taken for dead, its connection there or not: six
beats, so that a slow host, or a server that fails over, makes nobody dead."""

GRACE: Final = timedelta(seconds=15)
"""The same where its connection is gone too, as after a `kill -9`. Longer than `BEAT`, since a
connection that was only cut is made anew with the next beat at the latest."""

OVERDUE: Final = timedelta(seconds=60)
"""So long after its deadline a post of a living worker is in doubt too: its intent was saved though
the worker was never told so, or its reply cannot be saved."""

LEASE: Final = timedelta(seconds=60)
"""How long a worker has something of an account to itself unless it renews that."""

RENEW: Final = timedelta(seconds=20)
"""Between two renewals: two of them may fail."""

REMEMBERED: Final = timedelta(days=1)
"""How long after its end a worker is still listed."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES: Final = Path("/proc/self/ns/pid")


def this_boot() -> str:
    """This start of the machine, and whose process ids are ours; empty where nobody can tell."""
    try:
        return f"{_BOOT_ID.read_text().strip()}:{_PROCESSES.stat().st_ino}"
    except OSError:
        return ""


def certainly_gone(host: str, pid: int, boot: str) -> bool:
    """Whether it is plain from here that the process has ended, so that nobody need wait."""
    if not boot or (host, boot) != (socket.gethostname(), this_boot()):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


class Role(StrEnum):
    """What a worker does."""

    SUBMIT = "submit"
    """Posts Standard tasks."""
    LIVE = "live"
    """Makes Live calls."""
    POLL = "poll"
    """Collects: the ready list, asking by id, what was delivered."""
    RECONCILE = "reconcile"
    """Decides about what is in doubt, and compares listing and books once a day."""


ALL_ROLES: Final = frozenset(Role)


def roles_text(roles: Collection[Role]) -> str:
    """*roles* as the store keeps them."""
    return ",".join(role for role in Role if role in roles)


class Duty(StrEnum):
    """What one worker of an account does for all of them, under a lease."""

    RECONCILE = "reconcile"
    """The listing's 10 calls a minute, and the daily audit."""
    READY_LIST = "ready_list"
    """Its 20 calls a minute, and whether it is trusted."""
    INBOX = "inbox"
    """What was delivered."""


class WorkerState(StrEnum):
    """How a worker stands."""

    WORKING = "working"
    ENDED = "ended"
    TAKEN_FOR_DEAD = "taken for dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    """One life of an engine process, as `runner workers` shows it."""

    id: int
    host: str
    pid: int
    roles: str
    """With commas; empty if it began before there were any."""
    version: str
    started_at: datetime
    silent_s: float
    """Since its last heartbeat, by the store's clock; for one that has ended, since then."""
    state: WorkerState
    open_batches: int
    """Posts under way, or left behind."""
    leases: tuple[str, ...]
    """What it does for all workers now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inherited:
    """What taking over came to."""

    workers: tuple[int, ...] = ()
    """Newly taken for dead."""
    batches: int = 0
    """Posts and Live calls that nobody will bring a reply of, as far as is known."""


class Workers(Protocol):
    """The verbs of living together."""

    async def begin_worker(self, *, roles: Collection[Role] = ALL_ROLES, now: datetime) -> int:
        """Register this engine process; returns its worker id. On a file it must hold the lock.

        Tasks that a dead worker left in ``posting`` become ``unknown``, Live ones
        ``failed(answer_lost)`` or, where their run says so, ``pending``; its leases end. What
        living workers do is left alone.
        """

    async def end_worker(self, worker: int, *, now: datetime) -> None:
        """Note a clean end; its leases end at once."""

    def loading_alone(self, *, wait_s: float) -> AbstractAsyncContextManager[None]:
        """Nobody else loads into the store, on any host: the lines of one run must not mix. Ends
        with the process.

        Raises:
            LoaderElsewhere: somebody did for all of *wait_s*.
        """

    async def beat(self, worker: int, *, now: datetime) -> bool:
        """*worker* lives; False if it had been taken for dead, which it is no longer."""

    async def take_over(self, worker: int, *, now: datetime) -> Inherited:
        """Let go what dead workers left open, as ``begin_worker`` does; *worker* is not among them.

        On a file there is nobody to take over from.
        """

    async def hold_lease(
        self, account: int, duty: Duty, worker: int, *, lasts: timedelta = LEASE, now: datetime
    ) -> bool:
        """Take *duty* of *account*, or renew it; False if another worker has it until later."""

    async def drop_leases(self, worker: int) -> None:
        """What *worker* does for all is anybody's at once."""

    async def list_trusted(self, account: int) -> bool:
        """Whether due times follow the ready list of *account* now, whoever reads it."""

    async def workers(self, *, now: datetime) -> list[WorkerLine]:
        """Those that work or ended within a day, the newest first."""
