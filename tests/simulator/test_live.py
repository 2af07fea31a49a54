"""Live calls of the simulated account: API.md §3-§5, read for itself."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runner.money import BASE_PRICE_LIVE, NANOS_PER_DOLLAR
from runner.simulator.account import Account
from runner.simulator.calls import Reply, read_call
from runner.simulator.control import control, oracle, page_of_tasks
from runner.simulator.faults import Fault, Strike
from runner.simulator.journal import open_account
from runner.simulator.latency import Latency, Shape
from runner.simulator.router import route
from runner.simulator.scenario import FailureCharge, Place, Scenario
from runner.simulator.server import serve
from runner.task import Provider
from tests.simulator.helpers import (
    AT_ONCE,
    AUTHORIZATION,
    CLAUDE,
    ManualClock,
    call,
    get,
    new_account,
    post,
    question,
    ready_ids,
)

PERPLEXITY = "/v3/ai_optimization/perplexity/llm_responses"
HOUR = Latency(Shape.CONSTANT, 3600.0)


def live(account: Account, *questions: dict[str, Any], to: str = CLAUDE) -> Reply:
    """A Live call that ends as soon as it is answered: its place is given back."""
    reply = call(account, "POST", f"{to}/live", list(questions))
    if reply.lane is not None:
        account.open_calls.leave(reply.lane)
    return reply


def sonar(tag: str = "t1", **fields: Any) -> dict[str, Any]:
    return question(tag, **{"model_name": "sonar", **fields})


def only(reply: Reply) -> Any:
    (task,) = reply.body["tasks"]
    return task


def test_a_live_call_answers_at_once_at_money_spent_and_base_price(
    account: Account, clock: ManualClock
) -> None:
    """0.49405 = 0.49345 + 0.0006 in the vendor's example; the ledger must say the same."""
    reply = live(account, question())
    task = only(reply)
    assert (task["status_code"], task["data"]["tag"]) == (20000, "t1")
    spent = task["result"][0]["money_spent"]
    assert task["cost"] == reply.body["cost"] == pytest.approx(spent + 0.0006, abs=1e-9)
    assert 10 <= reply.after_s < 10.1
    assert account.ledger.balance == account.ledger.deposited
    clock.advance(timedelta(seconds=10))
    account.now_ms()
    charged = account.ledger.totals.charged_nanousd
    assert charged == round(task["cost"] * NANOS_PER_DOLLAR)
    assert account.ledger.deposited - account.ledger.balance == charged


@pytest.mark.parametrize("provider", list(Provider))
def test_every_provider_has_a_live_endpoint(account: Account, provider: Provider) -> None:
    """Perplexity has nothing else (API.md §1)."""
    models = {
        Provider.CHAT_GPT: "gpt-4.1",
        Provider.CLAUDE: "claude-sonnet-4-0",
        Provider.GEMINI: "gemini-2.5-flash",
        Provider.PERPLEXITY: "sonar",
    }
    to = f"/v3/ai_optimization/{provider}/llm_responses"
    task = only(live(account, question(model_name=models[provider]), to=to))
    assert task["status_code"] == 20000
    assert task["path"] == ["v3", "ai_optimization", provider, "llm_responses", "live"]


def test_perplexity_has_no_standard_endpoints(account: Account) -> None:
    """404, as the documentation says (API.md §1)."""
    assert call(account, "POST", f"{PERPLEXITY}/task_post", [sonar()]).http_status == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, 20000),
        ({"web_search_country_iso_code": "FR", "temperature": 1.9, "top_p": 0.5}, 20000),
        (
            {"message_chain": [{"role": "user", "message": "a"}, {"role": "ai", "message": "b"}]},
            20000,
        ),
        ({"message_chain": [{"role": "ai", "message": "b"}]}, 40501),
        ({"message_chain": [{"role": "user", "message": "a"}] * 2}, 40501),
        ({"temperature": 1.95}, 40501),
        ({"web_search": True}, 40506),
        ({"use_reasoning": True}, 40506),
        ({"model_name": "gpt-4.1"}, 40501),
    ],
)
def test_perplexity_takes_its_own_fields_only(
    account: Account, fields: dict[str, Any], code: int
) -> None:
    """API.md §2, last column."""
    assert only(live(account, sonar(**fields), to=PERPLEXITY))["status_code"] == code


