"""Peak memory: a million rows loaded, and a run of 100,000 tasks.

python3 -m bench.memory [--rows 1000000] [--tasks 100000]
"""

import argparse
import tempfile
from pathlib import Path

from bench.processes import ledger, measure, simulator, write_job, write_prompts


def load(rows: int) -> None:
    """Load *rows* rows into a queue, on a scratch store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prompts(folder / "prompts.jsonl", rows)
        write_job(folder / "job.toml", data="prompts.jsonl")
        done = measure(["run", "job.toml", "--api", "sim", "--dry-run"], folder=folder)
        print(
            f"load {rows:,} rows: exit {done.exit_code}, peak {done.peak_mb:.0f} MB, "
            f"{rows / done.wall_s:,.0f} rows/s in two passes, "
            f"{done.cpu_s / rows * 1e6:.1f} µs CPU a row"
        )


def run(tasks: int) -> None:
    """Run *tasks* tasks to the end against a simulator in another process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prompts(folder / "prompts.jsonl", tasks)
        write_job(folder / "job.toml", data="prompts.jsonl")
        with simulator(folder, "--calls-per-minute", "100000", "--latency", "1s") as url:
            done = measure(
                ["run", "job.toml", "--progress", "none"],
                folder=folder,
                DATAFORSEO_BASE_URL=url,
                DATAFORSEO_LOGIN="bench",
                DATAFORSEO_PASSWORD="bench",
                RUNNER_CALLS_PER_MINUTE="100000",
            )
            counted = ledger(url)
        print(
            f"run of {tasks:,} tasks: exit {done.exit_code}, peak {done.peak_mb:.0f} MB, "
            f"{tasks / done.wall_s:,.0f} tasks/s, {done.cpu_s / tasks * 1e3:.3f} ms CPU a task; "
            f"the simulator created {counted['created']:,}, twice {counted['duplicate_tags']}"
        )


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to load; 0 leaves it out")
    parser.add_argument("--tasks", type=int, default=100_000, help="tasks to run; 0 leaves it out")
    options = parser.parse_args()
    if options.rows:
        load(options.rows)
    if options.tasks:
        run(options.tasks)


if __name__ == "__main__":
    main()
