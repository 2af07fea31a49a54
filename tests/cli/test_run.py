"""`runner run`: what it passes on, what it tells, how it ends."""

import asyncio
import json
import math
import os
import signal
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

from runner.app import Failures, RunOptions, dry, planning
from runner.app.left_over import LeftOver
from runner.errors import Exit, MoneyStopped, Problem
from runner.lifecycle import Reason, State
from runner.store.values import Decision
from tests.cli.calling import (
    RUN,
    SECRET,
    ClosedPipe,
    FakeApp,
    call,
    call_on_terminal,
    progress_of,
    status_of,
)


def test_flags_reach_the_start(folder: Path, fake: FakeApp) -> None:
    """A flag that is read and then dropped costs money or a night."""
    flags = "--wait forever --wait-lock 2h --limit 5 --fresh --pay-again --run tonight"
    more = "--skip-bad bad.csv --changed ask --max-failures 2.5% --no-export --raw-cells --force"
    call("run", "prompts", *flags.split(), *more.split())
    assert fake.options == RunOptions(
        wait_s=math.inf,
        wait_lock_s=7200.0,
        source=str(folder / "jobs" / "prompts.toml"),
        limit=5,
        fresh=True,
        pay_again=True,
        key="tonight",
        skip_bad=Path("bad.csv"),
        changed=Decision.ASK,
        failures=Failures(percent=2.5),
        export=False,
        raw_cells=True,
        force=True,
    )


def test_without_flags_a_start_is_the_default_one(folder: Path, fake: FakeApp) -> None:
    """Six hours, no failures, nothing skipped, nothing paid again."""
    call("run", "prompts")
    assert fake.options == RunOptions(source=str(folder / "jobs" / "prompts.toml"))


def test_money_and_folder_of_the_command_line_reach_the_job(folder: Path, fake: FakeApp) -> None:
    """They stand in for what the job file says, to the nano-dollar."""
    call(*"run prompts --budget 0.25 --max-hold 1.5 -o elsewhere".split())
    assert fake.job is not None
    assert fake.job.budget_nanousd == int(Decimal("0.25") * 10**9)
    assert fake.job.max_hold_nanousd == 1_500_000_000
    assert fake.job.output_dir == folder / "elsewhere"


def test_a_data_file_needs_no_job_file(folder: Path, fake: FakeApp) -> None:
    """The first five answers are one line away (UX.md §7)."""
    ended = call(*"run prompts.csv --provider claude --model claude-sonnet-4-0 --limit 5".split())
    assert ended.code is Exit.DONE
    assert fake.job is not None
    assert [target.model for target in fake.job.targets] == ["claude-sonnet-4-0"]


def test_on_a_pipe_the_last_line_is_the_summary(folder: Path, fake: FakeApp) -> None:
    """`tail -1` answers whether the night was good (UX.md §2.5)."""
    fake.status = status_of(completed=3, failed=2, expired=1, posted=4, unknown=1, rejected=2)
    fake.exit = Exit.NOT_FINISHED
    fake.files = (Path("out/prompts.csv"),)
    ended = call("run", "prompts")
    assert ended.code is Exit.NOT_FINISHED
    (line,) = ended.out.splitlines()
    time, level, rest = line.split(" ", 2)
    assert time.endswith("Z")
    assert level == "info"
    assert rest == (
        "run.end run=prompts number=r42 done=3 failed=3 waiting=5 expired=1 unknown=1 rejected=2 "
        "cost=0.015600003 held=0.000000004 calls=7 duration=62s out=out/prompts.csv exit=3"
    )


def test_the_summary_of_a_failed_run_is_an_error_line(folder: Path, fake: FakeApp) -> None:
    """Collectors alert on the level."""
    fake.status, fake.exit = status_of(completed=3, failed=2), Exit.SOME_FAILED
    ended = call("run", "prompts", "--api", "sim")
    assert ended.code is Exit.SOME_FAILED
    assert " error run.end " in ended.out.splitlines()[-1]
    assert "next: runner --api sim errors prompts · runner --api sim retry prompts" in ended.err


def test_earlier_runs_that_changed_are_told_before_the_summary(folder: Path, fake: FakeApp) -> None:
    """Yesterday's late answers count and are shown."""
    fake.others = (status_of(run=replace(RUN, id=41, key="yesterday"), completed=9),)
    lines = call("run", "prompts").out.splitlines()
    assert [line.split()[2] for line in lines] == ["run.collected", "run.end"]
    assert "run=prompts@yesterday number=r41 done=9" in lines[0]


