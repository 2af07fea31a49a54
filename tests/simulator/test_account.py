"""The life of a task at the simulated API, by a clock that only the test moves (API.md §3-§5)."""

from datetime import timedelta

import pytest

from runner.simulator.account import Account
from runner.simulator.scenario import EmptyList, Place, PostCost, Running
from tests.simulator.helpers import (
    AT_ONCE,
    CHAT_GPT,
    CLAUDE,
    GEMINI,
    ManualClock,
    call,
    get,
    new_account,
    post,
    post_one,
    question,
    ready_ids,
)

TAKEN = 10_200_000


def test_a_task_is_queued_then_handed_then_answered(account: Account, clock: ManualClock) -> None:
    """A client must wait through both codes before it may call a task done."""
    task_id = post_one(account)
    assert get(account, task_id)["status_code"] == 40602
    clock.advance(timedelta(seconds=6))
    assert get(account, task_id)["status_code"] == 40601
    clock.advance(timedelta(seconds=4))
    told = get(account, task_id)
    assert told["status_code"] == 20000
    assert told["result_count"] == 1
    assert told["result"][0]["items"]


def test_the_answer_echoes_request_and_tag(account: Account, clock: ManualClock) -> None:
    """Results are matched by data.tag, so it has to come back as sent."""
    task_id = post_one(account, tag="run7:000001:a1", temperature=0.3)
    clock.advance(timedelta(seconds=10))
    data = get(account, task_id)["data"]
    assert (data["se"], data["tag"], data["temperature"]) == ("claude", "run7:000001:a1", 0.3)


def test_the_same_post_twice_makes_two_tasks_and_two_charges(account: Account) -> None:
    """POST is not idempotent (API.md §0.4): this is why a lost reply must never be sent again."""
    before = account.ledger.balance
    first, second = post_one(account, tag="same"), post_one(account, tag="same")
    assert first != second
    assert before - account.ledger.balance == 2 * TAKEN
    assert account.ledger.duplicate_tags() == 1


def test_tasks_past_the_hundredth_are_refused_one_by_one(account: Account) -> None:
    """API.md §3: the 101st returns 40006 and is not created, the first hundred go through."""
    outcomes = post(account, *(question(f"t{number}") for number in range(103)))
    assert [each["status_code"] for each in outcomes] == [20100] * 100 + [40006] * 3
    assert account.ledger.totals.created == 100


def test_a_refused_task_fails_alone_and_costs_nothing(account: Account) -> None:
    """One bad object must not take its neighbours with it."""
    outcomes = post(account, question("a"), question("b", model_name="nope"), question("c"))
    assert [each["status_code"] for each in outcomes] == [20100, 40501, 20100]
    assert "model_name" in outcomes[1]["status_message"]
    assert [each["cost"] for each in outcomes] == [0.0102, 0, 0.0102]
    assert account.ledger.totals.taken_nanousd == 2 * TAKEN


def test_an_unknown_id_is_not_found(account: Account) -> None:
    """40401 per task, HTTP 200."""
    assert get(account, "11201000-1535-0613-0000-ffffffffffff")["status_code"] == 40401


def test_an_id_is_only_readable_through_its_own_provider(account: Account) -> None:
    """API.md §1: the wrong path answers 40002 and does not collect the task."""
    task_id = post_one(account)
    assert get(account, task_id, at=GEMINI)["status_code"] == 40002


def test_collecting_takes_a_task_off_the_ready_list(account: Account, clock: ManualClock) -> None:
    """A client that dies after task_get finds the id gone from the list, but can read it again."""
    task_id = post_one(account)
    assert ready_ids(account) == []
    clock.advance(timedelta(seconds=10))
    assert ready_ids(account) == [task_id]
    assert get(account, task_id)["status_code"] == 20000
    assert ready_ids(account) == []
    assert get(account, task_id)["status_code"] == 20000


def test_the_ready_list_is_one_provider_only(account: Account, clock: ManualClock) -> None:
    """Each provider has its own path."""
    post_one(account)
    clock.advance(timedelta(seconds=10))
    assert ready_ids(account, at=CHAT_GPT) == []


def test_the_ready_list_shows_a_thousand_and_the_rest_after_these(clock: ManualClock) -> None:
    """API.md §3, head-of-line blocking: uncollected ids hide the ones behind them."""
    account = new_account(clock, latency=AT_ONCE)
    for batch in range(11):
        post(account, *(question(f"{batch}.{number}") for number in range(100)))
    shown = ready_ids(account)
    assert len(shown) == 1000
    for task_id in shown[:100]:
        get(account, task_id)
    assert len(set(ready_ids(account)) - set(shown)) == 100


