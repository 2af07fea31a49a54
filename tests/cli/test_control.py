"""`pause`, `resume`, `cancel` and `prune` on real stores."""

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runner.cli import session
from runner.errors import Exit
from runner.store.sqlite import controlling
from tests.cli.calling import call, call_on_terminal
from tests.reports.filling import accepted, failed, filled, running
from tests.support.clock import START, ManualClock

CELLS = [{"prompt": prompt} for prompt in ("why?", "how?", "when?", "who?")]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """The clock of every command, a day after the stores were filled."""
    later = ManualClock(START + timedelta(days=1))
    monkeypatch.setattr(session, "SystemClock", lambda: later)
    return later


@pytest.fixture
async def stores(folder: Path) -> Path:
    """``prompts`` (r1) with four queued tasks, ``nightly`` (r2, r3) answered and at the API."""
    store = folder / "runner.db"
    async with filled(store, CELLS, job="prompts", post=None):
        pass
    async with filled(store, CELLS, job="nightly", run_key="2026-11-20", post=accepted):
        pass
    async with filled(store, CELLS, job="nightly", run_key="2026-11-21", end=running):
        pass
    return store


def states(reference: str) -> dict[str, int]:
    """Where the tasks of a run are."""
    (run,) = call("status", reference, "--json").document["runs"]
    return {state: n for state, n in run["states"].items() if n}


# -- pause and resume --------------------------------------------------------------------------


@pytest.mark.usefixtures("stores")
def test_a_paused_job_is_told_and_shown_until_it_is_resumed() -> None:
    """Who looks in the morning sees why nothing was sent."""
    ended = call("pause", "prompts", "--until", "06:00", "--reason", "price\ncheck")
    assert ended.code is Exit.DONE
    assert ended.out == (
        'pause job=prompts until=2026-11-22T06:00:00Z reason="price check" queued=4 collecting=0\n'
    )
    said = 'paused="paused until 2026-11-22 06:00 UTC: price check"'
    assert said in call("status", "prompts").out
    assert "state=paused" in call("status", "prompts").out
    assert (
        call_on_terminal("status", "prompts", environ={"COLUMNS": "140"})
        .out.splitlines()[1]
        .endswith("  paused until 2026-11-22 06:00 UTC: price check")
    )
    assert "paused" not in call("status", "nightly").out
    (run,) = call("status", "prompts", "--json").document["runs"]
    assert run["paused"] == {
        "scope": "prompts",
        "since": "2026-11-22T02:15:00Z",
        "until": "2026-11-22T06:00:00Z",
        "reason": "price check",
    }
    assert call("resume", "prompts").out == "resume job=prompts was_paused=true queued=4\n"
    assert "paused" not in call("status", "prompts").out


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["prompts"], "job=prompts"),
        (["jobs/prompts.toml"], "job=prompts"),
        (["r1"], "run=prompts number=r1"),
        (["nightly@2026-11-21"], "run=nightly@2026-11-21 number=r3"),
        (["nightly"], "job=nightly"),
    ],
)
@pytest.mark.usefixtures("stores")
def test_what_is_paused_is_what_was_named(words: list[str], keys: str) -> None:
    """A job, its file, one of its runs by name or number."""
    assert call("pause", *words).out.startswith(f"pause {keys} queued=")
    assert call("resume", *words).out.startswith(f"resume {keys} was_paused=true")


def test_without_a_name_the_whole_store_is_paused(stores: Path) -> None:
    """One word stops everything, whatever cron starts."""
    ended = call("pause")
    assert ended.out == f"pause store={stores} queued=4 collecting=4\n"
    assert "send again with: runner resume\n" in ended.err
    assert all(run["paused"] for run in call("status", "--json").document["runs"])
    person = call_on_terminal("resume")
    assert person.out == "everything in this store: resumed; 4 tasks queued\n"


@pytest.mark.usefixtures("stores")
def test_resume_names_what_stays_paused_and_how_to_end_that() -> None:
    """Or a person waits for a run that another word still holds."""
    call("pause", "nightly@2026-11-21", "--reason", "bad prompts")
    call("pause")
    ended = call("resume", "r3")
    assert "was_paused=true" in ended.out
    assert ended.err == "the whole store is still paused; send again with: runner resume\n"
    call("pause", "r3", "--reason", "bad prompts")
    ended = call("resume", "--json")
    assert ended.document["still_paused"] == [
        {"scope": "r3", "since": "2026-11-22T02:15:00Z", "until": None, "reason": "bad prompts"}
    ]
    assert "nightly@2026-11-21 (r3) is still paused: bad prompts" in ended.err
    assert "was_paused=false" in call("resume", "nightly").out


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        ("02:15", "2026-11-23T02:15:00Z"),
        ("2:16", "2026-11-22T02:16:00Z"),
        ("90m", "2026-11-22T03:45:00Z"),
        ("1d12h", "2026-11-23T14:15:00Z"),
        ("2026-11-24", "2026-11-24T00:00:00Z"),
        ("2026-11-24T06:00", "2026-11-24T06:00:00Z"),
        ("2026-11-24T06:00+02:00", "2026-11-24T04:00:00Z"),
    ],
)
@pytest.mark.usefixtures("stores")
def test_until_when_may_be_said_in_each_of_the_usual_ways(until: str, ends: str) -> None:
    """A time of day is the next one, all of them in UTC."""
    assert call("pause", "--until", until, "--json").document["until"] == ends