def left_in(number: int, key: str, tasks: int, *, source: str = "/jobs/prompts.toml") -> LeftOver:
    run = replace(RUN, id=number, key=key, source=source)
    return LeftOver(run=run, tasks=tasks, newest=True)


def test_what_nobody_will_ask_any_more_is_an_error_even_when_quiet(
    folder: Path, fake: FakeApp
) -> None:
    """A night that ended with 75 mailed nobody, and the next ones would be silent for ever."""
    fake.left_over, fake.exit = (left_in(40, "2026-11-20", 4),), Exit.SOME_FAILED
    ended = call("-q", "run", "prompts", "--store", "other.db")
    assert ended.code is Exit.SOME_FAILED
    assert ended.err.splitlines() == [
        "error: 4 tasks of an earlier run of prompts left over: no later start posts what was not "
        "posted in its own run",
        "  prompts@2026-11-20 (r40): 4",
        "  go on with: runner --store other.db run /jobs/prompts.toml --run 2026-11-20   "
        "(prompts@2026-11-20 (r40): asks them)",
        "  runner --store other.db cancel r40   (drops them)",
    ]
    document = call("run", "prompts", "--json").events[-1]
    assert document["left_over"] == 4
    assert document["left_over_runs"] == [
        {
            "run": "prompts@2026-11-20",
            "number": "r40",
            "tasks": 4,
            "ask": "runner run /jobs/prompts.toml --run 2026-11-20",
            "drop": "runner cancel r40",
        }
    ]


def test_many_nights_that_are_left_over_are_counted_and_the_first_ones_named(
    folder: Path, fake: FakeApp
) -> None:
    """A month without the API is not a page of commands."""
    fake.left_over = tuple(left_in(n, f"2026-10-{n:02}", 2, source="") for n in range(1, 31))
    ended = call("run", "prompts")
    assert "60 tasks of 30 earlier runs of prompts left over" in ended.err
    assert "runner submit r1 " in ended.err
    assert "runner cancel r5 " in ended.err
    assert "runner cancel r6 " not in ended.err
    assert "runner status prompts   (25 more)" in ended.err


def test_a_person_reads_a_sentence_that_is_last_too(folder: Path, fake: FakeApp) -> None:
    """On a terminal the same facts, as words."""
    fake.status, fake.exit = status_of(completed=3721, failed=29), Exit.SOME_FAILED
    fake.files = (Path("out/prompts.csv"),)
    lines = call_on_terminal("run", "prompts", "--color", "never").out.splitlines()
    assert lines == [
        "wrote out/prompts.csv",
        "✗ prompts: 3,721 done, 29 failed in 1 min 2 s · cost $19.35 · exit 1",
    ]


def test_a_terminal_that_knows_only_ascii_gets_ascii(folder: Path, fake: FakeApp) -> None:
    """LANG=C on a server (UX.md §2.6)."""
    ended = call_on_terminal("run", "prompts", encoding="ascii")
    assert ended.out == "ok prompts: 3 done in 1 min 2 s - cost $0.0156\n"


@pytest.mark.parametrize("code", [Exit.DONE, Exit.NOT_FINISHED, Exit.TRY_LATER])
def test_quiet_prints_no_byte_when_nobody_is_needed(
    code: Exit, folder: Path, fake: FakeApp
) -> None:
    """Classic cron mails on output, not on codes (UX.md §10.4)."""
    fake.status, fake.exit = status_of(completed=2, posted=1, changed=1), code
    fake.reason = MoneyStopped("never shown") if code is Exit.TRY_LATER else None
    fake.progress = [progress_of(fake.status, elapsed_s=61.0)]
    ended = call("-q", "run", "prompts")
    assert (ended.code, ended.out, ended.err) == (code, "", "")


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (Exit.SOME_FAILED, "2 of 5 tasks failed"),
        (Exit.MONEY, "the balance is spent"),
        (Exit.INTERRUPTED, "stopped by Ctrl-C"),
        (Exit.TERMINATED, "stopped by SIGTERM"),
    ],
)
def test_quiet_tells_the_error_of_every_other_code(
    code: Exit, word: str, folder: Path, fake: FakeApp
) -> None:
    """A mail without a reason is worse than none."""
    fake.status, fake.exit = status_of(completed=3, failed=2), code
    fake.reason = MoneyStopped("the balance is spent") if code is Exit.MONEY else None
    ended = call("run", "prompts", "-q")
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert word in ended.err


