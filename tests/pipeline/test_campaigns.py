"""Campaigns in the queue: only what is new is ever asked, in order, and memory stays flat."""

import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import Problem, WrongInput
from runner.jobfile import Job, checked_rows, load_job, open_input
from runner.lifecycle import State
from runner.pipeline.loader import LoadReport, check_input, load
from runner.store.sqlite.store import SqliteStore, open_store
from tests.pipeline.scene import RESERVE
from tests.support.clock import ManualClock

JOB = """\
name = "c"
[input]
file = "brands.csv"
[input.questions]
file = "questions.csv"
[prompt]
template = "{{question}} {{brand}}"
samples = %d
"""


def write(
    folder: Path,
    brands: Sequence[str],
    questions: Sequence[str],
    *,
    targets: Sequence[str] = ("claude",),
    samples: int = 1,
    more: str = "",
) -> Job:
    """The campaign of these brands, questions and targets."""
    (folder / "brands.csv").write_text("brand\n" + "".join(f"{each}\n" for each in brands))
    (folder / "questions.csv").write_text("question\n" + "".join(f"{q}\n" for q in questions))
    text = JOB % samples + more
    for name in targets:
        text += f'[[targets]]\nname = "{name}"\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n'
    (folder / "c.toml").write_text(text)
    return load_job(str(folder / "c.toml"), workspace=folder)


Identity = tuple[bytes, str, int, int]


def identities(job: Job) -> list[Identity]:
    """Row key, target, sample and turn of each task, in the order of the input."""
    return [
        (row.key, ask.target, ask.sample, ask.turn)
        for part in checked_rows(job, open_input(job.input))
        for row in part.rows
        for ask in row.asks
    ]


_WORDS = st.lists(st.sampled_from([f"w{n}" for n in range(12)]), min_size=1, unique=True)
_SPLIT = st.tuples(_WORDS, st.integers(1, 12))


@given(_SPLIT, _SPLIT, _SPLIT, st.integers(1, 3), st.integers(0, 2), st.randoms())
def test_any_campaign_that_grew_and_was_shuffled_asks_again_nothing_that_it_asked(
    tmp_path_factory: pytest.TempPathFactory,
    brands: tuple[list[str], int],
    questions: tuple[list[str], int],
    targets: tuple[list[str], int],
    samples: int,
    more_samples: int,
    chance: random.Random,
) -> None:
    """Brands, questions, targets, samples come later, at any place, in any order: paid is paid."""
    folder = tmp_path_factory.mktemp("grown")
    before = identities(
        write(
            folder,
            brands[0][: brands[1]],
            questions[0][: questions[1]],
            targets=targets[0][: targets[1]],
            samples=samples,
        )
    )
    grown = [list(names) for names, _ in (brands, questions, targets)]
    for names in grown:
        chance.shuffle(names)
    after = identities(
        write(folder, grown[0], grown[1], targets=grown[2], samples=samples + more_samples)
    )
    assert set(before) <= set(after)
    assert len(set(after)) == len(after)
    product = len(grown[0]) * len(grown[1]) * len(grown[2]) * (samples + more_samples)
    assert len(after) == product


@dataclass(slots=True)
class Desk:
    """A folder and a store."""

    folder: Path
    store: SqliteStore
    clock: ManualClock
    told: list[Problem] = field(default_factory=list)

    async def load(self, job: Job, *, skip_bad: Path | None = None) -> LoadReport:
        source = await check_input(job, self.told.append, skip_bad=skip_bad)
        run = await self.store.begin_run(
            job=job.name,
            key="",
            fresh=0,
            api="live",
            key_columns=job.key_columns,
            targets=[(target, RESERVE) for target in job.targets],
            now=self.clock.now(),
        )
        return await load(self.store, job, run, source, clock=self.clock)

    async def exported(self) -> list[tuple[str, str, object, object, object]]:
        return [
            (
                *json.loads(line.cells).values(),
                *(line.values[n] for n in ("target", "sample", "turn")),
            )
            async for page in self.store.export(1)
            for line in page
        ]


@pytest.fixture
async def desk(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Desk]:
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        yield Desk(tmp_path, store, clock)


