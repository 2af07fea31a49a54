"""`runner help TOPIC`: texts that name only what there is, and all of it where they promise to."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from runner.cli.catalogue import BY_NAME, TOPICS
from runner.cli.topics import text
from runner.errors import Exit
from runner.inputs.formats import SUFFIXES
from runner.jobfile.findings import Findings
from runner.jobfile.positions import scan
from runner.jobfile.reading import read_tables
from runner.jobfile.schema import TABLES
from runner.lifecycle import Reason, State
from runner.money import ADVANCE, BASE_PRICE_STANDARD, dollars
from runner.parameters import TEXT_LIMIT
from runner.settings.sources import NAMES
from tests.cli.calling import call

VARIABLES = {variable for name in NAMES for variable in name.variables}
ELSEWHERE = {"NO_COLOR", "FORCE_COLOR", "TERM"}
"""Of terminals, not ours."""


def commands() -> dict[str, click.Command]:
    return {name: __import__(e.module, fromlist=["c"]).command for name, e in BY_NAME.items()}


def options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def settings_in(topic: str) -> set[tuple[str, str]]:
    """Table and key of every setting of a job file that *topic* shows, commented out or not."""
    shown, table = set(), ""
    for line in topic.splitlines():
        if header := re.match(r"(?:#\s*|\s*)\[{1,2}([a-z]+)\]{1,2}", line):
            table = header[1]
        elif (key := re.match(r"\s*(?:# )?([a-z_]+) = ", line)) and (table or topic[0] == "#"):
            shown.add((table, key[1]))
    return shown


@pytest.mark.parametrize("topic", TOPICS)
def test_each_topic_is_printed_as_it_is_written(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole, on stdout, in lines that fit most terminals."""
    assert call("help", topic).code is Exit.DONE
    printed = capsys.readouterr().out
    assert printed == text(topic)
    assert printed.endswith("\n")
    assert max(map(len, printed.splitlines())) <= 106


@pytest.mark.parametrize("words", [[], ["run"], ["budgets"]], ids=str)
def test_a_help_can_be_had_as_json(words: list[str]) -> None:
    """No command ignores --json (UX.md §2.4)."""
    document = call("help", *words, "--json").document
    assert (document["schema"], document["topic"]) == ("runner.help/1", words[0] if words else None)
    assert "runner" in document["text"]


