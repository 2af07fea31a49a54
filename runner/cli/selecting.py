"""Which tasks a command is about: the same options everywhere (UX.md §2.13).

    options ── selector_options ──▶ Selectors ── pick ──▶ the runs, and a Selection of their tasks

What is listed with some selectors is what another command does something about with the same ones.
Times mean the latest thing that happened to a task: its answer, its failure, its post.
"""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Final, Protocol, TypedDict

import click

from runner.cli.layout import count, either
from runner.cli.moments import Moment, When
from runner.cli.select import matching
from runner.cli.session import Session
from runner.cli.verbs import COUNT, F
from runner.errors import Problem, WrongInput
from runner.lifecycle import State
from runner.store.listing import Selection
from runner.store.values import Run
from runner.task import Provider

STDIN: Final = "-"


class Selectors(TypedDict):
    """What the options say; those that a command leaves out are missing."""

    of_run: tuple[str, ...]
    of_job: tuple[str, ...]
    state: tuple[str, ...]
    provider: tuple[str, ...]
    model: tuple[str, ...]
    error: tuple[int, ...]
    since: When | None
    until: When | None
    where: tuple[tuple[str, str], ...]
    tasks_from: str | None
    gone: bool
    limit: int | None


class Cell(click.ParamType[tuple[str, str]]):
    """``COLUMN=VALUE``."""

    name = "cell"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        column, equals, text = str(value).partition("=")
        if not column or not equals:
            message = f"{value} is no condition: write COLUMN=VALUE, such as brand=Acme"
            raise click.BadParameter(message, ctx, param)
        return column, text


_OPTIONS: Final[dict[str, tuple[tuple[str, ...], dict[str, Any]]]] = {
    "of_run": (
        ("--run", "of_run"),
        {"metavar": "RUN", "multiple": True, "help": "Only this run: r42, JOB@KEY or its KEY."},
    ),
    "of_job": (
        ("--job", "of_job"),
        {"metavar": "JOB", "multiple": True, "help": "Only runs of this job: its name or file."},
    ),
    "state": (
        ("--state",),
        {
            "type": click.Choice([state.value for state in State]),
            "multiple": True,
            "help": "Only tasks in this state; may be repeated, as all of these.",
        },
    ),
    "provider": (
        ("--provider",),
        {
            "type": click.Choice([provider.value for provider in Provider]),
            "multiple": True,
            "help": "Only tasks of this provider.",
        },
    ),
    "model": (
        ("--model",),
        {"multiple": True, "metavar": "MODEL", "help": "Only tasks that ask this model."},
    ),
    "error": (
        ("--error",),
        {
            "type": click.IntRange(10_000, 99_999),
            "multiple": True,
            "metavar": "CODE",
            "help": "Only tasks whose latest attempt has this code of the API.",
        },
    ),
    "since": (
        ("--since",),
        {
            "type": Moment(),
            "metavar": "WHEN",
            "help": "Only what happened since: 24h or 7d ago, or a date, 2026-11-20 (UTC).",
        },
    ),
    "until": (
        ("--until",),
        {
            "type": Moment(),
            "metavar": "WHEN",
            "help": "Only what happened until then, that day included.",
        },
    ),
    "where": (
        ("--where",),
        {
            "type": Cell(),
            "multiple": True,
            "metavar": "COLUMN=VALUE",
            "help": "Only tasks of input rows with this cell; of several all must hold.",
        },
    ),
    "tasks_from": (
        ("--tasks-from",),
        {
            "metavar": "FILE|-",
            "help": "Only the tasks listed in FILE, as `runner tasks` prints them.",
        },
    ),
    "gone": (
        ("--gone",),
        {"is_flag": True, "help": "Only queued tasks that the input does not ask any more."},
    ),
    "limit": (("--limit",), {"type": COUNT, "metavar": "N", "help": "At most N."}),
}


def selector_options(*names: str, but: Collection[str] = ()) -> Callable[[F], F]:
    """Give a command the selectors called *names*, or all *but* some."""
    chosen = names or tuple(name for name in _OPTIONS if name not in but)

    def add(function: F) -> F:
        for name in reversed(chosen):
            declared, more = _OPTIONS[name]
            function = click.option(*declared, **more)(function)
        return function

    return add


@dataclass(frozen=True, slots=True)
class Picked:
    """What the selectors come to in a store."""

    runs: list[Run]
    """Oldest first."""
    which: Selection


class _Store(Protocol):
    """As much of a store as it takes."""

    async def runs(self) -> list[Run]: ...
    async def input_columns(self, run: int) -> list[str]: ...
    async def unknown_tasks(self, ids: Sequence[int]) -> list[int]: ...