def test_who_waits_is_told_that_the_same_command_goes_on(folder: Path, fake: FakeApp) -> None:
    """There is no --resume to remember (UX.md §2.12); what is in doubt it cannot go on with."""
    fake.exit, fake.status = Exit.NOT_FINISHED, status_of(posted=4, unknown=3)
    told = call("run", "prompts").err
    assert "4 tasks wait; the same command goes on with them" in told
    assert "3 tasks in doubt" in told
    fake.status = status_of(unknown=3)
    assert "the same command" not in call("run", "prompts").err


def test_what_was_refused_is_asked_again_by_its_code_only(folder: Path, fake: FakeApp) -> None:
    """A plain `retry` takes none of it, and would send people in a circle."""
    fake.exit, failed = Exit.SOME_FAILED, status_of(failed=3)
    fake.status = replace(failed, reasons={(State.FAILED, Reason.REFUSED): 3})
    assert "next: runner errors prompts\n" in call("run", "prompts").err
    fake.status = replace(failed, reasons={(State.FAILED, Reason.REFUSED): 2})
    assert "next: runner errors prompts · runner retry prompts\n" in call("run", "prompts").err


def test_one_task_is_spoken_of_as_one(folder: Path, fake: FakeApp) -> None:
    """ "1 task wait" reads like a mistake in the count."""
    fake.status, fake.exit = status_of(posted=1, unknown=1, changed=1), Exit.NOT_FINISHED
    err = call("run", "prompts").err
    assert "1 task waits; the same command goes on with it\n" in err
    assert "1 task in doubt: the API may have it, so it is not posted again" in err
    assert "1 task differs in the input from what was asked; nothing is sent for it until" in err


def test_why_a_run_stopped_is_told_before_its_summary(folder: Path, fake: FakeApp) -> None:
    """Exit 4 with what to do about it."""
    fake.exit, fake.reason = Exit.MONEY, MoneyStopped("the balance is spent", how="top it up")
    ended = call("run", "prompts")
    assert ended.code is Exit.MONEY
    assert "error: the balance is spent\n  go on with: top it up\n" in ended.err
    assert ended.out.splitlines()[-1].endswith("exit=4")


def test_bad_rows_are_told_each_with_its_place(folder: Path, fake: FakeApp) -> None:
    """`PATH:LINE:COL: message`, on stderr, also where they are written to a file."""
    fake.problems = [Problem("p.csv", n, 1, "is empty") for n in (3, 7)]
    ended = call("run", "prompts", "--skip-bad", "bad.csv")
    assert ended.err.splitlines()[:2] == ["p.csv:3:1: is empty", "p.csv:7:1: is empty"]
    assert call("-q", "run", "prompts", "--skip-bad", "bad.csv").err == ""


def test_rejected_rows_that_make_the_code_1_are_told_with_a_way_on(
    folder: Path, fake: FakeApp
) -> None:
    """ "3 done" and exit 1 contradict each other unless somebody says what counts as failed."""
    fake.status, fake.exit = status_of(completed=3, rejected=1), Exit.SOME_FAILED
    fake.rejects = folder / "bad.csv"
    ended = call_on_terminal("run", "prompts")
    assert (
        "1 rejected row in bad.csv counts as failed: correct the input and start again, or allow "
        "so many with --max-failures 1\n"
    ) in ended.err
    assert "wrote bad.csv (1 rejected row)\n" in ended.out
    assert " rejected=1 " in call("run", "prompts").out
    assert call("run", "prompts", "--json").events[-1]["rejects"] == str(fake.rejects)


def test_json_lines_end_with_exactly_one_result(folder: Path, fake: FakeApp) -> None:
    """A program waits for that one line (UX.md §2.4)."""
    fake.problems = [Problem("p.csv", 3, 1, "is empty")]
    fake.progress = [progress_of(status_of(posted=3), elapsed_s=61.0)]
    fake.exit, fake.reason = Exit.MONEY, MoneyStopped("no money")
    events = call("run", "prompts", "--json").events
    assert [event["event"] for event in events] == [
        "problem",
        "start",
        "progress",
        "progress",
        "result",
    ]
    assert {event["schema"] for event in events} == {"runner.event/1"}
    result = events[-1]
    assert result["exit"] == 4
    assert result["error"]["what"] == "no money"
    assert result["runs"][0]["run"] == "prompts"
    assert result["runs"][0]["charged"] == "0.015600003"
    assert result["load"] == {"rows": 3, "new": 3, "known": 0, "duplicates": 0}
    assert events[2]["runs"][0]["states"]["posted"] == 3


