"""An API gone mad, through the real client, store and stages.

Nothing crashes, nothing is attached to a task that it is not about, and what came is kept to the
byte. Posts and fetches are those of the engine; the account at the other end is made up.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stamina
from hypothesis import given, settings

from runner.api.client import LlmResponses
from runner.api.errors import Unreachable
from runner.api.fetching import MOST_KEPT_UNREAD
from runner.api.sessions import MAX_REPLY_BYTES
from runner.lifecycle import State
from runner.money import NANOS_PER_DOLLAR
from runner.pipeline.poller import claim, fetch
from runner.store.endings import StillRunning
from tests.api.adversary import Adversary, answer, facing, taken, written
from tests.api.loopback import http, serving
from tests.api.mutations import mutated
from tests.pipeline.scene import MINUTE, Scene
from tests.support.clock import ManualClock

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    -(2**63),
    2**64,
    1.5,
    1e308,
    -1e308,
    "",
    "12",
    "x" * 5_000,
    "\ud83d",
    "a\u0000b",
    [],
    {},
    [[]],
    [None],
    {"a": {"b": []}},
]
"""In the place of anything."""


@pytest.fixture(autouse=True)
def _no_waits_within_a_call() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each part of *value*."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in parts:
        yield (*path, name)
        if isinstance(part, dict | list):
            yield from places(part, (*path, name))


def spoilt(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """*value* with *odd* at *path*."""
    copy = json.loads(json.dumps(value))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = odd
    return copy


async def posted(scene: Scene, count: int) -> None:
    await scene.load(count)
    while await scene.poster.post_next():
        pass
    assert await scene.states() == {State.POSTED: count}
    scene.clock.advance(MINUTE)


@asynccontextmanager
async def elsewhere(scene: Scene, url: str) -> AsyncIterator[LlmResponses]:
    """A client of the same account at another address, with all the time it wants."""
    async with LlmResponses(
        base_url=url, login="me", password="secret", get_timeout_s=30.0, clock=scene.clock
    ) as api:
        yield api


def assert_healthy(scene: Scene) -> None:
    assert scene.engine.signals.broken is None
    assert scene.engine.signals.in_flight == 0


# --- posts ----------------------------------------------------------------------------------------


def entries(tags: list[str]) -> Any:
    return json.loads(taken(tags))


def changed(change: Callable[[list[Any]], object]) -> Callable[[list[str]], bytes]:
    """An honest reply whose list of tasks went through *change*."""

    def reply(tags: list[str]) -> bytes:
        value = entries(tags)
        change(value["tasks"])
        return written(value)

    return reply


def each(**fields: Any) -> Callable[[list[str]], bytes]:
    """An honest reply with *fields* in each of its tasks."""
    return changed(lambda tasks: [task.update(fields) for task in tasks])


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def stranger(number: int) -> Any:
    one = entries([f"somebody-{number}"])["tasks"][0]
    return {**one, "id": f"theirs-{number}"}


ALL_TAKEN, ALL_DOUBTFUL = {State.POSTED: 3}, {State.UNKNOWN: 3}
POST_REPLIES = [
    pytest.param(changed(lambda t: t.reverse()), ALL_TAKEN, id="reordered"),
    pytest.param(changed(lambda t: t.extend(t[:])), ALL_TAKEN, id="doubled"),
    pytest.param(changed(lambda t: t.insert(0, stranger(1))), ALL_TAKEN, id="one too many"),
    pytest.param(
        changed(lambda t: t.__setitem__(slice(None), [stranger(n) for n in range(3)])),
        ALL_DOUBTFUL,
        id="other people's",
    ),
    pytest.param(
        changed(lambda t: t[1]["data"].pop("tag")),
        {State.POSTED: 2, State.UNKNOWN: 1},
        id="one without its tag",
    ),
    pytest.param(changed(lambda t: [e.pop("data") for e in t]), ALL_DOUBTFUL, id="no tags"),
    pytest.param(
        changed(lambda t: t[2].update(id=t[0]["id"])),
        {State.POSTED: 1, State.UNKNOWN: 2},
        id="one id for two",
    ),
    pytest.param(
        changed(lambda t: t.pop()), {State.POSTED: 2, State.UNKNOWN: 1}, id="one left out"
    ),
    pytest.param(each(id=12345), ALL_DOUBTFUL, id="ids that are numbers"),
    pytest.param(each(id="a\r\nX: y"), ALL_DOUBTFUL, id="ids with line ends"),
    pytest.param(each(status_code="20100"), ALL_DOUBTFUL, id="codes that are text"),
    pytest.param(each(status_code=20199), ALL_DOUBTFUL, id="codes nobody has heard of"),
    pytest.param(each(cost=1e308), ALL_TAKEN, id="a cost of 1e308"),
    pytest.param(each(cost=-5), ALL_TAKEN, id="a negative cost"),
    pytest.param(each(cost=float("nan")), ALL_DOUBTFUL, id="NaN"),
    pytest.param(each(cost=float("inf")), ALL_DOUBTFUL, id="Infinity"),
    pytest.param(each(extra=deep(90)), ALL_TAKEN, id="nested deeply"),
    pytest.param(each(extra=deep(900)), ALL_DOUBTFUL, id="nested too deeply"),
    pytest.param(lambda _: b"[" * 1_000_000, ALL_DOUBTFUL, id="a million brackets"),
    pytest.param(lambda tags: taken(tags)[:-1], ALL_DOUBTFUL, id="its last byte missing"),
    pytest.param(lambda tags: taken(tags) * 2, ALL_DOUBTFUL, id="two replies in one"),
]


@pytest.mark.parametrize(("reply", "states"), POST_REPLIES)
async def test_a_hostile_receipt_is_believed_only_where_it_names_the_task(
    tmp_path: Path, reply: Callable[[list[str]], bytes], states: dict[State, int]
) -> None:
    """A wrong id attaches somebody's answer; a wrong no pays twice. In doubt, it is a doubt."""
    adversary = Adversary(on_post=reply)
    async with facing(adversary, tmp_path) as scene:
        await scene.load(3)
        await scene.poster.post_next()
        assert await scene.states() == states
        assert all(name == f"id-{tag}" for tag, name in scene.remote_ids().items())
        scene.clock.advance(timedelta(hours=1))
        assert await scene.poster.post_next() is None
        assert adversary.posts == 1
        money = (await scene.status()).money
        assert 0 <= money.reserved + money.at_risk < NANOS_PER_DOLLAR
        assert_healthy(scene)


