"""What programs use of runner, as they use it: the example of the documentation, and its edges."""

import ast
import asyncio
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

import runner
from runner import (
    Exit,
    JobNotDone,
    MoneyStopped,
    Result,
    RunnerError,
    State,
    Store,
    TryLater,
    WrongInput,
    library,
    load_job,
    open_store,
    run_job,
)
from runner.reports.columns import COLUMNS
from tests.support.commands import (
    PASSWORD,
    QUESTIONS,
    ROOT,
    Workspace,
    brands_csv,
    environment,
    simulated,
    workspace,
)

EXAMPLES = ROOT / "examples"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The current folder with the job ``brands`` (6 rows × 2 targets), and an API to call."""
    with workspace(tmp_path) as made:
        for name in [name for name in os.environ if name.startswith(("DATAFORSEO_", "RUNNER_"))]:
            monkeypatch.delenv(name)
        for name, value in made.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        yield made


async def results(store: Store, job: str = "brands") -> list[Result]:
    """Every line of the job's newest run."""
    run = (await store.runs(job))[-1]
    return [result async for result in store.results(run)]


async def until_created(work: Workspace) -> None:
    """Return when the API has taken the first tasks.

    Raises:
        TimeoutError: it has not for half a minute.
    """
    for _ in range(1_500):
        if (await asyncio.to_thread(work.api.ledger))["created"]:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError("nothing was posted")