def test_a_reader_who_leaves_does_not_stop_the_run(folder: Path, fake: FakeApp) -> None:
    """`runner run … | head -1`: the tasks are at the API, the answers must be stored."""
    fake.exit = Exit.NOT_FINISHED
    for flags in ([], ["--json"]):
        assert call("run", "prompts", *flags, stdout=ClosedPipe()).code is Exit.NOT_FINISHED


def test_the_log_file_has_the_whole_run_and_no_secret(folder: Path, fake: FakeApp) -> None:
    """Cron's stderr may be lost; the file stays (UX.md §2.5)."""
    fake.status = status_of(run=replace(RUN, key=SECRET), completed=3)
    fake.progress = [progress_of(fake.status, elapsed_s=61.0)]
    flags = ["--log-file", "night.jsonl", "--log-format", "json", "-q"]
    call("run", "prompts", *flags, environ={"DATAFORSEO_PASSWORD": SECRET})
    text = (folder / "night.jsonl").read_text("utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    assert [event["event"] for event in events] == ["run.start", "run.progress", "run.end"]
    assert events[-1]["exit"] == 0
    assert SECRET not in text


def test_where_logs_are_json_the_summary_is_too(folder: Path, fake: FakeApp) -> None:
    """One collector reads both streams; a lone text line would break it."""
    line = call("run", "prompts", "--log-format", "json").out
    assert json.loads(line)["event"] == "run.end"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, Exit.INTERRUPTED), (signal.SIGTERM, Exit.TERMINATED)]
)
def test_the_first_signal_asks_the_run_to_stop(
    number: signal.Signals, code: Exit, folder: Path, fake: FakeApp
) -> None:
    """Nothing new is posted, what is under way is saved, the code says who stopped it."""
    fake.during = lambda _: os.kill(os.getpid(), number)
    ended = call("run", "prompts")
    assert ended.code is code
    assert "stopping: nothing new is posted" in ended.err
    assert ended.out.splitlines()[-1].endswith(f"exit={int(code)}")


def test_what_a_job_leaves_out_is_said(folder: Path, fake: FakeApp) -> None:
    """A field that a provider does not have must not vanish in silence (DESIGN.md §10)."""
    file = folder / "jobs" / "prompts.toml"
    text = file.read_text("utf-8").replace("[output]", "[request]\nweb_search = true\n[output]")
    file.write_text(text.replace("claude-sonnet-4-0", "claude-3-5-haiku-latest"), "utf-8")
    call("run", "prompts")
    assert fake.job is not None
    told = call("run", "prompts").err
    assert [note for note in fake.job.notes if note not in told] == []


@pytest.mark.parametrize(
    ("argv", "module"), [(["run", "-n"], dry), (["plan"], planning)], ids=["run -n", "plan"]
)
def test_a_rehearsal_that_is_stopped_leaves_no_copy_of_the_store(
    argv: list[str], module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds prompts and answers, and is as large as the store; nobody would look for it."""
    scratch = folder / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    seen: list[str] = []

    async def stopped(*_: object) -> NoReturn:
        seen.extend(path.name for path in scratch.glob("*/*"))
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(module, "plan_run", stopped)
    assert call(argv[0], "prompts", *argv[1:], "--api", "sim").code is Exit.TERMINATED
    assert "store.db" in seen
    assert not list(scratch.iterdir())


def test_a_dry_run_counts_and_starts_nothing(folder: Path, fake: FakeApp) -> None:
    """`-n` on a real job: the store is not even made."""
    ended = call("run", "prompts", "-n", "--api", "sim")
    assert ended.code is Exit.DONE
    assert ended.out.startswith("run.dry run=prompts rows=3 new=3 known=0 changed=0 rejected=0 ")
    assert "to_post=3" in ended.out
    assert fake.options is None
    assert not (folder / "runner-sim.db").exists()
