"""``runner prune``: old texts go, what they cost stays."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from runner.cli.actions.controlling import names_of, store_to_change
from runner.cli.asking import confirm
from runner.cli.layout import count, pairs
from runner.cli.select import matching
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit
from runner.store.control import Keep, Pruned
from runner.store.values import Run

if TYPE_CHECKING:
    from runner.cli.commands.prune import PruneOptions

_LONGEST_S: Final = 50 * 365 * 86_400.0


def prune(session: Session, reference: str | None, given: "PruneOptions") -> Exit:
    """Delete texts of finished runs that *reference* means and that are old enough.

    Raises:
        WrongInput: it means no run, or nobody can be asked and ``--yes`` was not given.
        Declined: the answer was not yes.
        TryLater: the store cannot be written.
    """
    keep = Keep(given["keep"])
    now = session.clock.now()
    before = now - timedelta(seconds=min(given["older_than"], _LONGEST_S))

    async def look() -> tuple[list[Run], Pruned]:
        async with store_to_change(session) as store:
            runs = matching(reference, await store.runs())
            old = await store.prunable([run.id for run in runs], before=before)
            sizes = {run: await store.prune_size(run, keep=keep) for run in old}
            return (
                [run for run in runs if sizes.get(run.id, Pruned()) != Pruned()],
                sum(sizes.values(), start=Pruned()),
            )

    async def delete() -> Pruned:
        async with store_to_change(session) as store:
            gone = Pruned()
            for run in runs:
                gone += await store.prune(run.id, keep=keep, now=now)
            return gone

    runs, size = run_async(look)
    if runs and not given["dry_run"]:
        confirm(session, f"delete {_words(size, keep)} of {names_of(runs)} for good")
        size = run_async(delete)
    _tell(session, runs, size, keep, dry=given["dry_run"])
    return Exit.DONE


def _words(size: Pruned, keep: Keep) -> str:
    """``41,200 answers (612.0 MB)``."""
    what = count(size.answers, "answer")
    if keep is Keep.ANSWERS:
        what = "1 raw reply" if size.replies == 1 else f"{size.replies:,} raw replies"
    megabytes = size.bytes / 1_000_000
    return f"{what} ({megabytes:,.1f} MB)" if megabytes >= 1 else f"{what} ({megabytes:.3f} MB)"


def _tell(session: Session, runs: Sequence[Run], size: Pruned, keep: Keep, *, dry: bool) -> None:
    voice = session.voice
    keys: dict[str, object] = {
        "runs": len(runs),
        "deleted": size.replies if keep is Keep.ANSWERS else size.answers,
        "bytes": size.bytes,
        "keep": keep.value,
    }
    if voice.json:
        named = {"runs": [run.name for run in runs], "answers": size.answers}
        named |= {"replies": size.replies, "bytes": size.bytes}
        voice.document({"schema": "runner.prune/1", **named, "keep": keep.value, "dry_run": dry})
    elif not voice.for_people:
        voice.answer(pairs("prune.dry" if dry else "prune", keys))
    elif not runs:
        voice.answer("nothing to prune: no finished run is that old and holds anything")
    else:
        kept = "costs, counts and states" if keep is Keep.COSTS else "all but the raw replies"
        said = "would delete" if dry else "deleted"
        text = f"{said} {_words(size, keep)} of {names_of(runs)}; {kept} stay"
        voice.answer(f"{text}; nothing was changed" if dry else text)
    if runs and not dry:
        whose = "database" if session.settings().server else "store's file"
        voice.note(f"the {whose} keeps its size and fills the room again")
