"""What became of the tasks of a post: no reply whatever may lose one, double one or swap two."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.errors import (
    AccountBlocked,
    ApiError,
    Block,
    CallRejected,
    CredentialsBlocked,
    MoneyBlocked,
    ProtocolFault,
    RateLimited,
    Unreachable,
    Untrusted,
    WrongAddress,
)
from runner.api.posting import NOT_SENT_WAIT_S, PostReply, sort_reply, without_reply
from runner.api.replies import NoReply
from runner.errors import Exit
from runner.task import Accepted, Lost, NotTaken, Outcome, Refused, RemoteId
from tests.api.mutations import mutated
from tests.api.replies import entry, envelope, reply, sample

NOW = datetime(2026, 11, 21, 22, 59, 30, tzinfo=UTC)


def posted(
    tags: Sequence[str], body: bytes, http_status: int = 200, *, bare_url: bool = True
) -> PostReply:
    return sort_reply(tags, reply(body, http_status), now=NOW, bare_url=bare_url)


def only(tags: Sequence[str], body: bytes, http_status: int = 200) -> Outcome:
    (outcome,) = posted(tags, body, http_status).outcomes
    return outcome


def test_the_sample_of_a_mixed_reply_is_sorted_task_by_task() -> None:
    """One refused task fails alone, with the API's words; its neighbours go on (F57)."""
    tags = ["run7:000001:a1", "run7:000003:a1", "run7:000104:a1"]
    got = posted(tags, sample("task_post.response.mixed"))
    assert got.outcomes == (
        Accepted(
            tag=tags[0],
            remote_id=RemoteId("07241735-1535-0613-0000-0722e701b5ff"),
            cost_nanousd=10_200_000,
        ),
        Refused(tag=tags[1], code=40501, message="Invalid Field: 'model_name'."),
        NotTaken(
            tag=tags[2],
            why="40006: You can set no more than 100 tasks at a time.",
            wait_s=0,
            code=40006,
        ),
    )
    assert (got.trouble, got.strangers, got.sent) == (None, (), True)


def test_outcomes_are_matched_by_tag_whatever_their_order() -> None:
    """The order of tasks in the reply is not documented; by position answers would be swapped."""
    got = posted(
        ["a", "b", "c"], envelope(entry("c", id="3"), entry("a", id="1"), entry("b", id="2"))
    )
    assert [o.remote_id for o in got.outcomes if isinstance(o, Accepted)] == ["1", "2", "3"]
    assert [o.tag for o in got.outcomes] == ["a", "b", "c"]


def test_a_task_that_the_reply_leaves_out_is_perhaps_taken() -> None:
    """Silence about a task is no evidence; posting it again might pay twice (F62)."""
    got = posted(["a", "b"], envelope(entry("a")))
    assert got.outcomes[1] == Lost(tag="b", why="the reply leaves it out")


def test_foreign_and_missing_tags_are_reported_and_attached_to_nobody() -> None:
    """An id under another tag is somebody's money, but not an answer to our question."""
    body = envelope(entry("a", id="1"), entry("x", id="2", cost=0.01), entry(None, id="3"), "junk")
    got = posted(["a", "b"], body)
    assert got.outcomes[0] == Accepted(tag="a", remote_id=RemoteId("1"), cost_nanousd=None)
    assert isinstance(got.outcomes[1], Lost)
    assert [(s.tag, s.remote_id, s.cost_nanousd) for s in got.strangers] == [
        ("x", "2", 10_000_000),
        (None, "3", None),
        (None, None, None),
    ]


def test_a_tag_accepted_twice_is_adopted_once_and_reported() -> None:
    """The second task was created and charged too: that is an incident, not noise (F63)."""
    got = posted(["a"], envelope(entry("a", id="1"), entry("a", id="2"), entry("a", id="1")))
    assert got.outcomes == (Accepted(tag="a", remote_id=RemoteId("1"), cost_nanousd=None),)
    assert [(s.remote_id, s.why) for s in got.strangers] == [("2", "a second id for one task")]


