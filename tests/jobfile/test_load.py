"""What a job file becomes, and what JOB on the command line means."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from runner import resources
from runner.errors import WrongInput
from runner.jobfile import Format, Overrides, open_input
from runner.task import Endpoint, Provider
from tests.jobfile.workspace import MINIMAL, Workspace

FULL = """\
name = "brand-watch"
description = "What assistants say"
[run]
key = "night-{{date}}"
[input]
file = "../rows.jsonl"
encoding = "utf-8"
parameters = "max_output_tokens"
key = ["brand", "market.code"]
[prompt]
column = "turns.0"
message_chain = "before"
samples = 2
[request]
web_search = true
use_reasoning = true
system_message = "Be brief."
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
name = "claude"
web_search = false
method = "standard"
gateway = "dataforseo"
[[targets]]
provider = "chat_gpt"
model = "gpt-4o-mini"
temperature = 0.30
[limits]
budget_usd = 40.000000001
max_hold_usd = 60
[retry]
tries = 5
[output]
dir = "../results"
formats = ["jsonl"]
"""
FLAGS = Overrides(provider="claude", model="claude-sonnet-4-0")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_every_setting_of_a_job_file_arrives(workspace: Workspace) -> None:
    """What is accepted must be honoured."""
    workspace.write("rows.jsonl", "{}\n")
    job = workspace.job(FULL)
    assert (job.name, job.path) == ("brand-watch", "jobs/x.toml")
    assert job.description == "What assistants say"
    assert job.run_key(NOON) == "night-2026-11-21"
    assert [file.path for file in job.input.files] == [workspace.root / "rows.jsonl"]
    assert job.input.display == "rows.jsonl"
    assert job.input.encoding == "utf-8"
    assert job.input.parameters == ("max_output_tokens",)
    assert job.key_columns == ("brand", "market.code")
    assert (job.prompt.column, job.prompt.message_chain) == ("turns.0", "before")
    assert job.prompt.samples == 2
    assert (job.budget_nanousd, job.max_hold_nanousd) == (40_000_000_001, 60_000_000_000)
    assert job.tries == 5
    assert job.output_dir == workspace.root / "results"
    assert job.formats == (Format.JSONL,)
    claude, chat_gpt = job.targets
    assert claude.name == "claude"
    assert claude.endpoint == Endpoint(provider=Provider.CLAUDE)
    assert claude.parameters == {
        "web_search": False,
        "use_reasoning": True,
        "system_message": "Be brief.",
    }
    assert chat_gpt.name == "chat_gpt/gpt-4o-mini/standard/dataforseo"
    assert chat_gpt.parameters == {
        "web_search": True,
        "system_message": "Be brief.",
        "temperature": 0.3,
    }


def test_a_default_that_a_provider_has_no_field_for_is_left_out_and_said(
    workspace: Workspace,
) -> None:
    """The API refuses unknown fields (40506); dropping one in silence would surprise."""
    workspace.write("rows.jsonl", "{}\n")
    assert workspace.job(FULL).notes == (
        "[request] use_reasoning is left out for chat_gpt/gpt-4o-mini/standard/dataforseo: "
        "chat_gpt has no such field",
    )


def test_what_the_api_may_ignore_is_said_before_it_is_paid(workspace: Workspace) -> None:
    """Sources differ on some settings: not refused, but a person should know."""
    job = workspace.job(MINIMAL + 'web_search = true\nweb_search_city = "Paris"')
    assert len(job.notes) == 1
    assert "web_search_city" in job.notes[0]


def test_the_smallest_job_has_the_documented_defaults(workspace: Workspace) -> None:
    """They are promised in the manual page of job files."""
    job = workspace.job(MINIMAL)
    assert job.run_key(NOON) == ""
    assert job.prompt.column == "prompt"
    assert job.key_columns == ("prompt",)
    assert (job.prompt.samples, job.tries) == (1, 3)
    assert job.budget_nanousd is None
    assert job.max_hold_nanousd is None
    assert job.output_dir == workspace.root / "jobs" / "out"
    assert job.formats == (Format.CSV, Format.JSONL)
    assert job.notes == ()


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(workspace: Workspace) -> None:
    """Editors on Windows write both, and places must still be right."""
    text = b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode()
    assert workspace.job(text).name == "x"
    assert workspace.mistakes(text.replace(b'"x"', b"5")) == [
        "jobs/x.toml:1:1: name: must be text in quotes, got 5"
    ]
    assert workspace.mistakes(text + b"colour = 1") == [
        "jobs/x.toml:7:1: targets[0].colour: unknown setting"
    ]


def test_a_run_belongs_to_the_utc_day(workspace: Workspace) -> None:
    """Half past midnight in Berlin is still the evening before, wherever the machine stands."""
    job = workspace.job(MINIMAL + '[run]\nkey = "{{date}}"')
    berlin = timezone(timedelta(hours=2))
    assert job.run_key(datetime(2026, 6, 2, 0, 30, tzinfo=berlin)) == "2026-06-01"


def test_flags_win_over_the_file(workspace: Workspace) -> None:
    """-o is relative to the current folder, [output] dir to the job file."""
    job = workspace.job(
        MINIMAL + '[limits]\nbudget_usd = 1\n[output]\ndir = "there"',
        Overrides(
            budget_usd=Decimal("2.5"),
            max_hold_usd=Decimal(3),
            output_dir=Path("here"),
            formats=("csv",),
            delimiter=",",
            encoding="utf-8",
        ),
    )
    assert (job.budget_nanousd, job.max_hold_nanousd) == (2_500_000_000, 3_000_000_000)
    assert job.output_dir == workspace.root / "here"
    assert job.formats == (Format.CSV,)
    assert (job.input.delimiter, job.input.encoding) == (",", "utf-8")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (Overrides(budget_usd=Decimal(0)), "the budget on the command line must be more than 0"),
        (Overrides(max_hold_usd=Decimal("NaN")), "the hold limit on the command line must be more"),
        (Overrides(formats=("csv", "xlsx")), 'the format "xlsx" is unknown'),
    ],
)
def test_a_wrong_flag_is_refused_as_the_same_setting_would_be(
    workspace: Workspace, overrides: Overrides, said: str
) -> None:
    """A budget of nothing by mistake must not read as no budget."""
    workspace.write("jobs/x.toml", MINIMAL)
    assert said in str(workspace.refusal("jobs/x.toml", overrides).problems[0])


def test_flags_for_data_files_are_refused_with_a_job_file(workspace: Workspace) -> None:
    """The job says whom to ask; a flag that did nothing would cost money."""
    workspace.write("jobs/x.toml", MINIMAL)
    error = workspace.refusal("jobs/x.toml", FLAGS)
    assert "--provider is for data files" in error.what


def test_a_name_stands_for_a_job_of_the_workspace_before_a_shipped_one(
    workspace: Workspace,
) -> None:
    """Copying the demo into one's own jobs folder must make it one's own."""
    assert workspace.load("demo").output_dir == workspace.root / "out"
    workspace.write("jobs/demo.toml", MINIMAL)
    job = workspace.load("demo")
    assert (job.name, job.path) == ("x", "jobs/demo.toml")


def test_a_shipped_job_writes_into_the_workspace(workspace: Workspace) -> None:
    """An installed package may lie in a folder that nobody may write to."""
    job = workspace.load("demo")
    shipped = resources.shipped_job("demo")
    assert shipped is not None
    assert [file.path for file in job.input.files] == [shipped.parent / "demo.csv"]
    assert job.output_dir.is_relative_to(workspace.root)


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("brand-wach", 'there is no job "brand-wach"; did you mean brand-watch?'),
        ("demmo", 'there is no job "demmo"; did you mean demo?'),
        ("jobs/brand.toml", "there is no job file jobs/brand.toml; did you mean brand-watch.toml?"),
        ("nowhere/x.toml", "there is no job file nowhere/x.toml"),
        ("row.csv", "there is no data file row.csv; did you mean rows.csv?"),
        (
            "notes.txt",
            "notes.txt is neither a job file (.toml) nor a data file "
            "(.csv, .tsv, .jsonl, .json, or .gz of these)",
        ),
        ("jobs/x.yaml", "there is no file jobs/x.yaml"),
    ],
)
def test_a_job_that_is_not_there_is_answered_with_the_nearest(
    workspace: Workspace, ref: str, said: str
) -> None:
    """A typo in a crontab is found by its one mail."""
    workspace.write("jobs/brand-watch.toml", MINIMAL)
    workspace.write("notes.txt", "hello")
    assert workspace.refusal(ref).what == said


def test_an_unknown_name_is_answered_with_the_jobs_there_are(workspace: Workspace) -> None:
    """Nobody should have to list the folder to learn what can be run."""
    workspace.write("jobs/brand-watch.toml", MINIMAL)
    why = workspace.refusal("zzz").why
    assert why is not None
    assert {"brand-watch", "demo"} <= set(why.removeprefix("jobs there are: ").split(", "))


def test_a_data_file_needs_no_job_file(workspace: Workspace) -> None:
    """The first thing a person with a CSV tries."""
    workspace.write("My prompts (v2).csv", "question\nWhy?\n")
    given = Overrides(provider="gemini", model="gemini-2.5-flash", column="question")
    job = workspace.load("My prompts (v2).csv", given)
    assert job.name == "My-prompts-v2"
    assert job.input.display == "My prompts (v2).csv"
    assert job.output_dir == workspace.root / "out"
    assert job.run_key(NOON) == ""
    [target] = job.targets
    assert target.name == "gemini/gemini-2.5-flash/standard/dataforseo"
    assert open_input(job.input).columns == ("question",)
    assert workspace.load("rows.csv", FLAGS).prompt.column == "prompt"


def test_a_data_file_alone_does_not_say_whom_to_ask(workspace: Workspace) -> None:
    """Guessing a model would spend somebody's money."""
    error = workspace.refusal("rows.csv", Overrides(provider="claude"))
    assert error.what == "rows.csv is a data file, and nothing says whom to ask"
    assert error.how == "runner run rows.csv --provider claude --model claude-sonnet-4-0"
    workspace.write("my rows.csv", "prompt\nWhy?\n")
    assert (workspace.refusal("my rows.csv").how or "").startswith("runner run 'my rows.csv' --pr")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            Overrides(provider="claud", model="m"),
            "--provider: must be chat_gpt, claude, gemini or perplexity",
        ),
        (
            Overrides(provider="perplexity", model="sonar", method="standard"),
            '--method: "standard" is not for perplexity; it must be live',
        ),
        (
            Overrides(provider="perplexity", model="sonar", gateway="aisa"),
            '--gateway: "aisa" has no perplexity',
        ),
        (Overrides(provider="claude", model=" "), '--model: must not be empty, got " "'),
        (
            Overrides(provider="claude", model="m", column="promt"),
            '--column: rows.csv has no column "promt"; did you mean prompt?',
        ),
    ],
)
def test_a_wrong_flag_for_a_data_file_is_named_as_the_flag(
    workspace: Workspace, overrides: Overrides, said: str
) -> None:
    """There is no job file whose line 1 the message could mean."""
    error = workspace.refusal("rows.csv", overrides)
    assert said in error.what
    assert error.problems == ()


