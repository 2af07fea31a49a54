"""The books of the account always balance: no test that asks them may be told nonsense."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.simulator.account import Account
from runner.simulator.ledger import TAKEN, Entry
from runner.simulator.scenario import FailureCharge, Place
from tests.simulator.helpers import (
    AT_ONCE,
    CHAT_GPT,
    CLAUDE,
    ManualClock,
    call,
    get,
    new_account,
    post,
    post_one,
    question,
)


def entries(account: Account) -> list[Entry]:
    return list(account.ledger.entries(account.now_ms()))


def left_the_balance(entry: Entry) -> int:
    return entry.taken_nanousd - entry.refund_nanousd + entry.extra_nanousd


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("post"),
            st.lists(
                st.fixed_dictionaries(
                    {
                        "tag": st.sampled_from(["a", "b", "c", "d"]),
                        "model_name": st.sampled_from(
                            ["claude-opus-4-0", "claude-3-5-haiku-latest", "nope"]
                        ),
                        "web_search": st.booleans(),
                    }
                ),
                max_size=8,
            ),
        ),
        st.tuples(st.just("wait"), st.integers(0, 400_000)),
        st.tuples(st.just("get"), st.integers(0, 50)),
        st.tuples(st.just("deposit"), st.integers(0, 10**9)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    steps=STEPS,
    error_rate=st.sampled_from([0.0, 0.5]),
    stuck_rate=st.sampled_from([0.0, 0.3]),
    balance=st.sampled_from([0, TAKEN, 10 * TAKEN, 10**12]),
    charge=st.sampled_from(FailureCharge),
    place=st.sampled_from(Place),
)
def test_money_is_never_made_or_lost(
    steps: list[tuple[str, Any]],
    error_rate: float,
    stuck_rate: float,
    balance: int,
    charge: FailureCharge,
    place: Place,
) -> None:
    """What was paid in less what is there is what the tasks took, to the nano-dollar."""
    clock = ManualClock()
    account = new_account(
        clock,
        error_rate=error_rate,
        stuck_rate=stuck_rate,
        balance=balance,
        failure_charge=charge,
        payment_place=place,
    )
    accepted: list[tuple[str, str]] = []
    for step, value in steps:
        if step == "post":
            sent = [question(**fields) for fields in value]
            told = call(account, "POST", f"{CLAUDE}/task_post", sent).body["tasks"] or []
            fresh = [each for each in told if each["status_code"] == 20100]
            accepted += [(each["id"], each["data"]["tag"]) for each in fresh]
        elif step == "wait":
            clock.advance(timedelta(seconds=value))
        elif step == "get" and accepted:
            call(account, "GET", f"{CLAUDE}/task_get/{accepted[value % len(accepted)][0]}")
        elif step == "deposit":
            account.deposit(value)
        lines = entries(account)
        ledger = account.ledger
        assert [(line.id, line.tag) for line in lines] == accepted
        assert ledger.deposited - ledger.balance == sum(map(left_the_balance, lines))
        assert ledger.totals.net_nanousd == sum(map(left_the_balance, lines))
        assert ledger.totals.charged_nanousd == sum(line.charge_nanousd or 0 for line in lines)
        states = [line.state for line in lines]
        assert states.count("running") == ledger.totals.running
        assert states.count("failed") == ledger.totals.failed
    tags = [tag for _, tag in accepted]
    assert account.ledger.duplicate_tags() == len(tags) - len(set(tags))


def test_an_answer_is_settled_against_the_advance(clock: ManualClock) -> None:
    """A cheap answer gives back, a dear one takes more (API.md §5 Cost)."""
    account = new_account(clock, latency=AT_ONCE)
    post_one(account, model_name="claude-3-5-haiku-latest")
    post_one(account, model_name="claude-opus-4-0", web_search=True)
    cheap, dear = entries(account)
    assert cheap.charge_nanousd is not None
    assert cheap.refund_nanousd == TAKEN - cheap.charge_nanousd > 0
    assert dear.charge_nanousd is not None
    assert dear.extra_nanousd == dear.charge_nanousd - TAKEN > 0


def test_the_charge_is_what_the_answer_says(clock: ManualClock) -> None:
    """money_spent plus the base price is the only way for a client to know its cost."""
    account = new_account(clock, latency=AT_ONCE)
    told = get(account, post_one(account, web_search=True))
    (line,) = entries(account)
    assert line.charge_nanousd == round(told["result"][0]["money_spent"] * 10**9) + 200_000


@pytest.mark.parametrize(
    ("setting", "kept"),
    [(FailureCharge.NOTHING, 0), (FailureCharge.BASE, 200_000), (FailureCharge.ADVANCE, TAKEN)],
)
def test_what_a_failure_costs_is_a_choice(
    clock: ManualClock, setting: FailureCharge, kept: int
) -> None:
    """Sources disagree whether errored tasks are billed (API.md §5)."""
    account = new_account(clock, latency=AT_ONCE, error_rate=1.0, failure_charge=setting)
    post_one(account)
    account.now_ms()
    assert account.ledger.deposited - account.ledger.balance == kept


def test_a_timeout_gives_the_advance_back_even_where_failures_are_billed(
    clock: ManualClock,
) -> None:
    """The documentation is clear on the 72 hours: $0.01 is refunded."""
    account = new_account(clock, stuck_rate=1.0, failure_charge=FailureCharge.ADVANCE)
    post_one(account)
    clock.advance(timedelta(hours=72))
    (line,) = entries(account)
    assert (line.state, line.charge_nanousd) == ("failed", 200_000)


def test_an_entry_tells_whole_lives(clock: ManualClock) -> None:
    """Tests find a task here by tag and prompt, not by our own store."""
    account = new_account(clock)
    post_one(account, tag="mine")
    (line,) = entries(account)
    assert (line.tag, line.prompt) == ("mine", "Which is better, Miele or Bosch?")
    assert (line.state, line.code, line.charge_nanousd) == ("running", None, None)
    clock.advance(timedelta(seconds=10))
    (line,) = entries(account)
    assert (line.state, line.code, line.ended_at) == ("done", 20000, "2026-11-20T10:00:10Z")
    assert not line.collected


def test_user_data_tells_balance_and_limits(clock: ManualClock) -> None:
    """The free call that proves login and money before anything is posted."""
    account = new_account(clock, balance=50 * 10**9, calls_per_minute=600)
    post(account, question(model_name="gpt-4o-mini"), to=CHAT_GPT)
    (told,) = call(account, "GET", "/v3/appendix/user_data").body["tasks"]
    (row,) = told["result"]
    assert row["money"]["balance"] == 49.9898
    assert row["rates"]["limits"]["minute"]["ai_optimization"]["llm_responses"]["task_post"] == 600
    assert row["rates"]["statistics"]["day"]["ai_optimization"]["llm_responses"]["task_post"] == 1