def test_a_second_id_may_belong_to_the_task_that_the_reply_leaves_out() -> None:
    """With its tag garbled into another's, either id may be either task's: one would get the
    other's answer. The listing tells which is which, and until then all are in doubt."""
    body = envelope(entry("a", id="1"), entry("a", id="2"), entry("c", id="3"))
    got = posted(["a", "b", "c"], body)
    assert [o.tag for o in got.outcomes if isinstance(o, Lost)] == ["a", "b"]
    assert isinstance(got.outcomes[2], Accepted)
    assert [s.remote_id for s in got.strangers] == ["1", "2"]


def test_the_same_entry_twice_is_one_entry() -> None:
    """A repeated line of a reply charges nobody twice."""
    got = posted(["a"], envelope(entry("a"), entry("a")))
    assert isinstance(got.outcomes[0], Accepted)
    assert got.strangers == ()


def test_a_receipt_outweighs_a_refusal_of_the_same_tag() -> None:
    """If an id exists a task may run under it; the refusal cannot unmake it."""
    got = posted(["a"], envelope(entry("a", 40501), entry("a", 20100, id="1")))
    assert got.outcomes == (Accepted(tag="a", remote_id=RemoteId("1"), cost_nanousd=None),)


def test_contradicting_refusals_prove_nothing() -> None:
    """Refused for good and not taken cannot both be true, so neither is believed."""
    got = posted(["a"], envelope(entry("a", 40501), entry("a", 40202)))
    assert isinstance(got.outcomes[0], Lost)


def test_one_id_for_two_tasks_is_believed_for_neither() -> None:
    """One of the two would get the other's answer."""
    got = posted(["a", "b", "c"], envelope(entry("a"), entry("b"), entry("c", id="other")))
    assert [o.tag for o in got.outcomes if isinstance(o, Lost)] == ["a", "b"]
    assert isinstance(got.outcomes[2], Accepted)
    assert [s.remote_id for s in got.strangers] == ["id-1", "id-1"]


@pytest.mark.parametrize("name", [None, "", " ", "..", "a\nb", 5, "x" * 201])
def test_a_receipt_without_a_usable_id_is_no_receipt(name: Any) -> None:
    """Posted without an id could never be fetched; its tag will be found in the listing."""
    assert isinstance(only(["a"], envelope(entry("a", id=name))), Lost)


@pytest.mark.parametrize(
    ("cost", "kind"),
    [(0, NotTaken), (0.0, NotTaken), (0.01, Lost), (None, Lost), ("0", Lost), (-1, Lost)],
)
def test_a_server_error_counts_as_not_taken_only_at_a_stated_cost_of_0(
    cost: object, kind: type[Outcome]
) -> None:
    """It is the only sign of `not charged` that the API gives (API.md §5)."""
    assert type(only(["a"], envelope(entry("a", 50301, cost=cost)))) is kind


@pytest.mark.parametrize(
    ("code", "wait_s"), [(40202, 60), (40205, 30), (40206, 3630), (40203, 3630), (40006, 0)]
)
def test_a_task_not_taken_waits_as_long_as_its_limit_lasts(code: int, wait_s: float) -> None:
    """Sooner would be refused again, for ever; later wastes the night."""
    outcome = only(["a"], envelope(entry("a", code, cost=0)))
    assert isinstance(outcome, NotTaken)
    assert (outcome.wait_s, outcome.code) == (wait_s, code)


REJECTED = [
    ("error.top_level.40100.http401", 401, CredentialsBlocked, Block.LOGIN, Exit.CREDENTIALS),
    ("error.top_level.40104", 200, CredentialsBlocked, Block.ACCOUNT, Exit.CREDENTIALS),
    ("error.top_level.40200.http402", 402, MoneyBlocked, Block.BALANCE, Exit.MONEY),
]