def test_the_digest_changes_with_what_shapes_requests_and_with_nothing_else(
    workspace: Workspace,
) -> None:
    """Loading is skipped by it: a stale one would leave an edited prompt unasked."""
    workspace.write("rows.jsonl", "{}\n")
    before = workspace.job(FULL).settings_digest()
    assert workspace.job(FULL).settings_digest() == before
    for old, new in [
        ('name = "brand-watch"', 'name = "other"'),
        ("tries = 5", "tries = 4"),
        ("budget_usd = 40.000000001", "budget_usd = 1"),
        ('"../results"', '"../elsewhere"'),
        ("night-", "day-"),
        ("0.30", "0.3"),
        ("\n[retry]", "\n# a remark\n[retry]"),
    ]:
        assert old in FULL
        assert workspace.job(FULL.replace(old, new)).settings_digest() == before, new
    for old, new in [
        ("0.30", "0.31"),
        ("samples = 2", "samples = 3"),
        ('"turns.0"', '"turns.1"'),
        ('"before"', '"history"'),
        ('"market.code"', '"market.name"'),
        ('name = "claude"', 'name = "Claude"'),
        ("gpt-4o-mini", "gpt-4o"),
        ("Be brief.", "Be terse."),
        ('"max_output_tokens"', '"temperature"'),
        ('encoding = "utf-8"', 'encoding = "latin-1"'),
    ]:
        assert old in FULL
        assert workspace.job(FULL.replace(old, new)).settings_digest() != before, new


def test_an_unreadable_encoding_flag_says_once_how_to_go_on(workspace: Workspace) -> None:
    """Advice printed twice reads as two pieces of advice."""
    error = workspace.refusal(
        "rows.csv", Overrides(provider="claude", model="m", encoding="klingon")
    )
    assert "\n".join(error.lines()).count("cp1252") == 1


def test_a_delimiter_may_be_named(workspace: Workspace) -> None:
    """A tab is hard to see between quotes."""
    workspace.write("rows.csv", "id\tprompt\n1\tWhy?\n")
    job = workspace.job(MINIMAL.replace("[[t", 'delimiter = "tab"\n[[t'))
    assert open_input(job.input).columns == ("id", "prompt")


def test_a_folder_that_cannot_be_a_job_file_is_refused(workspace: Workspace) -> None:
    """``jobs/x.toml`` as a folder: a person's mistake, so no traceback."""
    (workspace.root / "jobs" / "x.toml").mkdir(parents=True)
    with pytest.raises(WrongInput, match="there is no job file"):
        workspace.load("jobs/x.toml")