def test_the_ready_list_forgets_after_three_days(account: Account, clock: ManualClock) -> None:
    """Polling by id has to work without the list."""
    task_id = post_one(account)
    clock.advance(timedelta(days=3, seconds=10))
    assert ready_ids(account) == [task_id]
    clock.advance(timedelta(seconds=1))
    assert ready_ids(account) == []
    assert get(account, task_id)["status_code"] == 20000


def test_a_stuck_task_fails_after_72_hours_and_the_advance_comes_back(clock: ManualClock) -> None:
    """API.md §3: neither before nor without its refund."""
    account = new_account(clock, stuck_rate=1.0)
    before = account.ledger.balance
    task_id = post_one(account)
    clock.advance(timedelta(hours=72, seconds=-1))
    assert get(account, task_id)["status_code"] == 40601
    assert account.ledger.balance == before - TAKEN
    clock.advance(timedelta(seconds=1))
    assert get(account, task_id)["status_code"] == 40103
    assert account.ledger.balance == before
    assert account.ledger.totals.refunded_nanousd == TAKEN


def test_what_a_timeout_answers_is_a_choice(clock: ManualClock) -> None:
    """The code after 72 h is unknown (API.md §5), so clients are tried with several."""
    account = new_account(clock, stuck_rate=1.0, timeout_code=40102)
    task_id = post_one(account)
    clock.advance(timedelta(hours=72))
    assert get(account, task_id)["status_code"] == 40102


def test_results_expire_thirty_days_after_posting(account: Account, clock: ManualClock) -> None:
    """API.md §3: then they are gone for good."""
    task_id = post_one(account)
    clock.advance(timedelta(days=30))
    assert get(account, task_id)["status_code"] == 20000
    clock.advance(timedelta(seconds=1))
    assert get(account, task_id)["status_code"] == 40403


def test_the_clock_set_back_does_not_unfinish_a_task(account: Account, clock: ManualClock) -> None:
    """The machine's clock may step; the account's books must not."""
    task_id = post_one(account)
    clock.advance(timedelta(seconds=10))
    assert get(account, task_id)["status_code"] == 20000
    clock.advance(timedelta(seconds=-60))
    assert get(account, task_id)["status_code"] == 20000


@pytest.mark.parametrize(
    ("running", "code"), [(Running.CREATED, 20100), (Running.NULL_RESULT, 20000)]
)
def test_running_can_be_said_in_other_ways(clock: ManualClock, running: Running, code: int) -> None:
    """API.md §4: 20100, and 20000 without a result, mean that a task still runs."""
    account = new_account(clock, running=running)
    told = get(account, post_one(account))
    assert (told["status_code"], told["result"]) == (code, None)


@pytest.mark.parametrize(("empty", "tasks"), [(EmptyList.EMPTY, [[]]), (EmptyList.NULL, [None])])
def test_an_empty_ready_list_has_several_forms(
    clock: ManualClock, empty: EmptyList, tasks: list[object]
) -> None:
    """Nobody knows which one the API uses (examples/README.md)."""
    account = new_account(clock, empty_list=empty)
    reply = call(account, "GET", f"{CLAUDE}/tasks_ready")
    assert [told["result"] for told in reply.body["tasks"]] == tasks


def test_an_empty_ready_list_can_have_no_tasks(clock: ManualClock) -> None:
    """The third form."""
    account = new_account(clock, empty_list=EmptyList.NO_TASKS)
    assert call(account, "GET", f"{CLAUDE}/tasks_ready").body["tasks"] == []


@pytest.mark.parametrize(
    ("setting", "told", "total"),
    [(PostCost.WITH_BASE, 0.0102, 0.0102), (PostCost.ADVANCE, 0.01, 0.01)],
)
def test_the_cost_of_a_post_is_a_choice(
    clock: ManualClock, setting: PostCost, told: float, total: float
) -> None:
    """UNKNOWN in API.md §5; what leaves the balance is the same either way."""
    account = new_account(clock, post_cost=setting)
    body = call(account, "POST", f"{CLAUDE}/task_post", [question()]).body
    assert (body["tasks"][0]["cost"], body["cost"]) == (told, total)
    assert account.ledger.totals.taken_nanousd == TAKEN


def test_the_cost_of_a_post_can_be_absent(clock: ManualClock) -> None:
    """A client must not take a missing cost for zero."""
    account = new_account(clock, post_cost=PostCost.ABSENT)
    body = call(account, "POST", f"{CLAUDE}/task_post", [question()]).body
    assert "cost" not in body
    assert "cost" not in body["tasks"][0]


