"""The account in a file: what was answered is still there after kill -9 (DESIGN.md §12)."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from runner.errors import TryLater, WrongInput
from runner.simulator.account import Account
from runner.simulator.journal import open_account
from runner.simulator.scenario import Scenario
from runner.simulator.timing import ScaledClock
from tests.simulator.helpers import (
    AT_ONCE,
    TEN_SECONDS,
    ManualClock,
    call,
    get,
    post,
    post_one,
    question,
    ready_ids,
)

SCENARIO = Scenario(latency=TEN_SECONDS, error_rate=0.3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "account.jsonl"


def reopened(path: Path, clock: ManualClock) -> Account:
    return open_account(path, scenario=SCENARIO, clock=clock)


def test_an_account_lives_on_in_its_file(path: Path, clock: ManualClock) -> None:
    """Money, tasks, ready list and answers are those of before."""
    with reopened(path, clock) as account:
        outcomes = post(account, *(question(f"t{number}") for number in range(50)))
        clock.advance(timedelta(seconds=10))
        told = get(account, outcomes[0]["id"])
        account.deposit(5)
        balance, totals, ready = account.ledger.balance, account.ledger.totals, ready_ids(account)
    with reopened(path, clock) as account:
        assert get(account, outcomes[0]["id"]) == told
        assert account.ledger.balance == balance
        assert account.ledger.totals == totals
        assert ready_ids(account) == ready
        assert [line.tag for line in account.ledger.entries(account.now_ms())] == [
            f"t{number}" for number in range(50)
        ]


def test_a_reopened_account_keeps_its_seed_and_makes_new_ids(
    path: Path, clock: ManualClock
) -> None:
    """A later start with other flags must not change answers that were read already."""
    with open_account(path, scenario=SCENARIO, seed=1, clock=clock) as account:
        first = post_one(account)
    with open_account(path, scenario=SCENARIO, seed=2, clock=clock) as account:
        assert account.seed == 1
        assert post_one(account) != first
        assert account.ledger.deposited == SCENARIO.balance


def test_tasks_go_on_running_while_nobody_is_there(path: Path, clock: ManualClock) -> None:
    """`--wait 0` posts and leaves; the next start finds the answers."""
    with reopened(path, clock) as account:
        task_id = post_one(account)
        assert get(account, task_id)["status_code"] == 40602
    clock.advance(timedelta(hours=1))
    with reopened(path, clock) as account:
        assert ready_ids(account) == [task_id]


def test_a_torn_last_line_is_cut_off(path: Path, clock: ManualClock) -> None:
    """It was being written when the process died: nobody was told of it."""
    with reopened(path, clock) as account:
        kept = post_one(account, tag="kept")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"posted":[["1120')
    with reopened(path, clock) as account:
        assert [task.id for task in account.ledger.tasks] == [kept]
        added = post_one(account, tag="added")
    with reopened(path, clock) as account:
        assert [task.id for task in account.ledger.tasks] == [kept, added]


def test_an_account_torn_at_birth_is_born_again(path: Path, clock: ManualClock) -> None:
    """Half a first line is no account."""
    path.write_bytes(b'{"simulator":1,"se')
    with reopened(path, clock) as account:
        assert account.ledger.balance == SCENARIO.balance


@pytest.mark.parametrize(
    "content",
    [
        b"name,prompt\n1,hello\n",
        b'{"simulator":99,"seed":1}\n',
        b'{"seed":1}\n',
        b"[]\n",
        b'{"simulator":1,"seed":1,"deposit":5,"at":1}\n{"deleted":1}\n',
        b'{"simulator":1,"seed":1,"deposit":5,"at":1}\n{"collected":"nobody","at":2}\n',
        b'{"simulator":1,"seed":1,"deposit":5,"at":1}\n{"posted":[["id"]]}\n',
        b'{"simulator":1,"seed":1,"deposit":5,"at":1}\nrubbish\n{"deposit":1,"at":2}\n',
    ],
)
def test_another_file_is_refused_and_left_alone(
    path: Path, clock: ManualClock, content: bytes
) -> None:
    """A mistyped path must not cost anybody their prompts."""
    path.write_bytes(content)
    with pytest.raises(WrongInput, match=r"account\.jsonl"):
        reopened(path, clock)
    assert path.read_bytes() == content
    path.unlink()
    reopened(path, clock).close()


def test_a_folder_that_is_missing_is_named(tmp_path: Path, clock: ManualClock) -> None:
    """Exit 2 rather than a traceback."""
    with pytest.raises(WrongInput, match="nowhere"):
        reopened(tmp_path / "nowhere" / "account.jsonl", clock)


def test_one_process_at_a_time_is_the_account(path: Path, clock: ManualClock) -> None:
    """Two would each believe in their own balance."""
    with reopened(path, clock), pytest.raises(TryLater):
        reopened(path, clock)
    reopened(path, clock).close()


def test_only_the_owner_can_read_the_file(path: Path, clock: ManualClock) -> None:
    """It holds prompts."""
    reopened(path, clock).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_odd_prompts_survive_the_file(path: Path, clock: ManualClock) -> None:
    """Newlines, separators and half a surrogate pair: JSON allows them all."""
    odd = "line\nbreak \u2028 \x00 日本 \ud83d"
    with reopened(path, clock) as account:
        post_one(account, user_prompt=odd)
    with reopened(path, clock) as account:
        (line,) = account.ledger.entries(account.now_ms())
        assert line.prompt == odd


def test_a_post_that_cannot_be_written_does_not_happen(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the caller gets an error and nothing was charged, now or after reopening."""
    real = os.write
    with reopened(path, clock) as account:
        before = account.ledger.balance

        def full(file: int, data: bytes) -> int:
            if len(data) > 20:
                return real(file, data[:20])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            call(
                account, "POST", "/v3/ai_optimization/claude/llm_responses/task_post", [question()]
            )
        monkeypatch.setattr(os, "write", real)
        assert account.ledger.balance == before
        kept = post_one(account)
    with reopened(path, clock) as account:
        assert [task.id for task in account.ledger.tasks] == [kept]


