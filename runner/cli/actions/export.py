"""``runner export``: a run's results to files, or to stdout."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.cli.actions.looking import store_to_look
from runner.cli.layout import count, pairs
from runner.cli.select import job_file
from runner.cli.selecting import pick
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput
from runner.jobfile import load_job
from runner.jobfile.find import relative
from runner.reports.export import export_files, export_name, export_run, write_stream
from runner.reports.files import Exported
from runner.store.values import Run

if TYPE_CHECKING:
    from runner.cli.commands.export import ExportOptions

STDOUT: Final = "-"
_BY_SUFFIX: Final = {".csv": "csv", ".jsonl": "jsonl"}


def export(session: Session, reference: str | None, given: "ExportOptions") -> Exit:
    """Write the run that *reference* means.

    Raises:
        WrongInput: it means none, or a file may not be written.
        StoreBroken: the store cannot be read.
    """
    session.settings()
    session.open_log()
    files = run_async(lambda: _export(session, reference, given))
    _tell(session, files)
    return Exit.DONE


async def _export(
    session: Session, reference: str | None, given: "ExportOptions"
) -> Sequence[Exported] | None:
    """The files written; None if all went to stdout."""
    target, raw, force = given["output"], given["raw_cells"], given["force"]
    async with store_to_look(session) as store:
        picked = await pick(session, store, reference, given, newest_only=True)
        (run,), which = picked.runs, picked.which
        if run.pruned_at is not None:
            session.voice.note(
                f"{run.name} was pruned on {run.pruned_at:%Y-%m-%d}: prompts and answers from "
                "before are not in the export, and their lines say so (reason: pruned)"
            )
        if target == STDOUT:
            form = _streamed(session, given["format"])
            with session.voice.stream() as out:
                await write_stream(store, run, form, out, raw_cells=raw, which=which)
            return None
        if target is not None:
            file = Path(target), _format_of(target, given["format"])
            return await export_files(store, run, [file], raw_cells=raw, force=force, which=which)
        folder, formats = _of_job(session, run, (reference, *given["of_job"]))
        return await export_run(
            store,
            run,
            folder=folder,
            name=export_name(run),
            formats=given["format"] or formats,
            raw_cells=raw,
            force=force,
            which=which,
        )


def _streamed(session: Session, formats: Sequence[str]) -> str:
    """The format of stdout: with ``--json`` no other than lines of JSON."""
    form = _only(formats or ("jsonl" if session.voice.json else "csv",))
    if session.voice.json and form != "jsonl":
        raise WrongInput(
            f"--format {form} and --json do not go together on stdout", how="leave out one of them"
        )
    return form


def _only(formats: Sequence[str]) -> str:
    if len(formats) != 1:
        raise WrongInput("one file has one format", how="leave out all --format but one")
    return formats[0]


def _format_of(target: str, formats: Sequence[str]) -> str:
    named = _BY_SUFFIX.get(Path(target).suffix.lower())
    if formats:
        return _only(formats)
    if named is None:
        raise WrongInput(
            f"the name {target} does not say which format to write", how="add --format csv or jsonl"
        )
    return named


def _of_job(
    session: Session, run: Run, references: Sequence[str | None]
) -> tuple[Path, tuple[str, ...]]:
    """Where the job of *run* has its files, and of which formats; where runs of data files have
    theirs if that is not known."""
    workspace = session.settings().workspace
    file = job_file(run, *references)
    try:
        job = load_job(file, workspace=workspace)
        if job.name == run.job:
            return job.output_dir, tuple(map(str, job.formats))
        why = f"{job.path} is the job {job.name} now"
    except WrongInput as error:
        why = _why(run, file, error)
    folder = relative(workspace / "out")
    session.voice.note(f"{why}, so the files go to {folder}")
    return Path(folder), ("csv", "jsonl")


def _why(run: Run, file: str, error: WrongInput) -> str:
    """Why *file*, the best guess at the job file of *run*, says nothing."""
    if error.problems:
        return f"the job file of {run.name} cannot be used ({error.problems[0]})"
    if file == run.job and run.job_file:
        return f"the job file of {run.name}, {run.job_file}, is gone"
    if file.endswith(".toml"):
        return f"the job file of {run.name} cannot be used ({error.what})"
    return f"no job file of {run.name} is known"


def _tell(session: Session, files: Sequence[Exported] | None) -> None:
    voice = session.voice
    if files is None:
        return
    if voice.json:
        documents = [
            {"path": str(file.path), "rows": file.rows, "bytes": file.bytes} for file in files
        ]
        voice.document({"schema": "runner.export/1", "files": documents})
        return
    for file in files:
        if voice.for_people:
            voice.answer(f"✓ {file.path}   {count(file.rows, 'row')}, {_size(file.bytes)}")
        else:
            keys = {"file": str(file.path), "rows": file.rows, "bytes": file.bytes}
            voice.answer(pairs("export", keys))


def _size(size: int) -> str:
    if size < 1_000_000:
        return f"{size / 1000:,.1f} kB"
    return f"{size / 1_000_000:,.1f} MB"
