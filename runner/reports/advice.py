"""What to do about tasks that ended without an answer: in plain words, with a command to paste.

    failed ─ refused ........ correct it, then retry --error CODE
           ─ remote ......... by the API's code: retry, or correct it first
           ─ timed_out ...... retry; the advance may come back
           ─ answer_lost, written_off ... retry --pay-again
    expired ................. retry --pay-again
    quarantined ............. held: perhaps the API has it; a person decides with resolve

The commands are those that take exactly such tasks (DESIGN.md §4): ``retry`` by itself takes what
failed at the API; what it refused wants the code named, what may be paid already ``--pay-again``.
Where a run has failures of several causes, code, provider and model tell one from the others.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runner.api.status import StatusClass, lookup
from runner.lifecycle import Reason, State
from runner.store.values import FailureGroup


class How(Enum):
    """Which form of ``retry`` takes the tasks."""

    PLAIN = ""
    BY_CODE = "--error"
    PAY_AGAIN = "--pay-again"
    RESOLVE = "resolve"
    """None does: a person decides about each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What happened to a group of tasks and how to go on."""

    meaning: str
    """What happened, in our words; the API's own stand in the group's message."""
    advice: str
    retriable: bool
    """Asked again just as they are, they may well be answered."""
    command: str | None
    """To paste; None if no command helps."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the tables below."""

    advice: str
    how: How
    retriable: bool


_CORRECT: Final = _Row(
    "asked again as it is, it would be refused again: correct the job file or the prompt, "
    "then ask these anew",
    How.BY_CODE,
    False,
)
_AGAIN: Final = _Row("ask these again, each at a new charge", How.PLAIN, True)
_TELL_US: Final = _Row(
    "this should not happen to a prompt: please report it; asking again is unlikely to help",
    How.BY_CODE,
    False,
)

_BY_CLASS: Final[dict[StatusClass, _Row]] = {
    StatusClass.REFUSED_TASK: _CORRECT,
    StatusClass.NOT_CREATED_RESEND: _AGAIN,
    StatusClass.TASK_FAILED: _AGAIN,
    StatusClass.TASK_FAILED_RETRYABLE: _AGAIN,
    StatusClass.SERVER: _AGAIN,
    StatusClass.TIMEOUT_UNCERTAIN: _AGAIN,
    StatusClass.RATE: _AGAIN,
    StatusClass.CONCURRENCY: _AGAIN,
    StatusClass.DUPLICATE_HOUR: _Row(
        "ask these again in the next hour, or raise the limit at the API's site", How.PLAIN, True
    ),
    StatusClass.DUPLICATE_DAY: _Row(
        "ask these again after 00:00 UTC, or raise the limit at the API's site", How.PLAIN, True
    ),
    StatusClass.AUTH: _Row("check login and password, then ask these again", How.PLAIN, True),
    StatusClass.ACCOUNT: _Row(
        "have the account put right at the API's site, then ask these again", How.PLAIN, True
    ),
    StatusClass.IP: _Row(
        "add this machine's IP address at the API's site, then ask these again", How.PLAIN, True
    ),
    StatusClass.BALANCE: _Row("top up the balance, then ask these again", How.PLAIN, True),
    StatusClass.DAILY_CAP: _Row(
        "ask these again after 00:00 UTC, or raise the daily limit at the API's site",
        How.PLAIN,
        True,
    ),
    StatusClass.WRONG_ADDRESS: _Row("check the base URL, then ask these again", How.PLAIN, True),
    StatusClass.ELSEWHERE: _Row(
        "check that login and base URL belong to the account that asked, then ask these again",
        How.PLAIN,
        True,
    ),
    StatusClass.GONE: _AGAIN,
    StatusClass.EXPIRED: _AGAIN,
    StatusClass.OUR_BUG: _TELL_US,
    StatusClass.NOT_OURS: _TELL_US,
    # Success and "not yet" end no task: as strange here as a code nobody knows.
    StatusClass.OK: _TELL_US,
    StatusClass.CREATED: _TELL_US,
    StatusClass.IN_PROGRESS: _TELL_US,
    StatusClass.UNHEARD_OF: _Row(
        "a newer runner may know this code; asking again may help", How.PLAIN, True
    ),
}
"""For what failed at the API or was refused there, by the class of the code."""

_BY_CODE: Final = {
    50100: _Row(
        "the API cannot do this: choose another model or leave the field out, then ask these anew",
        How.BY_CODE,
        False,
    ),
}
"""Codes that their class does not do justice to."""

