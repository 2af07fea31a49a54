"""A task that is asked for, and what may come of it: what the stages hand to the store."""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from runner.answer import Answer
from runner.lifecycle import Reason
from runner.money import Evidence
from runner.task import Endpoint, NotTaken, Refused, RemoteId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A task that waits at the API, leased to be asked for."""

    task: TaskId
    attempt: int
    tag: str
    remote_id: RemoteId
    endpoint: Endpoint
    posted_at: datetime
    polls: int
    """Asks that did not end it, since it was posted or ``failing_since``."""
    tries: int
    """Failures that the API has reported for it so far."""
    allowed_tries: int
    """How many its run allows."""
    ready: bool
    """The API's ready list has shown it."""
    posted_api: datetime | None = None
    """The API's time at the intent; None if no reply had told it by then."""
    model: str = ""
    """The target's model, whose answers take about as long as its others."""
    claimed_at: datetime | None = field(default=None, compare=False)
    """When it was leased."""
    postback: bool = False
    """It was posted with a postback: the API delivers it by itself, so it is seldom asked for."""
    failing_since: datetime | None = None
    """Since when, by the API's time, it has said that the task failed, with codes that may pass."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A task's answer, to be stored."""

    task: TaskId
    attempt: int
    answer: Answer | None
    """None if the reply could not be read; its bytes are kept all the same."""
    parse_error: str | None
    reply: bytes
    """The raw reply, zlib-compressed."""
    charge: int
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotelyFailed:
    """The API took a task and reports that it failed."""

    task: TaskId
    attempt: int
    code: int
    message: str
    reason: Reason
    reply: bytes
    again_at: datetime | None
    """When to post it anew; None if the policy has no try left for it."""
    cost: int | None
    """What the reply says it cost, nano-dollars; 0 shows the refund, None shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultGone:
    """A result that the API no longer keeps."""

    task: TaskId
    attempt: int
    code: int | None
    message: str
    reply: bytes | None = None
    """As in ``StillRunning``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """What is noted with an attempt of a failure that may pass."""

    since: datetime
    """When it was first said, by the API's time."""
    code: int
    message: str
    said: int
    """How often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """A task that was asked for and is not finished, as far as can be believed."""

    task: TaskId
    attempt: int
    ask_again_at: datetime
    reply: bytes | None = None
    """A reply that could not be read, or with a code that nobody knows or that may pass,
    zlib-compressed: kept until a better one comes."""
    failing: Failing | None = None
    """What to note of a failure that may pass; None: nothing new is known of one."""
    recovered: bool = False
    """The task runs: what was noted of a failure is wrong."""


Ending = Answered | RemotelyFailed | ResultGone | StillRunning
"""What asking for a posted task came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLost:
    """A Live call whose answer will never come, and may have been paid."""

    task: TaskId
    attempt: int
    code: int | None
    message: str
    reply: bytes
    """What came, zlib-compressed; empty if nothing did."""
    again_at: datetime
    """When to ask anew, where the run says so and has a try left."""
    cost: int | None
    """What the reply says it cost all the same, nano-dollars; None: the reserve stays at risk."""


LiveEnding = Answered | RemotelyFailed | NotTaken | Refused | AnswerLost
"""What a Live call came to."""
