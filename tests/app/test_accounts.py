"""Several accounts in one start: each pays for its own, and one in trouble holds up no other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runner.app import Limits, RunOptions, RunSummary
from runner.app.engines import running_engines
from runner.app.opening import own_store
from runner.errors import CredentialsRefused, Exit, WrongInput
from runner.jobfile import Job, load_job
from runner.lifecycle import State
from runner.money import NANOS_PER_DOLLAR
from runner.settings import Settings
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.store.sqlite.store import open_store
from runner.task import Gateway, Tag
from tests.app.place import Place, placed, states
from tests.support.jobs import write_prompts

OPTIONS = RunOptions(export=False, wait_s=3600)
LOGINS = {"agency": "agency@example.org", "brand": "brand@example.org"}


@dataclass(slots=True)
class Two:
    """A workspace with two accounts; each has an API of its own, and a login that it knows."""

    agency: Place
    brand: Place

    def settings(self, **environ: str) -> Settings:
        lines = []
        for name, place in (("agency", self.agency), ("brand", self.brand)):
            lines += [f"[accounts.{name}]", f'base_url = "{place.url}"']
        (self.agency.folder / "runner.toml").write_text("\n".join(lines), encoding="utf-8")
        given = {
            "DATAFORSEO_LOGIN_AGENCY": LOGINS["agency"],
            "DATAFORSEO_PASSWORD_AGENCY": "secret",
            "DATAFORSEO_LOGIN_BRAND": LOGINS["brand"],
            "DATAFORSEO_PASSWORD_BRAND": "secret",
            "RUNNER_CALLS_PER_MINUTE": "100000",
            "RUNNER_POST_TIMEOUT_SECONDS": "5",
        } | environ
        return Settings.load(environ=given, flags={}, workspace=self.agency.folder)

    def job(self, prompts: int, *accounts: str | None) -> Job:
        """The job ``sky`` with a target for each of *accounts*; None: it is nobody's."""
        write_prompts(self.agency.folder / "q.csv", prompts)
        text = 'name = "sky"\n[input]\nfile = "q.csv"\n'
        for number, account in enumerate(accounts):
            text += '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n'
            text += f'name = "t{number}"\n' + (f'account = "{account}"\n' if account else "")
        path = self.agency.folder / "sky.toml"
        path.write_text(text, encoding="utf-8")
        return load_job(str(path), workspace=self.agency.folder)

    async def start(
        self, job: Job, options: RunOptions = OPTIONS, settings: Settings | None = None
    ) -> RunSummary:
        return await self.agency.start(job, options, settings=settings or self.settings())

    def tasks_of(self, place: Place) -> set[int]:
        """Which tasks an account took."""
        return {tag.task for text in place.created() if (tag := Tag.parse(text)) is not None}

    async def costs(self) -> dict[str, int]:
        path = self.agency.folder / "runner.db"
        async with open_store(path, clock=self.agency.clock) as store:
            assert await store.verify() == []
            _, lines = await store.cost(by="account")
        return {line.key: line.money.charged for line in lines if line.money.charged}

    def bills(self) -> dict[str, int]:
        """What each account has charged, as its own ledger says."""
        places = (("agency", self.agency), ("brand", self.brand))
        return {name: charged for name, place in places if (charged := _charged(place))}


def _charged(place: Place) -> int:
    return sum(task.charge or 0 for task in place.account.ledger.tasks)


@asynccontextmanager
async def two_accounts(folder: Path, **brand: Any) -> AsyncIterator[Two]:
    async with (
        placed(folder, login=LOGINS["agency"], seed=1) as agency,
        placed(folder, login=LOGINS["brand"], seed=2, **brand) as other,
    ):
        yield Two(agency, other)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with two_accounts(tmp_path) as made:
        yield made


async def test_pinned_tasks_go_to_their_account_and_the_rest_to_any(two: Two) -> None:
    """A client's account pays for that client's questions, and for no other's."""
    summary = await two.start(two.job(300, "brand", None))
    assert summary.exit is Exit.DONE
    assert states(summary) == {State.COMPLETED: 600}
    (pinned,) = two.agency.sql("SELECT id FROM targets WHERE account = 'brand'")[0]
    theirs = {t for (t,) in two.agency.sql(f"SELECT id FROM tasks WHERE target_id = {pinned}")}
    ours, brands = two.tasks_of(two.agency), two.tasks_of(two.brand)
    assert theirs <= brands
    assert not ours & brands
    assert len(ours | brands) == 600
    # Both had room, so both took part.
    assert ours
    assert len(two.agency.created()) + len(two.brand.created()) == 600
    assert await two.costs() == two.bills()


