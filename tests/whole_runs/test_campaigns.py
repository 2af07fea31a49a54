"""Campaigns as commands: products with a price tag, and second questions after first answers."""

import csv
import json
from pathlib import Path

from tests.support.commands import Workspace, simulated

CAMPAIGN = """\
name = "c"
[input]
file = "brands.csv"
[input.questions]
file = "questions.csv"
[prompt]
template = "{{question}} The brand is {{brand}}."
[[targets]]
name = "claude"
provider = "claude"
model = "claude-sonnet-4-0"
"""

TURNS = """\
name = "c"
[input]
file = "turns.jsonl"
[prompt]
column = "turns.0"
follow_up = "turns.1"
[[targets]]
name = "claude"
provider = "claude"
model = "claude-sonnet-4-0"
"""


def exported(work: Workspace) -> list[dict[str, str]]:
    with (work.folder / "out" / "c.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_added_to_a_finished_campaign_posts_its_own_cells_alone(tmp_path: Path) -> None:
    """One brand more must not pay for the others again."""
    with simulated(tmp_path) as api:
        work = Workspace(tmp_path, api)
        work.write("c.toml", CAMPAIGN)
        work.write("brands.csv", "brand\nHalvane\nVelmora\n")
        work.write("questions.csv", "question\nIs it good?\nIs it cheap?\nIs it safe?\n")
        checked = work.runner("check", "c.toml")
        assert "2 rows × 3 questions × 1 target × 1 sample = 6 tasks" in checked.stdout
        assert work.runner("run", "c.toml").returncode == 0
        assert api.ledger()["created"] == 6
        work.write("brands.csv", "brand\nFjord\nHalvane\nVelmora\n")
        done = work.runner("run", "c.toml")
        assert done.returncode == 0, done.stderr
        assert api.ledger()["created"] == 9
        assert [task["prompt"] for task in api.tasks()[6:]] == [
            f"Is it {what}? The brand is Fjord." for what in ("good", "cheap", "safe")
        ]
        assert [row["brand"] for row in exported(work)] == [
            brand for brand in ("Fjord", "Halvane", "Velmora") for _ in range(3)
        ]


def test_a_second_question_is_asked_after_the_first_answer_and_with_it(tmp_path: Path) -> None:
    """The run goes on by itself until both turns are in, and the model sees what it said."""
    rows: list[dict[str, list[str]]] = [
        {"turns": [f"What is {n}?", f"And {n} squared?"]} for n in range(5)
    ]
    rows += [{"turns": ["What is long?", "x" * 501]}, {"turns": ["y" * 501, "And then?"]}]
    with simulated(tmp_path) as api:
        work = Workspace(tmp_path, api)
        work.write("c.toml", TURNS)
        work.write("turns.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        done = work.runner("run", "c.toml", "--skip-bad", "bad.jsonl", "--max-failures", "2")
        assert done.returncode == 0, done.stderr
        assert api.ledger()["created"] == 11
        assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 2

        answers = {row["prompt"]: row["answer"] for row in exported(work)}
        # The API's own word for what it was sent.
        follow_ups = {
            task["prompt"]: task["message_chain"] for task in api.tasks() if task["message_chain"]
        }
        assert set(follow_ups) == {f"And {n} squared?" for n in range(5)}
        for n in range(5):
            asked, said = follow_ups[f"And {n} squared?"]
            answer = answers[f"What is {n}?"]
            assert asked == {"role": "user", "message": f"What is {n}?"}
            assert said["role"] == "ai"
            assert len(said["message"]) <= 500
            assert answer.startswith(said["message"].removesuffix(" […]"))

        again = work.runner("run", "c.toml", "--skip-bad", "bad.jsonl", "--max-failures", "2")
        assert again.returncode == 0, again.stderr
        assert api.ledger()["created"] == 11


def test_a_follow_up_waits_from_one_start_to_the_next(tmp_path: Path) -> None:
    """`--wait 0` from cron: each start does what it can, and none asks before its time."""
    with simulated(tmp_path, "--latency", "2s") as api:
        work = Workspace(tmp_path, api)
        work.write("c.toml", TURNS)
        work.write("turns.jsonl", '{"turns": ["What is this?", "And that?"]}\n')
        first = work.runner("run", "c.toml", "--wait", "0")
        assert first.returncode == 3, first.stderr
        assert [task["prompt"] for task in api.tasks()] == ["What is this?"]
        assert work.runner("run", "c.toml").returncode == 0
        assert [task["prompt"] for task in api.tasks()] == ["What is this?", "And that?"]
