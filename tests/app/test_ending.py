"""The exit code and the reason, for every combination of states and troubles."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.errors import (
    Block,
    CallRejected,
    CredentialsBlocked,
    MoneyBlocked,
    Unreachable,
    WrongAddress,
)
from runner.app import Failures, RunOptions, StopSwitch
from runner.app.ending import exit_of, exit_of_run, reason_of, waiting
from runner.errors import Exit, MoneyStopped, RunnerError, TryLater
from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.pipeline.engine import Shortage, Signals
from runner.store.amounts import Money
from runner.store.values import Idle, Run, RunStatus

RUN = Run(
    id=1,
    job="sky",
    key="",
    fresh=0,
    api="live",
    key_columns=("prompt",),
    created_at=datetime(2026, 11, 21, tzinfo=UTC),
)
PLAIN = RunOptions()


def status(
    counts: Mapping[State, int],
    *,
    rejected: int = 0,
    held: int = 0,
    changed: int = 0,
    undecided: int = 0,
) -> RunStatus:
    return RunStatus(
        run=RUN,
        rows=sum(counts.values()),
        duplicates=0,
        rejected=rejected,
        states={state: counts.get(state, 0) for state in State},
        reasons={},
        changed=max(changed, held),
        undecided=undecided,
        held=held,
        money=Money(),
        oldest_posted_at=None,
        next_due_at=None,
    )


COUNTS = st.dictionaries(st.sampled_from(State), st.integers(0, 5))


@given(counts=COUNTS, rejected=st.integers(0, 3), allowed=st.integers(0, 6))
def test_the_code_of_a_run_says_the_worst_that_is_true_of_it(
    counts: dict[State, int], rejected: int, allowed: int
) -> None:
    """Scripts branch on it: 3 while anything waits, 1 for too many failures, else 0."""
    options = RunOptions(failures=Failures(count=allowed))
    code = exit_of_run(status(counts, rejected=rejected), options)
    if any(counts.get(state) for state in WAITING):
        assert code is Exit.NOT_FINISHED
    elif sum(counts.get(state, 0) for state in UNSUCCESSFUL) + rejected > allowed:
        assert code is Exit.SOME_FAILED
    else:
        assert code is Exit.DONE


def test_what_waits_for_a_person_alone_is_not_still_coming() -> None:
    """Code 3 is quiet, for the next start goes on; edited tasks would wait in silence for ever."""
    edited, left = status({State.PENDING: 2}, undecided=2), status({State.PENDING: 3}, undecided=2)
    assert exit_of_run(edited, PLAIN) is Exit.SOME_FAILED
    assert exit_of_run(left, PLAIN) is Exit.NOT_FINISHED
    failed = status({State.PENDING: 2, State.FAILED: 1, State.COMPLETED: 4}, undecided=2)
    assert exit_of_run(failed, PLAIN) is Exit.SOME_FAILED
    # However many failures are allowed, the decision is due.
    lenient = RunOptions(failures=Failures(count=5))
    assert exit_of_run(failed, lenient) is Exit.SOME_FAILED


@given(counts=COUNTS, stopped=st.sampled_from([None, Exit.INTERRUPTED, Exit.TERMINATED]))
def test_a_stop_goes_before_everything_but_a_bug(
    counts: dict[State, int], stopped: Exit | None
) -> None:
    """UX.md 2.3: whoever asked for it knows why it ended."""
    stop = StopSwitch()
    stop.exit = stopped
    for reason in (None, MoneyStopped("budget"), TryLater("later")):
        code = exit_of([status(counts)], PLAIN, reason=reason, stop=stop)
        if stopped is not None:
            assert code is stopped
        elif reason is not None:
            assert code is reason.exit_code
    bug = exit_of([status(counts)], PLAIN, reason=RunnerError("ours"), stop=stop)
    assert bug is Exit.BUG


def test_the_gravest_of_several_runs_counts() -> None:
    """Late answers of yesterday's run are part of today's start."""
    done, failed = status({State.COMPLETED: 1}), status({State.FAILED: 1})
    assert exit_of([done, failed], PLAIN, reason=None, stop=StopSwitch()) is Exit.SOME_FAILED


@pytest.mark.parametrize(
    ("failures", "unsuccessful", "too_many"),
    [
        (Failures(), 0, False),
        (Failures(), 1, True),
        (Failures(count=2), 2, False),
        (Failures(count=2), 3, True),
        (Failures(percent=10), 10, False),
        (Failures(percent=10), 11, True),
        (Failures(percent=0), 1, True),
        (Failures(percent=100), 100, False),
    ],
)
def test_failures_are_allowed_by_number_or_by_share(
    failures: Failures, unsuccessful: int, too_many: bool
) -> None:
    """`--max-failures 2` and `--max-failures 10%` of 100 tasks."""
    assert failures.too_many(unsuccessful, 100) is too_many


def test_changed_and_cancelled_tasks_are_no_failures() -> None:
    """They were left out on purpose, or wait for a person's word."""
    assert exit_of_run(status({State.CANCELLED: 5}), PLAIN) is Exit.DONE
    assert waiting(status({State.PENDING: 2}, held=2)) == 2


