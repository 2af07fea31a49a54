"""``runner resolve``: what a person says of quarantined tasks, checked and carried out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions.controlling import store_to_change
from runner.cli.asking import confirm
from runner.cli.layout import amount, count, pairs
from runner.cli.selecting import pick
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput
from runner.lifecycle import State
from runner.money import exact, short
from runner.store.listing import Selection
from runner.store.opening import AnyStore
from runner.store.resolving import Held
from runner.store.values import Run
from runner.task import RemoteId

if TYPE_CHECKING:
    from runner.cli.commands.resolve import ResolveOptions

_NAMED = 10
"""Tasks that a refusal goes into, one by one."""

_LONGEST_ID = 100


class How(StrEnum):
    """What becomes of the tasks."""

    ADOPT = "adopt"
    ABSENT = "absent"
    WRITE_OFF = "write_off"


@dataclass(frozen=True, slots=True)
class _Found:
    held: list[Held]
    runs: list[Run]
    """Of the tasks."""

    @property
    def at_risk(self) -> int:
        return sum(each.at_risk for each in self.held)


def resolve(session: Session, tasks: Sequence[int], given: "ResolveOptions") -> Exit:
    """Carry out what is said of *tasks*, or of those that the selectors mean.

    Raises:
        WrongInput: one is not quarantined, the id is another's, or nobody can be asked.
        Declined: the answer was not yes.
        TryLater: the store cannot be written, or the API cannot be asked about the id.
        RunnerError: as ``app.bears_tag`` does.
    """
    how = _how(tasks, given)
    found = run_async(lambda: _look(session, tasks, given))
    if how is How.ABSENT and not given["pay_again"]:
        raise WrongInput(
            f"--absent would post {count(len(found.held), 'task')} anew, and may pay "
            f"{short(found.at_risk)} again",
            why="if the API has them after all, they are paid for twice",
            how="the same command with --pay-again, which accepts that",
        )
    shown = None
    if given["adopt"] is not None and found.held:
        shown = _check(session, found.held[0], RemoteId(given["adopt"]))
    if found.held and not given["dry_run"]:
        confirm(session, _doing(how, found, given["adopt"]))
        run_async(lambda: _carry_out(session, how, found.held, given["adopt"]))
    _tell(session, how, found, given, shown)
    return Exit.DONE


def _how(tasks: Sequence[int], given: "ResolveOptions") -> How:
    said = [name for name in ("adopt", "absent", "write_off") if given[name] not in (None, False)]
    if len(said) != 1:
        raise WrongInput(
            "say one of --adopt ID, --absent --pay-again and --write-off",
            how="runner resolve --help",
        )
    how = How(said[0])
    if given["pay_again"] and how is not How.ABSENT:
        raise WrongInput("--pay-again goes with --absent", how="runner resolve --help")
    chosen = any(given.get(name) for name in _selectors())
    if tasks and chosen:
        raise WrongInput("name tasks or choose them by options, not both")
    if not tasks and not chosen:
        raise WrongInput(
            "which tasks is it about?",
            how="runner resolve TASK …; see which there are: runner tasks --state quarantined",
        )
    if how is How.ADOPT:
        if len(set(tasks)) != 1:
            raise WrongInput("--adopt ID is for one task: runner resolve TASK --adopt ID")
        text = given["adopt"] or ""
        if not text.isascii() or not text.isprintable() or " " in text or not text:
            raise WrongInput("--adopt: that is no id of the API's", how="copy it without spaces")
        if len(text) > _LONGEST_ID:
            raise WrongInput("--adopt: that is no id of the API's: it is too long")
    return how


def _selectors() -> tuple[str, ...]:
    from runner.cli.commands.resolve import SELECTORS

    return SELECTORS


async def _look(session: Session, tasks: Sequence[int], given: "ResolveOptions") -> _Found:
    async with store_to_change(session) as store:
        if tasks:
            which = Selection(tasks=frozenset(tasks))
            held = await store.held(which)
            if missing := sorted(set(tasks) - {each.task for each in held}):
                raise await _refusal(store, missing)
        else:
            held = await store.held((await pick(session, store, None, given)).which)
        runs = [run for run in await store.runs() if run.id in {each.run for each in held}]
        return _Found(held, runs)


async def _refusal(store: AnyStore, tasks: Sequence[int]) -> WrongInput:
    """Why *tasks* are not for a person to decide about."""
    lines = []
    for task in tasks[:_NAMED]:
        detail = await store.task(task)
        if detail is None:
            lines.append(f"there is no task {task}")
        elif detail.line.state is State.UNKNOWN:
            lines.append(f"task {task} is unknown: the reconciler still decides about it")
        else:
            lines.append(f"task {task} is {detail.line.state}")
    if len(tasks) > _NAMED:
        lines.append(f"and {len(tasks) - _NAMED:,} more")
    return WrongInput(
        f"only quarantined tasks are for a person to decide about: {'; '.join(lines)}",
        why="nothing was changed",
        how="see which there are: runner tasks --state quarantined; what is unknown, `runner run` "
        "and `runner work` decide",
    )


def _check(session: Session, held: Held, remote_id: RemoteId) -> bool:
    """Whether the API shows the attempt's tag for *remote_id*."""
    session.open_log()
    return run_async(
        lambda: app.bears_tag(
            held.endpoint.provider,
            remote_id,
            held.tag,
            settings=session.settings().of_account(held.account),
            clock=session.clock,
        )
    )


