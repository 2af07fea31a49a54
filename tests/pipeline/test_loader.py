"""Reading a prompt file into the queue: all of it checked first, only what is new queued."""

import json
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.errors import Problem, TryLater, WrongInput
from runner.jobfile import Job
from runner.lifecycle import State
from runner.pipeline import conflicts, rejects
from runner.pipeline.loader import ROWS_PER_TRANSACTION, LoadReport, check_input, load
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import Run, RunStatus
from tests.pipeline.full_disk import FullDisk
from tests.pipeline.scene import RESERVE
from tests.support.clock import ManualClock
from tests.support.jobs import job_at, write_prompts

LONG = "x" * 501


@dataclass(slots=True)
class Desk:
    """A folder with a prompt file, and a store to load it into."""

    folder: Path
    store: SqliteStore
    clock: ManualClock
    told: list[Problem] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "q.csv"

    async def run_of(self, job: Job) -> Run:
        return await self.store.begin_run(
            job=job.name,
            key="",
            fresh=0,
            api="live",
            key_columns=job.key_columns,
            targets=[(target, RESERVE) for target in job.targets],
            now=self.clock.now(),
        )

    async def load(
        self,
        prompts: list[str] | int | None = None,
        *,
        limit: int | None = None,
        skip_bad: Path | None = None,
        store: Any = None,
        **job: Any,
    ) -> LoadReport:
        """Load the prompt file, written anew if *prompts* are given."""
        if prompts is not None:
            write_prompts(self.file, prompts)
        made = job_at(self.folder, **job)
        source = await check_input(made, self.told.append, skip_bad=skip_bad)
        run = await self.run_of(made)
        return await load(store or self.store, made, run, source, clock=self.clock, limit=limit)

    async def status(self) -> RunStatus:
        (run,) = await self.store.runs()
        return await self.store.status(run.id)


@pytest.fixture
async def desk(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Desk]:
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        yield Desk(tmp_path, store, clock)


async def test_every_row_is_queued_for_every_target(desk: Desk) -> None:
    """The plain case."""
    report = await desk.load(5, providers=("claude", "gemini"))
    assert (report.added.rows, report.added.new, report.rejected) == (5, 10, 0)
    assert (await desk.status()).states[State.PENDING] == 10


async def test_bad_rows_are_each_told_with_their_place_and_nothing_is_loaded(desk: Desk) -> None:
    """Half a file loaded would be asked, and paid for, while the other half is being mended."""
    with pytest.raises(WrongInput) as caught:
        await desk.load(["fine?", LONG, '""', "good?"])
    assert [(problem.line, problem.column) for problem in desk.told] == [(3, 1), (4, 1)]
    assert "501 characters" in desk.told[0].message
    assert "2 of 4 rows" in caught.value.what
    assert await desk.store.runs() == []


async def test_bad_rows_are_never_too_many_to_tell(desk: Desk) -> None:
    """UX.md: one line each, never capped; who mends a file wants to mend it once."""
    with pytest.raises(WrongInput):
        await desk.load([LONG + str(n) for n in range(3_000)])
    assert [problem.line for problem in desk.told] == list(range(2, 3_002))


async def test_skip_bad_writes_the_rejects_as_they_came_and_loads_the_rest(desk: Desk) -> None:
    """The file of rejects is mended and loaded as it is: header, quotes and all."""
    bad = f'"{LONG}",  "1, 2"\r\n'
    desk.file.write_bytes(f"prompt,note\r\nfine?,a\r\n{bad}good?,b\r\n".encode())
    rejects = desk.folder / "rejects.csv"
    report = await desk.load(skip_bad=rejects)
    assert (report.added.new, report.rejected) == (2, 1)
    assert rejects.read_bytes() == f"prompt,note\r\n{bad}".encode()
    status = await desk.status()
    assert (status.rows, status.rejected) == (2, 1)


async def test_skip_bad_without_bad_rows_writes_the_header_alone(desk: Desk) -> None:
    """A file of last week's rejects left standing there would be mended for nothing."""
    rejects = desk.folder / "rejects.csv"
    rejects.write_text("old")
    await desk.load(2, skip_bad=rejects)
    assert rejects.read_text() == "prompt\n"


async def test_the_rejects_of_json_lines_need_no_header(desk: Desk) -> None:
    """The rows are whole by themselves."""
    rows = [{"prompt": "fine?"}, {"prompt": LONG}, {"question": "?"}]
    lines = [json.dumps(row) + "\n" for row in rows]
    (desk.folder / "q.jsonl").write_text("".join(lines) + "no json\n")
    rejects = desk.folder / "rejects.jsonl"
    report = await desk.load(file="q.jsonl", skip_bad=rejects)
    assert (report.added.new, report.rejected) == (1, 3)
    assert rejects.read_text() == "".join(lines[1:]) + "no json\n"


@pytest.mark.parametrize("where", ["q.csv", ".", "none/rejects.csv"])
async def test_a_place_where_rejects_cannot_go_is_refused_before_anything(
    desk: Desk, where: str
) -> None:
    """Above all the input itself: its good rows would be gone."""
    write_prompts(desk.file, ["fine?", LONG])
    before = desk.file.read_bytes()
    with pytest.raises(WrongInput):
        await desk.load(skip_bad=desk.folder / where)
    assert desk.file.read_bytes() == before
    assert await desk.store.runs() == []


