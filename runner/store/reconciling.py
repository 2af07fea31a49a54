"""What the store knows of posts in doubt, and the verbs that decide about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from runner.task import Endpoint, RemoteId, TaskId

NEAR: Final = timedelta(minutes=1)
"""What was accepted so shortly before a doubtful batch, the listing has to show."""

LATER: Final = timedelta(hours=1)
"""So long after it is listed, to see what was accepted later."""

_API_APART: Final = timedelta(seconds=31)
"""By so much two of the API's moments may be out of step: the clocks of its own machines, and the
whole seconds of ``Date``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtfulAttempt:
    """One possible charge that nobody knows about."""

    task: TaskId
    number: int
    tag: str
    prompt: str | None
    """None if it was deleted since."""
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A batch with attempts in doubt. Moments called ``…api…`` are of the API's own time."""

    batch: int
    endpoint: Endpoint
    worker: int
    """Of whose life it was."""
    alive: bool
    """Whether that worker is still at work, as far as is known."""
    intended_at: datetime
    deadline: datetime
    intended_api: datetime | None
    """The newest ``Date`` seen before the intent; None if there was none."""
    began_api: datetime | None
    """The first ``Date`` seen after the doubt began."""
    seen_api: datetime | None
    """The newest ``Date`` seen since."""
    clean_api: datetime | None
    """When the first listing that counts showed no trace of it."""
    over_api: datetime | None
    """When its deadline had passed for certain (``over_by``); None if that is not known."""
    attempts: tuple[DoubtfulAttempt, ...]
    accepted_near: bool
    """Tasks of batches intended in the minute before it, or its own, were accepted."""
    accepted_after: bool
    """Tasks of batches intended after it, an hour after its deadline at most, were accepted."""
    accepted_later: bool
    """The same of batches that were intended after its deadline for certain."""


def over_by(
    intended_api: datetime | None, began_api: datetime | None, patience: timedelta
) -> datetime | None:
    """When, by the API's time, the deadline of a batch had passed for certain.

    It is *patience* after the intent. Where no ``Date`` was seen before that, the first one after
    the doubt began was written later.
    """
    since = intended_api or began_api
    return None if since is None else since + patience + _API_APART


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """What is to be remembered of a doubt, so that its waits go on in the next start."""

    batch: int
    began_api: datetime | None
    seen_api: datetime | None
    clean_api: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A task at the API under a tag of our form."""

    tag: str
    remote_id: RemoteId
    cost: int | None = None
    """Nano-dollars, as the listing says."""
    posted_at: datetime | None = None
    request: str | None = None
    """The digest of what was asked (``parameters.request_digest``); None where nobody says."""
    live: bool = False
    """It was a Live call: nothing can be fetched under its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One complete listing."""

    start: datetime
    end: datetime
    listed: int
    ours: int
    adopted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A task whose id we had: which batch it was of.

    Batches are numbered in the order of their intents. That holds whatever a clock said, ours or
    another host's.
    """

    batch: int | None
    """None if it was found in the account after its record was gone: numbered too late."""
    intended_api: datetime | None
    """The newest ``Date`` seen before its intent; None if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of sightings."""

    known: Mapping[str, Known]
    """Tags of tasks whose id we had."""
    adopted: frozenset[str]
    """Tags of tasks that are posted from now on."""
    strangers: frozenset[str] = frozenset()
    """Tags of this store's that none of its own intents has."""
    incidents: int
    """Newly opened."""

    def __add__(self, other: "Found") -> "Found":
        return Found(
            known={**self.known, **other.known},
            adopted=self.adopted | other.adopted,
            strangers=self.strangers | other.strangers,
            incidents=self.incidents + other.incidents,
        )


class IncidentKind(StrEnum):
    """How the API's records and ours may differ."""

    DOUBLE_CHARGE = "double_charge"
    """A second task at the API for one attempt, or one for an attempt taken for absent."""
    ORPHAN = "orphan"
    """A tag of this store's that the store does not know."""
    COST_DIFFERS = "cost_differs"
    """The listing's cost is not what was booked."""
    NOT_LISTED = "not_listed"
    """The API took a task, and its listing does not show it."""
    STRANGE_REPLY = "strange_reply"
    """A reply to a post told of what was not in it, or that it held too many tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIncident:
    """An incident to be opened."""

    kind: IncidentKind
    message: str
    amount: int = 0
    """Nano-dollars paid without use, or by which the records differ."""
    task: int | None = None
    attempt: int | None = None
    remote_id: str | None = None
    tag: str | None = None
    account: int | None = None
    """Where it was found, if that is known."""
    request: str | None = None
    """The digest of what was asked, if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident(NewIncident):
    """An incident as it stands."""

    id: int
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Something that does not add up in the store."""

    check: str
    """Which of the checks found it, in a word."""
    message: str


class Reconciling(Protocol):
    """The verbs of the reconciler. All that change tasks touch only what is still in doubt."""

    async def doubts(self, *, account: int | None = None) -> list[Doubt]:
        """Batches with attempts in doubt, oldest first, or those of *account*; reads only tasks in
        doubt.
        """

    async def note_times(self, times: Sequence[Times]) -> None:
        """Remember how far the waits have come."""

    async def note_scan(self, account: int, scan: Scan, *, now: datetime) -> None:
        """Remember a complete listing."""

    async def found(
        self, sightings: Sequence[Sighting], *, now: datetime, account: int | None = None
    ) -> Found:
        """Book what was seen at the API; *account*: in which.

        A doubtful, quarantined or put-back task whose tag is seen is posted from now on. A second
        id for a tag, an id for an attempt that has ended otherwise, and a tag of this store's that
        it does not know open an incident, once. What was paid twice is taken up as an extra charge.
        """

    async def prove_absent(self, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
        """These (task, attempt) were certainly not taken: pending again; returns how many."""

    async def quarantine(
        self, attempts: Sequence[tuple[int, int]], *, message: str, reason: str = "", now: datetime
    ) -> int:
        """No evidence can be had about these (task, attempt); returns how many."""

    async def open_incident(self, incident: NewIncident, *, now: datetime) -> bool:
        """Open *incident*; False if one of its kind is known for its remote id."""

    async def close_incident(self, incident: int, *, now: datetime) -> bool:
        """A person has seen to it; False if it is not open."""

    async def incidents(self, *, closed: bool = False) -> list[Incident]:
        """Those that are open, oldest first; with *closed* the others too."""

    async def verify(self, *, most: int = 100) -> list[Breach]:
        """What does not add up, at most *most* lines for each check; reads the whole store."""
