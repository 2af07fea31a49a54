"""The receiver behind a real socket: who is let in, what is kept, what is refused."""

import asyncio
import errno
import gzip
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from runner.clock import SystemClock
from runner.errors import WrongInput
from runner.postbacks import PostbackAddress, signature
from runner.store.inbox import Delivery
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import StoreUnwritable
from runner.task import Tag, TaskId
from runner.web import mailbox, receiver
from runner.web.listen import Listen
from runner.web.receiver import Receiver
from tests.support.waiting import until

SECRET = "the secret of the receiver's tests"
OLD = "the secret before the last change"
TAG = str(Tag("aaaaaaaa", "bbbbbbbb", TaskId(7), "c" * 26, 1))
BODY = gzip.compress(b'{"status_code":20000}')
HERE = Listen(host="127.0.0.1", port=0)


def address(tag: str = TAG, sig: str | None = None, id: str = "0611-1") -> str:
    sig = signature(SECRET, tag) if sig is None else sig
    return f"/postback/{id}?tag={tag}&sig={sig}"


class Place:
    """A store, a receiver on it, and a client that talks to it."""

    def __init__(self, path: Path, made: Receiver, client: aiohttp.ClientSession) -> None:
        self.path = path
        self.receiver = made
        self.client = client

    async def post(self, where: str, body: bytes = BODY, *, encoding: str = "") -> int:
        url, headers = self.receiver.url + where, {"Content-Encoding": encoding}
        async with self.client.post(url, data=body, headers=headers if encoding else {}) as reply:
            return reply.status

    async def get(self, where: str, **more: str) -> tuple[int, str]:
        async with self.client.get(self.receiver.url + where, headers=more) as reply:
            return reply.status, await reply.text()

    def kept(self) -> list[tuple[str, str, bytes]]:
        """What another process would find in the inbox."""
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT remote_id, tag, body FROM inbox ORDER BY id").fetchall()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path / "runner.db", clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
async def place(tmp_path: Path, store: SqliteStore) -> AsyncIterator[Place]:
    made = Receiver(store, HERE, secrets=(SECRET, OLD), clock=SystemClock(), prefix="/hooks")
    async with made, aiohttp.ClientSession() as client:
        yield Place(tmp_path / "runner.db", made, client)


async def test_what_was_answered_with_200_is_in_the_store(place: Place) -> None:
    """The API sends it once: after its 200 nobody else has it."""
    assert await place.post(address(), encoding="gzip") == 200
    assert place.kept() == [("0611-1", TAG, BODY)]


async def test_a_forged_postback_is_not_found_and_nothing_is_written(place: Place) -> None:
    """F71: without the signature of this very tag an address does not exist."""
    other = str(Tag("aaaaaaaa", "bbbbbbbb", TaskId(8), "c" * 26, 1))
    for where in (
        address(sig=""),
        address(sig="a" * 32),
        address(sig=signature(SECRET, other)),
        address(sig=signature("somebody else's secret", TAG)),
        address(tag="not-a-tag-of-ours"),
        "/postback/0611-1",
        f"/postback/{'x' * 300}?tag={TAG}&sig={signature(SECRET, TAG)}",
    ):
        assert await place.post(where) == 404
        assert (await place.get(where))[0] == 404
    assert place.kept() == []
    assert place.receiver.counts.forged == 14


async def test_the_previous_secret_still_opens(place: Place) -> None:
    """What was posted before the secret was changed is delivered days later."""
    assert await place.post(address(sig=signature(OLD, TAG))) == 200


async def test_a_probe_is_answered_and_nothing_is_kept(place: Place) -> None:
    """`runner doctor` asks whether the public URL leads here; no delivery looks like it."""
    own = PostbackAddress("", SECRET).probe_url()
    assert (await place.get(own))[0] == 204
    assert (await place.get("/hooks" + own))[0] == 204
    assert (await place.get(PostbackAddress("", OLD).probe_url()))[0] == 204
    assert (await place.get(PostbackAddress("", "somebody else's").probe_url()))[0] == 404
    assert (await place.get(own.replace("/probe?", "/0611-1?")))[0] == 404
    assert await place.post(own) == 404
    assert place.kept() == []
    assert place.receiver.counts.accepted == 0


async def test_the_path_of_a_proxy_may_stay_in_front(place: Place) -> None:
    """Some proxies pass the path on as it came, some cut it off."""
    assert await place.post("/hooks" + address()) == 200


async def test_a_replayed_postback_is_kept_once(place: Place) -> None:
    """F72: a duplicate is acknowledged, for it is no failure, and changes nothing."""
    statuses = await asyncio.gather(*(place.post(address()) for _ in range(20)))
    assert statuses == [200] * 20
    assert len(place.kept()) == 1


async def test_a_pingback_is_kept_as_a_hint(place: Place) -> None:
    """It says that a task is done, and brings no answer."""
    assert (await place.get(address()))[0] == 200
    assert place.kept() == [("0611-1", TAG, b"")]


async def test_a_body_that_is_too_large_is_refused_while_it_comes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F74: a gigabyte is not read to its end, whether its length was told or not."""
    monkeypatch.setattr(receiver, "MOST_COMPRESSED", 100_000)
    assert await place.post(address(), b"\x1f\x8b" + bytes(200_000)) == 413

    async def endless() -> AsyncIterator[bytes]:
        yield b"\x1f\x8b"
        for _ in range(100):
            yield bytes(50_000)

    try:
        url = place.receiver.url + address()
        async with place.client.post(url, data=endless()) as reply:
            assert reply.status == 413
    except aiohttp.ClientError:
        pass  # Cut off before it had sent all: just as good.
    assert place.receiver.counts.refused == 2
    assert place.kept() == []


async def test_what_is_neither_gzip_nor_json_is_refused(place: Place) -> None:
    """F74: a wrong encoding is said at once, for nobody could read it later."""
    for body in (b"", b"<html>", b"BZh91AY"):
        assert await place.post(address(), body) == 400
    assert await place.post(address(), b'{"status_code":20000}') == 200


async def test_a_body_that_trickles_in_is_given_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F74: else a few slow senders would hold every place there is."""
    monkeypatch.setattr(receiver, "BODY_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", place.receiver.port)
    head = f"POST {address()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head.encode() + b"\x1f\x8b")
    assert (await reader.readline()).split()[1] == b"408"
    writer.close()
    assert place.kept() == []


