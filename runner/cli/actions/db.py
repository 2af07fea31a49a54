"""``runner db``: a copied store made this host's own, and a backup of one in use."""

from pathlib import Path

from runner.app.caring import back_up, claim_store
from runner.cli.actions.looking import nothing_yet, same_store
from runner.cli.layout import pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput


def claim(session: Session, file: Path | None, *, force: bool) -> Exit:
    """Let the store be used on this host.

    Raises:
        WrongInput: nothing was run here yet, or a file was named.
        TryLater: an engine is at work in it.
    """
    if file is not None or force:
        raise WrongInput("claim takes no FILE and no --force", how="runner db claim")
    settings = session.settings()
    if not settings.store.exists():
        raise nothing_yet(settings)
    install = run_async(lambda: claim_store(settings, clock=session.clock))
    keys: dict[str, object] = {"store": str(settings.store), "install": install}
    text = f"{settings.store} belongs to this host now"
    _tell(session, "db.claim", keys, text)
    session.voice.note(
        "before its next post the account is looked through for what the other copy has posted"
    )
    return Exit.DONE


def backup(session: Session, file: Path | None, *, force: bool) -> Exit:
    """Copy the store to *file*.

    Raises:
        WrongInput: nothing was run here yet, or *file* is not named, or is there already.
        StoreBroken: the store cannot be read.
    """
    settings = session.settings()
    if file is None:
        command = f"runner db backup runner-backup.db{same_store(session)}"
        raise WrongInput("backup needs the FILE to write", how=command)
    if not settings.store.exists():
        raise nothing_yet(settings)
    size = run_async(lambda: back_up(settings, file, force=force))
    keys: dict[str, object] = {"store": str(settings.store), "file": str(file), "bytes": size}
    _tell(session, "db.backup", keys, f"copied {settings.store} to {file} ({size:,} bytes)")
    return Exit.DONE


def _tell(session: Session, verb: str, keys: dict[str, object], text: str) -> None:
    voice = session.voice
    if voice.json:
        voice.document({"schema": f"runner.{verb.replace('.', '_')}/1", **keys})
    else:
        voice.answer(text if voice.for_people else pairs(verb, keys))
