"""`runner schedule`: lines that are pasted once and trusted every night."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.cli.actions import units
from runner.cli.actions.schedule import program
from runner.cli.actions.units import Night
from runner.errors import Exit, WrongInput
from tests.cli.calling import SECRET, call

NIGHT = Night(
    job="brands",
    workspace=Path("/srv/brands"),
    program=("/opt/runner",),
    shared=(),
    command=("run", "jobs/brands.toml", "--wait", "6h"),
    at=(2, 15),
    variables=(),
    by_date=True,
)
ODD = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1)


def as_cron_reads(line: str) -> tuple[str, str]:
    """Schedule and command of a crontab line, as cron(8) hands the latter to the shell."""
    fields = line.split(None, 5)
    command = re.sub(r"(?<!\\)%.*", "", fields[5])
    return " ".join(fields[:5]), command.replace(r"\%", "%")


def as_systemd_reads(value: str) -> list[str]:
    """The words of an ExecStart line, by the rules of systemd.service(5) that we use."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value)
    plain = [re.sub(r"\\(.)", r"\1", quoted) if quoted else bare for quoted, bare in words]
    return [plain[0].replace("%%", "%")] + [
        word.replace("$$", "$").replace("%%", "%") for word in plain[1:]
    ]


def line_of(text: str, key: str) -> str:
    """The value of *key* in a unit."""
    (value,) = re.findall(rf"^{key}=(.*)$", text, flags=re.MULTILINE)
    return str(value)


def test_the_crontab_line_starts_this_runner_in_this_workspace_at_that_time(folder: Path) -> None:
    """UX.md §5.6: what is pasted must not depend on cron's own folder or PATH."""
    ended = call("schedule", "cron", "jobs/prompts.toml", "--at", "2:05")
    assert ended.code is Exit.DONE
    *comments, line = ended.out.splitlines()
    assert all(comment.startswith("# ") for comment in comments)
    when, command = as_cron_reads(line)
    assert when == "5 2 * * *"
    assert command.startswith(f"cd {folder} && mkdir -p logs && {shlex.join(program())} ")
    words = shlex.split(command)
    assert (
        words[words.index("-q") :]
        == (
            "-q --no-input --yes run jobs/prompts.toml --wait 6h --wait-lock 2h "
            "--log-format json --log-file logs/prompts.jsonl"
        ).split()
    )


def test_the_command_of_the_line_is_one_that_runner_takes(folder: Path) -> None:
    """A flag that no longer exists would be found out at 02:15."""
    _, command = as_cron_reads(
        call("--api", "sim", "schedule", "cron", "prompts").out.splitlines()[-1]
    )
    options = shlex.split(command)
    arguments = options[options.index("-q") :]
    ended = call(*arguments, "--dry-run", "--log-file", "cron.jsonl")
    assert (ended.code, ended.err) == (Exit.DONE, "")


def test_systemd_gets_a_service_and_a_timer(folder: Path) -> None:
    """UX.md §5.6; 3 and 75 are no failures there either."""
    ended = call("schedule", "systemd", "prompts", "--at", "23:59")
    assert ended.code is Exit.DONE
    assert line_of(ended.out, "OnCalendar") == "*-*-* 23:59:00"
    assert line_of(ended.out, "SuccessExitStatus").startswith("3 75")
    assert line_of(ended.out, "WorkingDirectory") == str(folder)
    assert as_systemd_reads(line_of(ended.out, "ExecStart")) == [
        *program(),
        *"--no-input --yes run jobs/prompts.toml --wait 6h --wait-lock 2h".split(),
    ]
    assert "# /etc/systemd/system/runner-prompts.service" in ended.out
    assert "# /etc/systemd/system/runner-prompts.timer" in ended.out
    assert re.search(r"^User=\S+$", ended.out, flags=re.MULTILINE)
    assert line_of(ended.out, "WantedBy") == "timers.target"


def test_user_units_name_no_user_and_wait_for_no_network_target(folder: Path) -> None:
    """The user's manager has neither, and refuses User=."""
    document = call("schedule", "systemd", "prompts", "--user", "--json").document
    assert sorted(document["files"]) == [
        "~/.config/systemd/user/runner-prompts.service",
        "~/.config/systemd/user/runner-prompts.timer",
    ]
    text = json.dumps(document["files"])
    assert "User=" not in text
    assert "network-online" not in text
    assert "systemctl --user" in text


def test_nothing_is_written(folder: Path) -> None:
    """It prints; a person pastes."""
    before = sorted(folder.rglob("*"))
    call("schedule", "cron", "prompts")
    call("schedule", "systemd", "prompts")
    assert sorted(folder.rglob("*")) == before


def test_a_store_and_an_api_named_for_this_start_are_kept_for_the_night(folder: Path) -> None:
    """Another store knows nothing of what was asked, and would have all of it paid again."""
    environ = {"RUNNER_STORE": "q.db", "DATAFORSEO_BASE_URL": "https://api.example.com"}
    line = call("schedule", "cron", "prompts", environ=environ).out.splitlines()[-1]
    words = shlex.split(as_cron_reads(line)[1])
    assert words[words.index("--store") + 1] == str(folder / "q.db")
    assert words[words.index("--api") + 1] == "https://api.example.com"
    plain = call("schedule", "cron", "prompts").out.splitlines()[-1]
    assert "--store" not in plain
    assert "--api" not in plain


