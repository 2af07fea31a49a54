"""What a long queue and a long past cost: claims, and the start of a run."""

import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.cases.stages import forget_store, lifted, prepared
from bench.measuring import Line, Place
from bench.processes import ask_json, write_job
from runner.api.requests import encode_post
from runner.rows import Attempt
from runner.store.sqlite.collecting import take_posted
from runner.store.sqlite.posting import begin_batch
from runner.store.values import Ceiling

SEED: Final = 1_000
"""Tasks that are made as users make them; the rest are copies of these in every table."""

_CLAIM: Final = 100
_ROUNDS: Final = 15

_COPIES: Final = {
    "rows": ("id, run_id, key", "id + :n, run_id, CAST(:n || '.' || id AS BLOB)"),
    "input_rows": (
        "load_id, position, line, row_id, cells",
        "load_id, position + :n, line + :n, row_id + :n, cells",
    ),
    "tasks": (
        "id, run_id, row_id, target_id, sample, turn, state, attempt, due_at, posted_at",
        "id + :n, run_id, row_id + :n, target_id, sample, turn, state, attempt, due_at, posted_at",
    ),
    "payloads": ("task_id, hash, body", "task_id + :n, hash, body"),
    "attempts": (
        "task_id, number, run_id, batch_id, model, tag, state, remote_id, charged_nanousd",
        "task_id + :n, number, run_id, batch_id, model, tag || :n, state, remote_id || :n,"
        " charged_nanousd",
    ),
    "results": (
        "task_id, attempt, received_at, money_spent_nanousd, answer",
        "task_id + :n, attempt, received_at, money_spent_nanousd, substr(answer, 1, 200)",
    ),
    "replies": ("task_id, attempt, raw", "task_id + :n, attempt, substr(raw, 1, 200)"),
}


def grow(store: Path, tasks: int) -> None:
    """Copy the first ``SEED`` tasks of *store* until there are *tasks*; answers are shortened."""
    key = {"rows": "id", "tasks": "id", "input_rows": "position"}
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        for number in range(SEED, tasks, SEED):
            for table, (columns, values) in _COPIES.items():
                by = key.get(table, "task_id")
                db.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table}"
                    f" WHERE {by} <= :seed ORDER BY {by}",
                    {"n": number, "seed": SEED},
                )
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _pending(place: Place, tasks: int, finished: Path | None = None) -> Path:
    """A store with *tasks* pending; with *finished*, in a copy of that store beside its tasks."""
    folder = prepared(place, SEED)
    if finished is not None:
        _copy(finished, folder)
        write_job(folder / "job.toml", data="prompts.jsonl", key="new")
    lifted(place, "load", "job.toml", "--quiet")
    store = folder / "runner.db"
    if finished is None:
        grow(store, tasks)
    return store


def _finished(place: Place, tasks: int) -> Path:
    """A folder with a store whose *tasks* are all finished."""
    folder = prepared(place, SEED)
    write_job(folder / "job.toml", data="prompts.jsonl", key="old")
    lifted(place, "run", "job.toml", "--progress", "none", "--quiet")
    grow(folder / "runner.db", tasks)
    kept = place.folder.with_name("finished")
    shutil.rmtree(kept, ignore_errors=True)
    folder.rename(kept)
    return kept


def _copy(finished: Path, folder: Path) -> None:
    """Put the finished store into *folder*; without its side file it would pass for an old copy,
    and the account be looked through first."""
    for name in ("runner.db", "runner.db.newest"):
        shutil.copyfile(finished / name, folder / name)


