"""What people are told to do about failures, and whether the store then does it."""

from dataclasses import replace
from pathlib import Path

import pytest

from runner.api.status import TABLE, StatusClass, lookup
from runner.lifecycle import Reason, State
from runner.reports.advice import Advice, advise
from runner.store.values import FailureGroup, RetryFilter
from runner.task import TaskId
from tests.reports.filling import accepted, failed, filled, refused

UNKNOWN_CODE = 59999


def group(state: State, reason: str, code: int | None) -> FailureGroup:
    return FailureGroup(
        state=state,
        reason=reason,
        provider="claude",
        model="m",
        code=code,
        message="",
        count=3,
        sample_task=TaskId(1),
    )


def about(state: State, reason: str, code: int | None = None) -> Advice:
    return advise(group(state, reason, code), "demo@2026-11-21")


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.REMOTE])
@pytest.mark.parametrize("code", [*TABLE, UNKNOWN_CODE])
def test_every_code_has_advice_and_a_command_that_takes_such_tasks(
    reason: Reason, code: int
) -> None:
    """A command that answers "0 tasks" leaves a person with nothing."""
    advice = about(State.FAILED, reason, code)
    assert advice.meaning == lookup(code).meaning
    assert advice.advice
    plain, named = "runner retry demo@2026-11-21", f"runner retry demo@2026-11-21 --error {code}"
    # What was refused for good is taken by its code only (DESIGN.md §4).
    assert advice.command in ({named} if reason is Reason.REFUSED else {plain, named})


def test_every_class_of_code_is_covered() -> None:
    """A class added to the table of codes must not end `runner errors` with a KeyError."""
    assert {lookup(code).kind for code in [*TABLE, UNKNOWN_CODE]} == set(StatusClass)
    assert about(State.FAILED, Reason.REMOTE, None).command == "runner retry demo@2026-11-21"
    assert about(State.FAILED, Reason.REFUSED, None).command is None


@pytest.mark.parametrize(
    ("state", "reason", "retriable", "options"),
    [
        (State.FAILED, Reason.TIMED_OUT, True, ""),
        (State.FAILED, Reason.ANSWER_LOST, True, " --pay-again"),
        (State.FAILED, Reason.WRITTEN_OFF, True, " --pay-again"),
        (State.FAILED, Reason.NO_FIRST_ANSWER, False, ""),
        (State.EXPIRED, "", True, " --pay-again"),
        (State.QUARANTINED, Reason.POISON, False, None),
        (State.QUARANTINED, "", False, None),
    ],
)
def test_each_reason_has_its_command(
    state: State, reason: str, retriable: bool, options: str | None
) -> None:
    """What may be paid already is never offered for a plain retry; what is held, for none:
    a person decides about each."""
    advice = about(state, reason, 40403 if state is State.EXPIRED else None)
    assert advice.retriable is retriable
    command = "runner retry demo@2026-11-21" + (options or "")
    if options is None:
        command = "runner tasks demo@2026-11-21 --state quarantined"
        assert "runner resolve TASK" in advice.advice
    assert advice.command == command


@pytest.mark.parametrize("reason", Reason)
def test_no_reason_is_strange(reason: Reason) -> None:
    """One added to the life of a task needs words of its own here."""
    assert "without a reason" not in about(State.FAILED, reason, 40501).meaning
    assert "without a reason" in about(State.FAILED, "", None).meaning


@pytest.mark.parametrize(
    ("code", "retriable", "word"),
    [
        (40501, False, "correct"),
        (40101, True, "again"),
        (40103, True, "again"),
        (50301, True, "again"),
        (50100, False, "another model"),
        (40503, False, "report"),
        (40200, True, "top up"),
    ],
)
def test_the_advice_fits_the_cause(code: int, retriable: bool, word: str) -> None:
    """Asking an invalid request again costs an evening; not asking a failed one, an answer."""
    advice = about(State.FAILED, Reason.REMOTE, code)
    assert advice.retriable is retriable
    assert word in advice.advice


def test_whatever_costs_again_says_so() -> None:
    """DESIGN.md §1: nothing is paid twice in silence."""
    for state, reason in [
        (State.EXPIRED, ""),
        (State.FAILED, Reason.ANSWER_LOST),
        (State.FAILED, Reason.WRITTEN_OFF),
    ]:
        assert "costs again" in about(state, reason).advice


def test_a_command_can_be_pasted_as_it_stands() -> None:
    """A job named after a file may hold a space; the shell must not see two words."""
    advice = advise(group(State.FAILED, Reason.REMOTE, 40103), "my job; rm -rf")
    assert advice.command == "runner retry 'my job; rm -rf'"


def test_the_command_of_a_group_takes_that_group_alone() -> None:
    """Under "top up the balance" nobody wants to pay for three other causes as well."""
    limit, failed_, other = (
        group(State.FAILED, Reason.REMOTE, code) for code in (40202, 40101, 40101)
    )
    other = replace(other, model="n")
    lost = group(State.FAILED, Reason.ANSWER_LOST, None)
    held = group(State.QUARANTINED, "", None)
    groups = [limit, failed_, other, lost, held]
    assert [advise(each, "demo", among=groups).command for each in groups] == [
        "runner retry demo --error 40202",
        "runner retry demo --error 40101 --model m",
        "runner retry demo --error 40101 --model n",
        "runner retry demo --pay-again --model m",
        "runner tasks demo --state quarantined",
    ]
    assert advise(limit, "demo", among=[limit, lost, held]).command == "runner retry demo"


@pytest.mark.parametrize("kind", ["refused", "remote", "timed_out"])
async def test_the_commands_take_the_tasks_that_they_are_offered_for(
    tmp_path: Path, kind: str
) -> None:
    """Advice and `retry` read the same rule (DESIGN.md §4) and must not drift apart."""
    end = failed(40103, Reason.TIMED_OUT if kind == "timed_out" else Reason.REMOTE)
    post = refused if kind == "refused" else accepted
    async with filled(tmp_path / "q.db", [{"q": "x"}] * 3, post=post, end=end) as f:
        (found,) = await f.store.failures(f.run.id)
        assert found.count == 3
        command = advise(found, f.run.name).command
        assert command is not None
        _, option, code = command.partition(" --error ")
        which = RetryFilter(codes=frozenset({int(code)}) if option else None)
        assert sum((await f.store.retriable(f.run.id, which)).values()) == 3