def test_sonar_searches_unasked(account: Account) -> None:
    """Search is on by default there, and paid."""
    assert only(live(account, sonar(), to=PERPLEXITY))["result"][0]["web_search"] is True


def test_a_postback_url_is_no_field_of_a_live_call(account: Account) -> None:
    """It exists in task_post only (API.md §2)."""
    asked = question(postback_url="https://x.test/$id")
    assert only(live(account, asked))["status_code"] == 40506
    assert post(account, asked)[0]["status_code"] == 20100


def test_a_model_that_cannot_be_posted_can_be_asked_live(clock: ManualClock) -> None:
    """`task_post_supported: false` says nothing about Live (API.md §9)."""
    account = new_account(clock, not_postable=("claude-sonnet-4-0",))
    assert post(account, question())[0]["status_code"] == 40501
    assert only(live(account, question()))["status_code"] == 20000


def test_further_tasks_of_a_live_call_are_refused(account: Account) -> None:
    """One task per call; the others get 40000 and cost nothing."""
    reply = live(account, question("a"), question("b"), question("c"))
    assert [t["status_code"] for t in reply.body["tasks"]] == [20000, 40000, 40000]
    assert account.ledger.totals.created == 1


def test_live_results_are_not_stored(account: Account, clock: ManualClock) -> None:
    """Neither by id nor on the ready list: a lost answer stays lost (API.md §3)."""
    task_id = only(live(account, question()))["id"]
    clock.advance(timedelta(minutes=1))
    assert get(account, task_id)["status_code"] == 40401
    assert ready_ids(account) == []


@pytest.mark.parametrize("shown", [True, False])
def test_the_listing_shows_live_calls_or_does_not(clock: ManualClock, shown: bool) -> None:
    """UNKNOWN in API.md §7; the address tells the two apart."""
    account = new_account(clock, listing_live=shown)
    live(account, question("live"))
    post(account, question("standard"))
    clock.advance(timedelta(seconds=30))
    window = {
        "datetime_from": "2026-11-20 09:00:00 +00:00",
        "datetime_to": "2026-11-20 10:00:30 +00:00",
        "include_metadata": True,
    }
    rows = only(call(account, "POST", "/v3/ai_optimization/id_list", [window]))["result"]
    found = {row["metadata"]["tag"]: row["url"].rsplit("/", 1)[-1] for row in rows}
    assert found == {"standard": "task_post"} | ({"live": "live"} if shown else {})


def open_calls(account: Account, number: int, to: str = CLAUDE) -> list[Any]:
    """Codes of *number* calls that stay open."""
    model = "sonar" if to == PERPLEXITY else "claude-sonnet-4-0"
    replies = [
        call(account, "POST", f"{to}/live", [question(str(n), model_name=model)])
        for n in range(number)
    ]
    return [
        reply.body["tasks"][0]["status_code"] if reply.body["tasks"] else reply.body["status_code"]
        for reply in replies
    ]


@pytest.mark.parametrize("place", list(Place))
def test_thirty_live_calls_of_a_provider_may_be_open(clock: ManualClock, place: Place) -> None:
    """The limit is each provider's own (API.md §3); where 40209 stands is UNKNOWN."""
    account = new_account(clock, limit_place=place)
    assert open_calls(account, 32) == [20000] * 30 + [40209] * 2
    assert open_calls(account, 3, PERPLEXITY) == [20000] * 3
    told = oracle(account)
    assert told["live_most_open"] == {"chat_gpt": 0, "claude": 30, "gemini": 0, "perplexity": 3}
    assert told["live_refused"] == 2
    assert account.ledger.totals.created == 33


def test_a_refused_live_call_gives_its_place_back(account: Account) -> None:
    """Thirty bad requests must not lock the provider."""
    for _ in range(40):
        assert only(live(account, question(top_p=5)))["status_code"] == 40501
    assert open_calls(account, 30) == [20000] * 30


@pytest.mark.parametrize("charged", [True, False])
def test_a_live_call_ends_after_120_seconds_whatever_it_costs(
    clock: ManualClock, charged: bool
) -> None:
    """50401: outcome and charge uncertain (API.md §5), so both are possible here."""
    account = new_account(clock, live_latency=HOUR, live_timeout_charged=charged)
    reply = live(account, question())
    task = only(reply)
    assert (task["status_code"], task["cost"], task["result"]) == (50401, 0, None)
    assert 120 <= reply.after_s < 120.1
    clock.advance(timedelta(seconds=121))
    account.now_ms()
    assert (account.ledger.totals.charged_nanousd > BASE_PRICE_LIVE) == charged


