"""When a post that nobody knows about counts as never taken. Pure: facts in, a verdict out.

    doubt ── patience ── settle ─────────────── 4 × settle ───────────── 72 h
      listings:  too early │ clean, if it shows     │ clean, if every     │ nothing can be
                           │ what it has to show    │ row names its post  │ known: a person decides

Two clean listings, settle / 3 apart, prove an attempt absent. The rules: DESIGN.md §4 Reconciling.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum
from typing import Final

from runner.api.wire import Listed
from runner.store.reconciling import Doubt, Known
from runner.task import Endpoint, Method
from runner.windows import COMPLETION_WINDOW

GIVE_UP_S: Final = COMPLETION_WINDOW.total_seconds()
"""By then every task that was taken has ended; what no listing has shown will not be shown."""

THIN: Final = 4
"""So many times the settle time where the listing has nothing to be checked by."""


class Verdict(Enum):
    """What is to be done about a batch in doubt."""

    WAIT = "wait"
    CLEAN = "this is the first listing that counts and shows no trace"
    ABSENT = "the second one: never taken"
    QUARANTINE = "nothing will ever be known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one complete listing shows and does not show, seen from one batch."""

    known: bool
    """A tag of a task whose id we have."""
    after: bool
    """Such a task, intended after the batch."""
    later: bool
    """Such a task, intended after the batch's deadline for certain."""
    near_expected: bool
    """Tasks were accepted close to the batch, so the listing has to show one."""
    after_expected: bool
    """Tasks intended after it were accepted, so the listing has to show one."""
    later_expected: bool
    """Tasks were accepted after its deadline, so the listing has to show one."""
    described: bool
    """Every row carries the parameters of its post."""
    nameless: bool
    """A row without a tag may be one of the batch's tasks."""


def sight_of(
    doubt: Doubt, rows: Iterable[Listed], known: Mapping[str, Known], *, described: bool
) -> Sight:
    """*rows*: those without a tag of ours; *known* as in ``Found``."""
    prompts = {attempt.prompt for attempt in doubt.attempts}
    # In the store's order: a date of ours may be of a clock that was put right since.
    after = [task for task in known.values() if task.batch is not None and task.batch > doubt.batch]
    return Sight(
        known=bool(known),
        after=bool(after),
        later=any(_is_later(doubt, task) for task in after),
        near_expected=doubt.accepted_near,
        after_expected=doubt.accepted_after,
        later_expected=doubt.accepted_later,
        described=described,
        nameless=any(may_be(doubt.endpoint, row, prompts) for row in rows),
    )


def _is_later(doubt: Doubt, task: Known) -> bool:
    if doubt.over_api is None or task.intended_api is None:
        return False
    return task.intended_api > doubt.over_api


def may_be(endpoint: Endpoint, row: Listed, prompts: Set[str | None]) -> bool:
    """Whether a row without a tag may be one of *prompts* (None: nobody knows) at *endpoint*."""
    if row.tag is not None:
        return False
    if row.url is not None:
        theirs = f"/{endpoint.provider}/llm_responses/" in row.url
        if not theirs or row.live is not (endpoint.method is Method.LIVE):
            return False
    return row.prompt is None or None in prompts or row.prompt in prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long a batch has been in doubt, in seconds, and how long is asked for."""

    waited_s: float
    """From the first sign of the doubt to the moment the listing was begun."""
    patience_s: float
    """How long a reply might have taken."""
    settle_s: float
    since_clean_s: float | None
    """Since the first listing that counted; None if there was none."""


def sound(sight: Sight, waits: Waits) -> bool:
    """Whether a listing that shows no trace of a batch counts as evidence."""
    over_s = waits.waited_s - waits.patience_s
    if over_s < waits.settle_s or sight.nameless:
        return False
    if sight.known and sight.later:
        return True
    if sight.later_expected or (sight.after_expected and not sight.after):
        return False  # It lags.
    if sight.near_expected and not sight.known:
        return False  # It does not show tags.
    return over_s >= THIN * waits.settle_s and sight.described


def judge(sight: Sight | None, waits: Waits) -> Verdict:
    """What follows from a complete listing without a trace, or from there being none."""
    if sight is not None and sound(sight, waits):
        if waits.since_clean_s is None:
            return Verdict.CLEAN
        return Verdict.ABSENT if waits.since_clean_s >= waits.settle_s / 3 else Verdict.WAIT
    over = waits.waited_s >= GIVE_UP_S + waits.patience_s
    return Verdict.QUARANTINE if over else Verdict.WAIT