def test_what_the_environment_gives_is_named_and_never_shown(folder: Path) -> None:
    """cron has hardly any environment, and a crontab is no place for a password."""
    environ = {"DATAFORSEO_LOGIN": "someone@example.com", "DATAFORSEO_PASSWORD": SECRET}
    for kind in ("cron", "systemd"):
        ended = call("schedule", kind, "prompts", environ=environ)
        assert "DATAFORSEO_LOGIN, DATAFORSEO_PASSWORD\n" in ended.out
        assert SECRET not in ended.out + ended.err
        assert "someone@example.com" not in ended.out + ended.err
    assert "DATAFORSEO" not in call("--api", "sim", "schedule", "cron", "prompts").out


def test_what_surprises_in_the_morning_is_said_now(folder: Path) -> None:
    """A nightly job without a key asks each row once and never again."""
    ended = call("schedule", "cron", "prompts")
    assert "no [run] key" in ended.err
    assert "no budget_usd" in ended.err
    job = folder / "jobs" / "prompts.toml"
    text = job.read_text("utf-8")
    job.write_text(
        text.replace("[input]", '[run]\nkey = "{{date}}"\n[input]') + "[limits]\nbudget_usd = 4\n",
        "utf-8",
    )
    ended = call("schedule", "cron", "prompts")
    assert ended.err == ""
    assert "UTC day" in ended.out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["cron", "nothing"], "no job"),
        (["cron", "jobs/broken.toml"], "buget_usd"),
        (["cron", "prompts.csv"], "runner init --from prompts.csv"),
        (["crno", "prompts"], "did you mean cron?"),
        (["cron", "prompts", "--at", "24:00"], "24:00 is no time of day"),
        (["cron", "prompts", "--at", "2.15"], "2.15 is no time of day"),
    ],
)
def test_what_would_stop_the_night_is_refused_now(folder: Path, argv: list[str], says: str) -> None:
    """Somebody is awake now."""
    text = (folder / "jobs" / "prompts.toml").read_text("utf-8")
    (folder / "jobs" / "broken.toml").write_text(text + "[limits]\nbuget_usd = 1\n", "utf-8")
    ended = call("schedule", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert ended.out == ""
    assert says in ended.err


@pytest.mark.parametrize("word", ["a b", "100%", "it's", 'say "hi"', "$HOME", "a;b&c", "#1", "ü"])
def test_cron_and_its_shell_read_the_very_words_that_were_meant(word: str) -> None:
    """A bare % ends a cron command without a word, and a space splits a path."""
    night = replace(NIGHT, workspace=Path("/srv") / word, command=("run", word))
    _, command = as_cron_reads(units.crontab(night).splitlines()[-1])
    script = command.replace("mkdir -p logs", "true").replace("cd ", "printf '%s\\n' ", 1)
    script = script.replace("/opt/runner", "printf '%s\\n'")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == f"/srv/{word}"
    assert lines[lines.index("run") + 1] == word


@given(ODD.map(lambda text: f"{text}."))
@example("a b.")
@example("100%.")
@example("$HOME.")
@example("""it's "mine".""")
@example("back\\slash.")
def test_no_word_ends_a_crontab_line_or_is_split_by_systemd(word: str) -> None:
    """Folders have any name."""
    night = replace(NIGHT, workspace=Path("/srv") / word, command=("run", word))
    units_of = units.systemd(night, user=True, account="me")
    service = next(text for path, text in units_of.items() if path.endswith(".service"))
    assert as_systemd_reads(line_of(service, "ExecStart"))[-1] == word
    assert line_of(service, "WorkingDirectory").replace("%%", "%") == str(night.workspace)
    if "\\" in word:
        with pytest.raises(WrongInput, match="cannot carry it"):
            units.crontab(night)
    else:
        _, command = as_cron_reads(units.crontab(night).rstrip("\n").split("\n")[-1])
        assert shlex.split(command)[1] == str(night.workspace)


@pytest.mark.parametrize("folder", ["/srv/a ", "/srv/a\\"])
def test_a_folder_that_systemd_would_read_otherwise_is_refused(folder: str) -> None:
    """It strips a space at the end of a line, and takes a backslash there for a line to come."""
    with pytest.raises(WrongInput, match="cannot carry it"):
        units.systemd(replace(NIGHT, workspace=Path(folder)), user=True, account="me")


@pytest.mark.parametrize("word", ["a\nb", "a\rb", "\x1b[31m"])
def test_a_path_with_a_line_end_is_refused(word: str) -> None:
    """It would become a second line, and cron would run that."""
    night = replace(NIGHT, workspace=Path("/srv") / word)
    with pytest.raises(WrongInput, match="cannot carry it"):
        units.crontab(night)
    with pytest.raises(WrongInput, match="cannot carry it"):
        units.systemd(night, user=True, account="me")


def test_the_program_is_an_absolute_path_that_is_there() -> None:
    """cron's PATH is /usr/bin:/bin."""
    first = Path(program()[0])
    assert first.is_absolute()
    assert first.exists()
    assert first.parent == Path(sys.executable).parent
