"""``runner workers``: the engines of a store, and what each does."""

from datetime import datetime
from typing import Final

from runner.cli.actions.looking import nothing_yet, store_to_look
from runner.cli.layout import day, span, tab_separated, table
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.clock import to_text
from runner.errors import Exit
from runner.store.care import Health
from runner.store.workers import WorkerLine

_COLUMNS: Final = (
    "id",
    "host",
    "pid",
    "roles",
    "version",
    "started_at",
    "heartbeat_ago_s",
    "state",
    "open_batches",
    "leases",
)
_HEADS: Final = (
    "ID",
    "HOST",
    "PID",
    "DOES",
    "VERSION",
    "SINCE",
    "LAST SIGN",
    "STATE",
    "OPEN",
    "FOR ALL",
)
_NUMBERS: Final = frozenset({0, 2, 6, 8})


def workers(session: Session) -> Exit:
    """List the store's engines.

    Raises:
        StoreBroken: the store cannot be read.
    """
    now, voice = session.clock.now(), session.voice
    found: list[WorkerLine] = []
    health: Health | None = None
    settings = session.settings()
    if settings.has_store:
        found, health = run_async(lambda: _read(session, now))
    else:
        nothing = nothing_yet(settings)
        voice.note(f"{nothing.what}; go on with: {nothing.how}")
    if voice.json:
        voice.document(_document(found, now, health))
    elif not voice.for_people:
        voice.answer("\n".join(map(tab_separated, [_COLUMNS, *map(_cells, found)])))
    elif found:
        voice.answer(
            table(_HEADS, [_row(line, now) for line in found], right=_NUMBERS, width=voice.width)
        )
    elif settings.has_store:
        voice.answer("no engine is at work, and none was within a day")
    if health is not None:
        if health.tables and voice.for_people:
            voice.answer(_hygiene(health))
        for warning in health.warnings():
            voice.warn(warning)
    return Exit.DONE


async def _read(session: Session, now: datetime) -> tuple[list[WorkerLine], Health]:
    async with store_to_look(session) as store:
        return await store.workers(now=now), await store.health()


def _hygiene(health: Health) -> str:
    """``store 1,204 MB · attempts 1,120,000 rows, 52,117 dead · tasks …``"""
    tables = [
        f"{t.name} {t.live:,} rows, {t.dead:,} dead" for t in health.tables if t.live or t.dead
    ]
    return " · ".join([f"store {health.bytes / 1e6:,.0f} MB", *tables])


def _document(found: list[WorkerLine], now: datetime, health: Health | None) -> dict[str, object]:
    """``runner.workers/1``; a heartbeat's age is by the store's own clock."""
    return {
        "schema": "runner.workers/1",
        "at": to_text(now),
        "warnings": [] if health is None else list(health.warnings()),
        "workers": [
            {
                "id": line.id,
                "host": line.host,
                "pid": line.pid,
                "roles": line.roles.split(",") if line.roles else [],
                "version": line.version,
                "started_at": to_text(line.started_at),
                "heartbeat_ago_s": round(line.silent_s, 3),
                "state": str(line.state),
                "open_batches": line.open_batches,
                "leases": list(line.leases),
            }
            for line in found
        ],
    }


def _cells(line: WorkerLine) -> list[str]:
    return [
        str(line.id),
        line.host,
        str(line.pid),
        line.roles,
        line.version,
        to_text(line.started_at),
        f"{line.silent_s:.0f}",
        str(line.state),
        str(line.open_batches),
        ",".join(line.leases),
    ]


def _row(line: WorkerLine, now: datetime) -> list[str]:
    return [
        str(line.id),
        line.host,
        str(line.pid),
        line.roles.replace(",", " ") or "-",
        line.version,
        day(line.started_at, now),
        f"{span(line.silent_s)} ago",
        str(line.state),
        str(line.open_batches),
        " ".join(line.leases) or "-",
    ]
