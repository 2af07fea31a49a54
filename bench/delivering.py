"""Delivers postbacks as the API does: python3 -m bench.delivering URL NUMBER CONNECTIONS.

Gzipped answers of 4 KB to signed addresses, each connection kept open and one delivery at a time on
it. Prints ``{"seconds": …, "p99_ms": …, "refused": …}``.
"""

import asyncio
import gzip
import json
import sys
import time
from urllib.parse import quote, urlsplit

from bench.receiving import SECRET
from bench.server import Replies
from runner.postbacks import signature
from runner.task import Tag, TaskId, identity_digest


class Sender(asyncio.Protocol):
    """One connection that delivers until there is nothing left."""

    def __init__(self, waiting: list[bytes], took_s: list[float], refused: list[int]) -> None:
        self.over = asyncio.get_running_loop().create_future()
        self._waiting = waiting
        self._took_s = took_s
        self._refused = refused
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        if not self._waiting:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._waiting.pop())

    def data_received(self, data: bytes) -> None:
        # Replies are a few bytes and come in one piece.
        self._took_s.append(time.perf_counter() - self._sent_at)
        if not data.startswith(b"HTTP/1.1 200"):
            self._refused.append(int(data[9:12]))
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)


def requests(host: str, number: int) -> list[bytes]:
    """Whole requests, each for another task."""
    replies = Replies()
    body = gzip.compress(replies.got(b"one-of-the-tasks"), 6)
    made = []
    for task in range(1, number + 1):
        digest = identity_digest(b"%016d" % task, "claude", 1, 1)
        tag = str(Tag("aaaaaaaa", "bbbbbbbb", TaskId(task), digest, 1))
        path = f"/postback/{task:08d}-bench?tag={quote(tag)}&sig={signature(SECRET, tag)}"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def main(url: str, number: int, connections: int) -> None:
    """Deliver and print."""
    address = urlsplit(url)
    waiting = requests(address.netloc, number)
    took_s: list[float] = []
    refused: list[int] = []
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    senders = [
        await loop.create_connection(
            lambda: Sender(waiting, took_s, refused), address.hostname or "", address.port or 80
        )
        for _ in range(connections)
    ]
    await asyncio.gather(*(sender.over for _, sender in senders))
    seconds = time.monotonic() - began
    took_s.sort()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "p99_ms": took_s[int(len(took_s) * 0.99)] * 1000,
                "answered": len(took_s),
                "refused": len(refused),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
