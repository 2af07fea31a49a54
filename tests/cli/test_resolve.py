"""`resolve`, `incidents` and `verify` on real stores, as a person types them."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runner import app
from runner.cli import session
from runner.errors import Exit, WrongInput
from runner.store.reconciling import IncidentKind, NewIncident
from runner.store.sqlite.store import open_store
from runner.task import Lost, Outcome
from tests.cli.calling import call, call_on_terminal
from tests.reports.filling import accepted, filled
from tests.support.clock import START, ManualClock

CELLS = [{"prompt": prompt} for prompt in ("why?", "how?", "when?", "who?", "where?")]

Asked = Callable[..., object]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock of every command, some days after the store was filled."""
    later = ManualClock(START + timedelta(days=4))
    monkeypatch.setattr(session, "SystemClock", lambda: later)
    return later


def lost(number: int, tag: str) -> Outcome:
    """Task 5 is accepted and answered; nothing is heard of the others."""
    return accepted(number, tag) if number == 4 else Lost(tag=tag, why="no reply")


@pytest.fixture
async def store(folder: Path) -> Path:
    """``prompts`` (r1): tasks 1 to 3 quarantined, 4 unknown, 5 completed."""
    path = folder / "runner.db"
    async with filled(path, CELLS, job="prompts", post=lost) as made:
        attempts = [(task, 1) for task in (1, 2, 3)]
        await made.store.quarantine(attempts, message="no proof", now=START)
    return path


def states() -> dict[str, int]:
    (run,) = call("status", "--json").document["runs"]
    return {state: n for state, n in run["states"].items() if n}


def shows(answer: object) -> tuple[list[tuple[object, ...]], Asked]:
    """What the API says of an id, and a list of what it was asked."""
    asked = []

    async def bears_tag(*about: object, **_: object) -> bool:
        asked.append(about)
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    return asked, bears_tag


@pytest.mark.usefixtures("store")
def test_absent_alone_names_what_may_be_paid_again_and_changes_nothing() -> None:
    """The word to pay twice is not said by accident."""
    ended = call("resolve", "1", "2", "--absent", "--yes")
    assert ended.code is Exit.WRONG_INPUT
    assert "2 tasks anew, and may pay $0.0204 again" in ended.err
    assert "--pay-again" in ended.err
    assert states()["quarantined"] == 3


@pytest.mark.usefixtures("store")
def test_absent_and_pay_again_puts_it_back_and_says_how_to_go_on() -> None:
    """Its money is no longer at risk, and the next post is a new attempt."""
    ended = call("resolve", "2", "--absent", "--pay-again", "--yes")
    assert ended.code is Exit.DONE
    assert ended.out == "resolve how=absent tasks=1 amount=0.0102\n"
    assert "next: runner submit prompts\n" in ended.err
    assert states() == {"completed": 1, "pending": 1, "quarantined": 2, "unknown": 1}
    assert call("verify").code is Exit.DONE


@pytest.mark.usefixtures("store")
def test_what_is_written_off_keeps_its_money_at_risk() -> None:
    """Nobody has learnt whether it was paid."""
    before = call("cost", "--json").document["totals"]["at_risk"]
    ended = call("resolve", "--run", "r1", "--write-off", "--yes", "--json")
    assert ended.document == {
        "schema": "runner.resolve/1",
        "how": "write_off",
        "tasks": [1, 2, 3],
        "runs": ["prompts"],
        "amount": "0.030600000",
        "remote_id": None,
        "dry_run": False,
    }
    assert states() == {"completed": 1, "failed": 3, "unknown": 1}
    assert call("cost", "--json").document["totals"]["at_risk"] == before
    assert "runner retry prompts --pay-again" in call_on_terminal("errors").out
    assert call("verify").code is Exit.DONE


@pytest.mark.usefixtures("store")
def test_an_id_is_adopted_after_the_api_was_asked_about_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A slip of the hand would put somebody else's answer under this question."""
    asked, bears_tag = shows(True)
    monkeypatch.setattr(app, "bears_tag", bears_tag)
    ended = call("resolve", "1", "--adopt", "11-22", "--yes")
    assert ended.code is Exit.DONE
    assert "next: runner poll prompts\n" in ended.err
    ((provider, remote_id, tag),) = asked
    assert (provider, remote_id) == ("claude", "11-22")
    assert str(tag) in call("show", "1").out
    assert states()["posted"] == 1
    assert call("verify").code is Exit.DONE


