"""`pause`, `resume`, `cancel` and `prune` between and during runs."""

import json
from pathlib import Path

from tests.support.commands import Workspace, workspace


def states(work: Workspace) -> dict[str, int]:
    found: dict[str, int] = work.json("status")["runs"][0]["states"]
    return {state: n for state, n in found.items() if n}


def queue_only(work: Workspace) -> None:
    """Load the job; the API refuses the posts, so that all twelve tasks wait."""
    work.api.control(arm=[{"fault": "payment_required", "call": "task_post", "times": 99}])
    assert work.runner("run", "brands.toml").returncode == 4
    work.api.control(disarm=True)
    assert states(work) == {"pending": 12}


def test_a_paused_job_is_not_posted_and_ends_with_3_until_it_is_resumed(tmp_path: Path) -> None:
    """Cron starts it all the same, every night, and nobody gets a mail for that."""
    with workspace(tmp_path) as work:
        queue_only(work)
        assert work.runner("pause", "brands", "--reason", "price check").returncode == 0
        calls = work.api.ledger()["calls"]
        held = work.runner("run", "brands.toml")
        assert held.returncode == 3, held.stderr
        assert (
            "brands is paused: price check; 12 tasks wait for: runner resume brands" in held.stderr
        )
        assert "exit=3" in held.stdout.splitlines()[-1]
        quiet = work.runner("-q", "run", "brands.toml", "--wait", "0")
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (3, "", "")
        assert work.api.ledger()["calls"] == calls
        assert work.json("run", "brands.toml", "--dry-run")["to_post"] == 0
        assert work.runner("resume", "brands").returncode == 0
        done = work.runner("run", "brands.toml")
        assert done.returncode == 0, done.stderr
        assert work.api.ledger()["created"] == 12


def test_what_was_sent_before_a_pause_is_collected_and_paid_once(tmp_path: Path) -> None:
    """A pause stops sending; answers that are paid for come in."""
    with workspace(tmp_path, "--latency", "1h") as work:
        assert work.runner("run", "brands.toml", "--wait", "0").returncode == 3
        assert work.runner("pause").returncode == 0
        work.api.control(advance_s=7200)
        done = work.runner("run", "brands.toml")
        assert done.returncode == 0, done.stderr
        assert states(work) == {"completed": 12}


def test_half_a_run_at_the_api_and_half_of_it_paused_ends_with_3(tmp_path: Path) -> None:
    """The first half is waited for and collected, the second is not waited for."""
    with workspace(tmp_path) as work:
        refusal = {"fault": "payment_required", "call": "task_post", "times": 5, "skip": 1}
        work.api.control(arm=[refusal], set={"latency": "1h"})
        assert work.runner("run", "brands.toml", "--wait", "0").returncode in (3, 4)
        work.api.control(disarm=True, advance_s=7200)
        assert work.runner("pause", "brands").returncode == 0
        held = work.runner("run", "brands.toml")
        assert held.returncode == 3, held.stderr
        assert states(work) == {"completed": 6, "pending": 6}


def test_a_cancelled_rest_is_no_failure_and_the_run_is_finished(tmp_path: Path) -> None:
    """Exit 0, nothing sent, and every row of the input has its line with its state."""
    with workspace(tmp_path) as work:
        queue_only(work)
        refused = work.runner("cancel", "brands")
        assert refused.returncode == 2
        assert "--yes" in refused.stderr
        assert work.runner("cancel", "brands", "--yes").stdout == (
            "cancel run=brands queued=12 sent=0\n"
        )
        done = work.runner("run", "brands.toml")
        assert done.returncode == 0, done.stderr
        assert "cancelled=12" in done.stdout.splitlines()[-1]
        assert work.api.ledger()["created"] == 0
        lines = (tmp_path / "out" / "brands.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["state"] for line in lines] == ["cancelled"] * 12


def test_after_a_prune_the_bills_still_agree_and_nothing_is_asked_again(tmp_path: Path) -> None:
    """The texts are gone, what they cost is not; the same command finds nothing to do."""
    with workspace(tmp_path) as work:
        assert work.runner("run", "brands.toml").returncode == 0
        whole = (tmp_path / "out" / "brands.csv").read_bytes()
        before = work.json("cost", "--by", "model")
        pruned = work.runner("prune", "--older-than", "0", "--yes")
        assert pruned.returncode == 0, pruned.stderr
        assert "deleted=12 " in pruned.stdout
        assert work.json("cost", "--by", "model") == before
        again = work.runner("run", "brands.toml")
        assert again.returncode == 0, again.stderr
        assert work.api.ledger()["created"] == 12
        assert (tmp_path / "out" / "brands.csv").read_bytes() == whole
        assert (tmp_path / "out" / "brands.pruned.csv").exists()
