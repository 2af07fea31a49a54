"""A script of the well-known cookbook's design, written anew: cookbook_style.py URL IN OUT.

One loop that sleeps a millisecond between requests, a task for each request, one POST for each
prompt, and a JSON Lines file that is opened to append each result. As there, the throttle is the
loop's own; unlike there, tokens are not counted, which only makes it faster. It keeps no state: an
interrupted run starts from the beginning.
"""

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

LOOP_SLEEP_S = 0.001
TRIES = 5


@dataclass
class Tracker:
    """What is under way, and what has to be done over."""

    under_way: int = 0
    failed: int = 0
    again: deque[tuple[dict[str, Any], int]] = field(default_factory=deque)


def append(out: str, record: list[Any]) -> None:
    """Add a line to the file, opened for that alone."""
    with open(out, "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    request: dict[str, Any],
    left: int,
    out: str,
    tracker: Tracker,
) -> None:
    """One request; its result goes to the end of the file."""
    try:
        async with session.post(url, json=request) as response:
            reply = await response.json()
        if "error" in reply:
            raise ValueError(reply["error"])
    except Exception as error:
        if left > 1:
            tracker.again.append((request, left - 1))
            return
        reply = str(error)
        tracker.failed += 1
    append(out, [request, reply])
    tracker.under_way -= 1


async def main(url: str, lines: Iterator[str], out: str, per_minute: float = 1e9) -> int:
    """Ask for every line; how many failed."""
    tracker = Tracker()
    capacity, looked_at = per_minute, time.time()
    tasks: set[asyncio.Task[None]] = set()
    following: tuple[dict[str, Any], int] | None = None
    more = True
    async with aiohttp.ClientSession() as session:
        while True:
            if following is None:
                if tracker.again:
                    following = tracker.again.popleft()
                elif more:
                    line = next(lines, "")
                    more = bool(line)
                    if more:
                        messages = [{"role": "user", "content": json.loads(line)["prompt"]}]
                        following = {"model": "bench", "messages": messages}, TRIES
                        tracker.under_way += 1
            now = time.time()
            capacity = min(capacity + per_minute * (now - looked_at) / 60, per_minute)
            looked_at = now
            if following is not None and capacity >= 1:
                capacity -= 1
                task = asyncio.create_task(
                    ask(session, url, following[0], following[1], out, tracker)
                )
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                following = None
            if not more and tracker.under_way == 0:
                return tracker.failed
            await asyncio.sleep(LOOP_SLEEP_S)


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as source:
        failed = asyncio.run(main(f"{sys.argv[1]}/v1/chat/completions", source, sys.argv[3]))
    sys.exit(min(1, failed))