@pytest.mark.usefixtures("store")
def test_an_id_that_the_api_shows_under_another_tag_is_not_adopted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API's word goes before a person's."""
    _, bears_tag = shows(WrongInput("the API's task 11-22 bears another tag"))
    monkeypatch.setattr(app, "bears_tag", bears_tag)
    ended = call("resolve", "1", "--adopt", "11-22", "--yes")
    assert ended.code is Exit.WRONG_INPUT
    assert "another tag" in ended.err
    assert states()["quarantined"] == 3


@pytest.mark.usefixtures("store")
def test_an_id_whose_tag_is_not_shown_is_taken_on_a_persons_word_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing contradicts it, and without a listing nobody else can tell."""
    _, bears_tag = shows(False)
    monkeypatch.setattr(app, "bears_tag", bears_tag)
    ended = call("resolve", "1", "--adopt", "11-22", "--yes")
    assert ended.code is Exit.DONE
    assert "on your word" in ended.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["4", "--write-off"], "task 4 is unknown: the reconciler still decides about it"),
        (["5", "1", "--write-off"], "task 5 is completed"),
        (["9", "--write-off"], "there is no task 9"),
        (["1"], "say one of --adopt ID, --absent --pay-again and --write-off"),
        (["1", "--write-off", "--absent"], "say one of"),
        (["1", "--write-off", "--pay-again"], "--pay-again goes with --absent"),
        (["--write-off"], "which tasks is it about?"),
        (["1", "--run", "r1", "--write-off"], "not both"),
        (["1", "2", "--adopt", "x"], "--adopt ID is for one task"),
        (["1", "--adopt", "a b"], "that is no id of the API's"),
        (["1", "--adopt", "remote-4"], "the API's id remote-4 is that of attempt 1 of task 5"),
        (["1", "--write-off"], "nobody can be asked"),
    ],
)
@pytest.mark.usefixtures("store")
def test_what_cannot_be_done_is_refused_and_nothing_is_changed(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake in words of its own, before anything is touched."""
    monkeypatch.setattr(app, "bears_tag", shows(True)[1])
    before = states()
    sure = [] if "nobody" in said else ["--yes"]
    ended = call("resolve", *words, *sure)
    assert ended.code is Exit.WRONG_INPUT
    assert said in ended.err
    assert states() == before


@pytest.mark.usefixtures("store")
def test_a_dry_run_tells_and_changes_nothing() -> None:
    """It is asked for before the real one."""
    ended = call("resolve", "--where", "prompt=how?", "--write-off", "-n")
    assert ended.out == "resolve.dry how=write_off tasks=1 amount=0.0102\n"
    assert states()["quarantined"] == 3


@pytest.mark.usefixtures("store")
def test_every_page_that_names_the_held_tasks_names_the_command() -> None:
    """A person at nine in the morning pastes it."""
    assert "runner resolve 1 --adopt ID" in call("show", "1").out
    assert "the reconciler decides" in call("show", "4").out
    assert "runner resolve TASK" in call("status").err
    errors = call_on_terminal("errors").out
    assert "runner tasks prompts --state quarantined" in errors
    assert "runner resolve TASK" in errors


def open_incidents(path: Path) -> None:
    async def add() -> None:
        async with open_store(path, clock=ManualClock()) as store:
            for number, amount in ((1, 10_200_000), (2, 5_000_001)):
                incident = NewIncident(
                    kind=IncidentKind.DOUBLE_CHARGE,
                    message="a second task\x1b[31m",
                    amount=amount,
                    task=number,
                    attempt=1,
                    remote_id=f"extra-{number}",
                )
                await store.open_incident(incident, now=START)

    asyncio.run(add())


def test_incidents_are_listed_with_their_amounts_until_they_are_closed(store: Path) -> None:
    """What was paid without use is said until somebody has seen to it, and kept after that."""
    assert call("incidents").out == "incidents open=0 amount=0.00\n"
    open_incidents(store)
    assert "2 incidents open, $0.0152: runner incidents\n" in call("status").err
    assert call("incidents").out.endswith("incidents open=2 amount=0.015200001\n")
    ended = call("incidents", "--close", "1")
    assert ended.code is Exit.DONE
    assert "incidents open=1 amount=0.005000001\n" in ended.out
    assert "incident 1 was closed before" in call("incidents", "--close", "1").err
    document = call("incidents", "--all", "--json").document
    assert (document["open"], document["amount"]) == (1, "0.005000001")
    assert [each["closed_at"] for each in document["incidents"]] == ["2026-11-25T02:15:00Z", None]
    assert [each["remote_id"] for each in document["incidents"]] == ["extra-1", "extra-2"]


def test_a_table_of_incidents_obeys_nothing_and_names_the_next_command(store: Path) -> None:
    """Messages may quote the API."""
    open_incidents(store)
    out = call_on_terminal("incidents").out
    assert "\x1b" not in out
    assert "runner incidents --close 1" in out
    ended = call("incidents", "--close", "7", "--close", "1")
    assert ended.code is Exit.WRONG_INPUT
    assert "there is no incident 7" in ended.err
    assert call("incidents", "--json").document["open"] == 2


def test_verify_says_what_it_went_through(store: Path) -> None:
    """Silence about an empty store would look the same."""
    ended = call("verify")
    assert ended.code is Exit.DONE
    assert ended.out.startswith("verify checks=")
    assert " breaches=0 runs=1 rows=5 tasks=5 attempts=5 answers=1 " in ended.out
    assert call_on_terminal("verify").out.endswith(": all adds up\n")
    document = call("verify", "--json").document
    assert (document["exit"], document["breaches"], document["tasks"]) == (0, [], 5)
    assert sum(document["states"].values()) == 5


def test_verify_ends_with_1_and_says_what_does_not_add_up(store: Path) -> None:
    """A cron job that runs it must get a mail, also with -q."""
    with closing(sqlite3.connect(store)) as db:
        db.execute("UPDATE run_money SET charged_nanousd = charged_nanousd + 7")
        db.commit()
    said = "the sums of run r1 are not those of its attempts: charged is off by 7 nano-dollars"
    for ended in (call("verify"), call_on_terminal("verify")):
        assert ended.code is Exit.SOME_FAILED
        assert said in ended.out
        assert "1 line of the store does not add up" in ended.err
    document = call("verify", "--json").events[0]
    assert document["breaches"] == [{"check": "money", "message": said}]
    assert said in call("verify", "-q").err