TAGS = ["first-tag", "second-tag", "third-tag"]
IDS = [f"id-{tag}" for tag in TAGS]


@settings(max_examples=40)
@given(mutated(taken(TAGS), [*TAGS, *IDS]))
async def test_no_altered_receipt_attaches_an_id_that_it_does_not_name(
    tmp_path_factory: pytest.TempPathFactory, template: bytes
) -> None:
    """An id counts only from an entry that bears the task's tag and the code for taken."""
    came = b""

    def reply(tags: list[str]) -> bytes:
        nonlocal came
        came = template
        for placeholder, tag in zip(TAGS, tags, strict=True):
            came = came.replace(placeholder.encode(), tag.encode())
        return came

    async with facing(Adversary(on_post=reply), tmp_path_factory.mktemp("post")) as scene:
        await scene.load(3)
        await scene.poster.post_next()
        assert sum((await scene.states()).values()) == 3
        for tag, remote_id in scene.remote_ids().items():
            named = [e for e in json.loads(came)["tasks"] if isinstance(e, dict)]
            assert any(
                (e.get("id"), e.get("status_code"), e["data"]["tag"]) == (remote_id, 20100, tag)
                for e in named
                if isinstance(e.get("data"), dict) and "tag" in e["data"]
            )
        assert_healthy(scene)


# --- fetches --------------------------------------------------------------------------------------


def kept(scene: Scene, *, unread: bool = False) -> dict[str, bytes]:
    """The replies that the store keeps, by remote id: last words, or those that were *unread*."""
    found = scene.sql(
        "SELECT a.remote_id, r.raw FROM replies r JOIN attempts a"
        " ON a.task_id = r.task_id AND a.number = r.attempt WHERE (a.state = 'posted') = ?",
        unread,
    )
    return {remote_id: zlib.decompress(raw) for remote_id, raw in found}


