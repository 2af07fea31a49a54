"""Calls the command line in this process, with streams that a test can look into."""

import errno
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner import app
from runner.app import Progress, Reporter, RunOptions, RunSummary, StopSwitch
from runner.app.left_over import LeftOver
from runner.cli import entry
from runner.errors import Exit, Problem, RunnerError
from runner.jobfile import Job
from runner.lifecycle import State
from runner.pipeline.loader import LoadReport
from runner.settings import Settings
from runner.store.amounts import Money
from runner.store.values import Added, Run, RunStatus
from tests.support.clock import START

SECRET = "hunter2-and-longer"


class Stream(io.TextIOWrapper):
    """A pipe or, if *tty*, a terminal; everything written is kept."""

    def __init__(
        self, *, tty: bool = False, encoding: str = "utf-8", into: io.BytesIO | None = None
    ) -> None:
        super().__init__(
            io.BytesIO() if into is None else into,
            encoding=encoding,
            write_through=True,
            newline="",
        )
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


class _NoReader(io.BytesIO):
    def write(self, data: object) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


class ClosedPipe(Stream):
    """A pipe whose reader has gone."""

    def __init__(self) -> None:
        super().__init__(into=_NoReader())


class _Full(io.BytesIO):
    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


class FullDisk(Stream):
    """A file on a disk that is full."""

    def __init__(self) -> None:
        super().__init__(into=_Full())


@dataclass(frozen=True)
class Ended:
    """What one call came to."""

    code: Exit
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document of stdout."""
        (document,) = self.events
        return document


def call(
    *argv: str,
    environ: Mapping[str, str] | None = None,
    stdout: Stream | None = None,
    stderr: Stream | None = None,
) -> Ended:
    """Run one command line, on pipes unless streams are given."""
    out, err = stdout or Stream(), stderr or Stream()
    code = entry.start(list(argv), environ=environ or {}, stdout=out, stderr=err)
    return Ended(code, out.text, err.text)


def call_on_terminal(
    *argv: str, environ: Mapping[str, str] | None = None, encoding: str = "utf-8"
) -> Ended:
    """Run one command line in front of a person."""
    environ = {"TERM": "xterm-256color", "COLUMNS": "110", "LINES": "30", **(environ or {})}
    return call(
        *argv,
        environ=environ,
        stdout=Stream(tty=True, encoding=encoding),
        stderr=Stream(tty=True, encoding=encoding),
    )


RUN = Run(
    id=42,
    job="prompts",
    key="",
    fresh=0,
    api="sim",
    key_columns=("prompt",),
    created_at=START,
)


def status_of(*, run: Run = RUN, rejected: int = 0, changed: int = 0, **states: int) -> RunStatus:
    """Where a run stands, by the number of tasks in each state."""
    counts = dict.fromkeys(State, 0) | {State(name): count for name, count in states.items()}
    waits = counts[State.POSTED] > 0
    return RunStatus(
        run=run,
        rows=sum(counts.values()),
        duplicates=0,
        rejected=rejected,
        states=counts,
        reasons={},
        changed=changed,
        held=0,
        money=Money(charged=counts[State.COMPLETED] * 5_200_001, reserved=counts[State.POSTED]),
        oldest_posted_at=START if waits else None,
        next_due_at=None,
    )


def progress_of(
    status: RunStatus, *, elapsed_s: float, calls: int = 0, note: str | None = None
) -> Progress:
    """Where a start stands *elapsed_s* seconds after it began."""
    return Progress(
        status=status,
        elapsed_s=elapsed_s,
        calls=calls,
        calls_per_minute=2_000,
        now=START + timedelta(seconds=elapsed_s),
        stopping=False,
        note=note,
    )


@dataclass
class FakeApp:
    """Stands for ``runner.app``: tells what a test wants told, and remembers what it was asked."""

    status: RunStatus = field(default_factory=lambda: status_of(completed=3))
    exit: Exit = Exit.DONE
    reason: RunnerError | None = None
    raises: BaseException | None = None
    problems: Iterable[Problem] = ()
    progress: Iterable[Progress] = ()
    others: tuple[RunStatus, ...] = ()
    left_over: tuple[LeftOver, ...] = ()
    retried: int = 0
    files: tuple[Path, ...] = ()
    rejects: Path | None = None
    during: Callable[[StopSwitch], None] | None = None
    job: Job | None = None
    options: RunOptions | None = None
    settings: Settings | None = None

    async def run_job(
        self,
        job: Job,
        options: RunOptions,
        *,
        settings: Settings,
        clock: object,
        reporter: Reporter,
        stop: StopSwitch,
    ) -> RunSummary:
        self.job, self.options, self.settings = job, options, settings
        for problem in self.problems:
            reporter.problem(problem)
        if self.raises is not None:
            raise self.raises
        load = LoadReport(added=Added(rows=3, new=3), rejected=0, unchanged=False)
        reporter.begun(self.status.run, load, self.status)
        for progress in self.progress:
            reporter.progress(progress)
        if self.during is not None:
            self.during(stop)
            await stop.wait()
        return RunSummary(
            status=self.status,
            others=self.others,
            left_over=self.left_over,
            load=load,
            exit=stop.exit or self.exit,
            reason=self.reason,
            retried=self.retried,
            files=self.files,
            elapsed_s=62.5,
            calls=7,
            rejects=self.rejects,
        )

    async def retry_run(
        self, job: Job, run: Run, which: object, options: RunOptions, **more: Any
    ) -> RunSummary:
        self.which = which
        self.status = replace(self.status, run=run)
        return await self.run_job(job, options, **more)


def install(fake: FakeApp, monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    """Let *fake* answer for ``runner.app``."""
    monkeypatch.setattr(app, "run_job", fake.run_job)
    monkeypatch.setattr(app, "retry_run", fake.retry_run)
    return fake


def later(**by: float) -> datetime:
    """A while after the clock of the tests began."""
    return START + timedelta(**by)
