"""Writes down every line of a run: one for each input row × target × sample × turn.

    store ── a page ──▶ our columns ──┬─▶ CSV ──▶ part ─┐
                                      └─▶ JSONL ▶ part ─┴─ all pages in ──▶ renamed

One pass over the store serves all formats, a page at a time and in a worker thread, so neither
memory nor the event loop feels the size of the run. What stands in a line says ``columns``, how it
is written ``formats``, which files may be replaced ``files``.
"""

import functools
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import anyio.to_thread

from runner.errors import WrongInput
from runner.reports import columns
from runner.reports.files import Exported, OutputFile
from runner.reports.formats import Format, Record, format_named
from runner.store.listing import Selection
from runner.store.protocol import TaskStore
from runner.store.values import ExportLine, Run, StoreUnwritable

_REHEARSALS: Final = frozenset({"sim", "sandbox"})
_PRUNED: Final = ".pruned"
_TRIES: Final = 9
"""Of reading the store, over some 45 seconds: as long as a server takes to start anew."""
_AGAIN_S: Final = 0.5
_AGAIN_CAP_S: Final = 10.0


def export_name(run: Run) -> str:
    """What the run's files are called: ``JOB`` or ``JOB@KEY``; a rehearsal adds ``.sim``.

    The same for every export of a run, so that each replaces the one before it; another for a
    rehearsal (``--api sim``, ``sandbox``), whose answers must not take the place of paid ones, and
    for a run of which answers were pruned: the file from before may be the last that has them.
    """
    name = f"{run.name}.{run.api}" if run.api in _REHEARSALS else run.name
    return f"{name}{_PRUNED}" if run.pruned_at is not None else name


async def export_run(
    store: TaskStore,
    run: Run,
    *,
    folder: Path,
    name: str | None = None,
    formats: Iterable[str],
    raw_cells: bool = False,
    force: bool = False,
    which: Selection | None = None,
) -> list[Exported]:
    """Write the run to ``FOLDER/NAME.FORMAT`` for each of *formats* (``csv``, ``jsonl``).

    *name* is by default ``export_name``. See ``export_files`` for the rest.
    """
    name = export_name(run) if name is None else name
    if Path(name).name != name or not name.strip(".") or not name.isprintable():
        raise WrongInput(f"{name!r} is no name for a file", how="name one with -o FILE")
    return await export_files(
        store,
        run,
        [(folder / f"{name}.{each}", each) for each in dict.fromkeys(map(str, formats))],
        raw_cells=raw_cells,
        force=force,
        which=which,
    )


async def export_files(
    store: TaskStore,
    run: Run,
    files: Sequence[tuple[Path, str]],
    *,
    raw_cells: bool = False,
    force: bool = False,
    which: Selection | None = None,
) -> list[Exported]:
    """Write the run to *files*, each a path and a format; they appear whole or not at all.

    Before anything is read it is clear that all of them may be written. *force* also replaces what
    is not an earlier export of this job; *which* leaves out all other tasks;
    *raw_cells* leaves cells of a CSV that begin like formulas as they are.

    Raises:
        WrongInput: a file may not or cannot be written there.
        TryLater: the disk is full or failing.
        StoreUnwritable: the store was lost again and again while it was read.
        ValueError: there is no such format.
    """
    if run.pruned_at is not None and not force:
        _spare_the_last_answers(run, [path for path, _ in files])
    inputs = await store.input_columns(run.id)
    writers = [format_named(name, inputs, raw_cells=raw_cells) for _, name in files]
    tries = 0
    while True:
        outputs = [OutputFile(path, job=run.job, force=force) for path, _ in files]
        try:
            return await _written(store, run, which, list(zip(writers, outputs, strict=True)))
        except StoreUnwritable:
            # The view of the data ended with its connection: the next one shows as much or more.
            tries += 1
            if tries == _TRIES:
                raise
            await anyio.sleep(min(_AGAIN_S * 2 ** (tries - 1), _AGAIN_CAP_S))
        finally:
            for output in outputs:
                output.discard()


async def _written(
    store: TaskStore,
    run: Run,
    which: Selection | None,
    pairs: Sequence[tuple[Format, OutputFile]],
) -> list[Exported]:
    """The files, written whole from one view of the data."""

    def begin() -> None:
        for _, output in pairs:
            output.begin()
        for writer, output in pairs:
            output.write(writer.header())

    def write(page: Sequence[ExportLine]) -> None:
        records = _records(page, run)
        for writer, output in pairs:
            output.write(writer.lines(records))

    await anyio.to_thread.run_sync(begin)
    rows = await _pages(store, run, which, write)
    return await anyio.to_thread.run_sync(lambda: [each.publish(rows) for _, each in pairs])


def _spare_the_last_answers(run: Run, files: Iterable[Path]) -> None:
    for file in files:
        if file.exists() and not file.stem.endswith(_PRUNED):
            raise WrongInput(
                f"{run.name} was pruned, and {file} may be the last file with its answers",
                how="write to another file, or add --force",
            )


async def write_stream(
    store: TaskStore,
    run: Run,
    format: str,
    out: BinaryIO,
    *,
    raw_cells: bool = False,
    which: Selection | None = None,
) -> int:
    """Write the run to *out*, such as ``sys.stdout.buffer``; returns the number of lines.

    The header does not count. A cancelled call may leave a write waiting in its thread.

    Raises:
        OSError: as *out* raises it; ``BrokenPipeError`` when its reader has gone.
        ValueError: there is no such format.
    """
    inputs = await store.input_columns(run.id)
    writer = format_named(format, inputs, raw_cells=raw_cells)
    # A reader that has stopped reading must not keep a cancelled command alive.
    in_thread = functools.partial(anyio.to_thread.run_sync, abandon_on_cancel=True)

    def write(page: Sequence[ExportLine]) -> None:
        out.write(writer.lines(_records(page, run)))

    await in_thread(out.write, writer.header())
    rows = await _pages(store, run, which, write, abandon=True)
    await in_thread(out.flush)
    return rows


async def _pages(
    store: TaskStore,
    run: Run,
    which: Selection | None,
    write: Callable[[Sequence[ExportLine]], None],
    *,
    abandon: bool = False,
) -> int:
    """Hand the run to *write*, page by page in a worker thread; returns how many lines it has."""
    rows = 0
    pages = store.export(run.id, which)
    try:
        async for page in pages:
            await anyio.to_thread.run_sync(write, page, abandon_on_cancel=abandon)
            rows += len(page)
    finally:
        # The store may hold a view of the data open for it.
        if isinstance(pages, AsyncGenerator):
            with anyio.CancelScope(shield=True):
                await pages.aclose()
    return rows


def _records(page: Sequence[ExportLine], run: Run) -> list[Record]:
    return [(line.cells, columns.values(line, run)) for line in page]