@pytest.mark.parametrize("until", ["2026-11-22", "2026-11-22T02:15", "0", "25:00", "soon", "90"])
@pytest.mark.usefixtures("stores")
def test_a_moment_that_is_none_or_over_is_refused(until: str) -> None:
    """A pause that ends before it begins would look like one that does not work."""
    ended = call("pause", "--until", until)
    assert ended.code is Exit.WRONG_INPUT
    assert until in ended.err
    assert all(not run["paused"] for run in call("status", "--json").document["runs"])


@pytest.mark.parametrize(
    "argv", [["pause"], ["resume"], ["cancel"], ["prune", "--older-than", "1d"]]
)
def test_before_anything_was_run_there_is_nothing_to_control(argv: list[str], folder: Path) -> None:
    """And no store is made by the way."""
    ended = call(*argv)
    assert ended.code is Exit.WRONG_INPUT
    assert "go on with: runner run demo --api sim" in ended.err
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize(
    "argv", [["pause", "x"], ["resume", "x"], ["cancel", "x"], ["prune", "x", "--older-than", "1d"]]
)
@pytest.mark.usefixtures("stores")
def test_what_is_unknown_is_refused(argv: list[str]) -> None:
    """A typo must not look like success."""
    ended = call(*argv, "--yes")
    assert ended.code is Exit.WRONG_INPUT
    assert "there is no run or job x in this store" in ended.err