@pytest.mark.parametrize(("name", "http_status", "error", "block", "exit_code"), REJECTED)
def test_a_call_rejected_because_of_the_account_leaves_its_tasks_pending(
    name: str, http_status: int, error: type[ApiError], block: Block, exit_code: Exit
) -> None:
    """A wrong password or an empty balance is no fault of any task (F54, F55)."""
    got = posted(["a", "b"], sample(name), http_status)
    assert [type(o) for o in got.outcomes] == [NotTaken, NotTaken]
    assert isinstance(got.trouble, AccountBlocked)
    assert isinstance(got.trouble, error)
    assert got.trouble.block is block
    assert got.trouble.exit_code is exit_code


def test_a_call_over_the_rate_slows_down_and_marks_nothing_failed() -> None:
    """40202 at the top level: every task waits for the next minute (F51)."""
    got = posted(["a"], sample("error.top_level.40202.http200"))
    assert isinstance(got.outcomes[0], NotTaken)
    assert got.outcomes[0].wait_s == 60
    assert isinstance(got.trouble, RateLimited)


def test_a_rate_limit_told_per_task_slows_down_as_well() -> None:
    """Whether 40202 stands at the top or at each task is not documented (API.md §3)."""
    got = posted(["a", "b"], envelope(entry("a", 40202, id=None), entry("b")))
    assert [type(o) for o in got.outcomes] == [NotTaken, Accepted]
    assert isinstance(got.trouble, RateLimited)


def test_of_several_troubles_the_gravest_is_told() -> None:
    """Slowing down would not help an account without a balance."""
    got = posted(["a", "b"], envelope(entry("a", 40202), entry("b", 40210)))
    assert isinstance(got.trouble, MoneyBlocked)


def test_the_limit_of_equal_tasks_stops_nobody_else() -> None:
    """40205 is about these tasks; the account may go on posting others."""
    got = posted(["a"], envelope(code=40205))
    assert got.trouble is None
    assert isinstance(got.outcomes[0], NotTaken)


def test_a_rejection_that_charges_is_not_believed() -> None:
    """Nothing created and something paid cannot both be true."""
    assert isinstance(only(["a"], envelope(code=40202, cost=0.01)), Lost)
    assert isinstance(only(["a"], envelope(entry("a", 40501, cost=0.0102))), Lost)


@pytest.mark.parametrize(
    ("body", "http_status", "bare_url", "error", "exit_code"),
    [
        (b"<html>not here</html>", 404, True, WrongAddress, Exit.WRONG_INPUT),
        (envelope(code=40400), 404, True, CallRejected, Exit.BUG),
        (envelope(code=40402), 200, True, CallRejected, Exit.BUG),
        (envelope(code=40402), 200, False, WrongAddress, Exit.WRONG_INPUT),
        (envelope(code=40404), 200, True, WrongAddress, Exit.WRONG_INPUT),
        (envelope(code=40502), 200, True, CallRejected, Exit.BUG),
        (envelope(code=40503), 200, True, CallRejected, Exit.BUG),
        (envelope(entry("a", 40402, id=None)), 200, True, CallRejected, Exit.BUG),
    ],
)
def test_a_call_to_the_wrong_place_stops_and_leaves_its_tasks_pending(
    body: bytes, http_status: int, bare_url: bool, error: type[ApiError], exit_code: Exit
) -> None:
    """A base URL mistyped at night must not fail, nor lose, a single task."""
    got = posted(["a"], body, http_status, bare_url=bare_url)
    assert isinstance(got.outcomes[0], NotTaken)
    assert type(got.trouble) is error
    assert got.trouble.exit_code is exit_code


@pytest.mark.parametrize("code", [40000, 40501, 40504, 40505, 40506])
def test_a_call_refused_for_one_of_its_tasks_leaves_all_in_doubt_and_stops_nothing(
    code: int,
) -> None:
    """F57: expected for each task by itself, but API.md does not promise it. What stood before the
    one at fault may have been created; the account may go on with other tasks."""
    got = posted(["a", "b"], envelope(code=code))
    why = f"no task listed; HTTP 200, {code}: words of the API"
    assert got.outcomes == tuple(
        Lost(tag=tag, why=why, code=code, suspect=True) for tag in ("a", "b")
    )
    assert got.trouble is None
    assert isinstance(only(["a"], envelope(code=code, cost=0.01)), Lost)
    assert isinstance(posted(["a"], envelope(code=code), 500).trouble, Unreachable)