async def test_more_than_there_is_room_for_is_sent_away_and_not_buffered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F74: memory stays flat; what is sent away shows on the ready list."""
    monkeypatch.setattr(mailbox, "MOST_HELD", 10_000)
    assert await place.post(address(), b"\x1f\x8b" + bytes(20_000)) == 503
    assert await place.post(address()) == 200
    monkeypatch.setattr(receiver, "MOST_OPEN", 0)
    assert await place.post(address(id="0611-2")) == 503
    assert place.receiver.counts.overload == 2
    assert len(place.kept()) == 1


class Stuck(SqliteStore):
    """A store on a disk that is full."""

    def __init__(self) -> None:
        pass

    async def deliver(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        raise StoreUnwritable("the disk is full")

    async def prove_writable(self, *, now: datetime) -> None:
        raise StoreUnwritable("the disk is full")


async def test_without_a_durable_copy_there_is_no_200(tmp_path: Path) -> None:
    """F75: the API then keeps the task on its ready list, where it is found."""
    made = Receiver(Stuck(), HERE, secrets=(SECRET,), clock=SystemClock())
    async with made, aiohttp.ClientSession() as client:
        place = Place(tmp_path / "x.db", made, client)
        assert await place.post(address()) == 503
        assert (await place.get("/healthz"))[0] == 503


async def test_a_commit_that_fails_as_nobody_foresaw_costs_its_own_group_alone(
    place: Place, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every later delivery of this process would wait in vain and be sent away."""
    keep = store.deliver

    async def once_wrong(deliveries: Sequence[Delivery], *, now: datetime) -> int:
        monkeypatch.setattr(store, "deliver", keep)
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(store, "deliver", once_wrong)
    with capture_logs() as lines:
        assert await place.post(address()) == 503
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("receiver.not_kept", "error")
    ]
    assert lines[0]["exc_info"]
    assert await place.post(address()) == 200
    assert len(place.kept()) == 1


async def test_many_at_once_share_a_commit(
    place: Place, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync of the disk for each would let a slow disk set the pace."""
    groups: list[int] = []
    keep = store.deliver

    async def counted(deliveries: Sequence[Delivery], *, now: datetime) -> int:
        groups.append(len(deliveries))
        if len(groups) == 1:
            # A slow disk: all the others come meanwhile.
            await until(lambda: len(place.receiver._mailbox._waiting) == 80 - groups[0])
        return await keep(deliveries, now=now)

    monkeypatch.setattr(store, "deliver", counted)
    statuses = await asyncio.gather(*(place.post(address(id=f"0611-{n}")) for n in range(80)))
    assert statuses == [200] * 80
    assert sum(groups) == 80
    assert len(groups) <= 2


async def test_health_and_metrics_are_beside_it(place: Place) -> None:
    """A monitor sees that it lives, and how much was sent by others."""
    await place.post(address())
    await place.post(address(sig="x"))
    assert await place.get("/healthz") == (200, "ok\n")
    status, text = await place.get("/metrics")
    assert status == 200
    assert 'runner_postbacks_total{outcome="accepted"} 1\n' in text
    assert 'runner_postbacks_total{outcome="forged"} 1\n' in text
    assert 'runner_tasks{state="posted"} 0\n' in text
    assert "runner_inbox 1\n" in text


async def test_metrics_are_not_for_those_whom_a_proxy_lets_through(place: Place) -> None:
    """What was spent is nobody's business outside."""
    assert (await place.get("/metrics", **{"X-Forwarded-For": "203.0.113.9"}))[0] == 404


async def test_a_port_that_is_taken_is_wrong_input(place: Place, store: SqliteStore) -> None:
    """Told at the start, with the address, not found out by answers that do not come."""
    taken = Listen(host="127.0.0.1", port=place.receiver.port)
    with pytest.raises(WrongInput) as told:
        await Receiver(store, taken, secrets=(), clock=SystemClock()).__aenter__()
    # No library's sentence around it.
    assert told.value.what.lower() == f"cannot listen on 127.0.0.1:{taken.port}: " + (
        os.strerror(errno.EADDRINUSE).lower()
    )


@pytest.mark.parametrize("missing", ["chain.pem", "key.pem"])
def test_a_tls_file_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    """Not the other one, which is there: whoever starts a service would look in the wrong place."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for path in (chain, key):
        path.write_text("x", encoding="ascii")
    (tmp_path / missing).unlink()
    with pytest.raises(WrongInput, match=f"{missing} cannot be read") as told:
        Listen(host="127.0.0.1", port=0, tls_cert=chain, tls_key=key).tls()
    assert "--tls-key" in str(told.value.how)


def test_what_is_no_certificate_is_refused_in_words(tmp_path: Path) -> None:
    """OpenSSL says "PEM lib" and a line of its own source."""
    chain = tmp_path / "chain.pem"
    chain.write_text("x", encoding="ascii")
    with pytest.raises(WrongInput) as told:
        Listen(host="127.0.0.1", port=0, tls_cert=chain).tls()
    assert "PEM is needed" in str(told.value.why)
    assert "_ssl.c" not in "".join(told.value.lines())
