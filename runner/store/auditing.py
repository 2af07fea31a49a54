"""The comparison of the API's books with ours: what the store keeps of it, and its verbs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runner.store.endings import Ending, Posted
from runner.store.reconciling import IncidentKind, NewIncident, Sighting
from runner.task import RemoteId


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A task of ours that the API took, so that its listing has to show it."""

    task: int
    attempt: int
    remote_id: RemoteId
    tag: str
    advanced: int
    """Nano-dollars, as the amounts below."""
    charged: int | None
    """None while its final charge is not known."""
    accepted_api: datetime
    """Not before this it was taken, in the API's time."""
    failed: bool = False
    """The API has reported a failure, so that its advance may have come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCost:
    """What a failed task cost in the end, as the listing says. Amounts in nano-dollars."""

    task: int
    attempt: int
    remote_id: RemoteId
    tag: str
    booked: int | None
    """What stands in our books until now; None if its money is at risk."""
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How one comparison came out. Amounts in nano-dollars, moments of the API's time."""

    start: datetime
    end: datetime
    whole: bool
    """The listing was read to its end."""
    listed: int
    """Rows of the listing, anybody's."""
    compared: int
    """Tasks whose final cost both sides tell."""
    untold: int = 0
    """Tasks of which the listing tells no final cost: only the advance, 0, or nothing."""
    unrefunded: int = 0
    """Of the untold ones: failed, booked as refunded, and listed with their advance."""
    unrefunded_cost: int = 0
    """What the listing shows for these."""
    settled: int = 0
    """Failed tasks whose money was at risk, and whose final cost the listing tells."""
    listed_cost: int = 0
    """Of the compared ones, as the listing says."""
    booked_cost: int = 0
    """Of the same, as booked."""
    differing: int = 0
    """Of the compared ones: by more than 1 %."""
    missing: int = 0
    """Tasks of ours that the listing lacks."""
    foreign: int = 0
    """Rows with a tag of another install of this program."""
    foreign_cost: int = 0
    incidents: int = 0
    """Newly opened."""

    @property
    def agrees(self) -> bool:
        """Whether nothing was found that a person has to see."""
        return not (self.differing or self.missing or self.incidents)


class Auditing(Protocol):
    """The verbs of the audit, and of charges beside the attempts' own."""

    async def strange(self, sightings: Sequence[Sighting]) -> tuple[list[Sighting], list[Sighting]]:
        """Those under tags of this store's that are not booked as what they are, and those under
        tags of other installs; changes nothing."""

    async def known_ids(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of *ids* that are booked; reads all attempts, so only for a few at a time."""

    async def expected(
        self, account: int, start: datetime, end: datetime, *, after: int
    ) -> tuple[list[Expected], int | None]:
        """Some of the tasks accepted in that time of the API's, from the task number *after* on,
        and the number to go on after; None at the end."""

    async def extra_expected(
        self, start: datetime, end: datetime, *, account: int | None = None
    ) -> list[Expected]:
        """Tasks at the API, or at *account* there, beside those of the attempts, posted in that
        time of the API's."""

    async def failed_tasks(
        self,
        account: int,
        start: datetime,
        end: datetime,
        *,
        ended_since: datetime,
        after: int,
    ) -> tuple[list[Expected], int | None]:
        """As ``expected``, from *start* to just before *end*, but only failures that have money at
        risk or were booked from *ended_since* on, by our clock."""

    async def settle_failures(
        self, costs: Sequence[FailureCost], incidents: Sequence[NewIncident], *, now: datetime
    ) -> int:
        """Book what failed tasks cost in the end and open *incidents* about it, of which the new
        ones are counted. What was booked otherwise in the meantime stays; if all of it was, nothing
        is opened.
        """

    async def last_audit(self, account: int) -> Audit | None:
        """The newest one."""

    async def note_audit(self, account: int, audit: Audit, *, now: datetime) -> None:
        """Remember it, so that the next start of the day does not repeat it."""

    async def sum_up(
        self,
        kind: IncidentKind,
        message: str,
        *,
        amount: int,
        now: datetime,
        account: int | None = None,
    ) -> bool:
        """Tell of many differences, in *account*, in one open incident; False if there was one,
        now renewed."""

    async def extras_due(
        self, limit: int, *, now: datetime, account: int | None = None
    ) -> list[Posted]:
        """Tasks beside those of the attempts whose answers are to be asked for, or those in
        *account*."""

    async def book_extra(self, remote_id: str, ending: Ending, *, now: datetime) -> None:
        """Book what asking for one came to: its answer is kept, its cost is the incident's."""
