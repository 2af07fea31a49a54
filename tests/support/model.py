"""One task, two processes, the API and the network between them, and all that can happen to them.

    store:  state and attempt of the task, and what it holds of each attempt
    wire:   requests that have left and not yet arrived, replies on their way back
    API:    which attempts exist there
    people: nobody. Left out are decisions of a person, Live, and the end of the 30 days

Every next state of the task comes from ``runner.lifecycle.after``: an edited table is another
search. A process may die before and after every step, may be taken for dead while it lives, and
may then go on. A listing that lags is a request that arrives late, seen from the listing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from runner.lifecycle import Event, IllegalMove, State, after

T = TypeVar("T")

MOST: Final = 3
"""Attempts that are looked at; a task that waits for a fourth counts as ended."""

SCANS: Final = 2
"""Listings that must agree before an attempt counts as absent (DESIGN.md §4 Reconciling)."""

LEFT_OUT: Final = frozenset(
    {
        Event.CANCELLED,
        Event.REOPENED,
        Event.WRITTEN_OFF,
        Event.ASKED_AGAIN,
        Event.ANSWER_LOST,
        Event.EXPIRED,
    }
)
"""Events that do not come about here: a person's, a follow-up's, Live's, that of the 30 days."""

ENDS: Final = frozenset({State.COMPLETED, State.FAILED})


class Record(StrEnum):
    """What the store holds of an attempt."""

    NONE = "none"
    OPEN = "open"
    """It may have been taken."""
    KNOWN = "known"
    """It was taken, and is accounted for."""
    VOID = "void"
    """It was certainly not taken, the store says."""


class Remote(StrEnum):
    """What the API holds of an attempt."""

    NONE = "none"
    LIVE = "live"
    """Created: it is or will be charged."""
    FAILED = "failed"
    """Created, then failed and given back."""


class Wire(StrEnum):
    """What is under way of an attempt."""

    NOTHING = "nothing"
    REQUEST = "request"
    TAKEN = "taken"
    """A reply that says so; likewise the next two."""
    REFUSED = "refused"
    NOT_TAKEN = "not taken"


class Phase(StrEnum):
    """How far a process is with the attempt that it posts."""

    DEAD = "dead"
    IDLE = "idle"
    INTENDED = "intended"
    """The intent is durable, nothing has left."""
    WAITING = "waiting"
    """It was sent."""
    TAKEN = "told: taken"
    """An outcome that is not saved yet; likewise the rest."""
    REFUSED = "told: refused"
    NOT_TAKEN = "told: not taken"
    LOST = "no reply"


_TOLD: Final = {
    Wire.TAKEN: Phase.TAKEN,
    Wire.REFUSED: Phase.REFUSED,
    Wire.NOT_TAKEN: Phase.NOT_TAKEN,
}
_OUTCOME: Final = {
    Phase.TAKEN: Event.ACCEPTED,
    Phase.REFUSED: Event.REFUSED,
    Phase.NOT_TAKEN: Event.NOT_TAKEN,
    Phase.LOST: Event.LOST,
}


class Process(NamedTuple):
    """One engine."""

    phase: Phase
    attempt: int
    """The one it posts; 0 = none."""


class World(NamedTuple):
    """All there is at one moment. Attempts are numbered from 1."""

    state: State
    attempt: int
    settled: bool
    """Whether the settle time of this attempt's doubt has passed."""
    scans: int
    """Complete listings since then that did not show it."""
    records: tuple[Record, ...]
    remotes: tuple[Remote, ...]
    wires: tuple[Wire, ...]
    processes: tuple[Process, ...]

    def __str__(self) -> str:
        who = ", ".join(
            f"{name} {each.phase}" + (f" (attempt {each.attempt})" if each.attempt else "")
            for name, each in zip("AB", self.processes, strict=True)
        )
        there = ", ".join(
            f"{number} {remote}"
            for number, remote in enumerate(self.remotes, start=1)
            if remote is not Remote.NONE
        )
        return f"{self.state}/{self.attempt}; {who}; at the API: {there or 'nothing'}"


DEAD: Final = Process(Phase.DEAD, 0)
IDLE: Final = Process(Phase.IDLE, 0)

BEGINNING: Final = World(
    state=State.PENDING,
    attempt=0,
    settled=False,
    scans=0,
    records=(Record.NONE,) * MOST,
    remotes=(Remote.NONE,) * MOST,
    wires=(Wire.NOTHING,) * MOST,
    processes=(IDLE, IDLE),
)