async def test_what_one_account_cannot_pay_the_other_takes(tmp_path: Path) -> None:
    """A balance that runs out at night is no reason to stop."""
    async with two_accounts(tmp_path, balance=NANOS_PER_DOLLAR // 50) as two:
        summary = await two.start(two.job(30, None, None))
        assert states(summary) == {State.COMPLETED: 60}
        assert summary.exit is Exit.DONE
        assert len(two.agency.created()) + len(two.brand.created()) == 60
        assert await two.costs() == two.bills()


async def test_what_is_pinned_to_an_account_without_money_waits(tmp_path: Path) -> None:
    """Nobody else may be billed for it; the exit code says that money is missing, and whose."""
    async with two_accounts(tmp_path, balance=0) as two:
        summary = await two.start(two.job(4, "brand", "agency"))
        assert states(summary) == {State.COMPLETED: 4, State.PENDING: 4}
        assert summary.exit is Exit.MONEY
        assert summary.reason is not None
        assert "account brand" in (summary.reason.where or "")
        assert two.brand.created() == []
        two.brand.account.deposit(NANOS_PER_DOLLAR)
        again = await two.start(two.job(4, "brand", "agency"))
        assert (again.exit, states(again)) == (Exit.DONE, {State.COMPLETED: 8})
        assert len(two.agency.created()) == len(two.brand.created()) == 4


async def test_an_account_without_money_is_named_though_the_other_has_taken_all(
    tmp_path: Path,
) -> None:
    """The start is done; the next one may need both."""
    async with two_accounts(tmp_path, balance=0) as two:
        summary = await two.start(two.job(4, *[None] * 8))
        assert (summary.exit, states(summary)) == (Exit.DONE, {State.COMPLETED: 32})
        assert any(
            note.startswith("account brand posts nothing") for note in two.agency.reporter.notes
        )


async def test_a_refused_login_stops_its_account_alone(two: Two) -> None:
    """Somebody changed one password; the other account's night is not lost."""
    settings = two.settings(DATAFORSEO_LOGIN_BRAND="wrong@example.org")
    summary = await two.start(two.job(5, None, "brand"), settings=settings)
    assert states(summary) == {State.COMPLETED: 5, State.PENDING: 5}
    assert summary.exit is Exit.CREDENTIALS
    assert summary.reason is not None
    assert "account brand" in (summary.reason.where or "")


async def test_an_account_that_was_left_out_is_missed(two: Two) -> None:
    """What is out there would never be fetched."""
    job = two.job(3, "brand")
    two.brand.strike(Fault.HTTP_500_BEFORE, CallKind.TASK_GET, times=10_000)
    first = await two.start(job, RunOptions(export=False, wait_s=0))
    assert states(first) == {State.POSTED: 3}
    settings = two.settings()
    text = (two.agency.folder / "runner.toml").read_text()
    (two.agency.folder / "runner.toml").write_text(text.split("[accounts.brand]")[0])
    alone = Settings.load(
        environ={"DATAFORSEO_LOGIN_AGENCY": "a@b.example", "DATAFORSEO_PASSWORD_AGENCY": "x"},
        flags={},
        workspace=two.agency.folder,
    )
    with pytest.raises(WrongInput, match="account agency of this store belongs to another login"):
        await two.start(two.job(3, None), settings=alone)
    alone = Settings.load(
        environ={
            "DATAFORSEO_LOGIN_AGENCY": LOGINS["agency"],
            "DATAFORSEO_PASSWORD_AGENCY": "secret",
        },
        flags={},
        workspace=two.agency.folder,
    )
    with pytest.raises(WrongInput, match="out at the account brand"):
        await two.start(two.job(3, None), settings=alone)
    two.brand.account.faults.disarm()
    again = await two.start(two.job(3, "brand"), settings=settings)
    assert states(again) == {State.COMPLETED: 3}
    assert len(two.brand.created()) == 3


async def test_a_store_of_one_account_goes_on_under_its_name(two: Two) -> None:
    """The second account is added a year later; nothing is asked again."""
    job = two.job(3, None)
    before = await two.agency.start(
        job, OPTIONS, settings=two.agency.settings(DATAFORSEO_LOGIN=LOGINS["agency"])
    )
    assert before.exit is Exit.DONE
    after = await two.start(two.job(5, None))
    assert states(after) == {State.COMPLETED: 5}
    assert len(two.agency.created()) + len(two.brand.created()) == 5
    assert two.agency.sql("SELECT id, name FROM accounts ORDER BY id")[0] == (1, "agency")


async def test_an_account_that_nobody_knows_is_an_error_at_its_place(two: Two) -> None:
    """A typing error must not ask, and bill, another account."""
    with pytest.raises(WrongInput) as caught:
        await two.start(two.job(1, "brnad"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (8, 1)
    assert '"brnad" is no account; did you mean brand?' in problem.message
    assert not (two.agency.created())
    assert not (two.brand.created())


async def test_a_missing_password_is_told_before_anything_is_sent(two: Two) -> None:
    """It says whose."""
    with pytest.raises(CredentialsRefused) as caught:
        await two.start(two.job(1, None), settings=two.settings(DATAFORSEO_PASSWORD_BRAND=""))
    text = "\n".join(caught.value.lines())
    assert "DATAFORSEO_PASSWORD_BRAND" in text
    assert not (two.agency.created())
    assert not (two.brand.created())


async def test_a_worker_that_needs_aisa_alone_has_all_accounts_or_none(two: Two) -> None:
    """`work` takes up later what any gateway is asked: one account of two would be blind to what
    the other has taken."""
    aisa = {"AISA_API_KEY": "sk-aisa-0123456789", "AISA_BASE_URL": f"{two.agency.url}/apis/v1"}
    names = [f"DATAFORSEO_PASSWORD_{name}" for name in ("AGENCY", "BRAND")]

    async def standard(*missing: str) -> list[bool]:
        settings = two.settings(**aisa, **dict.fromkeys(missing, ""))
        clock = two.agency.clock
        async with (
            own_store(settings, wait_lock_s=0, clock=clock) as own,
            running_engines(
                settings, own, clock=clock, needs={Gateway.AISA}, welcome=tuple(Gateway)
            ) as engines,
        ):
            return [each.standard for each in engines.parts]

    assert await standard() == [True, True]
    assert await standard(*names) == [False]
    for name in names:
        with pytest.raises(CredentialsRefused) as caught:
            await standard(name)
        assert name in "\n".join(caught.value.lines())


async def test_a_limit_is_one_for_all_accounts(two: Two) -> None:
    """The budget is the run's, whoever pays."""
    job = two.job(400, None)
    limited = RunOptions(export=False, wait_s=3600, limit=150)
    summary = await two.start(job, limited)
    assert len(two.agency.created()) + len(two.brand.created()) == 150
    assert states(summary)[State.COMPLETED] == 150


async def test_a_store_in_doubt_looks_through_every_account_before_it_posts(two: Two) -> None:
    """An older copy does not know what was posted since, nor with which account."""
    settings = two.settings(RUNNER_SETTLE_SECONDS="1")
    first = await two.start(two.job(3, "agency", "brand"), settings=settings)
    assert first.exit is Exit.DONE
    (two.agency.folder / "runner.db.newest").unlink()
    again = await two.start(two.job(5, "agency", "brand"), settings=settings)
    assert (again.exit, states(again)) == (Exit.DONE, {State.COMPLETED: 10})
    assert len(two.agency.created()) == len(two.brand.created()) == 5
    listed = two.agency.sql("SELECT DISTINCT account_id FROM scans ORDER BY account_id")
    assert listed == [(1,), (2,)]


async def test_a_run_whose_account_is_gone_is_left_alone(two: Two) -> None:
    """`work` posts what it can, and says what waits for whom."""
    job = two.job(1, "brand")
    await two.start(job, RunOptions(export=False, wait_s=3600, source=str(job.path)))
    async with open_store(two.agency.folder / "runner.db", clock=two.agency.clock) as store:
        (run,) = await store.runs()
    folder = two.agency.folder
    assert Limits(folder, accounts=["brand"]).of(run) == Limits(folder).of(run)
    with pytest.raises(WrongInput, match="account is not in") as caught:
        Limits(folder, accounts=["agency"]).of(run)
    assert caught.value.why == "it names brand"