def test_a_live_latency_of_its_own_leaves_standard_tasks_alone(clock: ManualClock) -> None:
    """A rehearsal may have slow nights and quick Live calls."""
    account = new_account(clock, latency=HOUR, live_latency=AT_ONCE)
    reply = live(account, question())
    assert (only(reply)["status_code"], reply.after_s) == (20000, 0)
    assert post(account, question("s"))[0]["status_code"] == 20100


@pytest.mark.parametrize("charge", list(FailureCharge))
def test_a_failed_live_task_states_what_it_cost(clock: ManualClock, charge: FailureCharge) -> None:
    """There is no advance to keep: nothing, or the base price (API.md §5: sources disagree)."""
    account = new_account(clock, error_rate=1.0, failure_charge=charge)
    task = only(live(account, question()))
    assert (task["status_code"], task["result"]) == (40103, None)
    assert task["cost"] == (0 if charge is FailureCharge.NOTHING else 0.0006)


@pytest.mark.parametrize("place", list(Place))
def test_an_empty_balance_pays_no_live_call(clock: ManualClock, place: Place) -> None:
    """HTTP 402, or 40210 at the task."""
    account = new_account(clock, balance=0, payment_place=place)
    reply = live(account, question())
    if place is Place.TOP:
        assert (reply.http_status, reply.body["status_code"]) == (402, 40200)
    else:
        assert only(reply)["status_code"] == 40210
    assert account.ledger.totals.created == 0
    assert open_calls(account, 1) != [40209]


@pytest.mark.parametrize(
    ("order", "code", "created"),
    [
        ({"fault": "too_many"}, 40209, 0),
        ({"fault": "rate_limited"}, 40202, 0),
        ({"fault": "payment_required", "code": 40210}, 40210, 0),
        ({"fault": "refused_call", "code": 40203}, 40203, 0),
        ({"fault": "refused_call", "code": 50401}, 50401, 0),
        ({"fault": "timed_out"}, 50401, 1),
        ({"fault": "task_stuck"}, 50401, 1),
        ({"fault": "task_fails", "code": 50301}, 50301, 1),
        ({"fault": "task_refused", "code": 40501}, 40501, 0),
    ],
)
def test_faults_of_live_calls_are_ordered_as_those_of_posts(
    account: Account, order: dict[str, object], code: int, created: int
) -> None:
    """The control endpoint knows the call by its name, and leaves posts alone."""
    control(account, {"arm": [order | {"call": "live"}]})
    assert post(account, question("p"))[0]["status_code"] == 20100
    told = live(account, question()).body
    assert (told["tasks"] or [told])[0]["status_code"] == code
    assert account.ledger.totals.live == created
    assert only(live(account, question()))["status_code"] == 20000


def test_a_foreign_or_missing_tag_is_ordered_for_live_calls_too(account: Account) -> None:
    """A swapped reply is worse than a lost one; a client must be tested against it."""
    control(account, {"arm": [{"fault": "tag_foreign", "call": "live"}, {"fault": "tag_missing"}]})
    assert only(live(account, question()))["data"]["tag"] != "t1"
    assert "tag" not in only(live(account, question()))["data"]
    assert only(live(account, question()))["data"]["tag"] == "t1"


def test_a_live_call_times_out_at_once_when_that_is_ordered(account: Account) -> None:
    """Tests of the 120 s must not take 120 s."""
    account.faults.arm(Strike(fault=Fault.TIMED_OUT))
    assert live(account, question()).after_s == 0


def test_a_call_that_breaks_after_it_took_effect_is_booked(account: Account) -> None:
    """500 before and after look the same to the caller and differ in the ledger."""
    for fault, created in ((Fault.HTTP_500_BEFORE, 0), (Fault.HTTP_500_AFTER, 1)):
        account.faults.arm(Strike(fault=fault))
        reply = live(account, question())
        assert (reply.http_status, reply.body["status_code"]) == (500, 50000)
        assert account.ledger.totals.created == created


