"""The soak's API: a simulator in a process of its own, with everything that can go wrong."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.commands import environment

REPLY_DELAY_S: Final = 0.2
"""How long every reply takes: time for a death between a post and its answer."""

_PAGE: Final = 1_000

_SCENARIO: Final = """\
seed = {seed}
latency = "0s..4s"
reply_delay_s = {delay}
calls_per_minute = 1000000
# The small limits are kept by the tests of pacing; here each start would wait for the last.
ready_per_minute = 1000000
listing_per_minute = 1000000
user_data_per_minute = 1000000
listing = {listing}
"""

_FAULTS: Final = """\
shuffle_posts = true
[faults.task_post]
drop_before = 0.02
drop_after = 0.03
http_500_before = 0.02
http_500_after = 0.02
cut_body = 0.02
garbage_body = 0.02
html = 0.01
redirect = 0.01
slow = 0.01
stall_after = 0.01
task_missing = 0.01
tag_missing = 0.01
tag_doubled = 0.01
tag_foreign = 0.01
[faults.task_get]
drop_after = 0.02
http_500_before = 0.02
garbage_body = 0.01
cut_body = 0.01
[faults.tasks_ready]
drop_before = 0.05
[faults.id_list]
http_500_before = 0.05
cut_body = 0.05
"""
"""About every fifth post. ``slow`` and ``stall_after`` take longer than a reply is waited for."""


class Api:
    """The simulator's control endpoints."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def ledger(self) -> dict[str, Any]:
        """Its sums."""
        return await self._ask("ledger")

    async def tasks(self) -> list[dict[str, Any]]:
        """Every task that it ever created."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self._ask(f"ledger/tasks?offset={len(found)}&limit={_PAGE}")
            found += page["tasks"]
            if len(page["tasks"]) < _PAGE:
                return found

    async def control(self, **message: object) -> None:
        """Change its time, its settings or its faults."""
        await self._ask("control", json.dumps(message).encode())

    async def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            with urllib.request.urlopen(f"{self.url}/simulator/{path}", body, timeout=60) as reply:
                answer: dict[str, Any] = json.load(reply)
                return answer

        return await asyncio.to_thread(call)


@asynccontextmanager
async def simulated(folder: Path, *, seed: int, faults: bool, listing: bool) -> AsyncIterator[Api]:
    """The simulator, on a free port of this machine, until the end of the block."""
    scenario = folder / "scenario.toml"
    text = _SCENARIO.format(seed=seed, delay=REPLY_DELAY_S, listing=str(listing).lower())
    scenario.write_text(text + (_FAULTS if faults else ""), encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "runner", "simulate", "--port", "0", "--json", "--scenario", scenario.name),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        yield Api(json.loads(await process.stdout.readline())["url"])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
