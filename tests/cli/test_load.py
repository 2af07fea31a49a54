"""`load`: what it says was queued."""

from pathlib import Path

from tests.cli.calling import call_on_terminal

CLAUDE = ("--provider", "claude", "--model", "claude-sonnet-4-0", "--api", "sim")


def test_a_part_of_the_file_is_told_as_that_part_alone(folder: Path) -> None:
    """Two sums of tasks, one above the other, leave a person to guess which is queued."""
    ended = call_on_terminal("load", "prompts.csv", *CLAUDE, "--limit", "2")
    assert "3 rows" not in ended.err
    assert ended.out == (
        "prompts (r1): 2 rows = 2 tasks: 2 new, 0 known, 0 rows rejected · nothing was sent\n"
    )
    whole = call_on_terminal("load", "prompts.csv", *CLAUDE)
    assert "3 rows × 1 target = 3 tasks\n" in whole.err


def test_duplicate_rows_are_told(folder: Path) -> None:
    """Fewer tasks than rows must have a reason that can be read."""
    (folder / "prompts.csv").write_text("prompt\nwhy?\nwhy?\n", "utf-8")
    ended = call_on_terminal("load", "prompts.csv", *CLAUDE)
    assert "= 1 task: 1 new, 0 known" in ended.out
    assert "· 1 duplicate row asked once · nothing was sent" in ended.out
