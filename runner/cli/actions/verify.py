"""``runner verify``: what was recounted, and what does not add up."""

from runner.cli.actions.looking import store_to_look
from runner.cli.layout import amount, count, either, pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, RunnerError
from runner.money import exact, short
from runner.store.reconciling import Breach
from runner.store.resolving import Contents
from runner.store.sqlite.verifying import CHECKS


def verify(session: Session) -> Exit:
    """Recount the store; code 1 if something in it does not add up.

    Raises:
        WrongInput: nothing was run here yet.
        StoreBroken: the store cannot be read.
    """
    contents, breaches = run_async(lambda: _read(session))
    code = Exit.SOME_FAILED if breaches else Exit.DONE
    voice = session.voice
    if voice.json:
        voice.document(_document(contents, breaches, code))
    for breach in [] if voice.json else breaches:
        if voice.for_people:
            voice.answer(f"✗ {breach.check}: {breach.message}")
        else:
            voice.answer(pairs("breach", {"check": breach.check, "message": breach.message}))
    if voice.for_people:
        voice.answer(_sentence(contents, breaches))
    elif not voice.json:
        voice.answer(pairs("verify", _keys(contents, breaches)))
    if breaches:
        voice.error(_wrong(session, breaches), code)
    return code


def _wrong(session: Session, breaches: list[Breach]) -> RunnerError:
    first, do_not = breaches[0], either(len(breaches), "does not", "do not")
    return RunnerError(
        f"{count(len(breaches), 'line')} of the store {do_not} add up",
        where=str(session.settings().store),
        why=f"the first: {first.check}: {first.message}",
        how="put a copy of the file aside, and report what `runner verify` says",
    )


async def _read(session: Session) -> tuple[Contents, list[Breach]]:
    async with store_to_look(session) as store:
        return await store.contents(), await store.verify()


def _sentence(contents: Contents, breaches: list[Breach]) -> str:
    checked = (
        f"{len(CHECKS)} checks of {count(contents.runs, 'run')}, {count(contents.rows, 'row')}, "
        f"{count(sum(contents.states.values()), 'task')}, {count(contents.attempts, 'attempt')}, "
        f"{count(contents.answers, 'answer')}, {short(contents.money.charged)} charged"
    )
    if breaches:
        do_not = either(len(breaches), "does not", "do not")
        return f"✗ {checked}: {count(len(breaches), 'line')} {do_not} add up"
    return f"✓ {checked}: all adds up"


def _keys(contents: Contents, breaches: list[Breach]) -> dict[str, object]:
    return {
        "checks": len(CHECKS),
        "breaches": len(breaches),
        "runs": contents.runs,
        "rows": contents.rows,
        "tasks": sum(contents.states.values()),
        "attempts": contents.attempts,
        "answers": contents.answers,
        "incidents": contents.incidents,
        "charged": amount(contents.money.charged),
        "reserved": amount(contents.money.reserved),
        "at_risk": amount(contents.money.at_risk),
    }


def _document(contents: Contents, breaches: list[Breach], code: Exit) -> dict[str, object]:
    money = contents.money
    return {
        "schema": "runner.verify/1",
        "checks": list(CHECKS),
        "runs": contents.runs,
        "rows": contents.rows,
        "tasks": sum(contents.states.values()),
        "states": {state.value: n for state, n in contents.states.items()},
        "attempts": contents.attempts,
        "answers": contents.answers,
        "open_incidents": contents.incidents,
        "charged": exact(money.charged),
        "reserved": exact(money.reserved),
        "at_risk": exact(money.at_risk),
        "breaches": [{"check": each.check, "message": each.message} for each in breaches],
        "exit": int(code),
    }