def test_the_time_of_a_sped_up_account_never_runs_back(path: Path) -> None:
    """Tasks posted at a high speed would else lie in the future of the next start."""
    with open_account(path, scenario=Scenario(latency=AT_ONCE)) as account:
        assert isinstance(account.clock, ScaledClock)
        account.clock.advance(timedelta(days=20))
        task_id = post_one(account)
        ahead_ms = account.ledger.tasks[-1].posted_ms
    with open_account(path, scenario=Scenario(latency=AT_ONCE)) as account:
        assert ahead_ms <= account.now_ms() < ahead_ms + 60_000
        assert get(account, task_id)["status_code"] == 20000


ROOT = Path(__file__).parents[2]

CHILD = """
import json, sys
from pathlib import Path
from runner.simulator.journal import open_account
from tests.simulator.helpers import ManualClock, post, question
account = open_account(Path(sys.argv[1]), clock=ManualClock())
for number in range(10_000):
    outcomes = post(account, *(question(f"{number}.{each}") for each in range(5)))
    print(json.dumps([each["id"] for each in outcomes]), flush=True)
"""


def test_what_was_answered_survives_kill_9(path: Path, clock: ManualClock) -> None:
    """The oracle of every crash test must not forget in a crash of its own."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    with child.stdout:
        answered = [child.stdout.readline() for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        answered += child.stdout.readlines()
    assert child.wait() == -signal.SIGKILL
    told = [task_id for line in answered if line.endswith("\n") for task_id in json.loads(line)]
    with reopened(path, clock) as account:
        kept = [task.id for task in account.ledger.tasks]
        assert kept[: len(told)] == told
        assert len(kept) % 5 == 0, "a call takes effect whole or not at all"