async def test_the_product_is_told_as_a_formula_and_adding_to_it_queues_the_rest(
    desk: Desk,
) -> None:
    """What a person sees before anything is paid, and what they pay when they add a brand."""
    first = await desk.load(write(desk.folder, ["a", "b"], ["x", "y", "z"]))
    assert first.formula == "2 rows × 3 questions × 1 target × 1 sample = 6 tasks"
    assert first.added.new == 6
    brand = await desk.load(write(desk.folder, ["c", "b", "a"], ["x", "y", "z"]))
    assert (brand.added.new, brand.added.known) == (3, 6)
    target = await desk.load(
        write(desk.folder, ["c", "b", "a"], ["x", "y", "z"], targets=("claude", "other"))
    )
    assert (target.added.new, target.added.known) == (9, 9)
    sample = await desk.load(
        write(desk.folder, ["c", "b", "a"], ["x", "y", "z"], targets=("claude", "other"), samples=2)
    )
    assert (sample.added.new, sample.added.known) == (18, 18)
    (run,) = await desk.store.runs()
    assert (await desk.store.status(run.id)).changed == 0


async def test_an_export_has_a_line_for_each_pair_target_sample_and_turn_in_order(
    desk: Desk,
) -> None:
    """The order of the two files is the order of the results."""
    more = 'follow_up = "question"\n'
    await desk.load(write(desk.folder, ["b", "a"], ["y", "x"], samples=2, more=more))
    assert await desk.exported() == [
        (brand, question, "claude", sample, turn)
        for brand in ("b", "a")
        for question in ("y", "x")
        for sample in (1, 2)
        for turn in (1, 2)
    ]


async def test_where_is_in_the_formula(desk: Desk) -> None:
    """The product is not what is paid when some cells are not asked."""
    job = write(desk.folder, ["a", "b"], ["x"])
    path = desk.folder / "c.toml"
    path.write_text(path.read_text() + 'where = { brand = "b" }\n')
    job = load_job(str(desk.folder / "c.toml"), workspace=desk.folder)
    report = await desk.load(job)
    assert report.formula.endswith("= 2 tasks, 1 of them to ask")
    assert report.added.new == 1
    assert len(await desk.exported()) == 1


async def test_a_bad_row_of_a_cross_is_written_once_and_its_good_pairs_are_asked(
    desk: Desk,
) -> None:
    """The file of rejects is mended and loaded: what was asked of it is known then."""
    job = write(desk.folder, ["a", "b" * 400], ["x", "y" * 200, "z" * 150])
    with pytest.raises(WrongInput, match="2 of 6 rows"):
        await desk.load(job)
    assert len(desk.told) == 2
    rejects = desk.folder / "rejects.csv"
    report = await desk.load(job, skip_bad=rejects)
    assert report.added.new == 4
    assert rejects.read_text() == f"brand\n{'b' * 400}\n"


async def test_a_mistake_in_the_second_table_is_told_once(desk: Desk) -> None:
    """It comes with every brand; a thousand lines about one cell help nobody."""
    job = write(desk.folder, [f"b{n}" for n in range(50)], ["x", '""'])
    with pytest.raises(WrongInput):
        await desk.load(job)
    assert [(Path(each.path).name, each.line) for each in desk.told] == [("questions.csv", 3)]


async def test_with_skip_bad_a_first_turn_is_asked_without_the_follow_up_that_does_not_fit(
    desk: Desk,
) -> None:
    """MT-Bench: a follow-up that is too long costs nobody the first answer; mended, it follows."""
    rows = [{"turns": ["a", "b"]}, {"turns": ["c", "d" * 501]}, {"turns": ["e" * 501, "f"]}]
    file = desk.folder / "t.jsonl"
    text = (
        'name = "c"\n[input]\nfile = "t.jsonl"\n[prompt]\ncolumn = "turns.0"\n'
        'follow_up = "turns.1"\n[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n'
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (desk.folder / "c.toml").write_text(text)
    rejects = desk.folder / "rejects.jsonl"
    report = await desk.load(
        load_job(str(desk.folder / "c.toml"), workspace=desk.folder), skip_bad=rejects
    )
    assert (report.added.new, report.rejected) == (3, 2)
    assert rejects.read_text().splitlines() == [json.dumps(row) for row in rows[1:]]
    rows[1]["turns"][1] = "d"
    rows[2]["turns"][0] = "e"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = await desk.load(load_job(str(desk.folder / "c.toml"), workspace=desk.folder))
    assert (report.added.new, report.added.known) == (3, 3)
    status = await desk.store.status(1)
    assert (status.states[State.PENDING], status.changed) == (6, 0)


async def test_checking_a_cross_takes_the_memory_of_a_chunk(desk: Desk) -> None:
    """A million brands times five must be as flat as a thousand."""

    async def peak(brands: int) -> int:
        job = write(desk.folder, [f"b{n}" for n in range(brands)], ["v", "w", "x", "y", "z"])
        tracemalloc.start()
        try:
            await check_input(job, desk.told.append)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = await peak(400)
    assert await peak(2_000) < small + 1_000_000
