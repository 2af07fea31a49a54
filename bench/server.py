"""A loopback server that speaks the API's wire form and costs next to nothing.

No limits, no latency, no memory: a task's id is the tag it was posted with, so that every reply is
a few precomputed pieces with the id in between. What a benchmark then measures is its client.

    POST …/task_post        an id for each task        GET …/task_get/ID    an answer of 4 KB
    GET …/tasks_ready       none                       POST …/id_list       none
    GET …/user_data         a rich account             POST /v1/…           a chat reply of 4 KB
    GET /bench/calls        how many calls came, and when the first did (Unix time)

python3 -m bench.server      prints its address as JSON and runs until it is terminated
"""

import asyncio
import json
import re
import signal
import time
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote

ANSWER_BYTES: Final = 4096
"""Of a whole reply to task_get, about."""

_TAG: Final = re.compile(rb'"tag":\s*"([^"]*)"')
_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_HOLE: Final = "@HOLE@"


def _envelope(tasks: list[object]) -> dict[str, object]:
    return {
        "version": "0.1.20250724",
        "status_code": 20000,
        "status_message": "Ok.",
        "time": "0.0849 sec.",
        "cost": 0,
        "tasks_count": len(tasks),
        "tasks_error": 0,
        "tasks": tasks,
    }


def _task(code: int, message: str, result: list[object] | None) -> dict[str, object]:
    return {
        "id": _HOLE,
        "status_code": code,
        "status_message": message,
        "time": "0.0310 sec.",
        "cost": 0,
        "result_count": len(result or ()),
        "path": ["v3", "ai_optimization", "claude", "llm_responses"],
        "data": {
            "api": "ai_optimization",
            "function": "llm_responses",
            "se": "claude",
            "model_name": "claude-sonnet-4-0",
            "user_prompt": "Which of the vendors would you choose, and why? " * 5,
            "tag": _HOLE,
        },
        "result": result,
    }


def _answer(size: int) -> dict[str, object]:
    """The result of a task: text of about *size* characters in the sections and with the notes of
    the answer in the vendor's documentation (``tests/samples``)."""
    sentence = "The vendors differ in price, in support and in how long they have been around; "
    text = (sentence * (size // len(sentence) + 1))[:size]
    part = size // _SECTIONS + 1
    sections = [
        {
            "type": "text",
            "text": text[n * part : (n + 1) * part],
            # A fragment is cut where one is cited.
            "annotations": [_NOTE] if n in _CITING else None,
        }
        for n in range(_SECTIONS)
    ]
    return {
        "model_name": "claude-sonnet-4-20250514",
        "input_tokens": 24,
        "output_tokens": size // 4,
        "reasoning_tokens": None,
        "web_search": True,
        "money_spent": 0.0123,
        "datetime": "2026-01-02 03:04:05 +00:00",
        "items": [{"type": "message", "sections": sections}],
        "fan_out_queries": None,
    }


_SECTIONS: Final = 7
_CITING: Final = frozenset({1, 3, 5})
_NOTE: Final = {"title": "The vendors compared", "url": "https://example.com/vendors?page=1"}


def _pieces(value: object) -> list[bytes]:
    return json.dumps(value).encode().split(_HOLE.encode())


class Replies:
    """Every reply as bytes, made once."""

    def __init__(self) -> None:
        overhead = len(b"".join(_pieces(_envelope([_task(20000, "Ok.", [_answer(0)])]))))
        answer = _answer(ANSWER_BYTES - overhead)
        self._got = _pieces(_envelope([_task(20000, "Ok.", [answer])]))
        self._created = _pieces(_task(20100, "Task Created.", None))
        head, tail = json.dumps(_envelope([])).encode().split(b"[]")
        self._head, self._tail = head + b"[", b"]" + tail
        listed = _task(20000, "Ok.", None)
        self.nothing_listed = b"listing".join(_pieces(_envelope([listed])))
        account = _task(20000, "Ok.", [{"login": "bench", "money": {"balance": 1_000_000}}])
        self.account = b"account".join(_pieces(_envelope([account])))
        message = {"role": "assistant", "content": "x" * (ANSWER_BYTES - 300)}
        self.chat = json.dumps(
            {
                "id": "chatcmpl-bench",
                "object": "chat.completion",
                "model": "bench",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 24, "completion_tokens": 900, "total_tokens": 924},
            }
        ).encode()

    def got(self, remote_id: bytes) -> bytes:
        """A finished task."""
        return remote_id.join(self._got)

    def created(self, body: bytes) -> bytes:
        """One entry for each task in the *body* of a post."""
        return (
            self._head
            + b",".join(tag.join(self._created) for tag in _TAG.findall(body))
            + (self._tail)
        )


class Calls:
    """What the server counted since it was last asked."""

    def __init__(self) -> None:
        self.number = 0
        self.first_at: float | None = None

    def note(self) -> None:
        """A call came."""
        self.number += 1
        if self.first_at is None:
            self.first_at = time.time()

    def take(self) -> bytes:
        """The count as JSON; it begins anew."""
        told = json.dumps({"calls": self.number, "first_at": self.first_at}).encode()
        self.number, self.first_at = 0, None
        return told


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as far as three well-behaved clients use it."""

    def __init__(self, replies: Replies, calls: Calls) -> None:
        self._replies = replies
        self._calls = calls
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head) if head[:4] != b"GET " else None
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < whole:
                if b"100-continue" in head:
                    self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = self._buffer[end + 4 : whole]
            self._buffer = self._buffer[whole:]
            self._reply(self._answer(head.split(b" ", 2)[1], body))

    def _answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/bench/calls":
            return self._calls.take()
        self._calls.note()
        if b"/task_get/" in path:
            last = path.rsplit(b"/", 1)[1]
            return self._replies.got(unquote(last.decode()).encode() if b"%" in last else last)
        if path.endswith(b"/task_post"):
            return self._replies.created(body)
        if path.endswith(b"/user_data"):
            return self._replies.account
        if path.startswith(b"/v1/"):
            return self._replies.chat
        return self._replies.nothing_listed

    def _reply(self, body: bytes) -> None:
        self._write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (formatdate(usegmt=True).encode(), len(body), body)
        )

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def main() -> None:
    """Serve on a free port until SIGTERM."""
    replies, calls = Replies(), Calls()
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    server = await loop.create_server(lambda: Connection(replies, calls), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)
    await over.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
