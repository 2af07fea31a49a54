"""The life of a store by random steps, on both stores; on a server with two hosts at once."""

from contextlib import AbstractContextManager

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from runner.rows import Batch
from runner.store.postgres.connection import WORKERS
from runner.store.workers import OVERDUE, SILENCE
from tests.store.life import HOW, Life
from tests.store.places import Place, ServerPlace
from tests.store.steps import remote_id
from tests.support.postgres import Server
from tests.support.waiting import until

THERE = f"""
    SELECT objid::bigint FROM pg_locks
     WHERE locktype = 'advisory' AND classid = {WORKERS}
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The workers that hold a connection."""


class LifeOnServer(Life):
    """The same on PostgreSQL, by two hosts: what happens next happens on either of them."""

    revocable = True

    def make_place(self) -> AbstractContextManager[Place]:
        return ServerPlace.made()

    def join(self) -> None:
        self.other = self.stack, self.scene, self.open
        self.do(self._open())
        self.open = []

    def teardown(self) -> None:
        if hasattr(self, "other"):
            self.do(self.other[0].aclose())
        super().teardown()

    @rule()
    def change_hosts(self) -> None:
        here = self.stack, self.scene, self.open
        self.stack, self.scene, self.open = self.other
        self.other = here

    def die(self) -> None:
        super().die()
        # The end of a connection takes the server a moment; until then only the long silence tells.
        self.do(until(lambda: (self.scene.worker,) not in self.place.read(THERE)))

    def lose(self, batches: list[Batch]) -> None:
        # The living one beats; a post whose time is long over is in doubt all the same.
        _, scene, posting = self.other
        self.do(scene.store.beat(scene.worker, now=self.clock.now()))
        late = self.overdue(posting)
        self.other = self.other[0], scene, [each for each in posting if each not in late]
        super().lose(batches + late)

    def overdue(self, batches: list[Batch]) -> list[Batch]:
        return [each for each in batches if each.deadline < self.clock.now() - OVERDUE]

    @precondition(lambda self: all(self.deaths[n] < 2 for n in self.asked_by(self.other[2])))
    @rule()
    def take_over_from_the_other(self) -> None:
        """It was silent for so long that it is taken for dead; yet it goes on."""
        stack, scene, posting = self.other
        self.deaths.update(self.asked_by(posting))
        self.clock.advance(2 * SILENCE)
        now = self.clock.now()
        left = self.do(self.scene.store.take_over(self.scene.worker, now=now))
        late = self.overdue(self.open)
        assert set(left.workers) <= {scene.worker}
        assert left.batches == len(posting) + len(late)
        self.open = [each for each in self.open if each not in late]
        self.other = stack, scene, []
        super().lose(posting + late)

    # The dead one was only cut off: an id that it brings is as good as one that is found.
    @precondition(lambda self: self.cut)
    @rule(data=st.data(), how=st.sampled_from(sorted(HOW)))
    def bring_late(self, data: st.DataObject, how: str) -> None:
        batch = self.cut.pop(data.draw(st.integers(0, len(self.cut) - 1)))
        self.over.append(batch)
        self.do(self.scene.settle(batch, HOW[how]))
        for attempt in batch.attempts if how == "accepted" else ():
            self.see(attempt.tag, remote_id(attempt.tag))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


@pytest.fixture
def servers(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine makes its stores itself, and needs to know where."""
    monkeypatch.setattr(ServerPlace, "server", postgres)


TestLifeOnServer = pytest.mark.usefixtures("servers")(LifeOnServer.TestCase)
TestLifeOnServer.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