def texts(scene: Scene) -> dict[str, tuple[str, str | None]]:
    """Answer and parse error of each result, by tag."""
    found = scene.sql(
        "SELECT a.tag, s.answer, s.parse_error FROM results s JOIN attempts a"
        " ON a.task_id = s.task_id AND a.number = s.attempt"
    )
    return {tag: (text, error) for tag, text, error in found}


MODEL_ANSWER = answer("id", "tag")
ENTRY = ("tasks", 0)
RESULT = (*ENTRY, "result")
NEEDED = {
    ("status_code",),
    ("tasks",),
    ENTRY,
    (*ENTRY, "status_code"),
    RESULT,
}
"""Without one of these nobody can say that there is an answer, and whose."""
ITEMS = (*RESULT, 0, "items")
UNREADABLE = {(*RESULT, 0), ITEMS}
"""Without these there is an answer that only a later version may be able to read."""


async def test_an_odd_value_in_any_field_costs_no_more_than_that_field(tmp_path: Path) -> None:
    """An answer was paid for: a strange counter beside it must not lose it, nor crash the run."""
    cases = [(path, odd) for path in places(MODEL_ANSWER) for odd in ODD]
    plan: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def reply(task_id: str, tag: str) -> bytes:
        path, odd = plan.setdefault(task_id, cases[len(plan) % len(cases)])
        return written(spoilt(answer(task_id, tag), path, odd))

    adversary = Adversary(on_get=reply)
    async with facing(adversary, tmp_path) as scene:
        await posted(scene, len(cases))
        await scene.fetch_due()
        assert len(plan) == len(cases)
        raw, results = kept(scene), texts(scene)
        assert all(adversary.served[task_id] == body for task_id, body in raw.items())
        for task_id, (path, odd) in plan.items():
            tag = task_id.removeprefix("id-")
            found = results.get(tag)
            if (path == RESULT and odd and isinstance(odd, list)) or path in UNREADABLE:
                assert found is not None, (path, odd)
                readable = path == ITEMS and isinstance(odd, list)
                assert (found[0], found[1] is None) == ("", readable), (path, odd)
            elif path in NEEDED:
                assert found is None, (path, odd)
            elif path[: len(ITEMS)] != ITEMS:
                assert found == (f"the answer to {tag}", None), (path, odd)
        assert_healthy(scene)


def as_bytes(change: Callable[[Any], object]) -> Callable[[str, str], bytes]:
    """An honest answer after *change*."""

    def reply(task_id: str, tag: str) -> bytes:
        value = answer(task_id, tag)
        change(value)
        return written(value)

    return reply


def about_another(task_id: str, tag: str) -> bytes:
    return written(answer("id-somebody", "somebody"))


def among_others(task_id: str, tag: str) -> bytes:
    others = [answer(f"theirs-{n}", f"tag-{n}")["tasks"][0] for n in range(3)]
    mine = answer(task_id, tag)
    return written({**mine, "tasks": [*others, *mine["tasks"], *others]})


def nameless(value: Any) -> None:
    for name in ("id", "path", "data"):
        del value["tasks"][0][name]


def result(**fields: Any) -> Callable[[str, str], bytes]:
    return lambda task_id, tag: written(answer(task_id, tag, **fields))


def numbers(text: str) -> Callable[[str, str], bytes]:
    """*text* where numbers belong, as no JSON writer would write it."""

    def reply(task_id: str, tag: str) -> bytes:
        body = written(answer(task_id, tag, money_spent="?", input_tokens="?"))
        return body.replace(b'"?"', text.encode())

    return reply


