"""`runner config`: what holds, who says so, and no secret."""

from pathlib import Path

import pytest

from runner.errors import Exit
from runner.settings.sources import NAMES
from tests.cli.calling import SECRET, call

LOGIN = "someone@example.com"


def shown(out: str) -> dict[str, str]:
    """``config show`` by name."""
    lines = (line.split(" = ", 1) for line in out.splitlines() if " = " in line)
    return {name.strip(): value.strip() for name, value in lines}


def test_each_value_is_shown_with_the_one_who_says_so(folder: Path) -> None:
    """UX.md §2.9: flag, environment, runner.toml, default."""
    (folder / "runner.toml").write_text("calls_per_minute = 600\nsettle_seconds = 9\n", "utf-8")
    environ = {"RUNNER_SETTLE_SECONDS": "30"}
    ended = call("--store", "q.db", "config", "show", "--origin", environ=environ)
    assert ended.code is Exit.DONE
    values = shown(ended.out)
    assert values["calls_per_minute"].split("  ")[0] == "600"
    assert values["calls_per_minute"].endswith("(runner.toml:1:1)")
    assert values["settle_seconds"].startswith("30 ")
    assert values["settle_seconds"].endswith("(RUNNER_SETTLE_SECONDS (environment))")
    assert values["store"].endswith("(--store (flag))")
    assert values["post_timeout_seconds"].endswith("(default)")
    assert values["tasks_per_post"].endswith("(the API)")


def test_without_origin_there_are_only_names_and_values(folder: Path) -> None:
    """Short is what one reads every day."""
    assert shown(call("config", "show").out)["calls_per_minute"] == "2000"


def test_every_setting_has_a_line(folder: Path) -> None:
    """A setting that cannot be looked at cannot be understood."""
    document = call("config", "show", "--json").document
    assert document["schema"] == "runner.config/1"
    names = [row["name"] for row in document["settings"]]
    assert set(names) >= {name.key for name in NAMES}
    assert len(names) == len(set(names))
    assert all(row["origin"] for row in (*document["settings"], *document["limits"]))


@pytest.mark.parametrize("argv", [["show"], ["show", "--origin"], ["show", "--json"]])
@pytest.mark.parametrize("in_file", [False, True])
def test_secrets_show_as_stars_with_where_they_come_from(
    folder: Path, argv: list[str], in_file: bool
) -> None:
    """People paste this into tickets (UX.md §3, 28)."""
    environ = {"DATAFORSEO_LOGIN": LOGIN}
    if in_file:
        (folder / "secret").write_text(SECRET, "utf-8")
        environ["DATAFORSEO_PASSWORD_FILE"] = "secret"
    else:
        environ["DATAFORSEO_PASSWORD"] = SECRET
    ended = call("config", *argv, environ=environ)
    assert SECRET not in ended.out + ended.err
    assert LOGIN not in ended.out + ended.err
    assert "********" in ended.out
    if argv != ["show"]:
        variable = "DATAFORSEO_PASSWORD_FILE" if in_file else "DATAFORSEO_PASSWORD"
        assert f"{variable} (environment)" in ended.out


def test_a_program_is_told_which_settings_are_secret(folder: Path) -> None:
    """It keeps such a row, stars or not, out of what others see."""
    environ = {"AISA_API_KEY": SECRET, "RUNNER_SECRET": SECRET}
    rows = call("config", "show", "--json", environ=environ).document["settings"]
    assert {row["name"] for row in rows if row["secret"]} == {
        *("login", "password", "aisa_api_key", "secret", "secret_previous"),
    }
    assert {row["name"] for row in rows if row["value"] == "********"} == {"aisa_api_key", "secret"}


def test_a_short_login_is_not_shown_either(folder: Path) -> None:
    """It is too short for the log's masker, which must not blank out a common word."""
    environ = {"DATAFORSEO_LOGIN": "me", "DATAFORSEO_PASSWORD": "pw"}
    rows = call("config", "show", "--json", environ=environ).document["settings"]
    values = {row["name"]: row["value"] for row in rows}
    assert values["login"] == values["password"] == "********"


def test_what_is_missing_for_a_call_is_said_and_is_no_error(folder: Path) -> None:
    """The command is there to find out why nothing works."""
    ended = call("config", "show")
    assert ended.code is Exit.DONE
    assert shown(ended.out)["login"] == "(not set)"
    assert "DATAFORSEO_LOGIN is not set" in ended.err
    assert call("--api", "sim", "config", "show").err == ""


def test_a_rehearsal_shows_the_store_that_it_uses(folder: Path) -> None:
    """The file that `--api sim` writes has another name, and people look for it."""
    assert shown(call("--api", "sim", "config", "show").out)["store"].endswith("runner-sim.db")


def test_path_is_that_of_the_workspace_found_from_here(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an editor: `$EDITOR $(runner config path)`."""
    ended = call("config", "path")
    assert ended.out == f"{folder / 'runner.toml'}\n"
    assert "no such file yet" in ended.err
    (folder / "runner.toml").write_text("", "utf-8")
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    ended = call("config", "path")
    assert (ended.out, ended.err) == (f"{folder / 'runner.toml'}\n", "")
    assert call("config", "path", "--json").document["exists"] is True


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["shwo"], "did you mean show?"),
        (["pth"], "did you mean path?"),
        (["xyz"], "none of show, path"),
        ([], "argument"),
        (["path", "--origin"], "--origin goes with config show"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(folder: Path, argv: list[str], says: str) -> None:
    """UX.md §2.1."""
    ended = call("config", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert says in ended.err
    assert "go on with: runner config" in ended.err


def test_wrong_settings_are_told_instead_of_shown(folder: Path) -> None:
    """A value that does not hold must not be printed as if it did."""
    ended = call("config", "show", environ={"RUNNER_CALLS_PER_MINUTE": "lots"})
    assert ended.code is Exit.WRONG_INPUT
    assert ended.out == ""
    assert "RUNNER_CALLS_PER_MINUTE" in ended.err
