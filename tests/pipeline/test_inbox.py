"""What the API delivered by itself: booked as if it had been asked for, or looked at first."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from runner.lifecycle import State
from runner.pipeline import inbox
from runner.pipeline.inbox import BadDelivery, _Desk, resend, take_in_round, unpacked
from runner.pipeline.poller import claim
from runner.pipeline.submitter import Poster
from runner.postbacks import PostbackAddress
from runner.simulator import endpoints
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.endpoints import postback
from runner.simulator.envelope import entry, success
from runner.simulator.faults import Fault
from runner.simulator.ledger import RemoteTask
from runner.store.inbox import Delivery
from runner.task import Provider, RemoteId, Tag
from tests.pipeline.scene import HOUR, MINUTE, Scene, lasting, staged
from tests.simulator.helpers import question
from tests.support.clock import ManualClock

NOWHERE = PostbackAddress("http://127.0.0.1:9", "the secret of the inbox's tests")
"""Nobody listens: what is delivered in these tests, they deliver themselves."""


@pytest.fixture
async def scene(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Scene]:
    """An engine that posts with postbacks; tasks end after a minute."""
    async with staged(tmp_path, clock, latency=lasting(MINUTE), ready_lists_failures=True) as made:
        made.engine = replace(made.engine, postbacks=NOWHERE)
        made.poster = Poster(made.engine, [made.posting])
        yield made


def body_of(scene: Scene, task: RemoteTask) -> bytes:
    return gzip.compress(postback(scene.account, task).encoded())


async def deliver(scene: Scene, task: RemoteTask, body: bytes | None = None, **other: str) -> None:
    """What the receiver does with the postback of *task*."""
    delivery = Delivery(
        remote_id=RemoteId(other.get("id", task.id)),
        tag=other.get("tag", str(task.tag)),
        body=body_of(scene, task) if body is None else body,
    )
    await scene.store.deliver([delivery], now=scene.clock.now())


async def posted(scene: Scene, count: int = 1) -> list[RemoteTask]:
    await scene.load(count)
    await scene.poster.post_next()
    scene.clock.advance(2 * MINUTE)
    return list(scene.account.ledger.tasks)


def gets(scene: Scene) -> int:
    return scene.account.calls.counts[CallKind.TASK_GET]


def waiting(scene: Scene) -> int:
    return int(scene.sql("SELECT count(*) FROM inbox")[0][0])


async def test_a_delivered_answer_is_booked_without_a_call(scene: Scene) -> None:
    """The point of it all: one call for a hundred tasks instead of a hundred and one."""
    tasks = await posted(scene, 3)
    for task in tasks:
        await deliver(scene, task)
    assert await take_in_round(scene.engine) == 3
    assert await scene.states() == {State.COMPLETED: 3}
    assert gets(scene) == 0
    assert waiting(scene) == 0
    scene.account.now_ms()  # Books what has ended.
    charged = (await scene.status()).money.charged
    assert charged == scene.account.ledger.totals.charged_nanousd


async def test_delivered_answers_teach_how_long_answers_take(scene: Scene) -> None:
    """Where the receiver fails one night, its tasks are asked for when they are likely done."""
    planner = scene.engine.planner
    spare = planner.spare
    for task in await posted(scene, 3):
        await deliver(scene, task)
    await take_in_round(scene.engine)
    (kept,) = planner.to_keep().values()
    assert sum(kept.curve.weights) == 3
    assert planner.spare == spare, "no call was made for them, so none may be wasted for them"


async def test_a_task_with_a_postback_is_asked_for_only_after_six_hours(scene: Scene) -> None:
    """Asking for what comes by itself would spend the calls that postbacks save."""
    await posted(scene)
    assert await claim(scene.engine, 10) == []
    scene.clock.advance(6 * HOUR)
    (task,) = await claim(scene.engine, 10)
    assert task.postback


async def test_what_the_ready_list_shows_is_sent_again_once_then_asked_for(scene: Scene) -> None:
    """F75: a receiver that was down loses nothing: resent when it is back, else fetched."""
    (task,) = await posted(scene)
    tag = inbox_tag(task)
    assert await scene.store.mark_ready([tag], now=scene.clock.now()) == 1
    assert await resend(scene.engine) == 0
    scene.clock.advance(2 * MINUTE)
    assert await resend(scene.engine) == 1
    assert await resend(scene.engine) == 0
    assert scene.account.calls.counts[CallKind.WEBHOOK_RESEND] == 1
    assert await claim(scene.engine, 10) == []
    scene.clock.advance(4 * MINUTE)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 1}


def inbox_tag(task: RemoteTask) -> Tag:
    tag = Tag.parse(task.tag)
    assert tag is not None
    return tag


async def test_a_replayed_postback_changes_nothing(scene: Scene) -> None:
    """F72: delivered again when all is over, it is dropped, and costs no call."""
    (task,) = await posted(scene)
    await deliver(scene, task)
    await take_in_round(scene.engine)
    before = scene.sql("SELECT * FROM attempts"), scene.sql("SELECT * FROM results")
    await deliver(scene, task)
    await take_in_round(scene.engine)
    assert (scene.sql("SELECT * FROM attempts"), scene.sql("SELECT * FROM results")) == before
    assert waiting(scene) == 0
    assert gets(scene) == 0


async def test_a_postback_before_the_posts_own_answer_resolves_the_doubt(scene: Scene) -> None:
    """F73: the reply to the post was lost; the delivery names the id, one free call proves it."""
    scene.strike(Fault.DROP_AFTER)
    (task,) = await posted(scene)
    assert await scene.states() == {State.UNKNOWN: 1}
    await deliver(scene, task)
    await take_in_round(scene.engine)
    await take_in_round(scene.engine)
    assert await scene.states() == {State.COMPLETED: 1}
    assert scene.remote_ids() == {str(task.tag): task.id}
    assert gets(scene) == 1
    assert waiting(scene) == 0


async def test_while_its_post_is_under_way_a_postback_waits(scene: Scene) -> None:
    """F73: the reply is about to bring the id; asking for it would be a call for nothing."""
    await scene.load(1)
    intent = await scene.poster.intend()
    assert intent is not None
    reply = await scene.engine.api.send(intent.post)
    scene.clock.advance(2 * MINUTE)
    (task,) = scene.account.ledger.tasks
    await deliver(scene, task)
    assert await take_in_round(scene.engine) == 0
    assert waiting(scene) == 1
    await scene.store.settle_batch(
        intent.batch,
        reply.outcomes,
        outcome="answered",
        code=20000,
        message=None,
        now=scene.clock.now(),
    )
    await take_in_round(scene.engine)
    assert await scene.states() == {State.COMPLETED: 1}
    assert gets(scene) == 0


async def test_a_hint_to_an_id_that_is_not_ours_is_refuted_and_forgotten(scene: Scene) -> None:
    """F71: who has an address cannot hang another task's answer on ours."""
    first, second = await posted(scene, 2)
    await deliver(scene, second, tag=str(first.tag))
    await take_in_round(scene.engine)
    assert await scene.states() == {State.POSTED: 2}
    assert scene.remote_ids() == scene.created()
    assert waiting(scene) == 0