class Listing(StrEnum):
    """Whether the account's listing can be had."""

    WORKS = "works"
    NEVER = "never"
    SOMETIMES = "sometimes"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the search takes for granted."""

    settle: bool = True
    """Listings count only from a while after the doubt arose."""
    punctual: bool = True
    """No request arrives, and none is sent, after the settle time has passed."""
    listing: Listing = Listing.WORKS


class Step(NamedTuple):
    """One thing that happens."""

    what: str
    then: World
    harm: bool = False
    """Whether it is a misfortune: no hope may rest on one."""


class Model:
    """Everything that can happen next."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.events: set[Event] = set()
        """Those that came about."""

    def steps(self, world: World) -> Iterator[Step]:
        """Every step that *world* allows."""
        yield from self._network(world)
        for index, name in enumerate("AB"):
            process = world.processes[index]
            if process.phase is Phase.DEAD:
                yield Step(f"{name} starts", _with_process(world, index, IDLE))
                continue
            yield Step(f"{name} is killed", _with_process(world, index, DEAD), harm=True)
            yield from self._posting(world, index, name)
            yield from self._reconciling(world, name)
            yield from self._fetching(world, name)

    def _network(self, world: World) -> Iterator[Step]:
        for number in range(1, MOST + 1):
            here = number - 1
            if world.wires[here] is Wire.REQUEST:
                taken = world._replace(remotes=_put(world.remotes, here, Remote.LIVE))
                arrives = f"request {number} arrives"
                yield Step(f"{arrives} and is taken", _wired(taken, here, Wire.TAKEN))
                for reply in (Wire.REFUSED, Wire.NOT_TAKEN):
                    yield Step(f"{arrives}: {reply}", _wired(world, here, reply), harm=True)
                dropped = _wired(world, here, Wire.NOTHING)
                yield Step(f"request {number} is lost", dropped, harm=True)
            if world.remotes[here] is Remote.LIVE and world.state is not State.COMPLETED:
                failed = world._replace(remotes=_put(world.remotes, here, Remote.FAILED))
                yield Step(f"the API fails {number} and refunds it", failed, harm=True)
        yield from self._time(world)

    def _time(self, world: World) -> Iterator[Step]:
        """The settle time of a doubt passes. Doubts younger than that are scanned by nobody."""
        if not _in_doubt(world) or world.settled or not self._rules.settle:
            return
        here = world.attempt - 1
        if not self._rules.punctual:
            yield Step("the settle time passes", world._replace(settled=True))
        elif world.wires[here] is not Wire.REQUEST:
            yield Step(
                "the settle time passes",
                world._replace(
                    settled=True,
                    wires=_put(world.wires, here, Wire.NOTHING),
                    processes=tuple(_grown_old(each, world.attempt) for each in world.processes),
                ),
            )

    def _posting(self, world: World, index: int, name: str) -> Iterator[Step]:
        process = world.processes[index]
        here = process.attempt - 1
        match process.phase:
            case Phase.IDLE if world.attempt < MOST:
                number = world.attempt + 1
                if intended := self._moved(world._replace(attempt=number), Event.INTENDED):
                    fresh = intended._replace(settled=False, scans=0)
                    mine = Process(Phase.INTENDED, number)
                    yield Step(f"{name} intends {number}", _with_process(fresh, index, mine))
            case Phase.INTENDED:
                sent = _with_process(world, index, process._replace(phase=Phase.WAITING))
                yield Step(f"{name} sends {process.attempt}", _wired(sent, here, Wire.REQUEST))
                unsent = _with_process(world, index, process._replace(phase=Phase.NOT_TAKEN))
                yield Step(f"{name} does not get to send", unsent, harm=True)
            case Phase.WAITING:
                if told := _TOLD.get(world.wires[here]):
                    heard = _wired(world, here, Wire.NOTHING)
                    yield Step(
                        f"{name} is told about {process.attempt}: {world.wires[here]}",
                        _with_process(heard, index, process._replace(phase=told)),
                    )
                lost = _with_process(world, index, process._replace(phase=Phase.LOST))
                # The wait ends by itself, so this is the way out if no reply comes.
                yield Step(f"{name} gets no reply in time", lost)
            case Phase.TAKEN | Phase.REFUSED | Phase.NOT_TAKEN | Phase.LOST:
                event = _OUTCOME[process.phase]
                saved: World | None = world
                # Compare-and-set, as the store does it: an attempt that is over stays so.
                if (world.state, world.attempt) == (State.POSTING, process.attempt):
                    saved = self._moved(world, event)
                if saved is not None:
                    yield Step(f"{name} saves: {event}", _with_process(saved, index, IDLE))

    def _reconciling(self, world: World, name: str) -> Iterator[Step]:
        if world.state is State.POSTING and (doubted := self._moved(world, Event.LOST)):
            yield Step(f"{name} calls {world.attempt} doubtful", doubted)
        if not _in_doubt(world):
            return
        remote = world.remotes[world.attempt - 1]
        if remote is Remote.LIVE and (done := self._moved(world, Event.ANSWERED)):
            yield Step(f"{name} receives the postback of {world.attempt}", done)
        if self._rules.settle and not world.settled:
            return
        if self._rules.listing is not Listing.WORKS and (
            undecided := self._moved(world, Event.UNDECIDED)
        ):
            yield Step(f"{name} gives up on the listing", undecided)
        if self._rules.listing is not Listing.NEVER:
            yield from self._listing(world, name)

    def _listing(self, world: World, name: str) -> Iterator[Step]:
        if world.remotes[world.attempt - 1] is not Remote.NONE:
            if found := self._moved(world, Event.FOUND):
                yield Step(f"{name} lists and finds {world.attempt}", found)
        elif world.scans < SCANS:
            yield Step(f"{name} lists and finds nothing", world._replace(scans=world.scans + 1))
        if world.scans == SCANS and (absent := self._moved(world, Event.PROVEN_ABSENT)):
            yield Step(f"{name} calls {world.attempt} absent", absent)

    def _fetching(self, world: World, name: str) -> Iterator[Step]:
        if world.state is not State.POSTED:
            return
        remote = world.remotes[world.attempt - 1]
        events = (
            [Event.ANSWERED] if remote is Remote.LIVE else [Event.TRY_AGAIN, Event.REMOTE_FAILURE]
        )
        for event in events:
            if ended := self._moved(world, event):
                yield Step(f"{name} fetches {world.attempt}: {event}", ended)

    def _moved(self, world: World, event: Event) -> World | None:
        """*world* after *event* happened to the task; None if the table has no such move."""
        try:
            state = after(world.state, event)
        except IllegalMove:
            return None
        self.events.add(event)
        here = world.attempt - 1
        record = _recorded(state, world.records[here])
        return world._replace(state=state, records=_put(world.records, here, record))