def test_a_store_that_cannot_be_written_is_for_later(
    stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """75: nothing is wrong with what was asked; the disk is full or somebody else writes."""
    full_error = sqlite3.OperationalError("database or disk is full")
    full_error.sqlite_errorcode = sqlite3.SQLITE_FULL

    def refuse(*_: object, **__: object) -> None:
        raise full_error

    monkeypatch.setattr(controlling, "pause", refuse)
    ended = call("pause")
    assert ended.code is Exit.TRY_LATER
    assert ended.err.startswith(f"error: the store cannot be written now\n  at {stores}\n")
    assert call("-q", "pause").err == ""


# -- cancel ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stores")
def test_cancel_drops_what_waits_and_says_what_it_cannot() -> None:
    """What was sent is billed and collected whatever anybody wants (UX.md §5.3)."""
    assert call("cancel", "prompts", "--yes").out == "cancel run=prompts queued=4 sent=0\n"
    assert states("prompts") == {"cancelled": 4}
    person = call_on_terminal("cancel", "r3", "-y")
    assert person.out == (
        "cancelled 0 queued tasks of nightly@2026-11-21 (r3); "
        "4 already sent will still be billed and collected, and not asked again\n"
    )
    assert states("r3") == {"posted": 4}


@pytest.mark.usefixtures("stores")
def test_a_cancelled_run_is_finished_and_no_failure() -> None:
    """Exit codes and headlines go by what failed (DESIGN.md §11)."""
    call("cancel", "prompts", "--yes")
    line = call("status", "prompts").out
    assert "state=finished" in line
    assert "failed=0 waiting=0 cancelled=4" in line
    people = call_on_terminal("status", "prompts").out
    assert people.splitlines()[-1].endswith("finished, 4 cancelled")


@pytest.mark.usefixtures("stores")
def test_a_dry_cancel_counts_and_changes_nothing() -> None:
    """It needs no --yes: there is nothing to confirm."""
    ended = call("cancel", "prompts", "--dry-run")
    assert (ended.code, ended.out) == (Exit.DONE, "cancel.dry run=prompts queued=4 sent=0\n")
    assert states("prompts") == {"pending": 4}
    assert call("cancel", "prompts", "-n", "--json").document == {
        "schema": "runner.cancel/1",
        "runs": ["prompts"],
        "queued": 4,
        "sent": 0,
        "dry_run": True,
    }


@pytest.mark.usefixtures("stores")
def test_selectors_narrow_what_is_dropped() -> None:
    """The same ones that `tasks` lists with."""
    ended = call("cancel", "prompts", "--where", "prompt=how?", "--yes", "--json")
    assert ended.document["queued"] == 1
    assert states("prompts") == {"pending": 3, "cancelled": 1}
    assert (
        call("cancel", "--job", "prompts", "--limit", "2", "--yes", "--json").document["queued"]
        == 2
    )
    assert call("cancel", "prompts", "--state", "pending", "-y", "--json").document["queued"] == 1


@pytest.mark.usefixtures("stores")
def test_only_pending_tasks_can_be_cancelled() -> None:
    """Anything else is said before anything happens."""
    ended = call("cancel", "r3", "--state", "posted", "--yes")
    assert ended.code is Exit.WRONG_INPUT
    assert "only pending tasks can be cancelled" in ended.err


@pytest.mark.usefixtures("stores")
def test_without_a_run_the_newest_is_taken_and_named() -> None:
    """Never all of them."""
    assert call("cancel", "--yes").out == "cancel run=nightly@2026-11-21 queued=0 sent=4\n"
    assert states("prompts") == {"pending": 4}


# -- prune -------------------------------------------------------------------------------------


def test_prune_deletes_texts_and_says_how_much(stores: Path) -> None:
    """Runs that are not over, or not old enough, are not touched."""
    before = call("cost", "--by", "run", "--json").document
    size = call("prune", "--older-than", "6h", "--dry-run", "--json").document
    assert (size["runs"], size["answers"], size["dry_run"]) == (["nightly@2026-11-20"], 4, True)
    assert _answers(stores) == 4
    ended = call("prune", "--older-than", "6h", "--yes")
    assert ended.out == f"prune runs=1 deleted=4 bytes={size['bytes']} keep=costs\n"
    assert _answers(stores) == 0
    assert call("cost", "--by", "run", "--json").document == before
    assert states("nightly@2026-11-20") == {"completed": 4}
    again = call_on_terminal("prune", "--older-than", "6h", "-y")
    assert again.out.startswith("nothing to prune: ")


def _answers(store: Path) -> int:
    with closing(sqlite3.connect(store)) as db:
        return int(db.execute("SELECT count(*) FROM results").fetchone()[0])


@pytest.mark.usefixtures("stores")
def test_prune_spares_what_is_younger() -> None:
    """By the last thing that happened in the run."""
    assert call("prune", "--older-than", "18h", "--yes").out.startswith("prune runs=0 ")
    assert call("prune", "prompts", "--older-than", "0", "--yes").out.startswith("prune runs=0 ")
    assert call("prune", "--older-than", "999999999d", "--yes").code is Exit.DONE


def test_prune_can_keep_the_answers(stores: Path) -> None:
    """Exports stay whole; only the API's own bytes go."""
    call("export", "nightly@2026-11-20", "-o", "before.jsonl")
    person = call_on_terminal("prune", "nightly", "--older-than", "6h", "--keep", "answers", "-y")
    assert person.out.startswith("deleted 4 raw replies (")
    assert person.out.endswith(" of nightly@2026-11-20 (r2); all but the raw replies stay\n")
    call("export", "nightly@2026-11-20", "-o", "after.jsonl")
    before, after = (stores.with_name(f"{n}.jsonl").read_text("utf-8") for n in ("before", "after"))
    assert before == after


def test_an_export_of_a_pruned_run_says_so_and_replaces_nothing(stores: Path) -> None:
    """The file from before the prune may be the only one with the answers."""
    out = stores.with_name("out")
    call("export", "nightly@2026-11-20")
    whole = (out / "nightly@2026-11-20.csv").read_bytes()
    call("export", "nightly@2026-11-20", "-o", "mine.csv")
    call("prune", "--older-than", "6h", "--yes")
    ended = call("export", "nightly@2026-11-20")
    assert "nightly@2026-11-20 was pruned on 2026-11-22" in ended.err
    assert (out / "nightly@2026-11-20.csv").read_bytes() == whole
    lines = (out / "nightly@2026-11-20.pruned.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert [(each["state"], each["reason"], each["answer"]) for each in found] == [
        ("completed", "pruned", None)
    ] * 4
    assert all(each["cost_usd"] for each in found)
    assert call("export", "nightly@2026-11-20").code is Exit.DONE
    refused = call("export", "nightly@2026-11-20", "-o", "mine.csv")
    assert refused.code is Exit.WRONG_INPUT
    assert "may be the last file with its answers" in refused.err
    forced = call("export", "nightly@2026-11-20", "-o", "mine.csv", "--force", "--json")
    assert len(forced.document["files"]) == 1


@pytest.fixture
async def failures(folder: Path) -> None:
    """A run that failed whole."""
    async with filled(folder / "runner.db", CELLS, job="prompts", end=failed(50000)):
        pass


@pytest.mark.usefixtures("failures")
def test_a_pruned_failure_is_not_retried() -> None:
    """Its prompt is gone."""
    assert call("retry", "-n", "--json").document["matched"] == 4
    assert call("prune", "--older-than", "6h", "-y").code is Exit.DONE
    assert call("retry", "-n", "--json").document["matched"] == 0


def test_an_age_is_needed() -> None:
    """`runner prune` alone deletes nothing."""
    ended = call("prune", "--yes")
    assert ended.code is Exit.WRONG_INPUT
    assert "--older-than" in ended.err