async def test_the_same_key_with_another_question_is_a_bad_row(desk: Desk) -> None:
    """F41: only one of the two could ever be asked, and which would be chance."""
    desk.file.write_text("id,prompt\n1,one?\n2,two?\n1,other?\n2,two?\n")
    with pytest.raises(WrongInput):
        await desk.load(input='key = ["id"]')
    (problem,) = desk.told
    assert problem.line == 4
    assert "line 2" in problem.message
    report = await desk.load(input='key = ["id"]', skip_bad=desk.folder / "rejects.csv")
    assert (report.added.new, report.added.duplicates, report.rejected) == (2, 1, 1)
    assert (desk.folder / "rejects.csv").read_text() == "id,prompt\n1,other?\n"


async def test_what_a_contradicted_key_would_have_asked_is_in_no_formula(desk: Desk) -> None:
    """It is left out with its row: `plan` must tell what is queued."""
    desk.file.write_text("id,prompt\na,why?\nb,how?\na,when?\n")
    report = await desk.load(
        input='key = ["id"]',
        providers=("claude", "gemini"),
        prompt="samples = 2",
        skip_bad=desk.folder / "rejects.csv",
    )
    assert (report.added.new, report.rejected) == (8, 1)
    assert report.formula == "3 rows × 2 targets × 2 samples = 12 tasks, 8 of them to ask"


async def test_duplicate_rows_are_asked_once_and_counted(desk: Desk) -> None:
    """F40: the same question twice in a file is hardly ever meant twice."""
    report = await desk.load(["a?", "b?", "a?", "a?"])
    assert (report.added.rows, report.added.new, report.added.duplicates) == (4, 2, 2)
    assert (await desk.status()).duplicates == 2


async def test_the_same_file_again_changes_nothing(desk: Desk) -> None:
    """Cron starts it every night; nothing may be asked again, and nothing written."""
    await desk.load(3)
    disk = FullDisk(desk.store)
    report = await desk.load(store=disk)
    assert report.unchanged
    assert disk.called.keys() == {"begin_load"}
    assert (await desk.status()).states[State.PENDING] == 3


async def test_a_sorted_file_and_an_inserted_row_ask_only_what_is_new(desk: Desk) -> None:
    """A row is known by what it asks, not by where it stands."""
    await desk.load(["c?", "a?", "b?"])
    assert (await desk.load(["a?", "b?", "c?"])).added.new == 0
    report = await desk.load(["new?", "a?", "b?", "c?"])
    assert (report.added.new, report.added.known) == (1, 3)


async def test_a_changed_temperature_is_reported_and_nothing_is_queued_for_it(desk: Desk) -> None:
    """An edit must not make anybody pay again unasked."""
    await desk.load(3)
    report = await desk.load(temperature=0.2)
    assert (report.added.new, report.unchanged) == (0, False)
    status = await desk.status()
    assert (status.changed, status.held) == (3, 3)


async def test_limit_takes_the_first_rows_and_a_later_load_the_others(desk: Desk) -> None:
    """`--limit 2` is a rehearsal of the same run: what it asked is not asked again."""
    assert (await desk.load(5, limit=2)).added.new == 2
    assert (await desk.load(limit=2)).unchanged
    report = await desk.load()
    assert (report.added.new, report.added.known) == (3, 2)


async def test_a_file_that_changes_between_the_passes_is_refused(desk: Desk) -> None:
    """F43: what was checked must be what is queued."""
    write_prompts(desk.file, 5)
    job = job_at(desk.folder)
    source = await check_input(job, desk.told.append)
    run = await desk.run_of(job)
    write_prompts(desk.file, 6)
    with pytest.raises(WrongInput):
        await load(desk.store, job, run, source, clock=desk.clock)
    assert (await desk.status()).tasks == 0


class _Killed(BaseException):
    """Stands for kill -9: nothing cleans up."""


async def test_a_load_that_was_killed_is_made_whole_by_the_next(desk: Desk) -> None:
    """F1: no row twice, none missing, whatever the first one had committed."""
    rows = 2 * ROWS_PER_TRANSACTION + 5

    class Killing(FullDisk):
        async def add_rows(self, *args: Any, **how: Any) -> Any:
            if self.called["add_rows"]:
                raise _Killed
            self.called["add_rows"] += 1
            return await desk.store.add_rows(*args, **how)

    with pytest.raises(_Killed):
        await desk.load(rows, store=Killing(desk.store))
    queued = (await desk.status()).tasks
    assert 0 < queued < rows
    report = await desk.load()
    assert (report.added.new, report.added.known) == (rows - queued, queued)
    status = await desk.status()
    assert (status.tasks, status.rows) == (rows, rows)
    assert (await desk.load()).unchanged


@pytest.mark.parametrize("full", ["conflicts", "rejects"])
async def test_a_full_disk_of_temporary_files_is_told_plainly(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """F23: exit 75 and a sentence, not a traceback."""

    def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    if full == "conflicts":
        monkeypatch.setattr(conflicts.ConflictFinder, "add", refuse)
    else:
        monkeypatch.setattr(rejects.RejectsFile, "write", refuse)
    with pytest.raises(TryLater) as caught:
        await desk.load(["fine?", LONG], skip_bad=desk.folder / "rejects.csv")
    assert "No space left" in caught.value.what
    assert [path.name for path in desk.folder.glob(".rejects*")] == []
    assert await desk.store.runs() == []


async def test_memory_does_not_grow_with_the_file(desk: Desk) -> None:
    """F12: promise 7, at a size that a test can afford; bench/ does it for a million."""

    async def peak_of(rows: int) -> int:
        file = desk.folder / "many.jsonl"
        with file.open("w") as out:
            for n in range(rows):
                out.write(f'{{"prompt": "Which of the two is better, {n}?"}}\n')
        job = job_at(desk.folder, file="many.jsonl", name=f"many-{rows}")
        tracemalloc.start()
        await check_input(job, desk.told.append)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    small, large = await peak_of(20_000), await peak_of(60_000)
    assert large < small + 4_000_000
