"""Everything the account created and charged: the oracle that tests ask.

    posted ........ taken = $0.01 advance + $0.0002 base price
    Live .......... taken = nothing beforehand
    ended ......... charge = money_spent + base price      refund = taken - charge, if positive
                                                           extra  = charge - taken, if positive
    always ........ deposited - balance = taken - refunded + extra

Integer nano-dollars throughout. Source of the prices: API.md §5 Cost.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from runner.clock import from_ms, to_text
from runner.money import ADVANCE, BASE_PRICE_LIVE, BASE_PRICE_STANDARD
from runner.task import Gateway, Method, Provider

TAKEN: Final = ADVANCE + BASE_PRICE_STANDARD
"""What leaves the balance when a Standard task is accepted."""

BASE_PRICES: Final[Mapping[Method, int]] = {
    Method.STANDARD: BASE_PRICE_STANDARD,
    Method.LIVE: BASE_PRICE_LIVE,
}

LIVE_WINDOW_MS: Final = timedelta(seconds=120) // timedelta(milliseconds=1)
"""How long a Live call may run (API.md §3)."""

COMPLETION_WINDOW_MS: Final = timedelta(hours=72) // timedelta(milliseconds=1)
READY_WINDOW_MS: Final = timedelta(days=3) // timedelta(milliseconds=1)
KEEP_WINDOW_MS: Final = timedelta(days=30) // timedelta(milliseconds=1)

OK: Final = 20000


@dataclass(slots=True)
class RemoteTask:
    """A task that the account accepted; its end is decided when it is posted."""

    id: str
    provider: Provider
    tag: str | None
    request: bytes
    """The posted object as JSON."""
    posted_ms: int
    finish_ms: int
    """When it ends: answered, failed, or at the latest after 72 h."""
    code: int
    """What it ends with: 20000 or the code of its failure."""
    charge: int
    """What it costs in the end, nano-dollars."""
    collected: bool = False
    method: Method = Method.STANDARD
    gateway: Gateway = Gateway.DATAFORSEO
    postback_url: str | None = None
    """Where its end is to be delivered, with ``$id`` and ``$tag`` not yet put in."""

    @property
    def money_spent(self) -> int:
        """What the model's answer costs; 0 for a failure."""
        return self.charge - BASE_PRICES[self.method] if self.code == OK else 0

    @property
    def taken(self) -> int:
        """What left the balance when it was accepted."""
        return TAKEN if self.method is Method.STANDARD else 0

    def ended(self, now_ms: int) -> bool:
        return self.finish_ms <= now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger."""

    id: str
    provider: str
    method: str
    gateway: str
    tag: str | None
    model: str
    prompt: str
    message_chain: list[dict[str, str]] | None
    """The history that was sent along."""
    posted_at: str
    ended_at: str | None
    state: str
    """running, done or failed."""
    code: int | None
    taken_nanousd: int
    charge_nanousd: int | None
    """None while it runs."""
    refund_nanousd: int
    extra_nanousd: int
    collected: bool


@dataclass(slots=True, kw_only=True)
class Totals:
    """Sums over all tasks of the account."""

    created: int = 0
    live: int = 0
    """Of these, the Live ones."""
    done: int = 0
    failed: int = 0
    collected: int = 0
    delivered: int = 0
    """Of the collected: by a postback that was taken."""
    undelivered: int = 0
    """Postbacks that were not taken."""
    taken_nanousd: int = 0
    charged_nanousd: int = 0
    """Of the tasks that have ended."""
    refunded_nanousd: int = 0
    extra_nanousd: int = 0

    @property
    def running(self) -> int:
        return self.created - self.done - self.failed

    @property
    def net_nanousd(self) -> int:
        """What has left the balance for good or for now."""
        return self.taken_nanousd - self.refunded_nanousd + self.extra_nanousd


class Ledger:
    """The tasks in the order they were accepted, and the money they moved."""

    def __init__(self) -> None:
        self.tasks: list[RemoteTask] = []
        self.totals = Totals()
        self.deposited = 0

    @property
    def balance(self) -> int:
        """What the account holds; below 0 when answers cost more than it had."""
        return self.deposited - self.totals.net_nanousd

    def deposit(self, amount: int) -> None:
        self.deposited += amount

    def accept(self, task: RemoteTask) -> None:
        """Book a new task: advance and base price leave the balance."""
        self.tasks.append(task)
        self.totals.created += 1
        self.totals.live += task.method is Method.LIVE
        self.totals.taken_nanousd += task.taken

    def settle(self, task: RemoteTask) -> None:
        """Book the end of *task*: the difference to what was taken goes back or comes on top."""
        if task.code == OK:
            self.totals.done += 1
        else:
            self.totals.failed += 1
        self.totals.charged_nanousd += task.charge
        self.totals.refunded_nanousd += max(task.taken - task.charge, 0)
        self.totals.extra_nanousd += max(task.charge - task.taken, 0)

    def collect(self, task: RemoteTask) -> None:
        """Note that the result of *task* was read."""
        if not task.collected:
            task.collected = True
            self.totals.collected += 1

    def duplicate_tags(self) -> int:
        """How many tasks carry a tag that an earlier one has already: paid twice."""
        tags = Counter(task.tag for task in self.tasks if task.tag is not None)
        return sum(count - 1 for count in tags.values())

    def entries(self, now_ms: int, *, offset: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """The lines from *offset* on, at most *limit*, as they stand at *now_ms*."""
        end = None if limit is None else offset + limit
        return (_entry(task, now_ms) for task in self.tasks[offset:end])

    def summary(self) -> dict[str, Any]:
        """Balance and sums, for JSON."""
        return {
            "balance_nanousd": self.balance,
            "deposited_nanousd": self.deposited,
            "duplicate_tags": self.duplicate_tags(),
            "running": self.totals.running,
            **asdict(self.totals),
        }


def _entry(task: RemoteTask, now_ms: int) -> Entry:
    ended = task.ended(now_ms)
    ended_state = "done" if task.code == OK else "failed"
    request = json.loads(task.request)
    return Entry(
        id=task.id,
        provider=task.provider,
        method=task.method,
        gateway=task.gateway,
        tag=task.tag,
        model=request["model_name"],
        prompt=request["user_prompt"],
        message_chain=request.get("message_chain"),
        posted_at=to_text(from_ms(task.posted_ms)),
        ended_at=to_text(from_ms(task.finish_ms)) if ended else None,
        state=ended_state if ended else "running",
        code=task.code if ended else None,
        taken_nanousd=task.taken,
        charge_nanousd=task.charge if ended else None,
        refund_nanousd=max(task.taken - task.charge, 0) if ended else 0,
        extra_nanousd=max(task.charge - task.taken, 0) if ended else 0,
        collected=task.collected,
    )