@pytest.mark.parametrize("lasts", [MINUTE, HOUR])
async def test_a_hint_to_a_task_without_a_tag_is_refuted(scene: Scene, lasts: timedelta) -> None:
    """F71, F73: somebody else's task, finished or running, bears no name of ours; its answer must
    not become the answer of a task in doubt."""
    scene.strike(Fault.DROP_BEFORE)
    await posted(scene)
    assert await scene.states() == {State.UNKNOWN: 1}
    scene.account.change(replace(scene.account.scenario, latency=lasting(lasts)))
    nameless = {name: value for name, value in question().items() if name != "tag"}
    scene.account.post(Provider.CLAUDE, [nameless])
    (theirs,) = scene.account.ledger.tasks
    scene.clock.advance(2 * MINUTE)
    ((ours,),) = scene.sql("SELECT tag FROM attempts")
    await deliver(scene, theirs, tag=ours)
    for _ in range(2):
        await take_in_round(scene.engine)
    assert gets(scene) == 1
    assert await scene.states() == {State.UNKNOWN: 1}
    assert scene.remote_ids() == {}
    assert waiting(scene) == 0
    assert await scene.store.incidents() == []


@pytest.mark.parametrize("trouble", ["withheld", "unclear", "may pass"])
async def test_a_hint_is_looked_at_again_while_the_api_does_not_say_whose_it_is(
    scene: Scene, trouble: str
) -> None:
    """F73: dropped, the doubt would have to wait for the listing, and perhaps for 72 hours."""
    scene.strike(Fault.DROP_AFTER)
    (task,) = await posted(scene)
    await deliver(scene, task)
    desk = _Desk()

    def strange(account: Account, call: Any) -> Any:
        code = {"withheld": 40200, "unclear": 45678, "may pass": 50000}[trouble]
        return success([entry(call, task.id, code, {}, cost=0)])

    with mock.patch.dict(endpoints._HANDLERS, {CallKind.TASK_GET: strange}):
        for _ in range(20):
            await take_in_round(scene.engine, desk)
            scene.clock.advance(MINUTE)
    # At 10 s doubling to ten minutes; a failure that may pass is tried three times each.
    assert gets(scene) <= 3 * 7
    assert (await scene.states(), waiting(scene)) == ({State.UNKNOWN: 1}, 1)
    scene.clock.advance(10 * MINUTE)
    for _ in range(2):
        await take_in_round(scene.engine, desk)
    assert await scene.states() == {State.COMPLETED: 1}
    assert waiting(scene) == 0


