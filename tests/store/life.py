"""Whatever happens in whatever order, the store and a model in a few dicts agree.

The model knows each task's state, attempt and money, and which edits wait. Crashes, replies that
come late or twice, pauses, prunes and decisions of a person are steps like any other.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runner.lifecycle import MOVES, State
from runner.rows import Attempt, Batch
from runner.store.amounts import Money
from runner.store.auditing import FailureCost
from runner.store.control import Keep
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.listing import Selection
from runner.store.reconciling import Sighting
from runner.store.values import Added, AttemptOver, Ceiling, Decision, Idle, RetryFilter
from runner.store.workers import GRACE
from runner.task import Outcome, RemoteId, Tag, TaskId
from tests.store.places import FilePlace, Place
from tests.store.steps import (
    ADVANCED,
    CLAUDE,
    HOUR,
    PRICE,
    RESERVE,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    gone,
    lost,
    not_taken,
    refused,
    remote_id,
    row,
    still_running,
)
from tests.support.clock import ManualClock

HOW: Final[dict[str, Callable[[Attempt], Outcome]]] = {
    "accepted": accepted,
    "refused": refused,
    "not taken": lambda attempt: not_taken(attempt, wait_s=0),
    "lost": lost,
}

SUMS: Final = tuple(each.name for each in fields(Money))

ENDINGS: Final[dict[str, Callable[[Posted, datetime], Ending]]] = {
    "answered": lambda task, now: answered(task),
    "answered dearly": lambda task, now: answered(task, 3 * RESERVE),
    "failed, refund unseen": lambda task, now: failed(task, cost=None),
    "failed and refunded": lambda task, now: failed(task, cost=0),
    "failed and charged, again": lambda task, now: failed(task, cost=PRICE, again_at=now),
    "failed, refund unseen, again": lambda task, now: failed(task, cost=None, again_at=now),
    "gone": lambda task, now: gone(task),
    "running": lambda task, now: still_running(task, now + HOUR),
}

ENDED: Final = frozenset({State.COMPLETED, State.FAILED, State.EXPIRED, State.CANCELLED})
OUT: Final = frozenset({State.POSTING, State.UNKNOWN, State.POSTED, State.QUARANTINED})
ADOPTS: Final = frozenset({State.PENDING, State.UNKNOWN, State.QUARANTINED})
LOST: Final = frozenset({"written_off"})
ASKABLE: Final = frozenset({State.PENDING, State.COMPLETED, State.FAILED, State.EXPIRED})

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Known:
    """What the model knows of one task."""

    asked: int
    """The variant of the request that is queued."""
    state: State = State.PENDING
    attempt: int = 0
    tries: int = 0
    reason: str = ""
    input: int = 0
    """The variant that the input has now."""
    kept: int | None = None
    dropped: bool = False
    """A person cancelled it while it was out: it does not come back by itself."""
    pruned: bool = False
    """Its request is gone: there is nothing to compare an input with, and nothing to ask again."""
    left: bool = False
    """Its row was not in the latest input that was loaded while it was pending."""

    @property
    def edited(self) -> bool:
        return not self.pruned and self.input not in (self.asked, self.kept)

    @property
    def changed(self) -> bool:
        return self.edited and not self.left and self.state is not State.CANCELLED

    @property
    def due(self) -> bool:
        return self.state is State.PENDING and not self.edited and not self.left

    def come_back(self) -> None:
        """Back to pending by itself; what was dropped meanwhile ends instead."""
        self.state = State.PENDING
        if self.dropped:
            self.drop()

    def drop(self) -> None:
        """A person does not want it posted any more."""
        self.dropped |= self.state in OUT
        if self.state is State.PENDING:
            self.state, self.kept = State.CANCELLED, self.input if self.edited else self.kept
            self.left = False

    def ask_again(self, *, edited: bool) -> None:
        """Back to pending; *edited*: with the edit, if there is one."""
        self.state, self.reason, self.tries, self.dropped = State.PENDING, "", 0, False
        if edited and self.edited:
            self.asked, self.kept = self.input, None
        self.left &= not edited


class Life(RuleBasedStateMachine):
    """One store, one run, one engine at a time."""

    revocable: ClassVar[bool] = False
    """Whether death is only assumed, so that the dead may bring a reply."""

    def make_place(self) -> AbstractContextManager[Place]:
        """An empty store."""
        return FilePlace.made()

    @initialize()
    def start(self) -> None:
        self.clock = ManualClock()
        self.resources = ExitStack()
        self.place = self.resources.enter_context(self.make_place())
        self.loop = asyncio.new_event_loop()
        self.tasks: dict[str, Known] = {}
        self.names: dict[TaskId, str] = {}
        self.money: dict[tuple[str, int], Money] = {}
        self.tags: dict[str, tuple[str, int]] = {}
        self.loads = 0
        self.open: list[Batch] = []
        self.over: list[Batch] = []
        self.cut: list[Batch] = []
        """Batches of the dead whose replies may come all the same, on a server."""
        self.taken: list[Posted] = []
        self.paused = False
        self.ids: dict[tuple[str, int], str] = {}
        self.failed: dict[tuple[str, int], int | None] = {}
        """What is booked for the attempts that failed; None while that is at risk."""
        self.told: set[str] = set()
        self.disputed: set[str] = set()
        """Tasks with an open incident: what it is about is kept until a person has closed it."""
        self.deaths: Counter[str] = Counter()
        self.do(self._open())
        self.join()
        self.place.watch()

    def do(self, awaited: Awaitable[T]) -> T:
        return self.loop.run_until_complete(awaited)

    async def _open(self) -> None:
        self.stack = AsyncExitStack()
        store = await self.stack.enter_async_context(self.place.open(self.clock))
        self.scene: Scene = await begin(store, self.clock)

    def join(self) -> None:
        """Another host begins, where there can be several."""

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.do(self.stack.aclose())
            self.loop.close()
            self.resources.close()

    # -- the input ---------------------------------------------------------------------------

    @rule(lines=st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 2), max_size=6))
    def load(self, lines: dict[str, int]) -> None:
        self.loads += 1
        asked = [row(n, name, key=name, variant=v) for n, (name, v) in enumerate(lines.items(), 1)]
        added = self.do(self.scene.load(asked, digest=f"load {self.loads}"))
        new = lines.keys() - self.tasks.keys()
        assert added == Added(rows=len(lines), new=len(new), known=len(lines) - len(new))
        for name, variant in lines.items():
            known = self.tasks.setdefault(name, Known(asked=variant))
            known.input, known.left = variant, False
        for name in self.tasks.keys() - lines.keys():
            self.tasks[name].left |= self.tasks[name].state is State.PENDING

    @rule(decision=st.sampled_from(Decision))
    def decide(self, decision: Decision) -> None:
        changed = [known for known in self.tasks.values() if known.changed]
        if decision is Decision.KEEP:
            for known in changed:
                known.kept = known.input
        else:
            changed = [known for known in changed if known.state in ASKABLE]
            for known in changed:
                known.ask_again(edited=True)
        store, run = self.scene.store, self.scene.run.id
        decided = self.do(store.decide_changes(run, decision, now=self.clock.now()))
        assert decided == len(changed)

    @rule(
        which=st.sampled_from(
            [RetryFilter(), RetryFilter(pay_again=True), RetryFilter(codes=frozenset({40501}))]
        )
    )
    def retry(self, which: RetryFilter) -> None:
        reasons = {"refused"} if which.codes else {"remote"}
        again = [
            known
            for known in self.tasks.values()
            if not known.pruned
            and (
                known.reason in reasons
                or (which.pay_again and (known.state is State.EXPIRED or known.reason in LOST))
            )
        ]
        for known in again:
            known.ask_again(edited=which != RetryFilter())
        store, run = self.scene.store, self.scene.run.id
        told = self.do(store.retriable(run, which))
        assert told == ({CLAUDE.name: len(again)} if again else {})
        assert self.do(store.retry(run, which, now=self.clock.now())) == len(again)

    @rule()
    def pause_or_resume(self) -> None:
        store, run, now = self.scene.store, self.scene.run.id, self.clock.now()
        ended = self.do(store.resume(run=run, now=now))
        assert (ended is not None) == self.paused
        if not self.paused:
            self.do(store.pause(run=run, now=now))
        self.paused = not self.paused

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.tasks)))
        known, store = self.tasks[name], self.scene.store
        which = Selection(runs=frozenset({self.scene.run.id}), where=(("prompt", name),))
        assert self.do(store.cancel(which)) == (known.state is State.PENDING)
        known.drop()

    @precondition(lambda self: sum(known.state in ENDED for known in self.tasks.values()) > 4)
    @rule()
    def prune(self) -> None:
        store, run = self.scene.store, self.scene.run.id
        self.do(store.prune(run, keep=Keep.COSTS, now=self.clock.now()))
        for name, known in self.tasks.items():
            over = known.state in ENDED and not known.changed
            known.pruned |= over and name not in self.disputed

    # -- posting -----------------------------------------------------------------------------

    @rule(limit=st.integers(1, 4), room=st.none() | st.integers(0, 3))
    def intend(self, limit: int, room: int | None) -> None:
        due = [name for name, known in self.tasks.items() if known.due and not self.paused]
        spent = sum(money.charged + money.reserved + money.at_risk for money in self.money.values())
        budget = None if room is None else spent + room * RESERVE + RESERVE // 2
        batch = self.do(self.scene.intend(limit, ceiling=Ceiling(budget=budget)))
        expected = min(len(due), limit, limit if room is None else room)
        if isinstance(batch, Idle):
            assert expected == 0
            assert batch is (Idle.BUDGET if due else Idle.NOTHING_DUE)
            return
        assert len(batch.attempts) == expected
        self.open.append(batch)
        for attempt in batch.attempts:
            request = json.loads(attempt.body)
            name = request["user_prompt"]
            known = self.tasks[name]
            assert name in due
            assert (request["variant"], attempt.number) == (known.asked, known.attempt + 1)
            assert self.names.setdefault(attempt.task, name) == name
            assert attempt.tag not in self.tags
            self.tags[attempt.tag] = name, attempt.number
            known.attempt += 1
            known.state = State.POSTING
            self.money[name, attempt.number] = Money(reserved=RESERVE)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        batch = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self.over.append(batch)
        kinds = {a.tag: data.draw(st.sampled_from(sorted(HOW))) for a in batch.attempts}
        self.do(self.scene.settle(batch, lambda attempt: HOW[kinds[attempt.tag]](attempt)))
        for tag, kind in kinds.items():
            known, money = self.tasks[self.tags[tag][0]], Money()
            if kind == "accepted":
                self.ids[self.tags[tag]] = remote_id(tag)
                known.state, money = State.POSTED, Money(reserved=RESERVE, advanced=ADVANCED)
            elif kind == "refused":
                known.state, known.reason = State.FAILED, "refused"
            elif kind == "lost":
                known.state, money = State.UNKNOWN, Money(at_risk=RESERVE)
            else:
                known.come_back()
            self.money[self.tags[tag]] = money

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def settle_late(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.over))
        with pytest.raises(AttemptOver):
            self.do(self.scene.settle(batch, HOW[data.draw(st.sampled_from(sorted(HOW)))]))

    def dying(self) -> set[str]:
        """What would die with the process."""
        return self.asked_by(self.open)

    def asked_by(self, batches: list[Batch]) -> set[str]:
        """The tasks in *batches*."""
        return {self.tags[each.tag][0] for batch in batches for each in batch.attempts}

    # What has died three times in a row is set apart: `test_deaths.py` is about that.
    @precondition(lambda self: all(self.deaths[name] < 2 for name in self.dying()))
    @rule()
    def die_and_start_again(self) -> None:
        self.deaths.update(self.dying())
        self.die()
        # On a server the silence tells.
        self.clock.advance(2 * GRACE)
        self.lose(self.open)
        self.open = []
        self.do(self._open())

    def die(self) -> None:
        """The process is gone, and whoever looks can see that."""
        self.do(self.stack.aclose())

    def lose(self, batches: list[Batch]) -> None:
        """Nobody is expected to bring the replies of *batches*."""
        for attempt in (each for batch in batches for each in batch.attempts):
            key = name, _ = self.tags[attempt.tag]
            self.tasks[name].state = State.UNKNOWN
            self.money[key] = Money(at_risk=RESERVE)
        (self.cut if self.revocable else self.over).extend(batches)

    # -- doubt -------------------------------------------------------------------------------

    @precondition(lambda self: self.tags)
    @rule(data=st.data(), own=st.booleans())
    def find(self, data: st.DataObject, own: bool) -> None:
        tag = data.draw(st.sampled_from(sorted(self.tags)))
        seen = remote_id(tag) if own else RemoteId(f"another of {tag}")
        sighting = Sighting(tag=tag, remote_id=seen)
        found = self.do(self.scene.store.found([sighting], now=self.clock.now()))
        told = set(found.known), set(found.adopted), found.incidents
        assert told == self.see(tag, seen)

    def see(self, tag: str, seen: RemoteId) -> tuple[set[str], set[str], int]:
        """What becomes of a sighting: the tags known and adopted, and incidents."""
        key = name, attempt = self.tags[tag]
        known, mine = self.tasks[name], self.ids.get(key)
        newest = known.attempt == attempt
        if mine == seen:
            return {tag}, set(), 0
        if newest and known.state is State.POSTING:
            return set(), set(), 0
        if mine is None and newest and known.state in ADOPTS and seen not in self.told:
            self.ids[key] = seen
            known.state = State.POSTED
            self.money[key] = Money(reserved=RESERVE, advanced=ADVANCED)
            return set(), {tag}, 0
        new = seen not in self.told
        self.told.add(seen)
        if mine is None:
            self.money[key] = replace(self.money[key], at_risk=0)
        if new:
            self.disputed.add(name)
            self.money[seen, 0] = Money(reserved=RESERVE, advanced=ADVANCED)
        return set(), set(), int(new)

    def in_state(self, state: State, data: st.DataObject) -> list[tuple[str, tuple[int, int]]]:
        """Some tasks that are in *state*, and their attempts."""
        ids = {name: task for task, name in self.names.items()}
        names = sorted(name for name, known in self.tasks.items() if known.state is state)
        drawn = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
        return [(name, (ids[name], self.tasks[name].attempt)) for name in drawn]

    @precondition(lambda self: any(k.state is State.UNKNOWN for k in self.tasks.values()))
    @rule(data=st.data(), absent=st.booleans())
    def judge(self, data: st.DataObject, absent: bool) -> None:
        drawn, store, now = self.in_state(State.UNKNOWN, data), self.scene.store, self.clock.now()
        attempts = [attempt for _, attempt in drawn]
        if absent:
            assert self.do(store.prove_absent(attempts, now=now)) == len(drawn)
        else:
            assert self.do(store.quarantine(attempts, message="no proof", now=now)) == len(drawn)
        for name, _ in drawn:
            known = self.tasks[name]
            known.state = State.QUARANTINED
            if absent:
                known.come_back()
                self.money[name, known.attempt] = Money()
        assert self.do(store.prove_absent(attempts, now=now)) == 0

    @precondition(lambda self: any(k.state is State.QUARANTINED for k in self.tasks.values()))
    @rule(data=st.data(), how=st.sampled_from(["adopt", "absent", "write off"]))
    def resolve(self, data: st.DataObject, how: str) -> None:
        drawn = self.in_state(State.QUARANTINED, data)
        store, now = self.scene.store, self.clock.now()
        attempts = [attempt for _, attempt in drawn]
        held = self.do(store.held(Selection()))
        assert set(attempts) <= {(each.task, each.attempt) for each in held}
        if how == "adopt":
            drawn = drawn[:1]
            ((name, (task, attempt)),) = drawn
            seen = RemoteId(f"by hand for {name} {attempt}")
            assert self.do(store.adopt(task, attempt, seen, now=now))
            self.ids[name, attempt] = seen
            self.money[name, attempt] = Money(reserved=RESERVE, advanced=ADVANCED)
            self.tasks[name].state = State.POSTED
            return
        decide = store.ask_absent if how == "absent" else store.write_off
        assert self.do(decide(attempts, now=now)) == len(drawn)
        assert self.do(decide(attempts, now=now)) == 0
        for name, _ in drawn:
            known = self.tasks[name]
            if how == "absent":
                known.state, known.dropped = State.PENDING, False
                self.money[name, known.attempt] = Money()
            else:
                known.state, known.reason = State.FAILED, "written_off"

    # -- collecting --------------------------------------------------------------------------

    @precondition(lambda self: self.tags)
    @rule(data=st.data())
    def show_on_the_ready_list(self, data: st.DataObject) -> None:
        shown = data.draw(st.lists(st.sampled_from(sorted(self.tags)), unique=True))
        tags = [tag for tag in map(Tag.parse, shown) if tag is not None]
        assert list(map(str, tags)) == shown
        marked = self.do(self.scene.store.mark_ready(tags, now=self.clock.now()))
        assert marked <= sum(self.waits(*self.tags[tag]) for tag in shown)

    @rule(trusted=st.booleans())
    def trust_the_ready_list(self, trusted: bool) -> None:
        self.do(self.scene.store.trust_ready_list(trusted, now=self.clock.now()))

    @rule(limit=st.integers(1, 5), passed=st.sampled_from([timedelta(0), HOUR, 7 * HOUR]))
    def take(self, limit: int, passed: timedelta) -> None:
        self.clock.advance(passed)
        taken = self.do(self.scene.take(limit))
        assert len({task.task for task in taken}) == len(taken) <= limit
        for task in taken:
            name = self.names[task.task]
            assert self.waits(name, task.attempt)
            assert task.tries == self.tasks[name].tries
            assert self.tags[task.tag] == (name, task.attempt)
        if passed > 6 * HOUR:
            waiting = sum(known.state is State.POSTED for known in self.tasks.values())
            assert len(taken) == min(limit, waiting)
        self.taken += taken

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def book(self, data: st.DataObject) -> None:
        tasks = data.draw(st.lists(st.sampled_from(self.taken), max_size=4))
        kinds = [data.draw(st.sampled_from(sorted(ENDINGS))) for _ in tasks]
        now = self.clock.now()
        endings = [ENDINGS[kind](task, now) for task, kind in zip(tasks, kinds, strict=True)]
        self.do(self.scene.book(*endings))
        for ending in endings:
            name = self.names[ending.task]
            if self.waits(name, ending.attempt):
                self.end(name, ending)

    def end(self, name: str, ending: Ending) -> None:
        known = self.tasks[name]
        match ending:
            case Answered(charge=charge):
                known.state = State.COMPLETED
            case RemotelyFailed(again_at=again_at, cost=cost):
                known.tries += 1
                if again_at:
                    known.come_back()
                else:
                    known.state, known.reason = State.FAILED, "remote"
                self.failed[name, ending.attempt] = cost
                if cost is None:
                    self.money[name, ending.attempt] = Money(advanced=ADVANCED, at_risk=ADVANCED)
                    return
                charge = cost
            case ResultGone():
                known.state, charge = State.EXPIRED, ADVANCED
            case StillRunning():
                return
        self.money[name, ending.attempt] = Money(
            advanced=ADVANCED,
            charged=charge,
            refunded=max(0, ADVANCED - charge),
            over_reserve=max(0, charge - RESERVE),
        )

    @precondition(lambda self: self.failed)
    @rule(
        data=st.data(), cost=st.sampled_from([0, PRICE, ADVANCED, 3 * RESERVE]), late=st.booleans()
    )
    def settle_a_failure(self, data: st.DataObject, cost: int, late: bool) -> None:
        key = name, attempt = data.draw(st.sampled_from(sorted(self.failed)))
        ids = {name: task for task, name in self.names.items()}
        found = FailureCost(
            task=ids[name],
            attempt=attempt,
            remote_id=RemoteId(self.ids[key]),
            tag="",
            booked=cost + 1 if late else self.failed[key],
            cost=cost,
        )
        self.do(self.scene.store.settle_failures([found], [], now=self.clock.now()))
        if late:
            return
        self.failed[key], before = cost, self.money[key]
        self.money[key] = Money(
            advanced=ADVANCED,
            charged=cost,
            refunded=max(0, ADVANCED - cost),
            over_reserve=max(0, before.over_reserve + cost - before.charged - before.at_risk),
        )

    def waits(self, name: str, attempt: int) -> bool:
        """Whether that attempt is the current one and its task waits at the API."""
        known = self.tasks[name]
        return known.state is State.POSTED and known.attempt == attempt

    # -- what always holds -------------------------------------------------------------------

    @invariant()
    def the_store_says_what_the_model_says(self) -> None:
        status = self.do(self.scene.status())
        known = self.tasks.values()
        assert status.reasons == Counter((each.state, each.reason) for each in known)
        assert status.tasks == len(self.tasks)
        assert status.changed == sum(each.changed for each in known)
        pending = [each for each in known if each.state is State.PENDING]
        assert status.gone == sum(each.left for each in pending)
        assert status.held == sum(not each.due or self.paused for each in pending)
        assert (status.paused is not None) == self.paused
        assert status.money == sum(self.money.values(), Money())

    @invariant()
    def counters_and_sums_are_those_of_a_fresh_count(self) -> None:
        read = self.place.read
        counted = read(
            "SELECT state, reason, changed, count(*) FROM tasks GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        kept = read(
            "SELECT state, reason, changed, n FROM run_states WHERE n <> 0 ORDER BY 1, 2, 3"
        )
        sums = ", ".join(f"coalesce(sum({name}_nanousd), 0)" for name in SUMS)
        summed = read(f"SELECT {sums} FROM charges")
        money = read(f"SELECT {', '.join(f'{name}_nanousd' for name in SUMS)} FROM run_money")
        assert (kept, money) == (counted, summed)

    @invariant()
    def the_store_itself_finds_nothing_wrong(self) -> None:
        assert self.do(self.scene.store.verify()) == []

    @invariant()
    def every_move_is_in_the_table_and_every_charge_stands_alone(self) -> None:
        read = self.place.read
        moves = read("SELECT DISTINCT old, new FROM moves_seen")
        several_open = read(
            """
            SELECT task_id FROM attempts WHERE state IN ('posting', 'posted', 'unknown')
             GROUP BY task_id HAVING count(*) > 1
            """
        )
        ((attempts, tags),) = read("SELECT count(*), count(DISTINCT tag) FROM attempts")
        assert all(State(new) in MOVES[State(old)].values() for old, new in moves)
        assert several_open == []
        assert attempts == tags == len(self.tags)
