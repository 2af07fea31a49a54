"""A person decides about what no listing ever told: found, absent or given up."""

import base64
import json
import time
import urllib.request
from pathlib import Path

from tests.support.commands import PASSWORD, Workspace, workspace
from tests.whole_runs.test_reconciling import QUICK, arm, let_time_pass, states


def quarantined(work: Workspace) -> list[int]:
    """Run the job until six tasks are held: their post was lost, and no listing is to be had."""
    work.api.control(set={"listing": False})
    arm(work, "drop_before")
    code, said = let_time_pass(work, work.start("run", "brands.toml", **QUICK), 80 * 3600)
    assert code == 1, said
    assert "runner resolve TASK" in said
    listed = work.runner("tasks", "--state", "quarantined", "--json").stdout.splitlines()
    return [json.loads(line)["task_id"] for line in listed]


def arrive_late(work: Workspace, task: int) -> str:
    """The post of *task* reaches the API after all; the id that it gets there."""
    shown = work.json("show", str(task))
    (attempt,) = shown["timeline"]
    path = f"/v3/ai_optimization/{shown['provider']}/llm_responses/task_post"
    body = [{"user_prompt": "why?", "model_name": shown["model"], "tag": attempt["tag"]}]
    request = urllib.request.Request(f"{work.api.url}{path}", json.dumps(body).encode())
    login = base64.b64encode(f"someone@example.com:{PASSWORD}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as reply:
        (made,) = json.load(reply)["tasks"]
    return str(made["id"])


def test_each_way_out_of_quarantine_ends_with_books_that_equal_the_bill(tmp_path: Path) -> None:
    """Two are found, two asked anew, two given up: nothing is attached to a wrong question."""
    with workspace(tmp_path) as work:
        tasks = quarantined(work)
        assert len(tasks) == 6
        words = [str(task) for task in tasks]
        found = [arrive_late(work, task) for task in tasks[:2]]

        wrong = work.runner("resolve", words[0], "--adopt", found[1], "--yes")
        assert (wrong.returncode, states(work)["quarantined"]) == (2, 6), wrong.stderr
        assert "tag" in wrong.stderr
        nobody = work.runner("resolve", words[0], "--adopt", "no-such-id", "--yes")
        assert nobody.returncode == 2, nobody.stderr
        for task, remote_id in zip(words[:2], found, strict=True):
            taken = work.runner("resolve", task, "--adopt", remote_id, "--yes")
            assert taken.returncode == 0, taken.stderr
        refused = work.runner("resolve", *words[2:4], "--absent", "--yes")
        assert refused.returncode == 2
        assert "may pay $0.0204 again" in refused.stderr
        again = work.runner("resolve", *words[2:4], "--absent", "--pay-again", "--yes")
        assert again.returncode == 0, again.stderr
        given_up = work.runner("resolve", "--run", "brands", "--write-off", "--yes")
        assert given_up.returncode == 0, given_up.stderr
        assert states(work) == {"completed": 6, "failed": 2, "pending": 2, "posted": 2}

        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 1, ended.stderr
        assert states(work) == {"completed": 10, "failed": 2}
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (10, 0)
        totals = work.json("cost")["totals"]
        assert totals["at_risk"] == "0.020400000"
        proof = work.runner("verify")
        assert proof.returncode == 0, proof.stdout
        assert " breaches=0 " in proof.stdout


def test_a_person_may_decide_while_an_engine_works(tmp_path: Path) -> None:
    """Nobody has to stop the night's run for it: it posts what is asked anew by itself."""
    with workspace(tmp_path) as work:
        task = str(quarantined(work)[0])
        engine = work.start("work", **QUICK)
        try:
            again = work.runner("resolve", task, "--absent", "--pay-again", "--yes")
            assert again.returncode == 0, again.stderr
            give_up = time.monotonic() + 40
            while states(work) != {"completed": 7, "quarantined": 5}:
                assert time.monotonic() < give_up, states(work)
                time.sleep(0.5)
        finally:
            engine.terminate()
            engine.communicate(timeout=60)
        assert work.runner("verify").returncode == 0
