"""What a night may bring: refusals, lost replies, no network, a full stop in the middle."""

import signal
import time
from pathlib import Path

from tests.support.commands import Workspace, workspace


def states(work: Workspace) -> dict[str, int]:
    found: dict[str, int] = work.json("status")["runs"][0]["states"]
    return {state: n for state, n in found.items() if n}


def test_a_wrong_password_loses_nothing(tmp_path: Path) -> None:
    """The rows are queued; with the right password the same command asks them."""
    with workspace(tmp_path, "--login", "someone@example.com", "--password", "right") as work:
        refused = work.runner("run", "brands.toml")
        assert refused.returncode == 5, refused.stderr
        assert states(work) == {"pending": 12}
        assert work.runner("run", "brands.toml", DATAFORSEO_PASSWORD="right").returncode == 0
        assert work.api.ledger()["created"] == 12


def test_a_refused_balance_stops_posting_and_keeps_collecting(tmp_path: Path) -> None:
    """The first batch is paid for and must be collected though the second is refused."""
    with workspace(tmp_path) as work:
        refusal = {"fault": "payment_required", "call": "task_post", "times": 5, "skip": 1}
        work.api.control(arm=[refusal])
        stopped = work.runner("run", "brands.toml")
        assert stopped.returncode == 4, stopped.stderr
        assert states(work) == {"completed": 6, "pending": 6}
        work.api.control(disarm=True)
        assert work.runner("run", "brands.toml").returncode == 0
        assert work.api.ledger()["created"] == 12


def test_too_many_calls_slow_the_run_down_and_blame_no_task(tmp_path: Path) -> None:
    """40202 is about the account; the tasks wait and are posted again."""
    with workspace(tmp_path) as work:
        work.api.control(arm=[{"fault": "rate_limited", "call": "task_post", "times": 1}])
        left = work.runner("run", "brands.toml", "--wait", "0")
        assert left.returncode in (0, 3), left.stderr
        assert not set(states(work)) & {"failed", "unknown"}


def test_one_refused_task_fails_alone_and_in_the_words_of_the_api(tmp_path: Path) -> None:
    """Its neighbours in the same call are accepted; after a correction it can be retried."""
    with workspace(tmp_path) as work:
        work.api.control(arm=[{"fault": "task_refused", "match": "wide feet", "times": 2}])
        ended = work.runner("run", "brands.toml")
        assert ended.returncode == 1, ended.stderr
        assert states(work) == {"completed": 10, "failed": 2}
        groups = work.json("errors")["groups"]
        assert {group["code"] for group in groups} == {40501}
        assert all(group["message"] for group in groups)
        retried = work.runner("retry", "--error", "40501")
        assert retried.returncode == 0, retried.stderr
        assert states(work) == {"completed": 12}


def test_a_lost_reply_leaves_doubt_that_the_listing_ends_and_never_a_second_payment(
    tmp_path: Path,
) -> None:
    """The API took the tasks, and nobody heard: their tags are found, nothing is sent again."""
    with workspace(tmp_path) as work:
        work.api.control(arm=[{"fault": "drop_after", "call": "task_post", "times": 1}])
        ended = work.runner("run", "brands.toml")
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 12}
        assert work.api.ledger()["created"] == 12
        assert work.api.ledger()["duplicate_tags"] == 0


def test_outcomes_in_another_order_are_attached_by_their_tags(tmp_path: Path) -> None:
    """The order of a reply is not documented; only the tag says what an outcome is about."""
    with workspace(tmp_path) as work:
        work.api.control(set={"shuffle_posts": True})
        assert work.runner("run", "brands.toml").returncode == 0
        by_id = {task["id"]: task["prompt"] for task in work.api.tasks()}
        lines = (tmp_path / "out" / "brands.csv").read_text(encoding="utf-8")
        assert by_id
        assert all(remote_id in lines for remote_id in by_id)


def test_without_a_network_the_run_gives_up_when_its_time_is_over(tmp_path: Path) -> None:
    """75 tells cron that the next start may fare better; nothing is lost."""
    with workspace(tmp_path) as work:
        nowhere = {"DATAFORSEO_BASE_URL": "http://127.0.0.1:9"}
        ended = work.runner("run", "brands.toml", "--wait", "2s", **nowhere)
        assert ended.returncode == 75, ended.stderr
        assert states(work) == {"pending": 12}


def test_wait_0_posts_and_leaves_and_a_later_start_collects(tmp_path: Path) -> None:
    """Answers may take hours: one start posts in the evening, another collects in the morning."""
    with workspace(tmp_path, "--latency", "1h") as work:
        left = work.runner("run", "brands.toml", "--wait", "0")
        assert left.returncode == 3, left.stderr
        assert states(work) == {"posted": 12}
        assert work.runner("run", "brands.toml", "--wait", "0").returncode == 3
        work.api.control(advance_s=7200)
        collected = work.runner("run", "brands.toml", "--wait", "0")
        assert collected.returncode == 0, collected.stderr
        assert work.api.ledger()["created"] == 12


def test_ctrl_c_and_sigterm_save_what_was_done_and_say_how_to_go_on(tmp_path: Path) -> None:
    """A stopped run has lost nothing; the same command finishes it."""
    with workspace(tmp_path, "--latency", "1h") as work:
        for sent, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = work.start("run", "brands.toml")
            assert process.stderr is not None
            assert "run.start" in process.stderr.readline()
            give_up = time.monotonic() + 60
            while work.api.ledger()["created"] < 12 and time.monotonic() < give_up:
                time.sleep(0.1)
            process.send_signal(sent)
            out, err = process.communicate(timeout=60)
            assert process.returncode == code, err
            assert f"exit={code}" in out.splitlines()[-1]
        assert states(work) == {"posted": 12}
        work.api.control(advance_s=7200)
        assert work.runner("run", "brands.toml").returncode == 0


def test_a_second_start_steps_aside_and_names_the_first(tmp_path: Path) -> None:
    """Cron may start tonight's run while last night's works; after a kill the next goes on."""
    with workspace(tmp_path, "--latency", "1h") as work:
        first = work.start("run", "brands.toml")
        give_up = time.monotonic() + 60
        while work.api.ledger()["created"] < 12 and time.monotonic() < give_up:
            time.sleep(0.1)
        second = work.runner("run", "brands.toml")
        assert second.returncode == 75
        assert f"pid {first.pid}" in second.stderr
        assert work.runner("status").returncode == 0
        first.kill()
        first.communicate()
        assert work.runner("run", "brands.toml", "--wait", "0").returncode == 3
        assert states(work) == {"posted": 12}