_BY_REASON: Final[dict[Reason, tuple[str, _Row]]] = {
    Reason.TIMED_OUT: (
        "failed, first seen after its 72 hours; if it ran into them, the advance comes back",
        _AGAIN,
    ),
    Reason.ANSWER_LOST: (
        "the answer was lost on its way, and may have been paid for",
        _Row("asking again costs again", How.PAY_AGAIN, True),
    ),
    Reason.WRITTEN_OFF: (
        "given up by a person while nobody knew whether the API had it",
        _Row("asking again costs again, if the API had it after all", How.PAY_AGAIN, True),
    ),
    Reason.POISON: (
        "the program died again and again while it was posted alone, and the API may have it",
        _Row(
            "held, never asked again by itself: look for their tags at the API, then runner "
            "resolve TASK --adopt ID, --absent --pay-again or --write-off",
            How.RESOLVE,
            False,
        ),
    ),
    Reason.NO_FIRST_ANSWER: (
        "a follow-up whose first question was not answered",
        _Row("it follows when the first question is asked again", How.PLAIN, False),
    ),
}
"""For what has one meaning, whatever the code."""

_EXPIRED: Final = (
    "its answer was not fetched within 30 days and is gone at the API",
    _Row("asking again costs again", How.PAY_AGAIN, True),
)
_QUARANTINED: Final = (
    "perhaps taken by the API, and no listing can tell any more",
    _Row(
        "held, as asking again might pay twice: look for their tags at the API, then runner "
        "resolve TASK --adopt ID, --absent --pay-again or --write-off",
        How.RESOLVE,
        False,
    ),
)
_STRANGE: Final = ("ended without a reason on record", _TELL_US)


def advise(group: FailureGroup, run: str, *, among: Sequence[FailureGroup] = ()) -> Advice:
    """What to do about *group* of the run that is called *run* (``JOB@KEY`` or ``r42``).

    *among* are all groups of the run: the command takes as few of the others as can be.
    """
    meaning, row = _row(group)
    return Advice(
        meaning=meaning,
        advice=row.advice,
        retriable=row.retriable,
        command=_command(group, run, row.how, [each for each in among if each is not group]),
    )


def _row(group: FailureGroup) -> tuple[str, _Row]:
    if group.reason in _BY_REASON:
        return _BY_REASON[Reason(group.reason)]
    if group.state is State.EXPIRED:
        return _EXPIRED
    if group.state is State.QUARANTINED:
        return _QUARANTINED
    if group.reason in {Reason.REFUSED, Reason.REMOTE}:
        status = lookup(group.code)
        row = _BY_CODE.get(group.code or 0, _BY_CLASS[status.kind])
        if group.reason == Reason.REFUSED and row.how is How.PLAIN:
            # Refused for good is taken again only by the name of its code.
            row = _Row(row.advice, How.BY_CODE, row.retriable)
        return status.meaning, row
    return _STRANGE


def _command(group: FailureGroup, run: str, how: How, others: Sequence[FailureGroup]) -> str | None:
    if how is How.RESOLVE:
        return shlex.join(["runner", "tasks", run, "--state", "quarantined"])
    if how is How.BY_CODE and group.code is None:
        return None
    words = ["runner", "retry", run]
    if how is How.PAY_AGAIN:
        words.append(how.value)
    others = [each for each in others if _taken(each, how)]
    if group.reason == Reason.NO_FIRST_ANSWER:
        # The first questions are to be taken, whatever became of them.
        others = []
    if how is How.BY_CODE or (others and group.code is not None):
        words += [How.BY_CODE.value, str(group.code)]
        others = [each for each in others if each.code == group.code]
    for name in ("provider", "model"):
        mine = getattr(group, name)
        if any(getattr(each, name) != mine for each in others):
            words += [f"--{name}", mine]
            others = [each for each in others if getattr(each, name) == mine]
    return shlex.join(words)


def _taken(group: FailureGroup, how: How) -> bool:
    """Whether ``retry`` in the form *how* takes tasks of *group*, if nothing narrows it."""
    if group.reason in {Reason.REMOTE, Reason.TIMED_OUT}:
        return True
    if how is How.BY_CODE:
        return group.reason == Reason.REFUSED
    lost = group.state is State.EXPIRED or group.reason in {Reason.ANSWER_LOST, Reason.WRITTEN_OFF}
    return how is How.PAY_AGAIN and lost
