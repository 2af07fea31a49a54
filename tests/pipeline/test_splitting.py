"""Calls that the API refuses as a whole for one of their tasks: the others are posted anyway."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import pytest

from runner.lifecycle import Reason, State
from runner.pipeline.reconciler import Reconciler
from runner.pipeline.submitter import Poster
from runner.simulator import endpoints
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.envelope import failure
from tests.pipeline.scene import HOUR, MINUTE, Scene, lasting


@dataclass
class Picky:
    """An API that refuses a whole call if one prompt in it holds the word ``bad``."""

    sizes: list[int] = field(default_factory=list)
    """Tasks in each call."""
    creates_first: bool = False
    """Whether it has created those before the bad one by then."""

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        honest = endpoints._HANDLERS[CallKind.TASK_POST]

        def handle(account: Account, call: Any) -> Any:
            sent = json.loads(call.body)
            self.sizes.append(len(sent))
            bad = [n for n, task in enumerate(sent) if "bad" in task["user_prompt"]]
            if not bad:
                return honest(account, call)
            if self.creates_first and bad[0]:
                honest(account, replace(call, body=json.dumps(sent[: bad[0]]).encode()))
            return failure(40501)

        with mock.patch.dict(endpoints._HANDLERS, {CallKind.TASK_POST: handle}):
            yield


async def work_on(scene: Scene, hours: int, *, nights: bool = False) -> None:
    """Post and reconcile for some *hours*; with *nights* a new process does, each three hours."""
    reconciler = Reconciler(scene.engine)
    for turn in range(hours * 6):
        if nights and turn % 18 == 0:
            scene.poster = Poster(scene.engine, [scene.posting])
            reconciler = Reconciler(scene.engine)
        while not scene.engine.signals.too_doubtful and await scene.poster.post_next():
            pass
        await scene.engine.api.user_data()
        await reconciler.look()
        scene.clock.advance(10 * MINUTE)
        await reconciler.look()


@pytest.mark.parametrize("creates_first", [False, True])
@pytest.mark.parametrize("nights", [False, True])
async def test_one_bad_task_is_refused_and_the_others_are_posted_once(
    scene: Scene, creates_first: bool, nights: bool
) -> None:
    """F57: it must not stop the queue for ever. Whether such a call created anything is for the
    listing to say: here it did, or did not, and either way each prompt is paid once."""
    scene.account.change(replace(scene.account.scenario, latency=lasting(MINUTE)))
    picky = Picky(creates_first=creates_first)
    with picky.standing_in():
        await scene.load([f"question {n}?" for n in range(6)] + ["a bad one?", "and another?"])
        await scene.poster.post_next()
        assert await scene.states() == {State.UNKNOWN: 8}
        assert scene.engine.signals.fatal is None
        await work_on(scene, 9, nights=nights)
    assert (await scene.status()).reasons[State.FAILED, Reason.REFUSED] == 1
    assert await scene.states() == {State.FAILED: 1, State.POSTED: 7}
    assert len(scene.account.ledger.tasks) == 7
    assert set(picky.sizes[1:]) == {1}
    (group,) = await scene.store.failures(scene.run.id)
    assert group.code == 40501
    scene.clock.advance(HOUR)
    await scene.fetch_due()
    assert await scene.states() == {State.FAILED: 1, State.COMPLETED: 7}
    money = (await scene.status()).money
    assert money.charged == scene.account.ledger.totals.charged_nanousd
    assert (money.at_risk, money.reserved) == (0, 0)
    assert await scene.store.verify() == []


async def test_a_queue_of_bad_tasks_ends_after_few_doubts(scene: Scene) -> None:
    """Each doubt lasts for the waiting time: a hundred a batch, they would last for weeks."""
    picky = Picky()
    with picky.standing_in():
        await scene.load([f"bad question {n}?" for n in range(400)])
        await work_on(scene, 9)
    assert await scene.states() == {State.FAILED: 400}
    assert [size for size in picky.sizes if size > 1] == [100, 25, 5]
    assert len(scene.account.ledger.tasks) == 0


async def test_what_follows_is_posted_while_the_doubt_lasts(scene: Scene) -> None:
    """One bad row costs its neighbours some minutes, and the others nothing."""
    picky = Picky()
    with picky.standing_in():
        await scene.load(["a bad one?"] + [f"question {n}?" for n in range(199)])
        while await scene.poster.post_next():
            pass
    assert await scene.states() == {State.UNKNOWN: 100, State.POSTED: 100}
    assert picky.sizes == [100, 25, 25, 25, 25]
    assert scene.engine.signals.stopping.is_set() is False
