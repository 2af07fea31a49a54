"""Deliveries between their arrival and their booking."""

from collections.abc import Sequence
from datetime import timedelta

from runner.lifecycle import State
from runner.rows import Attempt, Batch
from runner.store.inbox import Delivery, Letter, Standing, Undelivered
from runner.store.values import Ceiling
from runner.task import RemoteId, Tag
from tests.store.steps import (
    HOUR,
    MINUTE,
    PRICE,
    RESERVE,
    Scene,
    accepted,
    answered,
    lost,
    numbered,
    remote_id,
    seal,
)


async def posted(scene: Scene, count: int = 1) -> Batch:
    """An input of *count* questions, posted with a postback."""
    await scene.load(numbered(count))
    batch = await intended(scene)
    await scene.settle(batch, accepted)
    return batch


async def intended(scene: Scene) -> Batch:
    now = scene.clock.now()
    ((target, _),) = await scene.store.targets_to_post(scene.run.id, now=now)
    batch = await scene.store.begin_batch(
        run=scene.run.id,
        target=target,
        account=scene.account,
        worker=scene.worker,
        limit=100,
        now=now,
        patience=MINUTE,
        ceiling=Ceiling(),
        postback=True,
        seal=seal,
    )
    assert isinstance(batch, Batch)
    return batch


def of(attempt: Attempt, body: bytes = b"gzip", *, id: RemoteId | None = None) -> Delivery:
    return Delivery(remote_id=id or remote_id(attempt.tag), tag=attempt.tag, body=body)


async def deliver(scene: Scene, *deliveries: Delivery) -> int:
    return await scene.store.deliver(deliveries, now=scene.clock.now())


async def letters(scene: Scene, *, after: int = 0, most_bytes: int = 1 << 20) -> list[Letter]:
    return await scene.store.letters(after=after, limit=10, most_bytes=most_bytes)


def standings(found: Sequence[Letter]) -> list[Standing]:
    return [letter.standing for letter in found]


async def test_a_delivery_is_kept_once_and_booked_with_its_letter(scene: Scene) -> None:
    """The API delivers again what was not acknowledged in time; an answer counts once."""
    (attempt,) = (await posted(scene)).attempts
    assert await deliver(scene, of(attempt), of(attempt)) == 1
    assert await deliver(scene, of(attempt)) == 0
    (letter,) = await letters(scene)
    assert (letter.standing, letter.delivery.body) == (Standing.OPEN, b"gzip")
    assert letter.posted is not None
    assert letter.posted.remote_id == remote_id(attempt.tag)
    now = scene.clock.now()
    await scene.store.book([answered(letter.posted)], letters=[letter.id], now=now)
    assert await letters(scene) == []
    assert await scene.states() == {State.COMPLETED: 1}
    assert await deliver(scene, of(attempt)) == 1
    assert standings(await letters(scene)) == [Standing.OVER]


async def test_what_a_delivery_is_worth_depends_on_what_is_known_of_its_tag(scene: Scene) -> None:
    """Anyone may post a delivery with a right signature and an old or foreign tag."""
    await scene.load(numbered(1))
    batch = await intended(scene)
    (attempt,) = batch.attempts
    foreign = Delivery(remote_id=RemoteId("x"), tag="abcdefgh.zz.1.0.1", body=b"")
    await deliver(scene, of(attempt), foreign)
    assert standings(await letters(scene)) == [Standing.UNDER_WAY, Standing.FOREIGN]
    await scene.settle(batch, lost, outcome="unknown")
    (hint, _) = await letters(scene)
    assert (hint.standing, hint.posted, hint.delivery.body) == (Standing.HINT, None, b"")
    await scene.store.drop_letters([hint.id])
    assert standings(await letters(scene)) == [Standing.FOREIGN]


async def test_letters_come_in_pages_that_fit_the_memory(scene: Scene) -> None:
    """A night's deliveries may wait when the engine comes back."""
    batch = await posted(scene, 3)
    await deliver(scene, *(of(attempt, bytes(100)) for attempt in batch.attempts))
    first = await letters(scene, most_bytes=250)
    assert len(first) == 2
    rest = await letters(scene, after=first[-1].id, most_bytes=1)
    assert len(rest) == 1


async def test_what_was_not_delivered_is_asked_to_be_sent_again_once(scene: Scene) -> None:
    """F75: each resend is a call of the account's; a receiver that was down needs one."""
    (attempt,) = (await posted(scene)).attempts
    assert await scene.take() == []
    tag = Tag.parse(attempt.tag)
    assert tag is not None
    assert await scene.store.mark_ready([tag], now=scene.clock.now()) == 1
    assert await scene.store.undelivered(10, now=scene.clock.now()) == []
    scene.clock.advance(MINUTE)
    again = Undelivered(task=attempt.task, attempt=attempt.number, remote_id=remote_id(attempt.tag))
    assert await scene.store.undelivered(10, now=scene.clock.now()) == [again]
    assert await scene.store.undelivered(10, now=scene.clock.now()) == []
    scene.clock.advance(5 * MINUTE)
    assert [task.task for task in await scene.take()] == [attempt.task]


async def test_a_task_with_a_postback_is_asked_for_by_itself_after_six_hours(
    scene: Scene,
) -> None:
    """What comes by itself needs no call; what never comes must not be lost."""
    await posted(scene)
    scene.clock.advance(5 * HOUR)
    assert await scene.take() == []
    scene.clock.advance(HOUR)
    (task,) = await scene.take()
    assert task.postback


async def test_the_gauges_tell_what_waits_and_what_it_costs(scene: Scene) -> None:
    """A monitor rings by them."""
    since = scene.clock.now()
    batch = await posted(scene, 2)
    await deliver(scene, of(batch.attempts[0]))
    scene.clock.advance(timedelta(minutes=3))
    gauges = await scene.store.gauges()
    assert {state: n for state, n in gauges.states.items() if n} == {State.POSTED: 2}
    assert (gauges.inbox, gauges.posts, gauges.reserved) == (1, 1, 2 * RESERVE)
    assert gauges.oldest_delivery_at == gauges.oldest_posted_at == since
    (letter,) = await letters(scene)
    assert letter.posted is not None
    ending = answered(letter.posted)
    await scene.store.book([ending], letters=[letter.id], now=scene.clock.now())
    gauges = await scene.store.gauges()
    assert (gauges.charged, gauges.at_risk, gauges.inbox) == (PRICE, 0, 0)
    assert gauges.oldest_delivery_at is None


async def test_that_it_can_be_written_is_proved_again_and_again(scene: Scene) -> None:
    """The receiver asks at its start, and the monitor all the time."""
    for _ in range(2):
        await scene.store.prove_writable(now=scene.clock.now())
