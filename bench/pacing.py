"""The server's own count of a run's calls in any 60 seconds, against the limit it was set.

python3 -m bench.pacing [--limits 600 2000] [--minutes 2.5]
"""

import argparse
import tempfile
from pathlib import Path

from bench.processes import ledger, measure, simulator, write_job, write_prompts


def pace(limit: int, minutes: float) -> None:
    """Run enough tasks to be busy for so many *minutes* at *limit* calls a minute."""
    tasks = int(limit * minutes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prompts(folder / "prompts.jsonl", tasks)
        write_job(folder / "job.toml", data="prompts.jsonl")
        with simulator(folder, "--calls-per-minute", str(limit), "--latency", "1s") as url:
            done = measure(
                ["run", "job.toml", "--progress", "none"],
                folder=folder,
                DATAFORSEO_BASE_URL=url,
                DATAFORSEO_LOGIN="bench",
                DATAFORSEO_PASSWORD="bench",
                RUNNER_CALLS_PER_MINUTE=str(limit),
            )
            counted = ledger(url)
    busiest = counted["largest_minute"]
    refused = sum(counted["calls_over_limit"].values())
    print(
        f"limit {limit}: exit {done.exit_code}, {tasks:,} tasks in {done.wall_s:.0f} s; "
        f"busiest 60 s at the server: {busiest} calls = {busiest / limit:.1%}; refused: {refused}"
    )


def main() -> None:
    """Measure each limit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limits", type=int, nargs="+", default=[600, 2000])
    parser.add_argument("--minutes", type=float, default=2.5)
    options = parser.parse_args()
    for limit in options.limits:
        pace(limit, options.minutes)


if __name__ == "__main__":
    main()
