"""``runner tasks``: a page at a time from the store to the reader; memory stays flat."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread

from runner.cli.actions.looking import nothing_yet, store_to_look
from runner.cli.actions.task_rows import Column, Lines, Page, Table, asked_columns, usual_columns
from runner.cli.selecting import Picked, pick
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.cli.terminal import size_of
from runner.errors import Exit
from runner.reports.task_lines import count_document, tasks_document
from runner.store.values import Run

if TYPE_CHECKING:
    from runner.cli.commands.tasks import TasksOptions
    from runner.store.opening import AnyStore


def tasks(session: Session, reference: str | None, given: "TasksOptions") -> Exit:
    """List the tasks that *reference* and the selectors mean.

    Raises:
        WrongInput: a run, job, column or task is unknown.
        StoreBroken: the store cannot be read.
    """
    if reference is None and not session.settings().has_store:
        nothing = nothing_yet(session.settings())
        session.voice.note(f"{nothing.what}; go on with: {nothing.how}")
        if given["count"]:
            _tell_count(session, 0)
        return Exit.DONE
    run_async(lambda: _list(session, reference, given))
    return Exit.DONE


async def _list(session: Session, reference: str | None, given: "TasksOptions") -> None:
    async with store_to_look(session) as store:
        picked = await pick(session, store, reference, given)
        if given["count"]:
            _tell_count(session, await store.count_tasks(picked.which))
            return
        columns = None
        if (names := given["columns"]) is not None:
            inputs = {name for run in picked.runs for name in await store.input_columns(run.id)}
            columns = asked_columns(names, inputs)
        await tell_tasks(session, store, picked, columns)


def _tell_count(session: Session, found: int) -> None:
    voice = session.voice
    if voice.json:
        voice.document(count_document(found))
    else:
        voice.answer(f"{found:,}" if voice.for_people else str(found))


async def tell_tasks(
    session: Session, store: "AnyStore", picked: Picked, columns: Sequence[Column] | None = None
) -> None:
    """Print the tasks that are *picked*, in the usual columns unless others are given."""
    runs = {run.id: run for run in picked.runs}
    tell = _page_printer(session, picked.runs, columns)
    # A reader that has stopped reading must not keep a cancelled command alive.
    in_thread = functools.partial(anyio.to_thread.run_sync, abandon_on_cancel=True)
    told = False
    async for page in store.tasks(picked.which):
        # A run that began meanwhile was not picked.
        if lines := [(line, runs[line.run]) for line in page if line.run in runs]:
            await in_thread(tell, lines)
            told = True
    if not told:
        await in_thread(tell, [])


def _page_printer(
    session: Session, runs: Sequence[Run], columns: Sequence[Column] | None
) -> Callable[[Page], None]:
    voice, now = session.voice, session.clock.now()
    if voice.json:
        cells = None if columns is None else [each.cell for each in columns if not each.own]
        return lambda page: voice.documents(
            tasks_document(line, run, now, cells) for line, run in page
        )
    if voice.for_people:
        screen, _ = size_of(voice.stdout, session.environ)
        table = Table(usual_columns(runs, for_people=True), now, screen, may_drop=True)
        if columns is not None:
            table = Table(columns, now, screen)
        return lambda page: voice.answer("\n".join(table.lines(page)))
    lines = Lines(usual_columns(runs) if columns is None else columns, now)
    return lambda page: voice.answer("\n".join(lines.lines(page)))
