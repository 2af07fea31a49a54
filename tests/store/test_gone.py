"""What was taken out of the input is not sent; it waits until it is back, or dropped."""

import msgspec

from runner.lifecycle import State
from runner.rows import InputRow
from runner.store.listing import Selection
from runner.store.protocol import TaskStore
from runner.store.values import Decision, Idle
from tests.store.steps import CLAUDE, GEMINI, Scene, begin, numbered, row
from tests.support.clock import ManualClock


async def to_post(scene: Scene) -> int:
    """How many tasks are posted now."""
    posted = 0
    while not isinstance(batch := await scene.intend(), Idle):
        posted += len(batch.attempts)
    return posted


async def gone(scene: Scene) -> int:
    return (await scene.status()).gone


def only(line: InputRow, *targets: str, samples: int = 1) -> InputRow:
    """*line*, asked of *targets* alone, and so many times."""
    asks = [ask for ask in line.asks if ask.target in targets and ask.sample <= samples]
    return msgspec.structs.replace(line, asks=tuple(asks))


async def test_a_row_that_left_the_input_is_not_posted(scene: Scene) -> None:
    """A budget stopped the first start, then most rows were taken out: they must not be paid."""
    await scene.load(numbered(5))
    await scene.load(numbered(2))
    status = await scene.status()
    assert (status.gone, status.undecided, status.held, status.changed) == (3, 3, 3, 0)
    assert await to_post(scene) == 2
    assert await scene.states() == {State.PENDING: 3, State.POSTING: 2}


async def test_what_is_back_in_the_input_is_posted(scene: Scene) -> None:
    """Nothing is lost by taking a row out, and nothing is to be done to have it asked after all."""
    await scene.load(numbered(5))
    await scene.load(numbered(2))
    await scene.load(numbered(4))
    assert await gone(scene) == 1
    assert await to_post(scene) == 4


async def test_a_target_or_a_sample_that_left_the_job_is_not_posted(
    store: TaskStore, clock: ManualClock
) -> None:
    """The dear model was taken out of the job; its rows are still there for the other one."""
    scene = await begin(store, clock, targets=(CLAUDE, GEMINI))
    lines = [row(n, targets=(CLAUDE, GEMINI), samples=2) for n in (1, 2)]
    await scene.load(lines)
    await scene.load([only(line, "claude", samples=1) for line in lines])
    assert await gone(scene) == 6
    await scene.load([only(line, "claude", samples=2) for line in lines])
    assert await gone(scene) == 4
    assert await to_post(scene) == 4


async def test_what_was_asked_already_is_not_gone(scene: Scene) -> None:
    """What is at the API, or answered, is collected and kept, wherever its row is."""
    await scene.load(numbered(3))
    await scene.complete(1)
    await scene.post(1)
    await scene.load([row(9)])
    assert await gone(scene) == 1
    assert await scene.states() == {State.COMPLETED: 1, State.POSTED: 1, State.PENDING: 2}


async def test_an_edit_that_left_the_input_is_not_asked_with_the_others(scene: Scene) -> None:
    """--changed ask is about what the input says now; taken back, the edit is none."""
    await scene.load([row(1, key="a"), row(2, key="b")])
    await scene.load([row(1, key="a", temperature=0.5), row(2, key="b")])
    await scene.load([row(2, key="b")])
    status = await scene.status()
    assert (status.changed, status.gone) == (0, 1)
    assert await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now()) == 0
    await scene.load([row(1, key="a"), row(2, key="b")])
    status = await scene.status()
    assert (status.changed, status.gone, status.held) == (0, 0, 0)


async def test_lines_that_share_a_key_ask_together(scene: Scene) -> None:
    """One of them is enough, wherever in the input it stands."""
    twice = [row(1, "a", key="k"), row(2, "a", key="k")]
    await scene.load(twice)
    load = await scene.begin_load("in two parts")
    assert load is not None
    for line in twice:
        await scene.store.add_rows(load, [line], now=scene.clock.now())
    await scene.store.end_load(load, rejected=0, now=scene.clock.now())
    assert await gone(scene) == 0
    assert await to_post(scene) == 1


async def test_what_is_gone_can_be_dropped_alone(scene: Scene) -> None:
    """`runner cancel RUN --gone` must not drop what the input still asks."""
    await scene.load(numbered(5))
    await scene.load(numbered(2))
    which = Selection(runs=frozenset({scene.run.id}), gone=True)
    assert await scene.store.cancel(which) == 3
    assert await scene.states() == {State.PENDING: 2, State.CANCELLED: 3}
    assert await gone(scene) == 0
