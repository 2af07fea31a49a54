"""Live and Standard targets in one run, through both gateways, and what a kill leaves of it."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from tests.support.commands import Simulated, Workspace, simulated

JOB = """\
name = "five"
[input]
file = "q.csv"
[limits]
confirm_above_usd = 1000
[[targets]]
provider = "chat_gpt"
model = "gpt-4.1"
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
[[targets]]
provider = "gemini"
model = "gemini-2.5-flash"
[[targets]]
provider = "perplexity"
model = "sonar"
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
gateway = "aisa"
"""

ONLY_AISA = """\
name = "only"
[input]
file = "q.csv"
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
gateway = "aisa"
"""

PERPLEXITY = """\
name = "lost"
[input]
file = "q.csv"
[limits]
confirm_above_usd = 1000
[[targets]]
provider = "perplexity"
model = "sonar"
"""


def keys(api: Simulated) -> dict[str, str]:
    return {"AISA_BASE_URL": f"{api.url}/apis/v1", "AISA_API_KEY": "sk-any"}


@contextmanager
def place(folder: Path, job: str, rows: int, latency: str) -> Iterator[Workspace]:
    """A job of *rows* questions, and a simulator whose Live calls take *latency*."""
    (folder / "sim.toml").write_text(f'live_latency = "{latency}"\n', encoding="utf-8")
    with simulated(folder, "--scenario", "sim.toml") as api:
        work = Workspace(folder, api)
        work.write("job.toml", job)
        work.write("q.csv", "prompt\n" + "".join(f"Question {n}?\n" for n in range(rows)))
        yield work


def until_open(work: Workspace, calls: int) -> None:
    """Wait until the server has so many Live calls open."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if work.api.ledger()["running"] >= calls:
            return
        time.sleep(0.05)
    raise AssertionError(f"{calls} Live calls were never open together")


def states(work: Workspace) -> dict[str, int]:
    found: dict[str, int] = work.json("status")["runs"][0]["states"]
    return {state: n for state, n in found.items() if n}


def money(work: Workspace, name: str) -> Decimal:
    return Decimal(work.json("cost")["totals"][name])


def charged_there(work: Workspace) -> Decimal:
    """What the server's ledger says, US dollars."""
    return Decimal(work.api.ledger()["charged_nanousd"]).scaleb(-9)


def test_five_targets_of_both_methods_and_gateways_end_in_one_run(tmp_path: Path) -> None:
    """Every task answered, thirty calls open and no more, and not a nano-dollar's difference."""
    # Long enough for all to be open before the first is answered.
    with place(tmp_path, JOB, 35, "4s") as work:
        ended = work.runner("run", "job.toml", **keys(work.api))
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 5 * 35}
        ledger = work.api.ledger()
        assert ledger["live_most_open"]["perplexity"] == 30
        assert 1 < ledger["aisa"]["most_open"] <= 20
        assert (ledger["live_refused"], ledger["duplicate_tags"]) == (0, 0)
        assert money(work, "charged") == charged_there(work)
        assert work.runner("verify").returncode == 0


def test_a_job_of_aisa_alone_needs_no_login(tmp_path: Path) -> None:
    """Who has no account at DataForSEO has a key, and that is enough."""
    with place(tmp_path, ONLY_AISA, 3, "50ms") as work:
        none = {"DATAFORSEO_LOGIN": "", "DATAFORSEO_PASSWORD": ""}
        ended = work.runner("run", "job.toml", **keys(work.api), **none)
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 3}
        assert work.api.ledger()["calls"]["user_data"] == 0


def test_a_kill_during_live_calls_pays_nothing_twice_in_silence(tmp_path: Path) -> None:
    """What was open is failed(answer_lost) with its money at risk, until a person pays again."""
    with place(tmp_path, PERPLEXITY, 6, "4s") as work:
        process = work.start("run", "job.toml")
        until_open(work, 6)
        process.kill()
        process.communicate()
        ended = work.runner("run", "job.toml")
        assert ended.returncode == 1, ended.stderr
        assert states(work) == {"failed": 6}
        assert work.json("status")["runs"][0]["at_risk"] == "0.300000000"
        assert work.api.ledger()["live"] == 6, "nothing was asked again"
        assert work.runner("retry", "job.toml").returncode == 1
        assert work.api.ledger()["live"] == 6, "nothing was asked again without the word"
        again = work.runner("retry", "job.toml", "--pay-again")
        assert again.returncode == 0, again.stderr
        assert states(work) == {"completed": 6}
        assert charged_there(work) <= money(work, "charged") + money(work, "at_risk")
        assert work.runner("verify").returncode == 0


def test_a_store_put_back_from_before_live_calls_goes_on_and_counts_them(tmp_path: Path) -> None:
    """F28: nobody can fetch their answers, so they are lost and paid, to the nano-dollar."""
    with place(tmp_path, PERPLEXITY, 4, "50ms") as work:
        assert work.runner("load", "job.toml").returncode == 0
        assert work.runner("db", "backup", "yesterday.db").returncode == 0
        assert work.runner("run", "job.toml").returncode == 0
        shutil.copy(work.folder / "yesterday.db", work.folder / "runner.db")
        for _ in range(2):
            ended = work.runner("run", "job.toml", RUNNER_SETTLE_SECONDS="2")
            assert ended.returncode == 1, ended.stderr
            assert states(work) == {"failed": 4}
        assert work.api.ledger()["live"] == 4, "nothing was asked again"
        assert money(work, "charged") == charged_there(work) > 0
        assert money(work, "at_risk") == 0
        assert work.runner("verify").returncode == 0


def test_live_resend_asks_again_what_a_kill_has_lost(tmp_path: Path) -> None:
    """Who would rather pay twice than look after it says so in the job."""
    with place(tmp_path, PERPLEXITY + "[retry]\nlive_resend = true\n", 3, "4s") as work:
        process = work.start("run", "job.toml")
        until_open(work, 3)
        process.kill()
        process.communicate()
        ended = work.runner("run", "job.toml")
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 3}
        assert money(work, "at_risk") == Decimal("0.15"), "and what was lost stays in sight"


def test_a_stop_waits_for_the_open_calls_and_says_so(tmp_path: Path) -> None:
    """Their answers are paid, and come now or never."""
    with place(tmp_path, PERPLEXITY, 5, "4s") as work:
        process = work.start("run", "job.toml")
        until_open(work, 5)
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 143, told
        assert "5 Live calls are open" in told
        assert states(work) == {"completed": 5}


def test_submit_asks_live_tasks_too_and_counts_them(tmp_path: Path) -> None:
    """`submit` sends what is due; a Live answer is there with it."""
    with place(tmp_path, PERPLEXITY, 4, "50ms") as work:
        assert work.runner("load", "job.toml").returncode == 0
        sent = work.runner("submit", "lost", "--limit", "3")
        assert sent.returncode in (0, 3), sent.stderr
        assert states(work) == {"pending": 1, "completed": 3}
        work.runner("work", "--drain")
        assert states(work) == {"completed": 4}