def python(*argv: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python process to its end."""
    return subprocess.run(
        [sys.executable, *argv],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


# --- the front door -------------------------------------------------------------------------------


def test_importing_runner_takes_nothing_but_the_standard_library() -> None:
    """A program that only may use it should not pay for it; and `runner.dev` needs it so."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules)\n"
        "import runner\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"runner"}


def test_every_name_at_the_front_door_is_there_and_is_the_librarys() -> None:
    """A name that a type checker sees and Python does not find fails at night."""
    assert [*runner.__all__] == sorted(runner.__all__)
    assert {*runner.__all__} - {"__version__"} == {*library.__all__}
    for name in library.__all__:
        assert getattr(runner, name) is getattr(library, name)
    assert {*runner.__all__} <= {*dir(runner)}


def test_type_checkers_are_told_the_same_names() -> None:
    """They read the imports that Python never runs."""
    tree = ast.parse((ROOT / "runner" / "__init__.py").read_bytes())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    (imported,) = (node for node in block.body if isinstance(node, ast.ImportFrom))
    assert [alias.name for alias in imported.names] == library.__all__


def test_a_name_that_is_not_there_is_an_ordinary_mistake() -> None:
    """`from runner import app` and hasattr() rely on it."""
    assert not hasattr(runner, "run_jobs")
    with pytest.raises(ImportError, match="run_jobs"):
        exec("from runner import run_jobs")


def test_a_result_calls_things_as_an_export_does() -> None:
    """The same thing under two names is looked up twice (DESIGN.md §11)."""
    assert {*Result.__dataclass_fields__} - {"input"} <= COLUMNS.keys()


# --- a run ----------------------------------------------------------------------------------------


async def test_a_job_is_run_and_its_results_are_read_with_types(work: Workspace) -> None:
    """The whole of what the library is for."""
    async with open_store() as store:
        summary = await run_job(store, load_job("brands.toml"))
        found = await results(store)
    assert summary.raise_for_exit() is summary
    assert (summary.exit, summary.reason, summary.rejected) == (Exit.DONE, None, 0)
    assert (summary.tasks, summary.completed, summary.waiting, summary.unsuccessful) == (
        12,
        12,
        0,
        0,
    )
    assert [file.name for file in summary.files] == ["brands.csv", "brands.jsonl"]
    assert summary.elapsed > timedelta(0)

    assert len(found) == 12
    assert [result.input["question"] for result in found][::2] == QUESTIONS
    assert [result.prompt for result in found][::2] == QUESTIONS
    assert [result.position for result in found][::2] == [1, 2, 3, 4, 5, 6]
    first = found[0]
    assert first.input == {
        "id": "1",
        "brand": 'Brand "1"',
        "question": QUESTIONS[0],
        "note": "=1+1",
    }
    assert (first.provider, first.state, first.reason) == ("claude", State.COMPLETED, None)
    assert first.answer
    assert isinstance(first.citation_urls, tuple)
    assert isinstance(first.cost_usd, Decimal)
    assert sum(result.cost_usd or 0 for result in found) == summary.charged_usd > 0
    assert first.posted_at is not None
    assert first.posted_at.tzinfo is not None


async def test_a_second_start_pays_for_nothing_and_asks_what_is_new(work: Workspace) -> None:
    """The promise of the command line holds for programs as well."""
    async with open_store() as store:
        await run_job(store, "brands.toml", limit=2, export=False)
        assert work.api.ledger()["created"] == 4
        summary = await run_job(store, Path("brands.toml"))
        assert await store.runs() == [summary.run] == await store.runs("brands")
        assert await store.runs("other") == []
    assert work.api.ledger()["created"] == summary.completed == 12


async def test_tasks_without_an_answer_are_results_too(work: Workspace) -> None:
    """Nothing is lost: what waits, and a row that repeats another, have their lines."""
    work.api.control(set={"latency": "1h"})
    work.write("brands.csv", brands_csv([QUESTIONS[0], QUESTIONS[0]]))
    async with open_store() as store:
        summary = await run_job(store, "brands.toml", wait=timedelta(0))
        waiting = await results(store)
        assert (summary.exit, summary.waiting) == (Exit.NOT_FINISHED, 2)
        assert summary.reserved_usd > 0
        assert [(each.state, each.answer) for each in waiting] == [(State.POSTED, None)] * 4
        assert [each.duplicate_of for each in waiting] == [None, None, 1, 1]
        assert {each.cost_usd for each in waiting[:2]} == {None}
        assert {each.citation_urls for each in waiting} == {()}

        work.api.control(advance_s=7200)
        again = await run_job(store, "brands.toml")
        answered = await results(store)
    assert again.exit is Exit.DONE
    assert answered[0].answer == answered[2].answer
    assert answered[2].cost_usd == 0


async def test_results_may_be_left_before_their_end(work: Workspace) -> None:
    """The store must close all the same, and leave no thread or file behind."""
    async with open_store() as store:
        summary = await run_job(store, "brands.toml", limit=2)
        async for result in store.results(summary.run):
            assert result.position == 1
            break
        never_begun = store.results(summary.run)
        async with aclosing(store.results(summary.run)) as reading:
            assert (await anext(reading)).position == 1
    assert [result async for result in never_begun] == []


# --- what goes wrong ------------------------------------------------------------------------------


async def test_bad_rows_are_all_in_the_error_with_their_places(work: Workspace) -> None:
    """A program shows them to whoever made the file."""
    work.write("brands.csv", brands_csv([*QUESTIONS, "x" * 501, ""]))
    async with open_store() as store:
        with pytest.raises(WrongInput) as caught:
            await run_job(store, "brands.toml")
        assert [problem.line for problem in caught.value.problems] == [8, 9]
        assert work.api.ledger()["created"] == 0
        summary = await run_job(store, "brands.toml", skip_bad="rejects.csv")
    assert (summary.rejected, summary.completed, summary.exit) == (2, 12, Exit.SOME_FAILED)


async def test_what_ended_badly_becomes_an_error_that_says_how(work: Workspace) -> None:
    """An orchestrator knows errors, not exit codes; it carries them between processes."""
    job = load_job("brands.toml", budget_usd=Decimal("0.001"))
    async with open_store() as store:
        summary = await run_job(store, job)
    assert isinstance(summary.reason, MoneyStopped)
    with pytest.raises(JobNotDone) as caught:
        summary.raise_for_exit()
    error = caught.value
    assert isinstance(error, RunnerError)
    assert error.exit_code is Exit.MONEY
    assert error.__cause__ is summary.reason
    assert "exit code 4" in str(error)
    assert "budget_usd" in (error.why or "")
    carried = pickle.loads(pickle.dumps(error))
    assert isinstance(carried, JobNotDone)
    assert (carried.exit_code, str(carried)) == (Exit.MONEY, str(error))
    assert carried.summary.states == summary.states


@pytest.mark.parametrize(
    "options",
    [
        {"wait": timedelta(seconds=-1)},
        {"limit": 0},
        {"max_failures": -1},
        {"pay_again": True},
        {"changed": "asks"},
        {"key": "2026-01-01"},
    ],
    ids=str,
)
async def test_an_argument_out_of_range_is_refused_before_anything_is_sent(
    options: dict[str, Any], work: Workspace
) -> None:
    """A negative wait would be one for ever."""
    async with open_store() as store:
        with pytest.raises(WrongInput):
            await run_job(store, "brands.toml", **options)
    assert work.api.ledger()["created"] == 0


async def test_only_one_start_at_a_time_has_the_store_and_readers_do_not_mind(
    work: Workspace,
) -> None:
    """Two schedulers that overlap must not send everything twice."""
    work.api.control(set={"latency": "1h"})
    async with open_store() as store, open_store() as other:
        first = asyncio.create_task(run_job(store, "brands.toml"))
        await until_created(work)
        with pytest.raises(TryLater, match="another run is active"):
            await run_job(other, "brands.toml")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_cancelled_in_the_middle_of_a_post_it_waits_for_the_receipt(work: Workspace) -> None:
    """A deadline of an orchestrator must not leave tasks that perhaps exist and perhaps do not."""
    work.api.control(
        arm=[{"fault": "slow", "call": "task_post", "seconds": 4, "times": 2}],
        set={"latency": "1h"},
    )
    async with open_store() as store:
        start = asyncio.create_task(run_job(store, "brands.toml"))
        await until_created(work)
        assert State.POSTING in {result.state for result in await results(store)}
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        after = [result.state for result in await results(store)]
    assert after.count(State.POSTED) == work.api.ledger()["created"] > 0
    assert {*after} <= {State.POSTED, State.PENDING}


async def test_cancelled_twice_it_ends_at_once(work: Workspace) -> None:
    """Who insists is not kept waiting; the store is as safe as after a kill."""
    work.api.control(arm=[{"fault": "slow", "call": "task_post", "seconds": 60, "times": 2}])
    async with open_store() as store:
        start = asyncio.create_task(run_job(store, "brands.toml"))
        await until_created(work)
        start.cancel()
        await asyncio.sleep(0.1)
        assert not start.done()
        start.cancel()
        with anyio.fail_after(30), pytest.raises(asyncio.CancelledError):
            await start


# --- without an event loop ------------------------------------------------------------------------


def test_a_script_needs_one_line(work: Workspace) -> None:
    """`runner.run` is the command line's `runner run` as a call."""
    summary = runner.run("brands.toml", limit=1, export=False)
    assert (summary.completed, summary.files) == (2, ())
    assert runner.run(load_job("brands.toml"), store="other.db").completed == 12
    assert (work.folder / "other.db").is_file()


async def test_inside_an_event_loop_the_script_call_says_what_to_use(work: Workspace) -> None:
    """A notebook has a loop already; asyncio's own error would not help."""
    with pytest.raises(WrongInput, match="event loop") as caught:
        runner.run("brands.toml")
    assert "run_job" in (caught.value.how or "")


def test_a_mistyped_option_is_told_as_python_tells_it(work: Workspace) -> None:
    """It must not be taken for one that was left out."""
    options: dict[str, Any] = {"limt": 1}
    with pytest.raises(TypeError, match="limt"):
        runner.run("brands.toml", **options)


# --- what it says meanwhile -----------------------------------------------------------------------

RUN = "import runner; runner.run('brands.toml', limit=1)"


def test_a_library_prints_nothing(tmp_path: Path) -> None:
    """Stdout is the program's own."""
    with workspace(tmp_path) as made:
        done = python("-c", RUN, cwd=tmp_path, **made.variables())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_stages_say_goes_to_the_logger_of_that_name_without_secrets(
    tmp_path: Path,
) -> None:
    """Programs collect logs through `logging`; a password must not be among them."""
    script = (
        "import logging\n"
        "logging.basicConfig(level=logging.INFO, format='%(name)s %(levelname)s %(message)s')\n"
        "import structlog, runner.library\n"
        f"{RUN}\n"
        f"structlog.get_logger().warning('a.b', what='x {PASSWORD} y')\n"
    )
    with workspace(tmp_path) as made:
        done = python("-c", script, cwd=tmp_path, **made.variables())
    lines = done.stderr.splitlines()
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("runner INFO submitter.batch_posted ") for line in lines), lines
    assert lines[-1] == 'runner WARNING a.b what="x *** y"'
    assert done.stdout == ""