def _doing(how: How, found: _Found, adopted: str | None) -> str:
    tasks, risk = count(len(found.held), "quarantined task"), short(found.at_risk)
    match how:
        case How.ADOPT:
            return f"adopt the API's {adopted} for task {found.held[0].task}"
        case How.ABSENT:
            return f"post {tasks} anew, and perhaps pay {risk} again"
        case How.WRITE_OFF:
            return f"give up {tasks}, of which {risk} stays at risk"


async def _carry_out(session: Session, how: How, held: Sequence[Held], adopted: str | None) -> None:
    now, attempts = session.clock.now(), [(each.task, each.attempt) for each in held]
    async with store_to_change(session) as store:
        match how:
            case How.ADOPT:
                ((task, attempt),) = attempts
                done = int(await store.adopt(task, attempt, RemoteId(adopted or ""), now=now))
            case How.ABSENT:
                done = await store.ask_absent(attempts, now=now)
            case How.WRITE_OFF:
                done = await store.write_off(attempts, now=now)
    if done < len(attempts):
        session.voice.warn(
            f"{len(attempts) - done:,} of {len(attempts):,} were decided about meanwhile"
        )


def _tell(
    session: Session, how: How, found: _Found, given: "ResolveOptions", shown: bool | None
) -> None:
    voice, dry = session.voice, given["dry_run"]
    risk = {"amount": exact(found.at_risk)}
    if voice.json:
        voice.document(
            {
                "schema": "runner.resolve/1",
                "how": how.value,
                "tasks": [each.task for each in found.held],
                "runs": [run.name for run in found.runs],
                **risk,
                "remote_id": given["adopt"],
                "dry_run": dry,
            }
        )
    elif not voice.for_people:
        keys: dict[str, object] = {"how": how.value, "tasks": len(found.held)}
        keys["amount"] = amount(found.at_risk)
        voice.answer(pairs("resolve.dry" if dry else "resolve", keys))
    else:
        voice.answer(_sentence(how, found, dry=dry))
    if shown is False:
        voice.note("the API does not show a tag for that id yet; it was taken on your word")
    if found.held and not dry and (step := _next(how)):
        for run in found.runs:
            voice.note(f"next: runner {step} {run.name}")


def _next(how: How) -> str | None:
    """The command that goes on with the tasks, before the run's name."""
    return {How.ADOPT: "poll", How.ABSENT: "submit"}.get(how)


def _sentence(how: How, found: _Found, *, dry: bool) -> str:
    tasks, risk = count(len(found.held), "task"), short(found.at_risk)
    if not found.held:
        return "no quarantined task is meant; nothing was changed"
    said = {
        How.ADOPT: f"{tasks} adopted: its answer is collected from now on",
        How.ABSENT: f"{tasks} pending again; {risk} may be paid again",
        How.WRITE_OFF: f"{tasks} written off; {risk} stays at risk",
    }[how]
    return f"would be: {said}; nothing was changed" if dry else said
