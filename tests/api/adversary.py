"""An API that answers whatever a test makes up, and an engine that has to live with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.simulator.account import Account
from runner.simulator.scenario import Scenario
from tests.api.loopback import Server, http, serving
from tests.api.replies import entry, envelope
from tests.pipeline.scene import Scene, engine_at
from tests.support.clock import ManualClock

Fetched = Callable[[str, str], bytes]
"""The reply's body to a question for an id whose task was posted under a tag."""


def taken(tags: list[str]) -> bytes:
    """An honest reply to a post: each task gets the id ``id-`` + its tag."""
    return envelope(*(entry(tag, id=f"id-{tag}") for tag in tags))


def answer(task_id: str, tag: str, **result: Any) -> Any:
    """An honest reply to a question for *task_id*, to be spoilt before it is written."""
    said: dict[str, Any] = {
        "model_name": "claude-sonnet-4-20250514",
        "input_tokens": 12,
        "output_tokens": 34,
        "reasoning_tokens": 5,
        "web_search": True,
        "money_spent": 0.0125,
        "datetime": "2026-11-21 02:15:30 +00:00",
        "items": [
            {
                "type": "message",
                "sections": [
                    {
                        "type": "text",
                        "text": f"the answer to {tag}",
                        "annotations": [
                            {"title": "A", "url": "https://example.org", "start_index": 3}
                        ],
                    }
                ],
            },
            {"type": "reasoning", "sections": [{"type": "summary_text", "text": "thinking"}]},
        ],
        "fan_out_queries": ["one query"],
    }
    path = ["v3", "ai_optimization", "claude", "llm_responses", "task_get", task_id]
    one = entry(tag, 20000, id=task_id, path=path, cost=0, result=[{**said, **result}])
    return json.loads(envelope(one))


def written(value: Any) -> bytes:
    """*value* as a body; NaN and Infinity stay as they are, which is no JSON."""
    return json.dumps(value).encode()


@dataclass(slots=True)
class Adversary:
    """What the API answers next, and what it was asked."""

    on_post: Callable[[list[str]], bytes] = taken
    on_get: Fetched = field(default=lambda task_id, tag: written(answer(task_id, tag)))
    posts: int = 0
    served: dict[str, bytes] = field(default_factory=dict)
    """The last body for each id that was asked for."""
    server: Server | None = None

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        assert self.server is not None
        head, _, body = self.server.requests[-1].partition(b"\r\n\r\n")
        if head.startswith(b"POST"):
            self.posts += 1
            reply = self.on_post([task["tag"] for task in json.loads(body)])
        else:
            task_id = head.split()[1].decode().rpartition("/")[2]
            reply = self.served[task_id] = self.on_get(task_id, task_id.removeprefix("id-"))
        writer.write(http(reply, keep=True))
        await writer.drain()


@asynccontextmanager
async def facing(
    adversary: Adversary, folder: Path, clock: ManualClock | None = None
) -> AsyncIterator[Scene]:
    """An engine with a real store and client whose API is *adversary*."""
    clock = clock or ManualClock()
    nobody = Account(Scenario(), clock=clock)
    async with serving(adversary, keep_open=True) as server:
        adversary.server = server
        async with engine_at(server.url, folder / "runner.db", clock, nobody) as scene:
            yield scene
