"""`status`, `errors`, `cost`, `export`, `retry --dry-run` on real stores, and `check`."""

import csv
import io
import json
import re
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runner.cli import session
from runner.errors import Exit
from runner.store.sqlite.retrying import retry
from runner.store.values import RetryFilter
from runner.task import Outcome
from tests.cli.calling import ClosedPipe, FakeApp, FullDisk, call, call_on_terminal
from tests.reports.filling import CHARGE, accepted, failed, filled, refused, running
from tests.support.clock import START, ManualClock

CELLS = [{"prompt": prompt} for prompt in ("why?", "how?", "\x1b[31mwhen?", "who?")]


@pytest.fixture
async def mixed(folder: Path) -> Path:
    """A store with a run of two answered and two refused, and a run where all failed."""
    store = folder / "runner.db"

    def post(number: int, tag: str) -> Outcome:
        return refused(number, tag) if number > 1 else accepted(number, tag)

    async with filled(store, CELLS, job="prompts", post=post):
        pass
    async with filled(store, CELLS, job="evening", run_key="2026-11-21", end=failed(50000)):
        pass
    return store


def test_status_has_a_line_for_each_run(mixed: Path) -> None:
    """One grep answers how the night was."""
    lines = call("status").out.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["status", "run=prompts", "number=r1", "job=prompts"],
        ["status", "run=evening@2026-11-21", "number=r2", "job=evening"],
    ]
    assert "state=failed tasks=4 sent=4 done=2 failed=2 waiting=0" in lines[0]
    assert "cost=0.010400002" in lines[0]


def test_status_of_one_run_or_job_is_that_alone(mixed: Path) -> None:
    """By name, by number, by its file."""
    for reference in ("prompts", "r1", "jobs/prompts.toml"):
        assert [run["job"] for run in call("status", reference, "--json").document["runs"]] == [
            "prompts"
        ]
    assert call("status", "nothing").code is Exit.WRONG_INPUT


def test_status_for_people_is_a_table(mixed: Path) -> None:
    """Columns line up, whatever their width."""
    lines = call_on_terminal("status").out.splitlines()
    assert lines[0].split() == "JOB RUN NO STARTED SENT DONE FAILED WAITING COST STATE".split()
    assert len({line.index("$") for line in lines[1:]}) <= 2
    assert lines[1].endswith("finished, 2 failed")


def test_status_fits_into_a_narrow_terminal(mixed: Path) -> None:
    """A pipe gets all of it, a person what the screen can hold."""
    wide = call_on_terminal("status").out.splitlines()
    width = max(map(len, wide)) - 4
    narrow = call_on_terminal("status", environ={"COLUMNS": str(width)}).out.splitlines()
    assert max(map(len, narrow)) <= width
    assert any("…" in line for line in narrow)
    assert not any("…" in line for line in wide)


def test_before_anything_was_run_status_and_cost_say_so_and_are_fine(folder: Path) -> None:
    """A monitoring script runs before the first night."""
    for command in ("status", "cost"):
        ended = call(command)
        assert ended.code is Exit.DONE
        assert "nothing was run here yet" in ended.err
    assert call("status", "--json").document["runs"] == []
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize("argv", [["errors"], ["export"], ["retry"], ["retry", "-n"]])
def test_what_needs_a_run_says_that_there_is_none(argv: list[str], folder: Path) -> None:
    """And makes no store by the way."""
    ended = call(*argv)
    assert ended.code is Exit.WRONG_INPUT
    assert "go on with: runner run demo --api sim" in ended.err
    assert not list(folder.glob("*.db"))


def test_who_forgets_that_it_was_a_rehearsal_is_reminded(mixed: Path) -> None:
    """The answers of `--api sim` lie in a store of their own (DESIGN.md §7)."""
    shutil.move(mixed, mixed.with_name("runner-sim.db"))
    assert "--api sim" in call("errors").err
    assert call("errors", "--api", "sim").code is Exit.DONE


def test_errors_are_grouped_with_a_way_on(mixed: Path) -> None:
    """Each cause with the API's words and a command to paste (UX.md §5.1)."""
    text = call_on_terminal("errors", "prompts").out
    assert text.startswith("2 of 4 failed in prompts (r1)\n")
    assert "40501 Invalid Field: 'user_prompt'." in text
    assert "runner retry prompts --error 40501\n" in text
    assert "\x1b" not in text


