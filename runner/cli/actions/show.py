"""``runner show``: one task, whole or the one part of it that was asked for."""

import zlib
from typing import TYPE_CHECKING

from runner.cli.actions.looking import store_to_look
from runner.cli.actions.task_page import page, prose
from runner.cli.layout import count
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.cli.terminal import size_of
from runner.errors import Exit, StoreBroken, WrongInput
from runner.reports.task_lines import part_document, request_of, task_document
from runner.store.listing import AttemptDetail, TaskDetail
from runner.store.values import Run

if TYPE_CHECKING:
    from runner.cli.commands.show import ShowOptions

_WIDEST = 100
"""Columns of prose: longer lines are hard to read, however wide the terminal is."""


def show(session: Session, task: int, given: "ShowOptions") -> Exit:
    """Show the task of that number.

    Raises:
        WrongInput: there is none, or it has not what was asked for.
        StoreBroken: the store cannot be read.
    """
    asked = [name for name in ("prompt", "answer", "raw") if given[name]]
    voice = session.voice
    if len(asked) > 1:
        flags = " and ".join(f"--{name}" for name in asked)
        raise WrongInput(f"{flags} do not go together", how="runner show --help")
    detail, run, reply = run_async(lambda: _read(session, task, given))
    attempt = _attempt(detail, given["attempt"])
    if given["raw"]:
        raw = _unpacked(reply, task)
        if voice.json:
            voice.document(part_document(task, "raw", raw.decode("utf-8", "replace")))
        else:
            voice.raw_bytes(raw)
    elif asked:
        (name,) = asked
        text = _prompt(detail) if given["prompt"] else _answer(detail, attempt)
        if voice.json:
            voice.document(part_document(task, name, text))
        else:
            voice.exact(prose(text))
    elif voice.json:
        voice.document(task_document(detail, run, session.clock.now()))
    else:
        width = None
        if voice.for_people:
            width = min(size_of(voice.stdout, session.environ)[0], _WIDEST)
        voice.answer(
            "\n".join(
                page(detail, run, attempt, session.clock.now(), width, to_paste=voice.to_paste)
            )
        )
    return Exit.DONE


async def _read(
    session: Session, task: int, given: "ShowOptions"
) -> tuple[TaskDetail, Run, bytes | None]:
    async with store_to_look(session) as store:
        detail = await store.task(task)
        if detail is None:
            raise WrongInput(
                f"there is no task {task} in this store", how="see which there are: runner tasks"
            )
        (run,) = [run for run in await store.runs() if run.id == detail.line.run]
        reply = None
        if given["raw"]:
            wanted = given["attempt"]
            for attempt in detail.attempts:
                if attempt.reply_bytes is not None and wanted in (None, attempt.number):
                    reply = await store.reply(task, attempt.number)
        return detail, run, reply


def _attempt(detail: TaskDetail, number: int | None) -> AttemptDetail | None:
    """The attempt *number*, else the latest with an answer; None if none has any.

    Raises:
        WrongInput: there is no such attempt.
    """
    if number is None:
        answered = [attempt for attempt in detail.attempts if attempt.result is not None]
        return answered[-1] if answered else None
    for attempt in detail.attempts:
        if attempt.number == number:
            return attempt
    raise WrongInput(
        f"task {detail.line.id} has no attempt {number}",
        why=f"it was tried {count(detail.line.attempts, 'time')} so far",
    )


def _prompt(detail: TaskDetail) -> str:
    request = request_of(detail)
    if request is None:
        raise WrongInput(f"the request of task {detail.line.id} was pruned")
    return str(request.get("user_prompt", ""))


def _answer(detail: TaskDetail, attempt: AttemptDetail | None) -> str:
    if attempt is None or attempt.result is None:
        line = detail.line
        reason = f" ({line.reason})" if line.reason else ""
        raise WrongInput(
            f"task {line.id} has no answer here: it is {line.state}{reason}",
            how=f"runner show {line.id}",
        )
    return attempt.result.answer


def _unpacked(reply: bytes | None, task: int) -> bytes:
    if reply is None:
        raise WrongInput(
            f"no reply of the API is stored for task {task} here", how=f"runner show {task}"
        )
    try:
        return zlib.decompress(reply) if reply else b""
    except zlib.error as error:
        raise StoreBroken(f"the stored reply of task {task} is damaged: {error}") from error