def _claims_s(store: Path) -> tuple[float, float]:
    """The median times of a claim of 100 to post and of a claim of 100 to fetch.

    Each is taken back, so that the next one finds the same queue; the sync is not in them.
    """
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = -4096")
        (run, target) = db.execute(
            "SELECT run_id, target_id FROM tasks WHERE state = 'pending' LIMIT 1"
        ).fetchone()
        now = datetime.now(UTC) + timedelta(hours=1)
        # A store that was only loaded has none yet.
        db.execute(
            """
            INSERT OR IGNORE INTO accounts (id, gateway, base_url, login_hash)
            VALUES (1, 'dataforseo', 'https://api.test', '')
            """
        )

        def post() -> None:
            begin_batch(
                db,
                run=run,
                target=target,
                account=1,
                worker=1,
                limit=_CLAIM,
                now=now,
                patience=timedelta(seconds=75),
                ceiling=Ceiling(),
                seal=_seal,
            )

        def fetch() -> None:
            lease = timedelta(minutes=10)
            taken = take_posted(db, _CLAIM, worker=1, now=now, lease=lease, account=1)
            assert len(taken) == _CLAIM, f"{len(taken)} claimed"

        posting = _median_s(db, post)
        db.execute("BEGIN")
        for _ in range(5):
            post()
        db.execute(
            "UPDATE tasks SET state = 'posted', due_at = 0, posted_at = 0 WHERE state = 'posting'"
        )
        db.execute("UPDATE attempts SET state = 'posted', remote_id = tag WHERE state = 'posting'")
        db.execute("COMMIT")
        return posting, _median_s(db, fetch)


def _seal(attempts: tuple[Attempt, ...]) -> str:
    return str(len(encode_post(attempts)))


def _median_s(db: sqlite3.Connection, work: Callable[[], None]) -> float:
    times = []
    for _ in range(_ROUNDS):
        db.execute("BEGIN IMMEDIATE")
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        db.execute("ROLLBACK")
    return statistics.median(times)


def claim(place: Place) -> Iterable[Line]:
    """Claims of 100 with more and more tasks waiting, and with many finished ones."""
    depths = (
        (SEED, 5_000, 10_000)
        if place.quick
        else (10_000, 100_000, max(200_000, int(1_000_000 * place.scale)))
    )
    at = {depth: _claims_s(_pending(place, depth)) for depth in depths}
    for index, kind in enumerate(("post", "fetch")):
        base = at[depths[0]][index]
        yield Line(
            case=f"claim.{kind}",
            what=f"time with {depths[-1]:,} pending, × that with {depths[0]:,}",
            ratio=at[depths[-1]][index] / base,
            figures={f"µs at {depth:,}": times[index] * 1e6 for depth, times in at.items()},
        )
    past = place.many(1_000_000, 10_000)
    finished = _finished(place, past)
    try:
        none = _claims_s(_pending(place, SEED))
        much = _claims_s(_pending(place, SEED, finished))
    finally:
        shutil.rmtree(finished)
    for index, kind in enumerate(("post", "fetch")):
        yield Line(
            case=f"claim.{kind}",
            what=f"time with {past:,} finished, × that with none",
            ratio=much[index] / none[index],
            goal="≤ 1.5",
            figures={"µs with none": none[index] * 1e6, f"with {past:,}": much[index] * 1e6},
        )


def restart(place: Place) -> Iterable[Line]:
    """From the start of `run` with an input of 1,000 rows to its first call, on a store with a
    long past and on an empty one."""
    past = place.many(1_000_000, 10_000)
    finished = _finished(place, past)
    took: dict[str, list[float]] = {"past": [], "none": []}
    try:
        for _ in range(place.rounds):
            for name, times in took.items():
                folder = prepared(place, SEED)
                forget_store(folder)
                if name == "past":
                    _copy(finished, folder)
                    write_job(folder / "job.toml", data="prompts.jsonl", key="new")
                ask_json(f"{place.url}/bench/calls")
                began = time.time()
                # Posts, and leaves: what comes after the first call is not measured.
                start = ["run", "job.toml", "--progress", "none", "--quiet", "--wait", "0"]
                lifted(place, *start, finishes=False)
                first_at = float(ask_json(f"{place.url}/bench/calls")["first_at"])
                times.append(first_at - began)
    finally:
        shutil.rmtree(finished)
    medians = {name: statistics.median(times) for name, times in took.items()}
    yield Line(
        case="restart",
        what=f"s from the start of run to its first call, {past:,} tasks finished",
        ratio=medians["past"],
        goal="≤ 1.5",
        figures={"s on an empty store": medians["none"]},
    )
