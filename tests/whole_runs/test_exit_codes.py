"""Every exit code of UX.md §2.3 comes from a real run of `runner` in one of these tests."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from runner.errors import Exit
from tests.support.commands import workspace

HERE: Final = Path(__file__).parent

SHOWN_BY: Final = {
    Exit.DONE: (
        "test_from_file_to_answers.py",
        "test_every_prompt_is_answered_once_and_the_bills_agree_to_the_nano_dollar",
    ),
    Exit.SOME_FAILED: (
        "test_bad_luck.py",
        "test_one_refused_task_fails_alone_and_in_the_words_of_the_api",
    ),
    Exit.WRONG_INPUT: (
        "test_from_file_to_answers.py",
        "test_bad_rows_are_all_named_and_skip_bad_asks_the_others",
    ),
    Exit.NOT_FINISHED: (
        "test_bad_luck.py",
        "test_wait_0_posts_and_leaves_and_a_later_start_collects",
    ),
    Exit.MONEY: (
        "test_bad_luck.py",
        "test_a_refused_balance_stops_posting_and_keeps_collecting",
    ),
    Exit.CREDENTIALS: ("test_bad_luck.py", "test_a_wrong_password_loses_nothing"),
    Exit.BUG: ("test_exit_codes.py", "test_a_planted_bug_ends_with_70_a_report_and_a_whole_store"),
    Exit.TRY_LATER: (
        "test_two_at_once.py",
        "test_without_it_one_steps_aside_and_names_the_other",
    ),
    Exit.INTERRUPTED: (
        "test_bad_luck.py",
        "test_ctrl_c_and_sigterm_save_what_was_done_and_say_how_to_go_on",
    ),
    Exit.TERMINATED: (
        "test_bad_luck.py",
        "test_ctrl_c_and_sigterm_save_what_was_done_and_say_how_to_go_on",
    ),
}
"""Which test ends a process with which code."""

BROKEN: Final = """
import sys
from runner.pipeline import poller

async def broken(*_, **__):
    raise ZeroDivisionError("planted")

poller.fetch = broken
from runner.cli import main
sys.exit(main())
"""
"""`runner` with a bug in the stage that fetches answers."""


def test_each_code_of_the_table_is_shown_by_a_test() -> None:
    """A code that nothing ever ends with is a promise that nobody keeps."""
    assert set(SHOWN_BY) == set(Exit)


@pytest.mark.parametrize("code", Exit)
def test_the_test_that_shows_a_code_is_there_and_looks_for_it(code: Exit) -> None:
    """The list above must not outlive a test that was renamed or changed its mind."""
    file, name = SHOWN_BY[code]
    text = (HERE / file).read_text(encoding="utf-8")
    body = text.split(f"def {name}(", 1)[1].split("\ndef ", 1)[0]
    assert str(int(code)) in body
    assert "code" in body


def test_a_planted_bug_ends_with_70_a_report_and_a_whole_store(tmp_path: Path) -> None:
    """What was paid for is in the store, and the next start of a mended program collects it."""
    with workspace(tmp_path) as work:
        broken = subprocess.run(
            [sys.executable, "-c", BROKEN, "run", "brands.toml", "--wait", "30s"],
            cwd=tmp_path,
            env=work.variables(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert broken.returncode == 70, broken.stderr
        assert "bug: unexpected ZeroDivisionError in" in broken.stderr
        assert "Traceback" not in broken.stderr
        (report,) = (tmp_path / "logs").glob("bug-*.txt")
        assert "planted" in report.read_text(encoding="utf-8")
        mended = work.runner("run", "brands.toml")
        assert mended.returncode == 0, mended.stderr
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (12, 0)
