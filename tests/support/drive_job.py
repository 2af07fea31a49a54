"""A process of its own that runs a job, so that a test can kill it: FOLDER URL SPEED EPOCH.

Prints the exit code of the start, and leaves with it.
"""

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path

from runner.app import Progress, RunOptions, StopSwitch, run_job
from runner.errors import Problem
from runner.jobfile import load_job
from runner.pipeline.loader import LoadReport
from runner.settings import Settings
from runner.store.values import Run, RunStatus
from tests.support.clock import START
from tests.support.fast_clock import FastClock


class Silent:
    """A reporter that tells nobody."""

    def problem(self, problem: Problem) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def begun(self, run: Run, load: LoadReport | None, status: RunStatus) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        pass


def clock_since(epoch: float, speed: float) -> FastClock:
    """The clock of a world that began at *epoch* (Unix time) and is shared by several processes."""
    return FastClock(speed, start=START + timedelta(seconds=(time.time() - epoch) * speed))


async def main(folder: Path, url: str, speed: float, epoch: float) -> int:
    """Run the job ``sky`` of *folder* to its end."""
    settings = Settings.load(
        environ={
            "DATAFORSEO_BASE_URL": url,
            "DATAFORSEO_LOGIN": "me",
            "DATAFORSEO_PASSWORD": "secret",
            "RUNNER_CALLS_PER_MINUTE": "20000",
            # A post that a kill kept from arriving is proven absent after four times this.
            "RUNNER_SETTLE_SECONDS": "60",
            "RUNNER_POST_TIMEOUT_SECONDS": "10",
        },
        flags={},
        workspace=folder,
    )
    summary = await run_job(
        load_job(str(folder / "sky.toml"), workspace=folder),
        RunOptions(wait_s=7200),
        settings=settings,
        clock=clock_since(epoch, speed),
        reporter=Silent(),
        stop=StopSwitch(),
    )
    return int(summary.exit)


if __name__ == "__main__":
    code = asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
    print(code)
    sys.exit(code)