def test_a_topic_can_be_read_where_there_is_only_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own signs have a form for that (UX.md §2.6)."""
    from runner.cli.terminal import fitted

    for topic in TOPICS:
        assert "\\x" not in fitted(text(topic), "ascii")
        assert "\\u" not in fitted(text(topic), "ascii")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_names_only_commands_that_exist(topic: str) -> None:
    """Advice that ends in "there is no command" is worse than none."""
    pasted = "\n".join(re.findall(r"`[^`]+`|^    .*", text(topic), re.MULTILINE))
    named = re.findall(r"\brunner ([a-z]+)", pasted)
    assert set(named) <= set(BY_NAME)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_names_only_options_that_exist(topic: str) -> None:
    """Of the very command where one is named, else of any."""
    known = commands()
    everywhere = set().union(*map(options, known.values()))
    assert set(re.findall(r"(?<!\w)--[a-z][a-z-]*", text(topic))) <= everywhere
    for line in re.findall(r"runner [a-z]+ [^`\n]*", text(topic)):
        name = line.split()[1]
        if name in known:
            assert set(re.findall(r"--[a-z-]+", line)) <= options(known[name]), line


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_names_only_variables_that_are_read(topic: str) -> None:
    """A variable that nobody reads is set in vain, and nobody says so."""
    named = set(re.findall(r"\b(?:RUNNER|DATAFORSEO|AISA)_[A-Z_]+\b", text(topic)))
    assert {name for name in named if not name.endswith("_")} <= VARIABLES


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_shows_only_settings_of_job_files_that_exist(topic: str) -> None:
    """The next thing a reader does is to copy the line."""
    for table, key in settings_in(text(topic)) - {("", "name"), ("", "description")}:
        assert key in TABLES[table].model_fields, (table, key)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_that_another_text_points_to_is_there(topic: str) -> None:
    """``see: runner help X`` must lead somewhere."""
    for word in re.findall(r"runner help ([a-z-]+)", text(topic)):
        assert word in TOPICS or word in BY_NAME


def test_the_topic_of_job_files_shows_every_setting_there_is() -> None:
    """It promises to."""
    every = {
        (table, key)
        for table, model in TABLES.items()
        for key in model.model_fields
        # The request's fields are shown once, and said to go for a target too.
        if table != "targets" or key not in TABLES["request"].model_fields
    }
    shown = settings_in(text("job-file"))
    assert every <= shown
    assert {("", "name"), ("", "description")} <= shown


def problems_in(job_file: str) -> list[str]:
    findings = Findings("jobs/my.toml", scan(job_file))
    document: dict[str, Any] = tomllib.loads(job_file, parse_float=Decimal)
    read_tables(document, findings)
    return [str(problem) for problem in findings.error().problems] if findings.any else []


def test_the_topic_of_job_files_is_a_job_file() -> None:
    """Its first line says so, and its commented settings are right once switched on."""
    as_it_is = text("job-file")
    assert problems_in(as_it_is) == []
    assert problems_in(re.sub(r"^# (?=[a-z_]+ = )", "", as_it_is, flags=re.MULTILINE)) == []


def test_the_job_file_of_the_topic_passes_its_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runner help job-file > jobs/my.toml`, as the text advises."""
    monkeypatch.chdir(tmp_path)
    for name, content in (
        ("jobs/my.toml", text("job-file")),
        ("data/brands.csv", "brand,prompt\nAcme,Is Acme good?\n"),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content, "utf-8")
    checked = call("check", "jobs/my.toml")
    assert (checked.code, checked.err) == (Exit.DONE, "")


def test_the_topic_of_job_files_names_every_kind_of_input() -> None:
    """A kind that is read and not named is one that people convert by hand."""
    (line,) = [line for line in text("job-file").splitlines() if line.startswith("file = ")]
    assert {suffix.removesuffix(".gz") for suffix in SUFFIXES} - {""} <= set(
        re.findall(r"\.[a-z]+", line)
    )


def test_the_topic_of_the_environment_names_every_variable() -> None:
    """It promises to; each with what it does."""
    named = set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", text("environment")))
    assert named >= VARIABLES | ELSEWHERE


def test_the_topic_of_the_environment_names_what_runner_toml_may_hold() -> None:
    """And nothing that it may not."""
    (listed,) = re.findall(r"or RUNNER_:\n(.*?)\. The\n?", text("environment"), re.DOTALL)
    assert set(re.findall(r"[a-z_]+", listed)) == {n.key for n in NAMES if not n.not_in_file}


def test_the_topic_of_states_explains_every_state_and_reason() -> None:
    """A word of an export that is explained nowhere is a riddle."""
    words = re.findall(r"^    ([a-z_]+)  ", text("states"), re.MULTILINE)
    assert words == [*ordered_states(), *map(str, Reason)]


def ordered_states() -> list[str]:
    """Waiting ones first, as the text has them."""
    waiting = [State.PENDING, State.POSTING, State.UNKNOWN, State.POSTED]
    return [str(state) for state in (*waiting, *(s for s in State if s not in waiting))]


def test_the_amounts_of_the_topics_are_those_of_the_program() -> None:
    """An estimate made from an old price is a wrong one."""
    budgets = text("budgets")
    assert f"an advance of ${dollars(ADVANCE):.2f} and" in budgets
    assert f"a base price of ${dollars(BASE_PRICE_STANDARD):.4f} from" in budgets
    assert 10_000 * (ADVANCE + BASE_PRICE_STANDARD) == 102 * 10**9
    assert f"1 to {TEXT_LIMIT} characters" in text("templates")