def test_errors_tell_of_rows_that_became_no_task(mixed: Path) -> None:
    """The run ended with 1, and "nothing failed" sends a person looking elsewhere."""
    with closing(sqlite3.connect(mixed)) as db, db:
        db.execute("UPDATE loads SET rejected = 3 WHERE run_id = 1")
        db.execute("UPDATE tasks SET state = 'completed', reason = '' WHERE run_id = 1")
    people = call_on_terminal("errors", "prompts").out
    assert people == (
        "no task failed in prompts (r1)\n"
        "3 rows of the input could not be asked; each with its mistake: runner check JOB\n"
    )
    assert call("errors", "prompts").out.endswith("total=0 retriable=0 rejected=3\n")
    assert call("errors", "prompts", "--json").document["rejected"] == 3


def test_a_pasted_command_reaches_the_same_store(mixed: Path) -> None:
    """`--store` on the first line belongs on the next one too."""
    shutil.move(mixed, mixed.with_name("my store.db"))
    text = call_on_terminal("errors", "prompts", "--store", "my store.db").out
    command = "runner --store 'my store.db' retry prompts --error 40501"
    assert f"{command}\n" in text
    groups = call("--store", "my store.db", "errors", "prompts", "--json").document["groups"]
    assert [group["command"] for group in groups] == [command]


def test_errors_without_a_run_are_those_of_the_newest(mixed: Path) -> None:
    """In the morning that is tonight's."""
    ended = call("errors")
    assert ended.out.splitlines()[-1] == (
        'errors run=evening@2026-11-21 total=4 retriable=4 top="50000 Task failed." count=4'
    )
    assert call("errors", "--json").document["run"] == "evening@2026-11-21"


@pytest.mark.usefixtures("waiting")
def test_nothing_failed_is_good_news() -> None:
    """No table with nothing in it."""
    ended = call_on_terminal("errors")
    assert (ended.code, ended.out) == (Exit.DONE, "✓ nothing failed in prompts (r1)\n")


def test_cost_sums_what_its_lines_say(mixed: Path) -> None:
    """To the nano-dollar, in text as in JSON."""
    document = call("cost", "--by", "job", "--json").document
    assert document["totals"]["charged"] == f"0.{2 * CHARGE:09d}"
    assert [line["key"] for line in document["by"]] == ["evening", "prompts"]
    last = call("cost", "--by", "run").out.splitlines()[-1]
    assert f"key=total tasks=8 done=2 charged=0.{2 * CHARGE:09d}" in last


def test_cost_of_a_job_is_that_of_its_runs_together(mixed: Path) -> None:
    """A job with a run for each day has a price too."""
    assert call("cost", "prompts", "--json").document["totals"]["tasks"] == 4
    assert "evening" not in call("cost", "prompts", "--by", "run").out
    assert call_on_terminal("cost", "--by", "provider").out.splitlines()[0].startswith("PROVIDER")


