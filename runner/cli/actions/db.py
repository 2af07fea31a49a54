"""``runner db``: a copied store made this host's own, one in doubt taken at its word, a backup
of one in use, a change of place."""

from pathlib import Path

from runner.app.caring import back_up, claim_store, copy_to, trust_store
from runner.cli.actions.looking import nothing_yet
from runner.cli.layout import pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput
from runner.money import exact, short
from runner.settings import Settings
from runner.settings.server import is_server, shown_address


def claim(session: Session, file: Path | None, to: str | None, *, force: bool) -> Exit:
    """Let the store be used on this host.

    Raises:
        WrongInput: nothing was run here yet, or a file or place was named.
        TryLater: an engine is at work in it.
    """
    more = file is not None or to is not None or force
    settings = _store_used_here(session, "claim", more=more)
    install = run_async(lambda: claim_store(settings, clock=session.clock))
    keys: dict[str, object] = {"store": settings.store_name, "install": install}
    whose = "belongs to this host now" if settings.server is None else "is the one that counts now"
    _tell(session, "db.claim", keys, f"{settings.store_name} {whose}")
    session.voice.note(
        "before its next post the account is looked through for what the other copy has posted"
    )
    return Exit.DONE


def trust(
    session: Session, file: Path | None, to: str | None, *, force: bool, pay_again: bool
) -> Exit:
    """Let the store post although nobody knows all that was posted in its name.

    Raises:
        WrongInput: nothing was run here yet, a file or place was named, or --pay-again was not.
        TryLater: an engine is at work in it.
    """
    more = file is not None or to is not None or force
    settings = _store_used_here(session, "trust", more=more)
    stake = run_async(lambda: trust_store(settings, pay_again=pay_again, clock=session.clock))
    keys: dict[str, object] = {
        "store": settings.store_name,
        "doubted": stake is not None,
        "tasks": 0 if stake is None else stake.tasks,
        "reserve": exact(0 if stake is None else stake.reserve),
    }
    text = f"{settings.store_name} was in no doubt"
    if stake is not None:
        text = f"{settings.store_name} is taken at its word: its next start posts what waits"
    _tell(session, "db.trust", keys, text)
    if stake is not None:
        session.voice.note(f"{stake.tasks:,} tasks may be paid for twice, {short(stake.reserve)}")
    return Exit.DONE


def backup(session: Session, file: Path | None, to: str | None, *, force: bool) -> Exit:
    """Copy the store to *file*.

    Raises:
        WrongInput: nothing was run here yet, or *file* is not named, or is there already.
        StoreBroken: the store cannot be read.
    """
    settings = session.settings()
    if file is None or to is not None:
        command = "runner db backup runner-backup.db"
        raise WrongInput("backup needs the FILE to write, and takes no --to", how=command)
    if settings.server is not None:
        raise WrongInput(
            "the store is on a PostgreSQL server, not in a file",
            how="copy it with the server's own tools, such as pg_dump",
        )
    if not settings.store.exists():
        raise nothing_yet(settings)
    size = run_async(lambda: back_up(settings, file, force=force))
    keys: dict[str, object] = {"store": str(settings.store), "file": str(file), "bytes": size}
    _tell(session, "db.backup", keys, f"copied {settings.store} to {file} ({size:,} bytes)")
    return Exit.DONE


def copy(session: Session, file: Path | None, to: str | None, *, force: bool) -> Exit:
    """Copy the store from its file to a server, or back.

    Raises:
        WrongInput: nothing was run here yet, or *to* is not named or cannot be copied to.
        TryLater: something is at work in it.
        StoreBroken: one of the two cannot be used.
    """
    settings = session.settings()
    if to is None or file is not None or force:
        raise WrongInput(
            "copy takes no FILE and no --force, but --to PLACE",
            how="runner db copy --to postgresql://USER@HOST/DATABASE",
        )
    if not settings.has_store:
        raise nothing_yet(settings)
    moved = run_async(lambda: copy_to(settings, to, clock=session.clock))
    place = shown_address(to) if is_server(to) else to
    keys: dict[str, object] = {
        "store": settings.store_name,
        "to": place,
        "tables": moved.tables,
        "rows": moved.rows,
    }
    text = f"copied {settings.store_name} to {place}: {moved.rows:,} rows, all as they were"
    _tell(session, "db.copy", keys, text)
    session.voice.note(f"go on there: {settings.store_name} is marked, and refused from now on")
    return Exit.DONE


def _store_used_here(session: Session, verb: str, *, more: bool) -> Settings:
    """Whose store *verb* is about; *more*: something else was named.

    Raises:
        WrongInput: it was, or nothing was run here yet.
    """
    if more:
        raise WrongInput(
            f"{verb} takes no FILE, no --to and no --force: it is about the store used here",
            how=f"runner db {verb}",
        )
    settings = session.settings()
    if not settings.has_store:
        raise nothing_yet(settings)
    return settings


def _tell(session: Session, verb: str, keys: dict[str, object], text: str) -> None:
    voice = session.voice
    if voice.json:
        voice.document({"schema": f"runner.{verb.replace('.', '_')}/1", **keys})
    else:
        voice.answer(text if voice.for_people else pairs(verb, keys))
