"""Takes what the API delivered out of the inbox and books it, as fetched answers are.

    inbox ─▶ the attempt waits under this id ──▶ read, booked and deleted in one transaction
         ├─▶ an id that we do not have for it ─▶ looked at by a free call: if ours, adopted
         ├─▶ its post is under way ────────────▶ left until the reply has brought the id
         └─▶ over, or not ours ────────────────▶ deleted

A delivery proves no more than that its sender knew the address: it never adds an id to an attempt
by itself. What cannot be read is kept, in part, and the task asked for. DESIGN.md §4 Postbacks.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio
import structlog

from runner.api.errors import ApiError, ProtocolFault
from runner.api.fetching import (
    MOST_KEPT_UNREAD,
    Finished,
    Running,
    TaskFailed,
    Unclear,
    Withheld,
    read_delivered,
)
from runner.api.requests import MAX_BATCH
from runner.pacing import Priority
from runner.pipeline.account import heard, heed
from runner.pipeline.engine import Engine
from runner.pipeline.packing import packed
from runner.pipeline.poller import ending_of
from runner.pipeline.writer import store_group
from runner.store.endings import Ending, Posted, StillRunning
from runner.store.inbox import Letter, Standing
from runner.store.planning import Kind
from runner.store.reconciling import Sighting
from runner.store.values import StoreUnwritable

log = structlog.get_logger()

MOST_INFLATED: Final = 64 * 1024 * 1024
"""Bytes of a delivery, unpacked; as of any other reply."""

MOST_RATIO: Final = 200
"""How often a delivery over a megabyte may be larger unpacked: text comes to 3 to 20 times."""

AT_ONCE: Final = 200
"""Deliveries in one transaction."""

_BYTES_AT_ONCE: Final = 16 * 1024 * 1024
_RATIO_FROM: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024
_SMALL: Final = 64 * 1024
_LOOK_AGAIN_S: Final = 0.1
_LONGEST_LOOK_S: Final = 1.0
_VERIFY_AGAIN_S: Final = 10.0
_LONGEST_VERIFY_S: Final = 600.0
_VERIFIED_AT_ONCE: Final = 20
_RESEND_EVERY_S: Final = 5.0
_GZIP: Final = b"\x1f\x8b"


class BadDelivery(Exception):
    """A delivery that cannot be unpacked."""


def unpacked(body: bytes) -> bytes:
    """The reply in *body*: gzip, or plain where a proxy has unpacked it.

    Raises:
        BadDelivery: damaged, cut off, or larger than any answer is.
    """
    if not body.startswith(_GZIP):
        return body
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    pieces: list[bytes] = []
    size, rest = 0, body
    try:
        while rest and not member.eof:
            pieces.append(member.decompress(rest, _CHUNK))
            size += len(pieces[-1])
            if size > MOST_INFLATED:
                raise BadDelivery(f"more than {MOST_INFLATED // 1024**2} MiB when unpacked")
            if size > _RATIO_FROM and size > MOST_RATIO * len(body):
                raise BadDelivery(f"more than {MOST_RATIO} times as large when unpacked")
            rest = member.unconsumed_tail
    except zlib.error as error:
        raise BadDelivery("its gzip data is damaged") from error
    if not member.eof:
        raise BadDelivery("its gzip data is cut off")
    return b"".join(pieces)


@dataclass(slots=True)
class _Desk:
    """What is known of letters that stay in the inbox for a while."""

    verify_at: dict[int, float] = field(default_factory=dict)
    """By letter: when (monotonic seconds) to look at it again."""
    waits_s: dict[int, float] = field(default_factory=dict)
    """How long that was put off last."""
    seen: set[int] = field(default_factory=set)
    """Letters whose task was looked at and told to the store."""


async def take_in(engine: Engine) -> None:
    """Book what is delivered until the engine is stopped; what it leaves waits for the next."""
    desk, wait_s = _Desk(), _LOOK_AGAIN_S
    while not engine.signals.stopping.is_set():
        taken = await take_in_round(engine, desk)
        wait_s = _LOOK_AGAIN_S if taken else min(wait_s * 1.5, _LONGEST_LOOK_S)
        await engine.rest(wait_s)


async def take_in_round(engine: Engine, desk: _Desk | None = None) -> int:
    """Go through the inbox once; returns how many letters were dealt with."""
    desk = desk or _Desk()
    after, taken, waiting = 0, 0, set[int]()
    while not engine.signals.stopping.is_set():
        try:
            letters = await engine.store.letters(
                after=after, limit=AT_ONCE, most_bytes=_BYTES_AT_ONCE, account=engine.account
            )
        except StoreUnwritable as error:
            log.warning("inbox.not_read", error=error.what)
            break
        if not letters:
            break
        after = letters[-1].id
        hints = [each for each in letters if each.standing is Standing.HINT]
        waiting |= {each.id for each in hints}
        taken += await _book(engine, letters)
        taken += await _follow(engine, hints, desk)
    desk.seen &= waiting
    for known in (desk.verify_at, desk.waits_s):
        for gone in known.keys() - waiting:
            del known[gone]
    return taken


async def _book(engine: Engine, letters: Sequence[Letter]) -> int:
    """Book those that are about tasks that wait, forget those about none."""
    endings: list[Ending] = []
    done: list[int] = []
    dropped = 0
    for letter in letters:
        if letter.standing is Standing.OPEN and letter.posted is not None:
            endings.append(await _ending(engine, letter, letter.posted))
        elif letter.standing in (Standing.OVER, Standing.FOREIGN):
            dropped += letter.standing is Standing.FOREIGN
        else:
            continue
        done.append(letter.id)
    if dropped:
        log.warning("inbox.not_ours", deliveries=dropped)
    if done:
        engine.signals.in_flight += len(endings)
        await store_group(engine, endings, done)
    return len(done)


async def _ending(engine: Engine, letter: Letter, posted: Posted) -> Ending:
    """What a delivery means for its task: just what a reply to a question would."""
    body, now = letter.delivery.body, engine.clock.now()
    if not body:
        return _ask_now(engine, posted)
    try:
        text = (
            unpacked(body)
            if len(body) <= _SMALL
            else await anyio.to_thread.run_sync(unpacked, body)
        )
        fetched = read_delivered(text, posted.remote_id, tag=posted.tag)
    except (BadDelivery, ProtocolFault) as error:
        log.warning(
            "inbox.unreadable",
            task=posted.task,
            remote_id=posted.remote_id,
            bytes=len(body),
            why=error.what if isinstance(error, ProtocolFault) else str(error),
        )
        return _ask_now(engine, posted, unread=body[:MOST_KEPT_UNREAD])
    if isinstance(fetched, Finished | TaskFailed):
        # Under another tag it may be the answer to another question.
        if fetched.tag is None or fetched.tag == posted.tag:
            _learn(engine, posted, fetched)
            return ending_of(engine, posted, fetched, now)
        log.warning("inbox.another_tag", task=posted.task, remote_id=posted.remote_id)
    return _ask_now(engine, posted)


def _learn(engine: Engine, posted: Posted, fetched: Finished | TaskFailed) -> None:
    """Tell the planner how long the answer took: where postbacks fail it is asked for in time."""
    answer = fetched.answer if isinstance(fetched, Finished) else None
    if answer is not None and answer.answered_at is not None:
        age = answer.answered_at - (posted.posted_api or posted.posted_at)
        engine.planner.note_age(Kind(str(posted.endpoint), posted.model), age)


def _ask_now(engine: Engine, posted: Posted, unread: bytes = b"") -> StillRunning:
    """The task is done, or so it is said: ask for it by its id."""
    return StillRunning(
        task=posted.task,
        attempt=posted.attempt,
        ask_again_at=engine.clock.now(),
        reply=packed(unread) if unread else None,
    )


async def _follow(engine: Engine, hints: Sequence[Letter], desk: _Desk) -> int:
    """Look at the tasks that *hints* name; those that bear our tag are told to the store.

    Returns how many hints were dealt with. A letter stays until its task is known, so that its
    answer is booked from it, without another call.
    """
    now_s = engine.clock.monotonic()
    told_before = [each.id for each in hints if each.id in desk.seen]
    due = [
        each
        for each in hints
        if each.id not in desk.seen and desk.verify_at.get(each.id, now_s) <= now_s
    ][:_VERIFIED_AT_ONCE]
    ours: list[Letter] = []
    wrong = list(told_before)
    for letter in due:
        verdict = await _bears_our_tag(engine, letter)
        if verdict is None:
            wait_s = min(2 * desk.waits_s.get(letter.id, _VERIFY_AGAIN_S / 2), _LONGEST_VERIFY_S)
            desk.waits_s[letter.id] = wait_s
            desk.verify_at[letter.id] = now_s + wait_s
        elif verdict:
            ours.append(letter)
        else:
            log.warning(
                "inbox.hint_refuted",
                remote_id=letter.delivery.remote_id,
                tag=letter.delivery.tag,
            )
            wrong.append(letter.id)
    try:
        if ours:
            sightings = [
                Sighting(tag=each.delivery.tag, remote_id=each.delivery.remote_id) for each in ours
            ]
            found = await engine.store.found(
                sightings, now=engine.clock.now(), account=engine.account
            )
            engine.signals.extras_told += found.incidents
            desk.seen |= {each.id for each in ours}
            log.info("inbox.hints_followed", adopted=len(found.adopted), looked_at=len(ours))
        if wrong:
            await engine.store.drop_letters(wrong)
    except StoreUnwritable as error:
        engine.signals.unwritable = error
        log.warning("inbox.not_written", error=error.what)
        return 0
    return len(ours) + len(wrong)


async def _bears_our_tag(engine: Engine, letter: Letter) -> bool | None:
    """Whether the API has our tag under the id of *letter*; None if it did not say."""
    assert letter.provider is not None, "a hint is about an attempt of ours"
    delivery = letter.delivery
    try:
        fetched = await engine.api.task_get(
            letter.provider, delivery.remote_id, tag=delivery.tag, priority=Priority.RECONCILE
        )
    except ProtocolFault:
        heard(engine)
        return False  # About another task.
    except ApiError as error:
        heed(engine, error)
        return None
    heard(engine)
    if isinstance(fetched, Unclear | Withheld):
        return None
    if isinstance(fetched, Finished | TaskFailed | Running):
        if fetched.tag is None and isinstance(fetched, TaskFailed) and fetched.may_pass:
            return None
        return fetched.tag == delivery.tag
    return False


async def have_resent(engine: Engine) -> None:
    """Ask the API once more for postbacks that did not get through, until the engine stops."""
    while not engine.signals.stopping.is_set():
        await engine.rest(_RESEND_EVERY_S)
        while await resend(engine) == MAX_BATCH and not engine.signals.stopping.is_set():
            pass


async def resend(engine: Engine) -> int:
    """One call for up to 100 undelivered tasks; returns how many.

    Each task only once: what still does not come is asked for by its id.
    """
    try:
        waiting = await engine.store.undelivered(
            MAX_BATCH, now=engine.clock.now(), account=engine.account
        )
    except StoreUnwritable as error:
        log.warning("inbox.not_written", error=error.what)
        return 0
    if not waiting:
        return 0
    try:
        await engine.api.webhook_resend(
            [each.remote_id for each in waiting], priority=Priority.READY
        )
    except ApiError as error:
        heed(engine, error)
        log.warning("inbox.not_resent", tasks=len(waiting), error=error.what)
    else:
        heard(engine)
        log.info("inbox.resend_asked", tasks=len(waiting))
    return len(waiting)
