"""How a simulated account behaves: its size and pace, and one choice for each thing nobody knows.

Where API.md says UNKNOWN, the simulator must be able to do either, so that a client is tested
against both. ``readers.py`` turns flags, TOML and control messages into a scenario.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from runner.money import NANOS_PER_DOLLAR
from runner.simulator.calls import CallKind
from runner.simulator.faults import FaultRate
from runner.simulator.latency import Latency, Shape

SOON: Final = Latency(Shape.LOGNORMAL, 4.0, 0.7)
"""A few seconds, now and then half a minute."""


class PostCost(StrEnum):
    """The ``cost`` of an accepted task in the reply to its post (API.md §5 Cost)."""

    WITH_BASE = "with_base"
    """0.0102"""
    ADVANCE = "advance"
    """0.01"""
    ABSENT = "absent"


class Running(StrEnum):
    """How ``task_get`` says that a task still runs (API.md §4)."""

    CODES = "codes"
    """40602 in the queue, then 40601."""
    CREATED = "created"
    """20100"""
    NULL_RESULT = "null_result"
    """20000 with ``result`` null."""


class EmptyList(StrEnum):
    """What ``tasks_ready`` looks like with nothing on it (examples/README.md)."""

    NULL = "null"
    EMPTY = "empty"
    NO_TASKS = "no_tasks"


class FailureCharge(StrEnum):
    """What a failed task costs (API.md §5: sources disagree)."""

    NOTHING = "nothing"
    """Advance and base price come back."""
    BASE = "base"
    """Only the advance comes back."""
    ADVANCE = "advance"
    """Nothing comes back, as the help page says of 40101. Not after 72 h: then as BASE."""


class AisaHeaders(StrEnum):
    """How AIsa names its rate headers: two of its pages disagree (API.md §12)."""

    REQUESTS = "requests"
    """X-RateLimit-Limit-Requests and the like."""
    PLAIN = "plain"
    """X-RateLimit-Limit and the like."""
    NONE = "none"


class Place(StrEnum):
    """Whether an error stands over the whole call or in each of its tasks."""

    TOP = "top"
    TASK = "task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Settings of a simulated account. The defaults are an account without faults."""

    seed: int = 7
    """Decides ids, run times, outcomes and answers of a new account."""
    speed: float = 1.0
    """How many times faster than real the simulated time runs."""
    login: str | None = None
    """None: any Basic credentials that are not empty."""
    password: str | None = field(default=None, repr=False)
    balance: int = 10_000 * NANOS_PER_DOLLAR
    """What a new account holds, in nano-dollars."""

    latency: Latency = SOON
    live_latency: Latency | None = None
    """How long Live calls take; None: as ``latency``. Past 120 s they end with 50401."""
    reply_delay_s: float = 0.0
    """How long every reply takes, real seconds."""
    error_rate: float = 0.0
    """Share of accepted tasks that run and then fail."""
    error_codes: tuple[int, ...] = (40103,)
    stuck_rate: float = 0.0
    """Share of accepted tasks that never end by themselves."""
    timeout_code: int = 40103
    """What a task that ran into the 72 hours ends with; UNKNOWN in API.md §5."""
    refuse_rate: float = 0.0
    """Share of valid tasks that are refused all the same."""
    refuse_code: int = 40501
    failure_charge: FailureCharge = FailureCharge.NOTHING

    calls_per_minute: int = 2000
    ready_per_minute: int = 20
    listing_per_minute: int = 10
    user_data_per_minute: int = 6
    live_at_once: int = 30
    """Live calls of one provider that may be open together (API.md §3)."""
    live_timeout_charged: bool = True
    """Whether a Live task that ended with 50401 is charged; UNKNOWN in API.md §5."""
    aisa_key: str | None = None
    """None: any Bearer key that begins with ``sk-``."""
    aisa_calls_per_minute: int = 600
    aisa_at_once: int = 20
    """Open calls of the key, all providers together (API.md §12)."""
    aisa_headers: AisaHeaders = AisaHeaders.REQUESTS
    rate_headers: bool = True
    """Send X-RateLimit-Limit and X-RateLimit-Remaining."""
    limit_place: Place = Place.TOP
    """Where 40202 stands."""
    payment_place: Place = Place.TOP
    """TOP: HTTP 402 for a post that the balance cannot pay; TASK: 40210 for what is not covered."""

    post_cost: PostCost = PostCost.WITH_BASE
    get_cost: bool = False
    """Whether ``task_get`` tells the real cost; the vendor's examples print 0."""
    shuffle_posts: bool = False
    """Answer the tasks of a post in another order than sent, always."""
    running: Running = Running.CODES
    empty_list: EmptyList = EmptyList.NULL
    ready_lists_failures: bool = True
    """Whether failed tasks show on the ready list."""
    echo_without: tuple[str, ...] = ()
    """Request fields that ``data`` leaves out, as the vendor's examples do."""
    listing: bool = True
    """Whether ``id_list`` works at all for this API."""
    listing_lag_s: float = 0.0
    """How long a new task stays out of ``id_list``."""
    listing_tags: bool = True
    """Whether the listing's metadata holds tags."""
    listing_final_cost: bool = True
    """Whether the listing's cost is corrected after settlement."""
    listing_live: bool = True
    """Whether the listing shows Live calls; UNKNOWN in API.md §7."""
    listed_models_only: bool = False
    """False: any name of the provider's families passes; True: only what ``models`` lists."""
    not_postable: tuple[str, ...] = ()
    """Models that ``models`` calls ``task_post_supported: false``."""

    webhook_delay_ms: int = 0
    """Between one postback and the next; the API's own setting is 50 to 1,000 (API.md §6)."""
    webhook_timeout_s: float = 10.0
    """How long a receiver may take, real seconds."""

    faults: tuple[FaultRate, ...] = ()

    def limit_of(self, kind: CallKind) -> int | None:
        """The calls per minute of *kind* alone; None where only the account's limit counts."""
        match kind:
            case CallKind.TASKS_READY:
                return self.ready_per_minute
            case CallKind.ID_LIST:
                return self.listing_per_minute
            case CallKind.USER_DATA:
                return self.user_data_per_minute
        return None
