"""``runner doctor``: each finding as it comes, and what they come to."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from runner.app.doctor import Finding, Level, examine
from runner.cli.actions.looking import same_store
from runner.cli.layout import count, pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, RunnerError, gravest

if TYPE_CHECKING:
    from runner.cli.commands.doctor import DoctorOptions

_SIGN: Final = {Level.OK: "✓", Level.WARN: "!", Level.FAIL: "✗"}


def doctor(session: Session, given: "DoctorOptions") -> Exit:
    """Tell what was found; the code is that of the gravest failure.

    Raises:
        WrongInput: the settings themselves are wrong.
    """
    settings, voice = session.settings(), session.voice
    session.open_log()
    # It is one of the findings.
    session.told_uncollected = True
    found: list[Finding] = []

    flags = same_store(session)

    def tell(finding: Finding) -> None:
        if finding.how is not None:
            # What is pasted has to reach the same store.
            finding = replace(finding, how=re.sub("^runner ", f"runner{flags} ", finding.how))
        found.append(finding)
        if voice.for_people:
            voice.answer(_words(finding))
        elif finding.level is not Level.OK:
            voice.answer(pairs("finding", _keys(finding)))

    run_async(
        lambda: examine(
            settings, given["job"], offline=given["offline"], clock=session.clock, tell=tell
        )
    )
    levels = {level: sum(each.level is level for each in found) for level in Level}
    failed = [each for each in found if each.level is Level.FAIL]
    code = gravest(each.exit for each in failed)
    if voice.json:
        voice.document(
            {
                "schema": "runner.doctor/1",
                "findings": [_keys(each) for each in found],
                **{level.value: number for level, number in levels.items()},
                "exit": int(code),
            }
        )
    elif voice.for_people:
        voice.answer(_sum(levels))
    else:
        numbers = {level.value: number for level, number in levels.items()}
        voice.answer(pairs("doctor", {**numbers, "exit": int(code)}))
    if failed:
        voice.error(_failed(failed, len(found), told=voice.for_people and not voice.quiet), code)
    return code


def _failed(failed: list[Finding], checks: int, *, told: bool) -> RunnerError:
    """The last word on stderr; what a person was *told* just above is not said again."""
    what = f"{len(failed)} of {count(checks, 'check')} failed"
    if told:
        return RunnerError(what)
    return RunnerError(what, why=f"{failed[0].check}: {failed[0].text}", how=failed[0].how)


def _words(finding: Finding) -> str:
    line = f"{_SIGN[finding.level]} {finding.text}"
    return f"{line}\n    fix: {finding.how}" if finding.how else line


def _keys(finding: Finding) -> dict[str, object]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "text": finding.text,
        "how": finding.how,
    }


def _sum(levels: dict[Level, int]) -> str:
    if not levels[Level.WARN] and not levels[Level.FAIL]:
        return f"✓ {count(levels[Level.OK], 'check')}, all is well"
    parts = [
        f"{_SIGN[Level.FAIL]} {count(levels[Level.FAIL], 'problem')}" if levels[Level.FAIL] else "",
        f"{_SIGN[Level.WARN]} {count(levels[Level.WARN], 'warning')}" if levels[Level.WARN] else "",
    ]
    return ", ".join(part for part in parts if part)