WAITS, ANSWERED = State.POSTED, State.COMPLETED
GET_REPLIES = [
    pytest.param(about_another, WAITS, id="another task's"),
    pytest.param(among_others, ANSWERED, id="among other people's"),
    pytest.param(as_bytes(nameless), WAITS, id="nobody's"),
    pytest.param(as_bytes(lambda v: v["tasks"].extend(v["tasks"][:])), ANSWERED, id="doubled"),
    pytest.param(as_bytes(lambda v: v["tasks"].clear()), WAITS, id="no task"),
    pytest.param(numbers("1e308"), ANSWERED, id="1e308"),
    pytest.param(numbers("1e-999999999"), ANSWERED, id="1e-999999999"),
    pytest.param(numbers("-7"), ANSWERED, id="negative"),
    pytest.param(numbers("8999999999"), ANSWERED, id="nine thousand million"),
    pytest.param(numbers("NaN"), ANSWERED, id="NaN"),
    pytest.param(numbers("-Infinity"), ANSWERED, id="-Infinity"),
    pytest.param(numbers("9" * 5_000), WAITS, id="a number of 5,000 digits"),
    pytest.param(result(extra=deep(90)), ANSWERED, id="nested deeply"),
    pytest.param(result(extra=deep(900)), WAITS, id="nested too deeply"),
    pytest.param(lambda *_: b'{"a":' * 200_000, WAITS, id="200,000 objects deep"),
    pytest.param(result(datetime="9999-99-99 99:99:99"), ANSWERED, id="an impossible date"),
    pytest.param(result(datetime="0001-01-01 00:00:00 +14:00"), ANSWERED, id="before all time"),
    pytest.param(as_bytes(lambda v: v["tasks"][0].update(cost=8_999_999_999)), ANSWERED, id="dear"),
    pytest.param(lambda *_: b"", WAITS, id="nothing"),
    pytest.param(lambda *_: b"\xff\xfe\x00", WAITS, id="bytes"),
]


@pytest.mark.parametrize(("reply", "state"), GET_REPLIES)
async def test_a_hostile_answer_is_kept_to_the_byte_or_asked_for_again(
    tmp_path: Path, reply: Callable[[str, str], bytes], state: State
) -> None:
    """Money is out: either the answer is stored with its reply, or the task goes on waiting."""
    adversary = Adversary(on_get=reply)
    async with facing(adversary, tmp_path) as scene:
        await posted(scene, 3)
        await scene.fetch_due()
        assert await scene.states() == {state: 3}
        assert kept(scene) == (adversary.served if state is ANSWERED else {})
        for tag, found in texts(scene).items():
            assert found == (f"the answer to {tag}", None)
        assert_healthy(scene)
        # It is not the API's last word: an honest one ends it.
        adversary.on_get = Adversary().on_get
        scene.clock.advance(timedelta(hours=1))
        await scene.fetch_due()
        assert await scene.states() == {ANSWERED: 3}


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(numbers("9" * 5_000), id="a number of 5,000 digits"),
        pytest.param(lambda *_: b'{"a":' * 200_000, id="200,000 objects deep"),
        pytest.param(lambda *_: b"<html>Log in to the network</html>", id="a portal's page"),
        pytest.param(lambda *_: b"\xff\xfe\x00", id="bytes"),
    ],
)
async def test_a_reply_that_cannot_be_read_is_kept_until_a_better_one_comes(
    tmp_path: Path, reply: Callable[[str, str], bytes]
) -> None:
    """F50: it may be the answer that was paid for, or a proxy's page: a person can look at it, and
    the task is asked for again."""
    adversary = Adversary(on_get=reply)
    async with facing(adversary, tmp_path) as scene:
        await posted(scene, 2)
        await scene.fetch_due()
        assert await scene.states() == {WAITS: 2}
        beginnings = {each: raw[:MOST_KEPT_UNREAD] for each, raw in adversary.served.items()}
        assert kept(scene, unread=True) == beginnings
        adversary.on_get = Adversary().on_get
        scene.clock.advance(timedelta(hours=1))
        await scene.fetch_due()
        assert await scene.states() == {ANSWERED: 2}
        assert kept(scene) == adversary.served


@pytest.mark.parametrize("items", [None, 7, "text", {}])
async def test_an_answer_that_cannot_be_read_is_kept_for_a_later_version(
    tmp_path: Path, items: Any
) -> None:
    """It was paid for: its bytes stay, and the result says that it could not be read."""
    adversary = Adversary(on_get=result(items=items))
    async with facing(adversary, tmp_path) as scene:
        await posted(scene, 1)
        await scene.fetch_due()
        assert await scene.states() == {ANSWERED: 1}
        ((text, error),) = texts(scene).values()
        assert text == ""
        assert error == "the result has no list of items"
        assert kept(scene) == adversary.served


