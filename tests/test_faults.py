"""The census of faults: each thing that can go wrong, and the tests that show what happens then.

The numbers are those of the marks in the tests (``F47``). A fault has tests here whose docstring
names it, or a reason why there is none.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
FAULTS: Final = range(1, 85)

SHOWN: Final[dict[int, tuple[str, str, str]]] = {
    1: (
        "killed while loading",
        "store/test_faults.py",
        "test_a_killed_load_has_whole_chunks_and_goes_on",
    ),
    2: (
        "killed before the intent",
        "crash/test_sweep.py",
        "test_a_death_around_a_post_pays_nothing_twice_and_loses_nothing",
    ),
    3: (
        "killed after the intent",
        "store/test_posting.py",
        "test_an_intent_is_there_after_the_process_is_gone",
    ),
    4: (
        "killed before the reply",
        "store/test_posting.py",
        "test_what_a_dead_process_was_posting_is_in_doubt_with_its_money",
    ),
    5: (
        "killed after the reply",
        "app/test_kill.py",
        "test_killed_at_any_moment_nothing_is_paid_twice_and_nothing_is_lost",
    ),
    6: (
        "killed inside the commit",
        "crash/test_sweep.py",
        "test_a_death_around_a_post_pays_nothing_twice_and_loses_nothing",
    ),
    7: (
        "killed after a fetch",
        "pipeline/test_poller.py",
        "test_what_was_fetched_but_not_stored_is_fetched_again",
    ),
    8: (
        "killed while exporting",
        "reports/test_files.py",
        "test_a_killed_export_leaves_a_whole_file_that_is_still_ours",
    ),
    9: (
        "SIGTERM",
        "app/test_stopping.py",
        "test_a_stop_saves_the_post_under_way_and_begins_no_other",
    ),
    10: (
        "a second signal",
        "cli/test_processes.py",
        "test_the_second_signal_ends_even_a_loop_that_is_stuck",
    ),
    11: (
        "stopped between intent and send",
        "pipeline/test_submitter_lost.py",
        "test_an_intent_that_grew_old_is_not_sent",
    ),
    12: ("little memory", "pipeline/test_loader.py", "test_memory_does_not_grow_with_the_file"),
    13: (
        "two engines on one store",
        "store/test_lock.py",
        "test_a_second_engine_is_refused_at_once",
    ),
    14: ("a stale lock file", "store/test_lock.py", "test_a_killed_engine_holds_nothing"),
    15: (
        "a store on another host",
        "store/test_recovering.py",
        "test_a_store_from_another_host_is_refused_until_it_is_claimed",
    ),
    16: (
        "cron while the last still runs",
        "app/test_stopping.py",
        "test_another_engine_is_refused_at_once_and_the_first_is_named",
    ),
    17: (
        "a batch that kills the process",
        "store/test_deaths.py",
        "test_three_deaths_split_a_batch_and_three_more_hold_the_one_that_kills",
    ),
    18: (
        "a reboot",
        "app/test_kill.py",
        "test_killed_at_any_moment_nothing_is_paid_twice_and_nothing_is_lost",
    ),
    20: (
        "libraries that do not end",
        "store/test_faults.py",
        "test_a_process_ends_though_its_store_was_never_closed",
    ),
    21: (
        "disk full before the intent",
        "app/test_stopping.py",
        "test_a_disk_that_is_full_before_the_intent_sends_nothing",
    ),
    22: (
        "disk full with an answer in hand",
        "pipeline/test_submitter_lost.py",
        "test_an_outcome_that_cannot_be_saved_is_kept_and_nothing_new_is_posted",
    ),
    23: (
        "disk full while loading",
        "store/test_faults.py",
        "test_a_load_on_a_full_disk_is_done_again_when_there_is_space",
    ),
    24: (
        "a sync that fails",
        "store/test_faults.py",
        "test_a_sync_that_fails_is_no_disk_that_is_full",
    ),
    25: (
        "a store that is read-only",
        "store/test_faults.py",
        "test_a_store_that_may_only_be_read_is_refused_before_any_call",
    ),
    26: (
        "a store replaced while in use",
        "store/test_faults.py",
        "test_a_store_deleted_or_replaced_while_in_use_is_noticed",
    ),
    27: ("a damaged store", "store/test_faults.py", "test_a_damaged_store_says_so"),
    28: (
        "yesterday's backup put back",
        "store/test_recovering.py",
        "test_a_task_posted_by_the_lost_day_is_adopted_and_not_asked_again",
    ),
    29: (
        "a store of a newer version",
        "store/test_migrate.py",
        "test_a_newer_store_is_refused_and_both_versions_are_named",
    ),
    30: (
        "an interrupted migration",
        "store/test_migrate.py",
        "test_a_file_that_fails_leaves_nothing_of_itself",
    ),
    32: (
        "the server starts anew",
        "store/test_postgres.py",
        "test_a_killed_backend_is_replaced_within_the_verb",
    ),
    33: (
        "the outcome of a commit is not heard",
        "store/test_postgres.py",
        "test_a_commit_whose_reply_is_lost_is_read_back_and_counts",
    ),
    34: (
        "cut off from the server while a post is in flight",
        "machines/test_partitions.py",
        "test_a_reply_that_reaches_a_worker_cut_off_from_the_store_is_booked_once",
    ),
    35: (
        "a long transaction keeps vacuum away",
        "store/test_care.py",
        "test_a_server_tells_who_holds_back_its_vacuum",
    ),
    36: ("power loss", "store/test_sqlite.py", "test_a_store_is_durable_and_checks_its_references"),
    37: (
        "strange encodings",
        "inputs/test_encoding.py",
        "test_utf_8_and_marked_utf_16_are_read_unasked",
    ),
    38: ("bad rows", "inputs/test_csv_rows.py", "test_a_ragged_row_is_rejected_with_both_counts"),
    39: (
        "lines without end",
        "inputs/test_csv_rows.py",
        "test_an_open_quote_does_not_swallow_a_large_file",
    ),
    40: (
        "the same rows again",
        "pipeline/test_loader.py",
        "test_duplicate_rows_are_asked_once_and_counted",
    ),
    41: (
        "the same key, other content",
        "pipeline/test_loader.py",
        "test_the_same_key_with_another_question_is_a_bad_row",
    ),
    42: (
        "requests that the API would refuse",
        "jobfile/test_rows.py",
        "test_a_prompt_that_the_api_would_refuse_is_refused_here",
    ),
    43: (
        "a file that changes meanwhile",
        "inputs/test_several_files.py",
        "test_an_edit_of_any_of_the_files_is_noticed",
    ),
    44: (
        "long or odd tags of a user",
        "test_task.py",
        "test_a_tag_survives_the_way_to_the_api_and_back",
    ),
    45: ("no connection", "api/test_client_faults.py", "test_a_refused_connection_is_not_sent"),
    46: (
        "no secure connection",
        "api/test_client_faults.py",
        "test_a_certificate_that_is_not_trusted_is_not_sent",
    ),
    47: (
        "a reply that never comes",
        "pipeline/test_reconciler.py",
        "test_what_was_taken_is_adopted_at_the_first_look",
    ),
    48: (
        "a connection that breaks",
        "api/test_posting.py",
        "test_only_what_certainly_did_not_leave_is_not_taken",
    ),
    49: (
        "a body that is cut or garbled",
        "api/test_client_faults.py",
        "test_whatever_breaks_after_the_first_byte_leaves_the_tasks_in_doubt",
    ),
    50: (
        "a reply that is no JSON",
        "api/test_hostile.py",
        "test_a_reply_that_cannot_be_read_is_kept_until_a_better_one_comes",
    ),
    51: (
        "too many calls",
        "test_slices.py",
        "test_a_refused_call_stops_and_slows_all_hosts",
    ),
    52: (
        "server errors",
        "api/test_posting.py",
        "test_every_other_reply_leaves_its_tasks_in_doubt",
    ),
    53: ("redirects", "api/test_client_faults.py", "test_a_redirect_is_not_followed"),
    54: (
        "a refused login",
        "pipeline/test_submitter.py",
        "test_a_wrong_password_stops_everything_and_loses_nothing",
    ),
    55: (
        "an empty balance",
        "app/test_running.py",
        "test_a_balance_that_is_used_up_stops_posting_and_collects_the_rest",
    ),
    56: ("a daily limit", "pipeline/test_account.py", "test_a_daily_limit_ends_at_midnight_utc"),
    57: (
        "one task refused",
        "pipeline/test_submitter.py",
        "test_a_refused_task_fails_alone_with_the_api_s_words",
    ),
    58: (
        "more than a hundred in a call",
        "pipeline/test_submitter.py",
        "test_no_batch_holds_more_than_a_hundred",
    ),
    59: (
        "not ready for hours",
        "pipeline/test_poller.py",
        "test_codes_of_running_tasks_keep_them_waiting",
    ),
    60: (
        "an id unknown, a result expired",
        "pipeline/test_poller.py",
        "test_past_30_days_one_last_ask_decides",
    ),
    61: (
        "codes nobody knows",
        "pipeline/test_poller.py",
        "test_a_code_that_nobody_knows_ends_no_task_within_its_30_days",
    ),
    62: (
        "tasks missing or reordered in a reply",
        "pipeline/test_submitter.py",
        "test_outcomes_are_matched_by_tag_and_what_is_left_over_is_in_doubt",
    ),
    63: (
        "a post accepted twice",
        "api/test_posting.py",
        "test_a_tag_accepted_twice_is_adopted_once_and_reported",
    ),
    64: (
        "a listing that lags",
        "pipeline/test_reconciler.py",
        "test_a_listing_that_lags_proves_nothing_until_it_has_caught_up",
    ),
    65: (
        "a ready list full of others' ids",
        "pipeline/test_ready.py",
        "test_answers_come_by_age_whatever_the_list_does",
    ),
    66: (
        "a task that never ends",
        "pipeline/test_poller.py",
        "test_a_task_that_ran_into_its_72_hours_is_tried_again_and_then_given_up",
    ),
    67: (
        "costs that differ, refunds",
        "store/test_collecting.py",
        "test_the_advance_of_a_failed_task_is_at_risk_until_the_refund_shows",
    ),
    68: (
        "a reply byte by byte",
        "api/test_client_faults.py",
        "test_a_reply_that_takes_too_long_is_given_up",
    ),
    69: (
        "other programs on the account",
        "test_pacing.py",
        "test_foreign_use_lowers_the_rate_and_is_forgotten_slowly",
    ),
    70: (
        "a connection closed while idle",
        "api/test_client_faults.py",
        "test_a_connection_closed_while_idle_does_not_send_a_post_twice",
    ),
    71: (
        "forged postbacks",
        "web/test_receiver.py",
        "test_a_forged_postback_is_not_found_and_nothing_is_written",
    ),
    72: (
        "replayed postbacks",
        "pipeline/test_inbox.py",
        "test_a_replayed_postback_changes_nothing",
    ),
    73: (
        "a postback before the post's answer",
        "pipeline/test_inbox.py",
        "test_a_postback_before_the_posts_own_answer_resolves_the_doubt",
    ),
    74: (
        "postbacks too large, too slow or a bomb",
        "web/test_receiver.py",
        "test_more_than_there_is_room_for_is_sent_away_and_not_buffered",
    ),
    75: (
        "a receiver that is down",
        "whole_runs/test_postbacks.py",
        "test_a_receiver_killed_in_between_loses_nothing",
    ),
    76: (
        "clocks that jump, suspend",
        "pipeline/test_clock_jumps.py",
        "test_no_window_is_closed_by_our_clock",
    ),
    77: (
        "hosts whose clocks are apart",
        "machines/test_limit.py",
        "test_four_workers_whose_clocks_differ_use_the_limit_and_never_break_it",
    ),
    78: (
        "secrets in outputs",
        "whole_runs/test_from_file_to_answers.py",
        "test_no_output_file_or_store_ever_holds_the_password",
    ),
    79: (
        "formulas in cells",
        "reports/test_formats.py",
        "test_no_inert_cell_begins_like_a_formula_unless_it_is_a_number",
    ),
    80: (
        "an output path that is a link",
        "reports/test_files.py",
        "test_a_symbolic_link_is_not_followed",
    ),
    81: ("terminal escapes", "test_logs.py", "test_terminal_escapes_are_written_out"),
    82: (
        "prompts that look like SQL or logs",
        "test_logs.py",
        "test_an_event_is_one_line_whatever_its_values_hold",
    ),
    83: (
        "hostile answers",
        "pipeline/test_poller.py",
        "test_an_unreadable_result_is_kept_to_the_byte",
    ),
    84: (
        "a store that others can read",
        "store/test_faults.py",
        "test_store_files_are_private_whatever_the_umask",
    ),
}
"""The fault, and the file and the name of a test of it; others may bear its mark as well."""

NOT_SHOWN: Final[dict[int, str]] = {
    19: "no watchdog: large inputs are read in threads, a reply is read whole in less time than any"
    " timeout, and six heartbeats have to fail before others take over",
    31: "network file systems are not told apart: the lock and the sync are as good as theirs",
}
"""Why nothing is shown of a fault."""


@cache
def docstrings(file: str) -> dict[str, str]:
    """What each test of *file* says it is for."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {
        each.name: ast.get_docstring(each) or ""
        for each in tree.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def marks(text: str) -> set[int]:
    """The faults that *text* names: ``F2 to F6`` are five."""
    found: set[int] = set()
    for first, last in re.findall(r"\bF(\d{1,2})(?: to F(\d{1,2}))?\b", text):
        found.update(range(int(first), int(last or first) + 1))
    return found


def all_marks() -> Iterator[tuple[str, int]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, text in docstrings(str(path.relative_to(TESTS))).items():
            yield from ((name, number) for number in marks(text))


def test_every_fault_is_shown_or_it_is_said_why_not() -> None:
    """A fault that nobody looks at is one that we only believe to survive."""
    assert SHOWN.keys() | NOT_SHOWN.keys() == set(FAULTS)
    assert not SHOWN.keys() & NOT_SHOWN.keys()


@pytest.mark.parametrize("number", SHOWN)
def test_the_test_of_a_fault_is_there_and_names_it(number: int) -> None:
    """A test that was renamed or rewritten for something else shows nothing any more."""
    fault, file, name = SHOWN[number]
    assert name in docstrings(file), f"F{number}: {fault}"
    assert number in marks(docstrings(file)[name])


def test_no_mark_names_a_fault_that_there_is_not() -> None:
    """A slip of the pen would hide which fault was meant."""
    assert [each for each in all_marks() if each[1] not in FAULTS] == []