MONEY = MoneyBlocked("balance", block=Block.BALANCE, code=40210)
LOGIN = CredentialsBlocked("login", block=Block.LOGIN, code=40100)
DEAD = Unreachable("no reply", why="no connection")


async def signals_with(**found: object) -> Signals:
    signals = Signals()
    for name, value in found.items():
        if isinstance(value, Idle):
            signals.shortages[RUN.id] = Shortage(value, bookings=0)
        else:
            setattr(signals, name, value)
    return signals


@pytest.mark.parametrize(
    ("found", "counts", "code"),
    [
        ({}, {State.COMPLETED: 1}, None),
        ({}, {State.POSTED: 1}, None),
        ({"fatal": LOGIN}, {State.PENDING: 1}, Exit.CREDENTIALS),
        ({"fatal": LOGIN, "blocked": MONEY}, {State.PENDING: 1}, Exit.CREDENTIALS),
        ({"fatal": WrongAddress("no API")}, {}, Exit.WRONG_INPUT),
        ({"fatal": CallRejected("ours")}, {}, Exit.BUG),
        ({"blocked": MONEY}, {State.PENDING: 1}, Exit.MONEY),
        # Everything was posted before the balance ran out: nothing was kept from anybody.
        ({"blocked": MONEY}, {State.COMPLETED: 1}, None),
        ({"withheld": MONEY, "blocked": MONEY}, {State.POSTED: 1}, Exit.MONEY),
        ({"no_room": Idle.BUDGET}, {State.PENDING: 1}, Exit.MONEY),
        ({"no_room": Idle.HOLD}, {State.PENDING: 1}, Exit.MONEY),
        ({"no_room": Idle.DAY}, {State.PENDING: 1}, Exit.MONEY),
        ({"no_room": Idle.BALANCE}, {State.PENDING: 1}, Exit.MONEY),
        # Answers came in after the last look: there may be room again.
        ({"no_room": Idle.HOLD, "bookings": 1}, {State.PENDING: 1}, None),
        ({"no_room": Idle.BUDGET}, {State.COMPLETED: 1}, None),
        ({"unreachable": DEAD}, {State.PENDING: 1}, Exit.TRY_LATER),
        # Its time was over before the first call had failed for good.
        ({"calls": 2}, {State.PENDING: 1}, Exit.TRY_LATER),
        # 75 only if no call ever succeeded in this start.
        ({"unreachable": DEAD, "reached": True}, {State.POSTED: 1}, None),
        ({"unreachable": DEAD}, {State.COMPLETED: 1}, None),
        ({"unwritable": RunnerError("full")}, {State.PENDING: 1}, Exit.NOT_FINISHED),
    ],
)
async def test_the_reason_is_what_kept_the_start_from_going_on(
    found: dict[str, object], counts: dict[State, int], code: Exit | None
) -> None:
    """It is printed as the error, so it must be there when there is one, and not otherwise."""
    reason = reason_of(await signals_with(**found), status(counts))
    assert (reason and reason.exit_code) == code


async def test_changed_tasks_alone_are_no_reason_to_speak_of_money() -> None:
    """Pending ones that nothing is sent for are not waiting for the balance."""
    signals = await signals_with(blocked=MONEY)
    assert reason_of(signals, status({State.PENDING: 2}, held=2)) is None


@pytest.mark.parametrize(
    ("idle", "word", "flag"),
    [(Idle.BUDGET, "budget_usd", "--budget"), (Idle.HOLD, "max_hold_usd", "--max-hold")],
)
async def test_the_limit_that_was_reached_is_named_with_its_flag(
    idle: Idle, word: str, flag: str
) -> None:
    """What to raise, and where, is the next thing a person wants to know."""
    reason = reason_of(await signals_with(no_room=idle), status({State.PENDING: 1_234}))
    assert reason is not None
    assert word in reason.what
    assert "1,234" in reason.what
    assert flag in (reason.how or "")


async def test_a_limit_of_the_command_line_is_raised_there() -> None:
    """The job file does not say it: raising it there would change nothing."""
    signals = await signals_with(no_room=Idle.HOLD)
    one = status({State.PENDING: 1})
    given = replace(RUN, source="/w/sky.toml", given_hold=50_000_000)
    reason = reason_of(signals, replace(one, run=given))
    assert reason is not None
    assert reason.what == "max_hold_usd leaves no room for another task; 1 task is not posted"
    assert reason.how == "runner run /w/sky.toml --max-hold USD, with more than $0.0500"
    there = reason_of(signals, replace(one, run=replace(given, given_hold=None)))
    assert "raise it in the job file" in ((there and there.how) or "")


async def test_a_switch_keeps_the_first_code_and_wakes_who_waits() -> None:
    """SIGTERM after Ctrl-C is still an interrupted run."""
    stop = StopSwitch()
    async with anyio.create_task_group() as group:
        group.start_soon(stop.wait)
        stop.request(Exit.INTERRUPTED)
        stop.request(Exit.TERMINATED)
    assert stop.exit is Exit.INTERRUPTED