@pytest.mark.parametrize("code", [40501, 40506])
def test_a_call_refused_for_its_only_task_refuses_that(code: int) -> None:
    """Else it would be posted again for ever; a Live call, of one task, is read the same way."""
    got = posted(["a"], envelope(code=code))
    assert got.outcomes == (Refused(tag="a", code=code, message="words of the API"),)
    assert got.trouble is None


@pytest.mark.parametrize(
    ("body", "http_status", "error"),
    [
        (b"<html>ok</html>", 200, ProtocolFault),
        (b"", 200, ProtocolFault),
        (envelope(), 200, type(None)),
        (envelope(code=20100), 200, type(None)),
        (envelope(code=50000), 200, Unreachable),
        (envelope(code=59999), 200, ProtocolFault),
        (envelope(code=40202), 429, RateLimited),
        (b"slow down", 429, RateLimited),
        (envelope(entry("a")), 500, Unreachable),
        (b"", 502, Unreachable),
        (b"", 503, Unreachable),
        (envelope(code=40202), 504, Unreachable),
        (b"", 301, WrongAddress),
        (b"", 302, Unreachable),
        (b"", 307, Unreachable),
        (envelope(entry("a")), 308, WrongAddress),
        (envelope(entry("a")), 201, Unreachable),
        (b"who are you", 401, CredentialsBlocked),
        (b"pay", 402, MoneyBlocked),
        (b"forbidden", 403, Unreachable),
        (sample("aisa.error"), 401, CredentialsBlocked),
    ],
)
def test_every_other_reply_leaves_its_tasks_in_doubt(
    body: bytes, http_status: int, error: type[ApiError]
) -> None:
    """Whatever is not documented to create nothing may have created a task (F50, F52, F53)."""
    got = posted(["a"], body, http_status)
    assert isinstance(got.outcomes[0], Lost)
    assert type(got.trouble) is error


def test_only_what_certainly_did_not_leave_is_not_taken() -> None:
    """A refused connection costs nothing; a broken one may have cost a cent per task (F45-F48)."""
    unsent = without_reply(["a", "b"], NoReply(why="refused", may_have_left=False))
    why = "not sent: refused"
    assert unsent.outcomes == tuple(NotTaken(tag=t, why=why, wait_s=NOT_SENT_WAIT_S) for t in "ab")
    assert not unsent.sent
    broken = without_reply(["a"], NoReply(why="reset", may_have_left=True))
    assert broken.outcomes == (Lost(tag="a", why="reset"),)
    assert broken.sent
    insecure = without_reply(["a"], NoReply(why="TLS", may_have_left=False, untrusted=True))
    assert isinstance(insecure.trouble, Untrusted)


SENT = ["run7:000001:a1", "run7:000003:a1", "run7:000104:a1"]


@given(
    mutated(sample("task_post.response.mixed"), SENT), st.sampled_from([200, 401, 402, 404, 500])
)
def test_no_altered_reply_loses_doubles_or_swaps_a_task(body: bytes, http_status: int) -> None:
    """One outcome for each tag sent, and an id only where the reply has it under that tag."""
    got = posted(SENT, body, http_status)
    assert [outcome.tag for outcome in got.outcomes] == SENT
    claimed = [(o.tag, o.remote_id) for o in got.outcomes if isinstance(o, Accepted)]
    if claimed:
        tasks = [task for task in json.loads(body)["tasks"] if isinstance(task, dict)]
        receipts = [
            (task["data"]["tag"], task["id"])
            for task in tasks
            if task.get("status_code") == 20100 and isinstance(task.get("data"), dict)
            if "tag" in task["data"] and "id" in task
        ]
        assert all(pair in receipts for pair in claimed)
        assert len({name for _, name in claimed}) == len(claimed)
