"""Named places at which a test makes the process die, as ``kill -9`` or a power cut would.

    RUNNER_FAILPOINT=outcome.inside     die there, the first time
    RUNNER_FAILPOINT=book.durable:3     die there, the third time

Without that variable, which is read once at import, ``hit`` does nothing. Each point stands in one
place of the code, and the crash sweep in ``tests/crash`` dies at every one of them (FAULTS.md §1).
"""

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Final

VARIABLE: Final = "RUNNER_FAILPOINT"


class Point(StrEnum):
    """Where to die. *inside*: all statements of the transaction done, its COMMIT not begun."""

    STORE_MIGRATING = "store.migrating"
    WORKER_BEFORE = "worker.before"
    WORKER_INSIDE = "worker.inside"
    WORKER_BEGUN = "worker.begun"
    WORKER_ENDING = "worker.ending"
    ACCOUNT_INSIDE = "account.inside"
    CALL_NOTED = "call.noted"

    RUN_INSIDE = "run.inside"
    LOAD_BEGUN = "load.begun"
    ROWS_INSIDE = "load.rows_inside"
    ROWS_ADDED = "load.rows_added"
    LOAD_INSIDE = "load.inside"
    LOAD_ENDED = "load.ended"

    INTENT_BEFORE = "intent.before"
    INTENT_INSIDE = "intent.inside"
    INTENT_DURABLE = "intent.durable"
    SEND_FIRST_BYTE = "send.first_byte"
    """The connection stands; the next instruction sends."""
    SEND_LEAVING = "send.leaving"
    """The head of the request has left, the body is about to."""
    REPLY_BEGUN = "reply.begun"
    """The head of the reply is there, its body not read."""
    REPLY_CAME = "reply.came"
    OUTCOME_INSIDE = "outcome.inside"
    OUTCOME_DURABLE = "outcome.durable"

    LIVE_INTENT_BEFORE = "live.intent_before"
    LIVE_INTENT_DURABLE = "live.intent_durable"
    LIVE_FIRST_BYTE = "live.first_byte"
    LIVE_REPLY_CAME = "live.reply_came"
    LIVE_OUTCOME_INSIDE = "live.outcome_inside"
    LIVE_OUTCOME_DURABLE = "live.outcome_durable"

    READY_INSIDE = "ready.inside"
    READY_MARKED = "ready.marked"
    CLAIM_INSIDE = "claim.inside"
    CLAIM_DURABLE = "claim.durable"
    ANSWER_CAME = "answer.came"
    BOOK_BEFORE = "book.before"
    BOOK_INSIDE = "book.inside"
    BOOK_DURABLE = "book.durable"

    ADOPT_INSIDE = "adopt.inside"
    ADOPTED = "adopt.durable"
    SCAN_NOTED = "scan.noted"
    TIMES_INSIDE = "times.inside"
    TIMES_NOTED = "times.noted"
    CLEAN_SEEN = "clean.seen"
    """The first listing without a trace; nobody has noted it yet."""
    ABSENT_BEFORE = "absent.before"
    ABSENT_INSIDE = "absent.inside"
    ABSENT_PROVEN = "absent.durable"
    QUARANTINE_INSIDE = "quarantine.inside"
    QUARANTINED = "quarantine.durable"

    EXPORT_WRITTEN = "export.written"
    EXPORT_NOTED = "export.noted"
    EXPORT_RENAMED = "export.renamed"

    RETRY_INSIDE = "retry.inside"
    CANCEL_INSIDE = "cancel.inside"
    PAUSE_INSIDE = "pause.inside"
    RESUME_INSIDE = "resume.inside"
    CHANGES_INSIDE = "changes.inside"


def _pass_by(_point: Point) -> None:
    """Nothing was ordered."""


def armed(order: str | None) -> Callable[[Point], None]:
    """What ``hit`` is under *order*, the variable's value.

    Raises:
        SystemExit: *order* names no point; a process that was to die somewhere must not run on.
    """
    if not order:
        return _pass_by
    name, _, times = order.partition(":")
    if name not in list(Point) or not (times or "1").isdecimal() or times == "0":
        raise SystemExit(f"{VARIABLE}={order}: no such failpoint; unset it, it is for tests only")
    wanted, left = Point(name), int(times or "1")

    def die_there(point: Point) -> None:
        nonlocal left
        left -= point is wanted
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return die_there


hit: Final = armed(os.environ.get(VARIABLE))
"""Die here if this point was ordered."""
