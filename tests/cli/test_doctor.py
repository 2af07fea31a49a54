"""`runner doctor` as people, programs and cron see it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.app.doctor import Finding
from runner.app.doctor.finding import doubtful, fine, wrong
from runner.cli.actions import doctor
from runner.errors import Exit
from runner.store.reconciling import IncidentKind, NewIncident
from runner.task import Lost, Outcome
from tests.cli.calling import SECRET, call, call_on_terminal
from tests.reports.filling import filled
from tests.support.clock import START

ENVIRON = {
    "DATAFORSEO_BASE_URL": "http://127.0.0.1:9",
    "DATAFORSEO_LOGIN": "me",
    "DATAFORSEO_PASSWORD": SECRET,
}


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let these be found."""

    def let(*findings: Finding) -> None:
        async def examine(*_args: object, tell: Callable[[Finding], None], **_more: object) -> None:
            for each in findings:
                tell(each)

        monkeypatch.setattr(doctor, "examine", examine)

    return let


def test_people_see_each_check_and_what_to_do(folder: Path, finding: Callable[..., None]) -> None:
    """The sum comes last, and on stderr nothing is said twice."""
    finding(fine("disk", "room"), doubtful("clock", "late", "wind it"), wrong("store", "gone"))
    ended = call_on_terminal("doctor")
    assert ended.out == "✓ room\n! late\n    fix: wind it\n✗ gone\n✗ 1 problem, ! 1 warning\n"
    assert ended.err.replace("\x1b[31m", "").replace("\x1b[0m", "") == (
        "error: 1 of 3 checks failed\n"
    )
    assert ended.code is Exit.SOME_FAILED
    finding(fine("disk", "room"), fine("clock", "on time"))
    ended = call_on_terminal("doctor")
    assert ended.out.endswith("✓ 2 checks, all is well\n")
    assert (ended.err, ended.code) == ("", Exit.DONE)


def test_programs_get_a_line_for_what_is_not_well(
    folder: Path, finding: Callable[..., None]
) -> None:
    """And one that counts; cron's mail says what is wrong, with the way back to the same store."""
    finding(fine("disk", "room"), wrong("waiting", "9 wait", "runner poll"))
    ended = call("doctor", "--store", "other.db")
    assert ended.out.splitlines() == [
        'finding check=waiting level=fail text="9 wait" how="runner --store other.db poll"',
        "doctor ok=1 warn=0 fail=1 exit=1",
    ]
    assert "waiting: 9 wait" in ended.err
    assert "go on with: runner --store other.db poll" in ended.err
    assert call("doctor", "-q").out == ""
    assert "9 wait" in call("doctor", "-q").err


def test_json_has_every_finding(folder: Path, finding: Callable[..., None]) -> None:
    """``runner.doctor/1``"""
    finding(fine("disk", "room"), doubtful("clock", "late", "wind it"))
    document = call("doctor", "--json").document
    assert document == {
        "schema": "runner.doctor/1",
        "findings": [
            {"check": "disk", "level": "ok", "text": "room", "how": None},
            {"check": "clock", "level": "warn", "text": "late", "how": "wind it"},
        ],
        "ok": 1,
        "warn": 1,
        "fail": 0,
        "exit": 0,
    }


def test_a_real_look_tells_the_code_of_what_keeps_us_out(folder: Path) -> None:
    """5 for credentials, 75 for a line that is down; no secret is shown."""
    assert call("doctor").code is Exit.CREDENTIALS
    ended = call("doctor", environ=ENVIRON)
    assert ended.code is Exit.TRY_LATER
    assert SECRET not in ended.out + ended.err
    assert call("doctor", "--offline").code is Exit.DONE
    assert call("doctor", "--offline", "--job", "nothing").code is Exit.SOME_FAILED
    assert not (folder / "runner.db").exists()


@pytest.fixture
async def waiting(folder: Path) -> None:
    """A store with one quarantined task, one unknown and an incident."""

    def lost(_number: int, tag: str) -> Outcome:
        return Lost(tag=tag, why="no reply")

    cells = [{"prompt": prompt} for prompt in ("why?", "how?")]
    async with filled(folder / "runner.db", cells, post=lost) as made:
        await made.store.quarantine([(1, 1)], message="no proof", now=START)
        await made.store.open_incident(
            NewIncident(kind=IncidentKind.ORPHAN, message="not ours"), now=START
        )


@pytest.mark.usefixtures("waiting")
def test_what_waits_for_a_person_is_a_warning() -> None:
    """Each with its command; the night goes on beside it."""
    document = call("doctor", "--offline", "--json").document
    found = {each["check"]: each for each in document["findings"]}
    for check, how in (
        ("incidents", "runner incidents"),
        ("quarantined", "runner tasks --state quarantined, then: runner resolve TASK"),
    ):
        assert (found[check]["level"], found[check]["how"]) == ("warn", how)
    assert document["exit"] == 0