def test_an_export_goes_where_the_job_says(mixed: Path) -> None:
    """The same file that `run` writes, so that scripts find it."""
    ended = call("export", "prompts")
    assert ended.code is Exit.DONE
    assert ended.out.startswith(f"export file={mixed.parent}/out/prompts.csv rows=4 bytes=")
    text = (mixed.parent / "out" / "prompts.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["state"] for row in rows] == ["completed", "completed", "failed", "failed"]


def test_an_export_without_its_job_file_goes_to_out_and_says_so(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers are in the store; a deleted job file must not lock them in. A run of a data file
    has none, and wrote to the workspace's out from wherever it was started."""
    (mixed.parent / "runner.toml").touch()
    monkeypatch.chdir(mixed.parent / "jobs")
    ended = call("export", "evening", "--json")
    assert ended.code is Exit.DONE
    out = mixed.parent / "out"
    assert f"no job file of evening@2026-11-21 is known, so the files go to {out}" in ended.err
    assert [file["path"] for file in ended.document["files"]] == [
        str(out / "evening@2026-11-21.csv"),
        str(out / "evening@2026-11-21.jsonl"),
    ]


@pytest.fixture
async def elsewhere(folder: Path) -> Path:
    """The job file of the only run, which lies in a folder that is not jobs/."""
    file = (folder / "mine").joinpath("watch.toml")
    file.parent.mkdir()
    (folder / "jobs" / "prompts.toml").rename(file)
    async with filled(folder / "runner.db", CELLS, job="prompts", source=str(file)):
        pass
    text = file.read_text("utf-8")
    file.write_text(text.replace('dir = "../out"', 'dir = "answers"'), "utf-8")
    return file


def test_an_export_goes_where_the_job_that_was_run_says(elsewhere: Path) -> None:
    """`run` wrote there, and the next night does: two copies would drift apart."""
    for argv in ((), ("prompts",), ("r1",), ("--job", "prompts"), ("--job", str(elsewhere))):
        ended = call("export", *argv)
        assert (ended.code, ended.err) == (Exit.DONE, "")
        assert ended.out.startswith(f"export file={elsewhere.parent}/answers/prompts.csv rows=4")


def test_an_export_says_what_is_wrong_with_the_job_that_was_run(elsewhere: Path) -> None:
    """Who moved the file can name it; who did not would look for the files in vain."""
    text = elsewhere.read_text("utf-8")
    elsewhere.write_text(text + "buget = 1\n", "utf-8")
    ended = call("export", "prompts")
    assert "prompts cannot be used (" in ended.err
    assert "watch.toml:10:1: output.buget: unknown setting), so the files go to out" in ended.err
    elsewhere.write_text(text.replace('"prompts"', '"others"'), "utf-8")
    ended = call("export")
    assert f"{elsewhere} is the job others now, so the files go to out" in ended.err
    moved = elsewhere.rename(elsewhere.with_name("new.toml"))
    moved.write_text(text, "utf-8")
    ended = call("export", "prompts")
    assert f"the job file of prompts, {elsewhere}, is gone, so the files go to out" in ended.err
    assert ended.out.startswith("export file=out/prompts.csv rows=4 ")
    ended = call("export", "--job", str(moved))
    assert (ended.code, ended.err) == (Exit.DONE, "")
    assert ended.out.startswith(f"export file={moved.parent}/answers/prompts.csv rows=4")


def test_an_export_to_stdout_is_nothing_but_data(mixed: Path) -> None:
    """`runner export -o - | anything`."""
    ended = call("export", "prompts", "-o", "-", "--format", "jsonl", "--state", "completed")
    assert [json.loads(line)["input"]["prompt"] for line in ended.out.splitlines()] == [
        "why?",
        "how?",
    ]
    plain = call("export", "prompts", "-o", "-", "-q")
    assert len(list(csv.reader(io.StringIO(plain.out)))) == 5


def test_the_name_of_a_file_says_its_format(mixed: Path) -> None:
    """`-o answers.jsonl` is JSON Lines; a name that says nothing is asked about."""
    assert call("export", "prompts", "-o", "answers.jsonl").code is Exit.DONE
    first = (mixed.parent / "answers.jsonl").read_text("utf-8").splitlines()[0]
    assert json.loads(first)["state"] == "completed"
    ended = call("export", "prompts", "-o", "answers")
    assert ended.code is Exit.WRONG_INPUT
    assert "--format" in ended.err


def test_an_export_to_stdout_is_json_where_json_is_asked_for(mixed: Path) -> None:
    """A program that always says --json gets no CSV."""
    assert len(call("export", "prompts", "-o", "-", "--json").events) == 4
    both = call("export", "prompts", "-o", "-", "--json", "--format", "csv")
    assert (both.code, both.document["event"]) == (Exit.WRONG_INPUT, "error")


def test_a_file_of_somebody_else_is_overwritten_only_by_force(mixed: Path) -> None:
    """The analyst's own notes may have that name."""
    other = mixed.parent / "notes.csv"
    other.write_text("mine\n", "utf-8")
    assert call("export", "prompts", "-o", "notes.csv").code is Exit.WRONG_INPUT
    assert other.read_text("utf-8") == "mine\n"
    assert call("export", "prompts", "-o", "notes.csv", "--force").code is Exit.DONE


def test_head_may_close_the_pipe_of_an_export(mixed: Path) -> None:
    """`| head -1` ends it quietly."""
    ended = call("export", "prompts", "-o", "-", stdout=ClosedPipe())
    assert ended.code is Exit.DONE
    assert ended.err == ""


@pytest.mark.parametrize(
    "argv", [["export", "prompts", "-o", "-"], ["status"], ["show", "1", "--raw"]], ids=" ".join
)
def test_an_answer_that_finds_no_room_is_no_bug(argv: list[str], mixed: Path) -> None:
    """The disk behind `>` is full: make room, try again."""
    ended = call(*argv, stdout=FullDisk())
    assert ended.code is Exit.TRY_LATER
    assert "error: the answer cannot be written: No space left on device" in ended.err


def test_quiet_looks_print_nothing(mixed: Path) -> None:
    """-q is silence or errors, nothing else; what is asked for by name still comes."""
    for argv in (["status"], ["errors"], ["cost"], ["export", "prompts"]):
        ended = call("-q", *argv)
        assert (ended.out, ended.err) == ("", "")
    assert call("-q", "status", "--json").document["runs"]


def test_a_dry_retry_counts_and_changes_nothing(mixed: Path) -> None:
    """What would it cost, before it costs (DESIGN.md §4)."""
    dry = call("retry", "evening", "--dry-run")
    assert dry.out == "retry.dry run=evening@2026-11-21 matched=4 hold=0.0408\n"
    assert call("retry", "prompts", "-n", "--json").document["matched"] == 0
    assert call("retry", "prompts", "-n", "--error", "40501", "--json").document["matched"] == 2
    assert "failed=4" in call("status", "evening").out


def test_a_dry_retry_of_live_tasks_holds_nothing_ahead(mixed: Path) -> None:
    """Live takes no advance: what comes is paid with the answer."""
    with closing(sqlite3.connect(mixed)) as db, db:
        db.execute("UPDATE targets SET endpoint = 'dataforseo/perplexity/live' WHERE run_id = 2")
    dry = call("retry", "evening", "--dry-run")
    assert dry.out == "retry.dry run=evening@2026-11-21 matched=4 hold=0.00\n"


@pytest.mark.parametrize(
    ("flags", "matched"),
    [
        (["--where", "prompt=how?"], 1),
        (["--provider", "claude", "--model", "m"], 4),
        (["--provider", "gemini"], 0),
        (["--model", "other"], 0),
        (["--limit", "3"], 3),
        (["--tasks-from", "list.txt"], 2),
        (["--since", "2026-11-23"], 0),
    ],
)
def test_selectors_narrow_what_is_asked_again(
    flags: list[str], matched: int, mixed: Path, fake: FakeApp
) -> None:
    """The dry run and the real one mean the same tasks, and nobody pays for the others."""
    (mixed.parent / "list.txt").write_text("6\n8\n", "utf-8")
    dry = call("retry", "evening", "--dry-run", *flags, "--json")
    assert dry.document["matched"] == matched, dry.err
    assert call("retry", "evening", *flags).code is Exit.DONE
    assert isinstance(fake.which, RetryFilter)
    with closing(sqlite3.connect(mixed)) as db:
        assert retry(db, 2, fake.which, now=START) == matched


def test_a_retry_goes_to_the_run_with_its_job(mixed: Path, fake: FakeApp) -> None:
    """The job's budget and folder hold for a retry as for a run."""
    ended = call("retry", "prompts", "--error", "40501", "--error", "40503", "--wait", "0")
    assert ended.code is Exit.DONE
    assert fake.which == RetryFilter(codes=frozenset({40501, 40503}))
    assert fake.job is not None
    assert fake.job.name == "prompts"
    assert fake.options is not None
    assert fake.options.wait_s == 0
    assert call("retry", "prompts", "--pay-again").code is Exit.DONE
    assert fake.which == RetryFilter(pay_again=True)


def test_a_retry_without_a_run_says_which_it_took(mixed: Path, fake: FakeApp) -> None:
    """And never goes by the limits of another job."""
    ended = call("retry")
    assert ended.code is Exit.DONE
    assert "retrying evening@2026-11-21 (r2), the newest run" in ended.err
    assert "is the job prompts" in call("retry", "--job", "prompts").err


def test_a_retry_needs_to_know_whose_budget_holds(mixed: Path, fake: FakeApp) -> None:
    """The job file was moved: without it nobody knows what may be spent."""
    with closing(sqlite3.connect(mixed)) as db, db:
        db.execute("UPDATE jobs SET source = '/nowhere/evening.toml' WHERE name = 'evening'")
    ended = call("retry")
    assert ended.code is Exit.WRONG_INPUT
    assert "runner retry evening@2026-11-21 --job FILE.toml" in ended.err


@pytest.mark.parametrize("reference", ["evening", "r2", "evening.csv"])
def test_a_retry_of_a_data_file_needs_neither_file_nor_flags(
    reference: str, mixed: Path, fake: FakeApp
) -> None:
    """What was asked of whom stands in the store; the limits are those it was started with."""
    with closing(sqlite3.connect(mixed)) as db, db:
        db.execute("UPDATE runs SET given_budget_nanousd = 3000000000 WHERE id = 2")
    ended = call("retry", reference, "--max-hold", "2")
    assert ended.code is Exit.DONE, ended.err
    assert fake.job is not None
    assert (fake.job.name, fake.job.output_dir) == ("evening", mixed.parent / "out")
    assert (fake.job.budget_nanousd, fake.job.max_hold_nanousd) == (3 * 10**9, 2 * 10**9)
    assert fake.options is not None
    assert (fake.options.given_budget, fake.options.given_hold) == (3 * 10**9, 2 * 10**9)


def test_check_counts_what_would_be_asked(folder: Path) -> None:
    """No network, no writes."""
    before = sorted(folder.rglob("*"))
    ended = call("check", "prompts")
    assert (ended.code, ended.out) == (
        Exit.DONE,
        "check job=prompts rows=3 targets=1 tasks=3 rejected=0\n",
    )
    assert sorted(folder.rglob("*")) == before
    assert (
        "✓ jobs/prompts.toml: 3 rows × 1 target = 3 tasks"
        in call_on_terminal("check", "prompts").out
    )


def test_check_tells_every_bad_row_with_its_place(folder: Path) -> None:
    """One line each, then how many; exit 2 (DESIGN.md §10)."""
    (folder / "prompts.csv").write_text(f'prompt\nwhy?\n\n""\n{"x" * 501}\n', "utf-8")
    ended = call("check", "prompts")
    assert ended.code is Exit.WRONG_INPUT
    places = [line for line in ended.err.splitlines() if re.match(r"prompts\.csv:\d+:\d+: ", line)]
    assert len(places) == 2
    assert "error: prompts.csv: 2 of 3 rows cannot be asked" in ended.err
    events = call("check", "prompts", "--json").events
    assert [event["event"] for event in events] == ["problem", "problem", "error"]


def test_the_command_that_leaves_bad_rows_out_can_be_pasted(folder: Path) -> None:
    """A name with spaces, and flags without which it would not know whom to ask."""
    (folder / "my prompts.csv").write_text('question\nwhy?\n""\n', "utf-8")
    claude = "--provider claude --model claude-sonnet-4-0 --column question"
    for verb, way_on in [("check", "run"), ("load", "load"), ("run", "run"), ("plan", "plan")]:
        ended = call(verb, "my prompts.csv", *claude.split(), "--api", "sim")
        assert ended.code is Exit.WRONG_INPUT
        command = f"runner --api sim {way_on} 'my prompts.csv' {claude} --skip-bad rejects.csv"
        assert f"go on with: correct them, or ask only the others: {command}\n" in ended.err


def test_check_tells_all_mistakes_of_a_job_file(folder: Path) -> None:
    """With file, line and column, and what was meant."""
    file = folder / "jobs" / "prompts.toml"
    file.write_text(
        file.read_text("utf-8").replace("provider", "provdier") + "buget = 1\n", "utf-8"
    )
    ended = call("check", "jobs/prompts.toml")
    assert ended.code is Exit.WRONG_INPUT
    assert len(re.findall(r"^jobs/prompts\.toml:\d+:\d+: ", ended.err, re.MULTILINE)) >= 2


def test_check_goes_through_all_jobs_even_if_the_first_is_wrong(folder: Path) -> None:
    """All mistakes at once."""
    ended = call("check", "nothing", "prompts")
    assert ended.code is Exit.WRONG_INPUT
    assert 'there is no job "nothing"' in ended.err
    assert "check job=prompts rows=3" in ended.out
    assert "1 of 2 jobs has mistakes" in ended.err


@pytest.fixture
async def waiting(folder: Path) -> None:
    """A store whose tasks were posted when the clock of the tests began, and still run."""
    async with filled(folder / "runner.db", CELLS, job="prompts", end=running):
        pass


@pytest.mark.parametrize("days", [19, 21])
@pytest.mark.usefixtures("waiting")
def test_a_result_that_waits_too_long_is_warned_of(
    days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No result forgotten (DESIGN.md §1.4): from 20 days on every status says so."""
    then = ManualClock(START + timedelta(days=days))
    monkeypatch.setattr(session, "SystemClock", lambda: then)
    ended = call("status")
    assert "state=waiting tasks=4 sent=4 done=0 failed=0 waiting=4" in ended.out
    assert f"oldest={days * 86_400}s" in ended.out
    assert ("warning: prompts: a result has waited" in ended.err) == (days == 21)


def test_the_answer_needs_a_reader(mixed: Path) -> None:
    """`runner status | true`."""
    assert call("status", stdout=ClosedPipe()).code is Exit.DONE
