"""`models`, and what `run` and `load` say about models, against the simulator inside."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runner.errors import Exit
from tests.cli.calling import call, call_on_terminal


@pytest.fixture
def prompts(folder: Path) -> Path:
    (folder / "q.csv").write_text("prompt\nWhy?\n")
    return folder


def test_a_part_of_a_name_finds_models_of_every_provider(folder: Path) -> None:
    """Four lists of dozens are long; a person remembers a part of a name."""
    ended = call("models", "--matching", "PRO", "--api", "sim")
    assert ended.code is Exit.DONE
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert {row[0] for row in rows} == {"gemini", "perplexity"}
    assert all("pro" in row[1] for row in rows)


def test_one_provider_that_was_asked_anew_keeps_the_other_lists(folder: Path) -> None:
    """They were asked for, too, and are as fresh as before."""
    call("models", "--api", "sim")
    kept = (folder / "runner-sim.models.json").read_text()
    call("models", "--api", "sim", "--provider", "claude", "--refresh")
    again = (folder / "runner-sim.models.json").read_text()
    assert again != kept
    assert all(f'"{name}"' in again for name in ("chat_gpt", "claude", "gemini", "perplexity"))


def test_a_model_that_cannot_search_is_refused_with_the_line_of_the_job(prompts: Path) -> None:
    """Exit 2, nothing queued: the person is still there and can choose another."""
    (prompts / "sky.toml").write_text(
        'name = "sky"\n[input]\nfile = "q.csv"\n[[targets]]\nprovider = "chat_gpt"\n'
        'model = "gpt-4.1-nano"\nweb_search = true\n'
    )
    for command in ("load", "run"):
        ended = call(command, "sky.toml", "--api", "sim")
        assert ended.code is Exit.WRONG_INPUT
        assert "sky.toml:7:1: targets[0].web_search: " in ended.err
        assert "gpt-4.1-nano cannot search the web" in ended.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--provider", "perplexity", "--model", "sonar"], "dataforseo/perplexity/live"),
        (
            ["--provider", "claude", "--model", "claude-sonnet-4-0", "--gateway", "aisa"],
            "aisa/claude/live",
        ),
        (
            ["--provider", "claude", "--model", "claude-sonnet-4-0", "--method", "live"],
            "dataforseo/claude/live",
        ),
    ],
)
def test_what_only_live_can_ask_is_queued_for_the_live_endpoint(
    prompts: Path, flags: list[str], said: str
) -> None:
    """Posted by task_post it would be a 404, or an answer paid for in another way than asked."""
    assert call("check", "q.csv", *flags).code is Exit.DONE
    assert call("load", "q.csv", *flags, "--api", "sim").code is Exit.DONE
    with closing(sqlite3.connect(prompts / "runner-sim.db")) as db:
        assert db.execute("SELECT endpoint, model FROM targets").fetchall() == [(said, flags[3])]


def test_flags_of_a_target_are_refused_beside_a_job_file(prompts: Path) -> None:
    """A job names its targets; a flag that changed all of them would ask everything anew."""
    (prompts / "sky.toml").write_text(
        'name = "sky"\n[input]\nfile = "q.csv"\n'
        '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n'
    )
    for flag, value in (("--method", "live"), ("--gateway", "aisa")):
        ended = call("check", "sky.toml", flag, value)
        assert ended.code is Exit.WRONG_INPUT
        assert f"{flag} is for data files" in ended.err


def test_on_a_terminal_what_is_not_known_is_called_unknown(folder: Path) -> None:
    """An empty cell would read as no."""
    call("models", "--api", "sim", "--provider", "claude")
    path = folder / "runner-sim.models.json"
    path.write_text(path.read_text().replace('"reasoning": true', '"reasoning": null'))
    ended = call_on_terminal(
        "models", "--api", "sim", "--matching", "opus-4-0", "--provider", "claude"
    )
    (row,) = (line for line in ended.out.splitlines() if "claude-opus-4-0" in line)
    assert row.split() == ["claude", "claude-opus-4-0", "unknown", "yes", "yes"]