def names_in(body: bytes) -> list[set[Any]]:
    """What each task of a reply calls itself: id, asked id, tag."""
    found = []
    for each_task in json.loads(body)["tasks"]:
        if isinstance(each_task, dict):
            path, data = each_task.get("path"), each_task.get("data")
            said = [each_task.get("id")]
            said += path[-1:] if isinstance(path, list) else []
            said += [data.get("tag")] if isinstance(data, dict) else []
            found.append({name for name in said if isinstance(name, str)})
    return found


THREE = written(
    {
        **answer(IDS[0], TAGS[0]),
        "tasks": [answer(i, t)["tasks"][0] for i, t in zip(IDS, TAGS, strict=True)],
    }
)


@settings(max_examples=40)
@given(mutated(THREE, [*TAGS, *IDS, "message"]))
async def test_no_altered_answer_is_attached_to_a_task_that_it_does_not_name(
    tmp_path_factory: pytest.TempPathFactory, template: bytes
) -> None:
    """One answer under another's question is worse than none: nobody would notice."""
    tags: list[str] = []

    def remember(sent: list[str]) -> bytes:
        tags[:] = sent
        return taken(sent)

    def reply(task_id: str, tag: str) -> bytes:
        body = template
        for placeholder, real in zip(TAGS, tags, strict=True):
            body = body.replace(placeholder.encode(), real.encode())
        return body

    adversary = Adversary(on_post=remember, on_get=reply)
    async with facing(adversary, tmp_path_factory.mktemp("get")) as scene:
        await posted(scene, 3)
        await scene.fetch_due()
        assert sum((await scene.states()).values()) == 3
        for task_id, raw in kept(scene).items():
            assert raw == adversary.served[task_id]
            own = {task_id, task_id.removeprefix("id-")}
            assert any(own & names for names in names_in(raw))
        assert_healthy(scene)


# --- size -----------------------------------------------------------------------------------------

HUGE = 100 * 1024 * 1024


async def test_a_hundred_megabytes_are_not_read_to_the_end(
    tmp_path: Path, clock: ManualClock
) -> None:
    """A reply without end must not fill the memory, and must not cost the task."""
    adversary = Adversary()
    async with facing(adversary, tmp_path, clock) as scene:
        await posted(scene, 1)
        sent: list[int] = []

        async def flood(writer: asyncio.StreamWriter) -> None:
            sent.append(0)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % HUGE)
            while sent[-1] < HUGE:
                writer.write(b" " * 2**20)
                sent[-1] += 2**20
                await writer.drain()

        (task,) = await claim(scene.engine, 10)
        async with serving(flood) as server, elsewhere(scene, server.url) as api:
            ending = await fetch(replace(scene.engine, api=api), task)
        assert isinstance(ending, StillRunning)
        assert sent
        assert all(MAX_REPLY_BYTES <= size < HUGE for size in sent)
        assert await scene.states() == {State.POSTED: 1}


async def test_a_small_reply_that_swells_to_a_hundred_megabytes_is_stopped(tmp_path: Path) -> None:
    """The same for what a few kilobytes unpack to."""
    bomb = http(gzip.compress(b" " * HUGE, 1), 200, "Content-Encoding: gzip")
    adversary = Adversary()
    async with facing(adversary, tmp_path) as scene:
        await posted(scene, 1)
        (task,) = await claim(scene.engine, 10)
        async with serving(bomb) as server, elsewhere(scene, server.url) as api:
            ending = await fetch(replace(scene.engine, api=api), task)
        assert isinstance(ending, StillRunning)
        assert isinstance(scene.engine.signals.unreachable, Unreachable)
        assert "larger than" in str(scene.engine.signals.unreachable.why)


async def test_twenty_megabytes_of_answer_are_kept_whole(tmp_path: Path) -> None:
    """Large is not hostile: below the cap nothing is cut."""
    items = [{"type": "message", "sections": [{"text": "long " * 4_000_000}]}]
    adversary = Adversary(on_get=result(items=items))
    async with facing(adversary, tmp_path) as scene:
        await posted(scene, 1)
        await scene.fetch_due()
        assert kept(scene) == adversary.served
        ((text, error),) = texts(scene).values()
        assert (len(text), error) == (20_000_000, None)
