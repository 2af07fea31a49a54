"""The listing that decides about lost posts (API.md §7)."""

from datetime import timedelta
from typing import Any

import pytest

from runner.simulator.account import Account
from runner.simulator.answers import api_time
from tests.simulator.helpers import (
    CHAT_GPT,
    START,
    ManualClock,
    call,
    new_account,
    post,
    post_one,
    question,
)

PATH = "/v3/ai_optimization/id_list"


def listing(account: Account, **fields: Any) -> Any:
    """The one element of ``tasks``, over the last hour unless told otherwise."""
    now = account.clock.now()
    window = {
        "datetime_from": api_time(now - timedelta(hours=1)),
        "datetime_to": api_time(now),
        "include_metadata": True,
    }
    (told,) = call(account, "POST", PATH, [window | fields]).body["tasks"]
    return told


def tags(told: Any) -> list[str]:
    return [row["metadata"]["tag"] for row in told["result"]]


def test_the_listing_finds_a_task_by_its_tag(account: Account) -> None:
    """The way back from a lost reply."""
    task_id = post_one(account, tag="lost")
    told = listing(account)
    assert told["result"] == [
        {
            "id": task_id,
            "url": "https://api.dataforseo.com/v3/ai_optimization/claude/llm_responses/task_post",
            "datetime_posted": "2026-11-20 10:00:00 +00:00",
            "datetime_done": None,
            "status": "Task In Queue.",
            "cost": 0.0102,
            "metadata": question("lost"),
        }
    ]


def test_the_listing_holds_all_providers_and_pages(account: Account, clock: ManualClock) -> None:
    """Rows come mixed, a thousand at most a page."""
    post(account, *(question(f"a{number}") for number in range(3)))
    clock.advance(timedelta(seconds=1))
    post(account, question("b0", model_name="gpt-4o-mini"), to=CHAT_GPT)
    assert tags(listing(account)) == ["a0", "a1", "a2", "b0"]
    assert tags(listing(account, offset=1, limit=2)) == ["a1", "a2"]
    assert tags(listing(account, sort="desc", limit=1)) == ["b0"]


def test_the_window_holds_both_its_ends(account: Account, clock: ManualClock) -> None:
    """Seconds are all the API knows, so a task of the last second is in."""
    clock.advance(timedelta(milliseconds=700))
    post_one(account, tag="edge")
    at = api_time(START)
    assert tags(listing(account, datetime_from=at, datetime_to=at)) == ["edge"]
    clock.advance(timedelta(seconds=5))
    later = api_time(START + timedelta(seconds=1))
    assert tags(listing(account, datetime_from=later)) == []


def test_the_listing_can_lag(clock: ManualClock) -> None:
    """A task that does not show yet is not absent."""
    account = new_account(clock, listing_lag_s=90.0)
    post_one(account, tag="late")
    clock.advance(timedelta(seconds=89))
    assert tags(listing(account)) == []
    clock.advance(timedelta(seconds=1))
    assert tags(listing(account)) == ["late"]


def test_the_listing_can_come_without_tags(clock: ManualClock) -> None:
    """Then nothing can be decided from it."""
    account = new_account(clock, listing_tags=False)
    post_one(account, tag="hidden")
    (row,) = listing(account)["result"]
    assert "tag" not in row["metadata"]


def test_metadata_comes_only_when_asked_for(account: Account) -> None:
    """The default is false."""
    post_one(account)
    (row,) = listing(account, include_metadata=False)["result"]
    assert "metadata" not in row


def test_the_listing_may_not_exist(clock: ManualClock) -> None:
    """No captured reply exists for this API: it may answer 404."""
    account = new_account(clock, listing=False)
    reply = call(account, "POST", PATH, [{}])
    assert (reply.http_status, reply.body["status_code"]) == (404, 40400)


@pytest.mark.parametrize("final", [True, False])
def test_the_listing_tells_the_cost_of_posting_or_the_last_one(
    clock: ManualClock, final: bool
) -> None:
    """Whether it is corrected after settlement is UNKNOWN (API.md §7)."""
    account = new_account(clock, listing_final_cost=final)
    post_one(account)
    clock.advance(timedelta(seconds=10))
    (row,) = listing(account)["result"]
    (task,) = account.ledger.tasks
    assert row["status"] == "Ok."
    assert row["datetime_done"] == "2026-11-20 10:00:10 +00:00"
    assert round(row["cost"] * 10**9) == (task.charge if final else 10_200_000)


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({"datetime_to": "2026-11-20 10:00:01 +00:00"}, 40501, "datetime_to"),
        ({"datetime_to": "2026-11-20 08:00:00 +00:00"}, 40501, "datetime_to"),
        ({"datetime_from": "2026-10-01 00:00:00 +00:00"}, 40501, "datetime_from"),
        ({"datetime_from": "2026-11-20T09:00:00Z"}, 40501, "datetime_from"),
        ({"datetime_from": "2026-13-20 09:00:00 +00:00"}, 40501, "datetime_from"),
        ({"datetime_from": None}, 40501, "datetime_from"),
        ({"limit": 1001}, 40501, "limit"),
        ({"limit": 0}, 40501, "limit"),
        ({"offset": -1}, 40501, "offset"),
        ({"sort": "down"}, 40501, "sort"),
        ({"include_metadata": "yes"}, 40501, "include_metadata"),
        ({"tag": "x"}, 40506, "tag"),
    ],
)
def test_a_wrong_listing_request_is_refused(
    account: Account, fields: dict[str, object], code: int, named: str
) -> None:
    """A month back with metadata, not into the future, a thousand rows (API.md §7)."""
    told = listing(account, **fields)
    assert told["status_code"] == code
    assert named in told["status_message"]


def test_without_metadata_the_listing_reaches_further_back(account: Account) -> None:
    """Six months instead of one."""
    told = listing(account, datetime_from="2026-06-01 00:00:00 +00:00", include_metadata=False)
    assert told["status_code"] == 20000