def test_the_ledger_shows_what_was_asked_with_which_history(account: Account) -> None:
    """Follow-ups are checked here: the history sent must be the first answer."""
    chain = [{"role": "user", "message": "Hello"}, {"role": "ai", "message": "Hi"}]
    live(account, question("a", message_chain=chain))
    post(account, question("b"))
    first, second = page_of_tasks(account, offset=0, limit=10)["tasks"]
    assert (first["method"], first["gateway"], first["provider"]) == (
        "live",
        "dataforseo",
        "claude",
    )
    assert (first["model"], first["prompt"]) == ("claude-sonnet-4-0", question()["user_prompt"])
    assert first["message_chain"] == chain
    assert (second["method"], second["message_chain"]) == ("standard", None)
    assert (first["taken_nanousd"], second["taken_nanousd"]) == (0, 10_200_000)


def test_an_answer_names_what_was_asked(account: Account) -> None:
    """So that a history can be told from another prompt's."""
    sections = only(live(account, question(user_prompt="Why is the sky blue at noon?")))["result"][
        0
    ]["items"][0]["sections"]
    assert "Why is the sky blue at noon" in "".join(section["text"] for section in sections)


def test_a_live_call_outlives_the_simulator_s_death(tmp_path: Path, clock: ManualClock) -> None:
    """Killed while the model answers: the account is charged, and nobody has the answer."""
    path = tmp_path / "account.jsonl"
    with open_account(path, clock=clock) as account:
        live(account, question())
        post(account, question("b"))
    clock.advance(timedelta(hours=1))
    with open_account(path, clock=clock) as account:
        account.now_ms()
        first, second = account.ledger.entries(account.now_ms())
        assert (first.method, first.state, second.method) == ("live", "done", "standard")
        assert account.ledger.totals.live == 1
        net = account.ledger.totals.net_nanousd
        assert net == (first.charge_nanousd or 0) + (second.charge_nanousd or 0)


def test_user_data_counts_live_calls(account: Account) -> None:
    """The account's own statistics have a line for them (API.md §7)."""
    live(account, question())
    told = only(call(account, "GET", "/v3/appendix/user_data"))["result"][0]
    assert told["rates"]["statistics"]["day"]["ai_optimization"]["llm_responses"]["live"] == 1


async def test_calls_are_open_while_their_model_answers() -> None:
    """Over real sockets: a thirty-first call is refused while thirty wait, and passes after."""
    slow = Latency(Shape.CONSTANT, 0.3)
    account = open_account(scenario=Scenario(live_latency=slow, live_at_once=5))
    headers = {"Authorization": AUTHORIZATION}
    async with serve(account) as server, aiohttp.ClientSession(headers=headers) as session:

        async def ask(number: int) -> int:
            url = f"{server.url}{CLAUDE}/live"
            async with session.post(url, json=[question(str(number))]) as response:
                told = await response.json()
            return int((told["tasks"] or [told])[0]["status_code"])

        codes = await asyncio.gather(*map(ask, range(8)))
        assert sorted(codes) == [20000] * 5 + [40209] * 3
        assert await ask(9) == 20000
        async with session.get(f"{server.url}/simulator/ledger") as response:
            assert (await response.json())["live_most_open"]["claude"] == 5


@pytest.mark.parametrize(
    ("fault", "created"),
    [
        ("drop_before", 0),
        ("drop_after", 1),
        ("cut_body", 1),
        ("stall_after", 1),
        ("stall_before", 0),
    ],
)
async def test_lost_live_replies_give_their_place_back(fault: str, created: int) -> None:
    """Whether it took effect only the ledger knows; the next call must find room either way."""
    account = open_account(scenario=Scenario(live_latency=AT_ONCE, live_at_once=1))
    control(account, {"arm": [{"fault": fault, "call": "live", "seconds": 0.01}]})
    headers = {"Authorization": AUTHORIZATION}
    async with serve(account) as server, aiohttp.ClientSession(headers=headers) as session:
        url = f"{server.url}{CLAUDE}/live"
        with pytest.raises(aiohttp.ClientError):
            async with session.post(url, json=[question()]) as response:
                await response.read()
        assert account.ledger.totals.created == created
        async with session.post(url, json=[question()]) as response:
            assert (await response.json())["tasks"][0]["status_code"] == 20000


def test_a_live_call_without_credentials_is_refused(account: Account) -> None:
    """As every other call is."""
    sent = read_call("POST", f"{CLAUDE}/live", authorization="Bearer sk-aisa", body=b"[]")
    reply = route(account, sent).reply
    assert reply is not None
    assert reply.http_status == 401