def test_a_program_that_has_set_up_structlog_keeps_its_set_up(tmp_path: Path) -> None:
    """Its own lines would change their form because of a library."""
    script = (
        "import structlog\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer()])\n"
        f"{RUN}\n"
        "structlog.get_logger().info('mine')\n"
    )
    with workspace(tmp_path) as made:
        done = python("-c", script, cwd=tmp_path, **made.variables())
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert "submitter.batch_posted" in events
    assert events[-1] == "mine"
    assert done.stderr == ""


# --- the examples ---------------------------------------------------------------------------------


def test_the_library_example_runs(tmp_path: Path) -> None:
    """It is the first thing that is copied."""
    with simulated(tmp_path) as api:
        done = python(
            str(EXAMPLES / "library.py"),
            api.url,
            cwd=tmp_path,
            DATAFORSEO_LOGIN="me",
            DATAFORSEO_PASSWORD=PASSWORD,
        )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("q01 chatgpt: completed, 0.0")
    assert len(lines) == 2 * 9 + 1
    assert lines[-1].startswith("demo: 9 of 9, 0.")
    assert done.stderr == ""


def test_the_orchestrated_example_runs_and_raises_when_the_job_does_not_end_well(
    tmp_path: Path,
) -> None:
    """An orchestrator marks a task as failed by its error and starts it again."""
    call = [str(EXAMPLES / "orchestrated.py"), "demo"]
    with simulated(tmp_path, "--login", "me", "--password", PASSWORD) as api:
        variables = {"DATAFORSEO_LOGIN": "me", "DATAFORSEO_PASSWORD": "another"}
        refused = python(*call, api.url, cwd=tmp_path, **variables)
        variables["DATAFORSEO_PASSWORD"] = PASSWORD
        done = python(*call, api.url, cwd=tmp_path, **variables)
    assert refused.returncode == 1
    assert "JobNotDone: demo ended with exit code 5" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("9 answers, 0.")


def test_the_examples_are_as_short_as_they_say() -> None:
    """An example that has grown is a program."""
    tree = ast.parse((EXAMPLES / "orchestrated.py").read_bytes())
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    assert function.end_lineno is not None
    assert function.end_lineno - function.lineno < 5
    code = (EXAMPLES / "library.py").read_text("utf-8").split('"""')[2]
    assert 10 <= len([line for line in code.splitlines() if line]) <= 20