def test_task_get_prints_no_cost_unless_told(clock: ManualClock) -> None:
    """Both vendor examples print 0 beside a money_spent above 0 (API.md §0.6)."""
    account = new_account(clock, latency=AT_ONCE)
    silent = get(account, post_one(account))
    assert silent["cost"] == 0
    assert silent["result"][0]["money_spent"] > 0
    account.change(new_account(clock, latency=AT_ONCE, get_cost=True).scenario)
    told = get(account, silent["id"])
    assert told["cost"] == pytest.approx(told["result"][0]["money_spent"] + 0.0002, abs=1e-12)


def test_the_order_of_a_post_can_be_shuffled(clock: ManualClock) -> None:
    """The order is UNKNOWN (API.md §4): outcomes are matched by tag, never by place."""
    account = new_account(clock, shuffle_posts=True)
    sent = [f"t{number}" for number in range(20)]
    tags = [each["data"]["tag"] for each in post(account, *map(question, sent))]
    assert tags != sent
    assert sorted(tags) == sorted(sent)


def test_the_echo_can_leave_fields_out(clock: ManualClock) -> None:
    """The vendor's examples drop fields, so a client must not compare the echo."""
    account = new_account(clock, echo_without=("max_output_tokens",))
    (outcome,) = post(account, question(max_output_tokens=100, temperature=0.5))
    assert "max_output_tokens" not in outcome["data"]
    assert outcome["data"]["temperature"] == 0.5


def test_a_post_beyond_the_balance_is_refused_whole(clock: ManualClock) -> None:
    """HTTP 402 and nothing created: the queue stays as it was."""
    account = new_account(clock, balance=2 * TAKEN)
    reply = call(account, "POST", f"{CLAUDE}/task_post", [question(str(n)) for n in range(3)])
    assert (reply.http_status, reply.body["status_code"]) == (402, 40200)
    assert account.ledger.totals.created == 0


def test_a_post_beyond_the_balance_can_be_taken_in_part(clock: ManualClock) -> None:
    """The other reading: the tasks that the money covers, and 40210 for the others."""
    account = new_account(clock, balance=2 * TAKEN, payment_place=Place.TASK)
    outcomes = post(account, *(question(str(number)) for number in range(3)))
    assert [each["status_code"] for each in outcomes] == [20100, 20100, 40210]


def test_a_negative_balance_withholds_results_until_it_is_paid(clock: ManualClock) -> None:
    """API.md §3: results are withheld, not failed; a top-up brings them back."""
    account = new_account(clock, balance=TAKEN)
    task_id = post_one(account, web_search=True, model_name="claude-opus-4-0")
    clock.advance(timedelta(seconds=10))
    reply = call(account, "GET", f"{CLAUDE}/task_get/{task_id}")
    assert account.ledger.balance < 0
    assert (reply.http_status, reply.body["status_code"]) == (402, 40200)
    assert ready_ids(account) == [task_id]
    account.deposit(10**9)
    assert get(account, task_id)["status_code"] == 20000


def test_failed_tasks_say_so_and_are_refunded(clock: ManualClock) -> None:
    """The rate of failures is the scenario's; the money is the ledger's."""
    account = new_account(clock, error_rate=1.0, error_codes=(40101,))
    before = account.ledger.balance
    task_id = post_one(account)
    clock.advance(timedelta(seconds=10))
    told = get(account, task_id)
    assert (told["status_code"], told["result"], told["cost"]) == (40101, None, 0)
    assert account.ledger.balance == before
    assert account.ledger.totals.failed == 1


def test_the_same_seed_makes_the_same_account() -> None:
    """A failing run has to be repeatable."""
    made = []
    for _ in range(2):
        account = new_account(ManualClock(), error_rate=0.5)
        outcomes = post(account, *(question(str(number)) for number in range(20)))
        made.append([(each["id"], account.ledger.tasks[n].code) for n, each in enumerate(outcomes)])
    assert made[0] == made[1]


def test_models_name_what_they_can(account: Account) -> None:
    """API.md §9: a client looks there before it queues."""
    reply = call(account, "GET", f"{CHAT_GPT}/models")
    rows = {row["model_name"]: row for row in reply.body["tasks"][0]["result"]}
    assert rows["o3-mini"] == {
        "model_name": "o3-mini",
        "reasoning": True,
        "web_search_supported": False,
        "task_post_supported": True,
    }


def test_a_model_can_be_closed_to_the_standard_method(clock: ManualClock) -> None:
    """The models endpoint and the refusal must tell the same."""
    account = new_account(clock, not_postable=("claude-sonnet-4-0",))
    rows = call(account, "GET", f"{CLAUDE}/models").body["tasks"][0]["result"]
    closed = {row["model_name"] for row in rows if not row["task_post_supported"]}
    assert closed == {"claude-sonnet-4-0"}
    assert post(account, question())[0]["status_code"] == 40501