async def test_another_tasks_answer_under_our_id_is_not_booked(scene: Scene) -> None:
    """F71: tag and id in the address may be right, and the body still be about something else."""
    first, second = await posted(scene, 2)
    await deliver(scene, first, body_of(scene, second))
    await take_in_round(scene.engine)
    assert await scene.states() == {State.POSTED: 2}
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 1, State.POSTED: 1}


async def test_a_foreign_tag_is_dropped(scene: Scene) -> None:
    """Two stores may share a secret by mistake; neither may book for the other."""
    (task,) = await posted(scene)
    tag = inbox_tag(task)
    await deliver(scene, task, tag=str(replace(tag, install="zzzzzzzz")))
    assert await take_in_round(scene.engine) == 1
    assert waiting(scene) == 0
    assert await scene.states() == {State.POSTED: 1}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x1f\x8bgarbage", id="no gzip"),
        pytest.param(b"{not json", id="no JSON"),
        pytest.param(b"{}", id="no tasks"),
        pytest.param(gzip.compress(b"<html>")[:-3], id="cut gzip"),
    ],
)
async def test_what_cannot_be_read_is_kept_and_the_task_asked_for(
    scene: Scene, body: bytes
) -> None:
    """F74: the API believes that it delivered, so it would never show on the ready list."""
    (task,) = await posted(scene)
    await deliver(scene, task, body)
    await take_in_round(scene.engine)
    assert waiting(scene) == 0
    assert len(scene.sql("SELECT raw FROM replies")) == 1
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 1}


async def test_a_pingback_has_its_task_asked_for(scene: Scene) -> None:
    """It brings no answer, only the word that there is one."""
    (task,) = await posted(scene)
    await deliver(scene, task, b"")
    await take_in_round(scene.engine)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 1}


async def test_a_failure_is_delivered_like_an_answer(scene: Scene) -> None:
    """Its tries, its money and its reason are those of a failure that was asked for."""
    scene.account.change(replace(scene.account.scenario, error_rate=1.0))
    (task,) = await posted(scene)
    await deliver(scene, task)
    await take_in_round(scene.engine)
    assert await scene.states() == {State.PENDING: 1}
    assert scene.sql("SELECT tries FROM tasks") == [(1,)]


async def test_no_signature_is_kept_in_a_reply(scene: Scene) -> None:
    """The API repeats the address, signature and all, in what it delivers."""
    (task,) = await posted(scene)
    await deliver(scene, task)
    await take_in_round(scene.engine)
    text = zlib.decompress(await scene.store.reply(1, 1) or b"").decode()
    assert "postback_url" in text
    url = json.loads(text)["tasks"][0]["data"]["postback_url"]
    assert url.endswith("sig=***")


def test_a_bomb_is_given_up_long_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """F74: ten megabytes of zeros from ten kilobytes; memory stays at a fraction of it."""
    bomb = gzip.compress(bytes(10 * 1024 * 1024))
    with pytest.raises(BadDelivery, match="times as large"):
        unpacked(bomb)
    monkeypatch.setattr(inbox, "MOST_INFLATED", 1_000)
    with pytest.raises(BadDelivery, match="when unpacked"):
        unpacked(gzip.compress(b"x" * 2_000))
    assert unpacked(gzip.compress(b"fine")) == b"fine"


async def test_the_inbox_is_read_in_parts_of_bounded_size(scene: Scene) -> None:
    """A night without an engine may leave gigabytes in it."""
    tasks = await posted(scene, 5)
    for task in tasks:
        await deliver(scene, task)
    size = len(body_of(scene, tasks[0]))
    letters = await scene.store.letters(after=0, limit=100, most_bytes=2 * size + size // 2)
    assert 1 <= len(letters) <= 3
    assert len(await scene.store.letters(after=0, limit=100, most_bytes=1)) == 1
    assert timedelta(0) <= scene.clock.now() - letters[0].received_at