async def pick(
    session: Session,
    store: _Store,
    reference: str | None,
    given: Selectors,
    *,
    newest_only: bool = False,
) -> Picked:
    """The tasks that *reference* (RUN or JOB) and the options mean.

    *newest_only*: of several runs the newest alone, and there must be one.

    Raises:
        WrongInput: a run, job, column or task number is unknown, or FILE cannot be read.
    """
    known = await store.runs()
    runs = runs_meant(reference, given, known)
    if newest_only:
        runs = [max(runs, key=lambda run: run.id)] if runs else [_no_run()]
    where = given.get("where") or ()
    if where:
        columns = {column for run in runs for column in await store.input_columns(run.id)}
        check_columns((column for column, _ in where), columns)
    tasks = None
    if (file := given.get("tasks_from")) is not None:
        tasks = _tasks_in(file)
        if unknown := await store.unknown_tasks(sorted(tasks)):
            raise WrongInput(
                f"{len(unknown):,} of {count(len(tasks), 'task')} in "
                f"{'standard input' if file == STDIN else file} "
                f"{either(len(unknown), 'is', 'are')} not in this store",
                why=f"the first is {unknown[0]}",
            )
    now = session.clock.now()
    since, until = given.get("since"), given.get("until")
    return Picked(
        runs,
        Selection(
            runs=None if len(runs) == len(known) else frozenset(run.id for run in runs),
            states=frozenset(map(State, given.get("state") or ())) or None,
            providers=frozenset(given.get("provider") or ()) or None,
            models=frozenset(given.get("model") or ()) or None,
            codes=frozenset(given.get("error") or ()) or None,
            since=since.since(now) if since else None,
            until=until.until(now) if until else None,
            where=tuple(where),
            tasks=tasks,
            gone=bool(given.get("gone")),
            limit=given.get("limit"),
        ),
    )


def runs_meant(reference: str | None, given: Selectors, known: Sequence[Run]) -> list[Run]:
    """Those of *known* that *reference* and every one of ``--job`` and ``--run`` mean.

    Raises:
        WrongInput: one of them means none.
    """
    runs = matching(reference, known)
    if jobs := given.get("of_job"):
        meant = {run.job for job in jobs for run in matching(job, known)}
        runs = [run for run in runs if run.job in meant]
    if names := given.get("of_run"):
        ids = {run.id for name in names for run in _named(name, runs, known)}
        runs = [run for run in runs if run.id in ids]
    if not runs and (reference or jobs or names):
        raise WrongInput("no run is meant by all of these", how="see which there are: runner runs")
    return runs


def _named(name: str, runs: Sequence[Run], known: Sequence[Run]) -> Iterable[Run]:
    """By a key such as ``2026-11-21`` among *runs*, else as RUN anywhere."""
    return [run for run in runs if run.key and run.key == name] or matching(name, known)


def _no_run() -> Run:
    raise WrongInput("nothing was run in this store yet", how="runner run demo --api sim")


def check_columns(asked: Iterable[str], columns: Collection[str]) -> None:
    """Make sure that each of *asked* is one of the input's *columns*, or a path into one.

    Raises:
        WrongInput: one is not.
    """
    for column in asked:
        if column in columns or any(column.startswith(f"{known}.") for known in columns):
            continue
        near = get_close_matches(column, list(columns), n=1, cutoff=0.5)
        raise WrongInput(
            f'the input has no column "{column}"' + (f"; did you mean {near[0]}?" if near else ""),
            why=f"it has: {', '.join(sorted(columns))}" if columns else None,
        )


def _tasks_in(file: str) -> frozenset[int]:
    """The task numbers in *file*: lines that begin with one, or JSON lines with ``task_id``.

    Raises:
        WrongInput: it cannot be read, or a line has no number.
    """
    if file == STDIN:
        if sys.stdin is None:
            raise WrongInput("standard input is closed", how="name a file: --tasks-from FILE")
        return _numbers(sys.stdin.buffer, "standard input")
    try:
        with Path(file).open("rb") as lines:
            return _numbers(lines, file)
    except OSError as error:
        raise WrongInput(f"{file} cannot be read: {error.strerror}") from error


def _numbers(lines: IO[bytes], display: str) -> frozenset[int]:
    found, problems = set(), []
    for number, raw in enumerate(lines, 1):
        line = raw.decode("utf-8", "replace").strip("\ufeff\r\n ")
        if not line or line.startswith("#"):
            continue
        words = [line] if line.startswith("{") else list(_words(line))
        task = _task_of(words[0])
        if task is not None:
            found.add(task)
        elif not (number == 1 and words[0] == "task_id"):
            problems.append(Problem(display, number, 1, "must begin with a task number"))
    if problems:
        lines_name = f"{count(len(problems), 'line')} {either(len(problems), 'names', 'name')}"
        raise WrongInput(f"{display}: {lines_name} no task", problems=problems)
    return frozenset(found)


def _words(line: str) -> Iterator[str]:
    yield from line.replace("\t", " ").replace(",", " ").split()


def _task_of(word: str) -> int | None:
    if word.startswith("{"):
        try:
            task = json.loads(word).get("task_id")
        except (ValueError, RecursionError):
            return None
        return task if type(task) is int and 0 < task < 10**18 else None
    return int(word) if word.isascii() and word.isdecimal() and len(word) <= 18 else None
