"""Asks the demo's first three questions and prints how each answer begins.

python examples/library.py           the simulator: no account, no cost
python examples/library.py live      the real thing, with login and password in the environment
"""

import asyncio
import sys
from textwrap import shorten

from runner import load_job, open_store, run_job


async def main(api: str = "sim") -> None:
    async with open_store(api=api) as store:
        summary = await run_job(store, load_job("demo"), limit=3)
        async for result in store.results(summary.run):
            print(f"{result.input['id']} {result.target}: {result.state}, {result.cost_usd} USD")
            print(f"    {shorten(result.answer or '', 90)}")
    print(f"{summary.run.name}: {summary.completed} of {summary.tasks}, {summary.charged_usd} USD")


asyncio.run(main(*sys.argv[1:]))