def _recorded(state: State, before: Record) -> Record:
    """What the store holds of the current attempt once the task is in *state*."""
    if state in {State.POSTING, State.UNKNOWN, State.QUARANTINED}:
        return Record.OPEN
    if state in {State.POSTED, State.COMPLETED}:
        return Record.KNOWN
    return Record.KNOWN if before is Record.KNOWN else Record.VOID


def _in_doubt(world: World) -> bool:
    """Sent, perhaps, and no longer expected to be told about."""
    open_attempt = world.attempt > 0 and world.records[world.attempt - 1] is Record.OPEN
    return open_attempt and world.state is not State.POSTING


def _grown_old(process: Process, attempt: int) -> Process:
    """*process* once the deadline and the settle time are past: what it had not sent it never
    sends, what it waited for it gave up."""
    if process == Process(Phase.INTENDED, attempt):
        return Process(Phase.NOT_TAKEN, attempt)
    if process == Process(Phase.WAITING, attempt):
        return Process(Phase.LOST, attempt)
    return process


def _put(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _wired(world: World, index: int, wire: Wire) -> World:
    """*world* with *wire* under way; a reply that nobody waits for is gone."""
    waiting = any(each == Process(Phase.WAITING, index + 1) for each in world.processes)
    if wire is not Wire.REQUEST and not waiting:
        wire = Wire.NOTHING
    return world._replace(wires=_put(world.wires, index, wire))


def _with_process(world: World, index: int, process: Process) -> World:
    changed = world._replace(processes=_put(world.processes, index, process))
    for here, wire in enumerate(changed.wires):
        changed = _wired(changed, here, wire)
    return changed


def paid_twice(world: World) -> bool:
    """Two attempts of the task stand at the API, and both cost."""
    return world.remotes.count(Remote.LIVE) > 1


def unnoticed(world: World) -> bool:
    """The API charges for an attempt that the store has crossed off."""
    pairs = zip(world.remotes, world.records, strict=True)
    return (Remote.LIVE, Record.VOID) in pairs


def ended(world: World) -> bool:
    """Nothing waits any more, or only for more attempts than are looked at."""
    return world.state in ENDS or (world.state is State.PENDING and world.attempt == MOST)


def ended_or_held(world: World) -> bool:
    """As ``ended``, or held for a person."""
    return ended(world) or world.state is State.QUARANTINED
