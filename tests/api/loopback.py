"""A server on a real socket that answers exactly what a test tells it, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(
    body: bytes = b"",
    status: int = 200,
    *headers: str,
    length: int | None = None,
    keep: bool = False,
) -> bytes:
    """A reply; *length* is the Content-Length if it is to be a lie, *keep* leaves the connection
    open for the next request."""
    size = len(body) if length is None else length
    connection = "keep-alive" if keep else "close"
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {size}", *headers]
    lines.append(f"Connection: {connection}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(reply: bytes) -> Answer:
    """Answer *reply*, then close."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()

    return answer


def never() -> Answer:
    """Take the request and say nothing."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    return answer


def drips(reply: bytes) -> Answer:
    """A byte of *reply* at a time."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for byte in reply:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    return answer


@asynccontextmanager
async def plain_http(received: list[bytes]) -> AsyncIterator[int]:
    """The port of a server that answers 400 to whatever comes first, as one does to TLS."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65536))
        writer.write(http(b"", 400))
        writer.close()

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


class Server:
    """What arrived, and where it listens."""

    def __init__(self, answers: tuple[Answer, ...], *, keep_open: bool) -> None:
        self._answers = answers
        self._keep_open = keep_open
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.asked = asyncio.Event()
        """Set once a request has arrived."""
        self.requests: list[bytes] = []
        """Head and body of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    size = 0
                    for line in head.lower().split(b"\r\n"):
                        if line.startswith(b"content-length:"):
                            size = int(line.split(b":")[1])
                    self.requests.append(head + await reader.readexactly(size))
                    self.asked.set()
                    number = min(len(self.requests), len(self._answers))
                    await self._answers[number - 1](writer)
                    if not self._keep_open:
                        break
        finally:
            writer.close()

    def _start(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A closed transport lets go of its socket at the loop's next turn.
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(*answers: Answer | bytes, keep_open: bool = False) -> AsyncIterator[Server]:
    """A server that gives the first request the first answer, and so on; the last one repeats."""
    replies = tuple(says(a) if isinstance(a, bytes) else a for a in answers)
    server = Server(replies, keep_open=keep_open)
    listener = await asyncio.start_server(server._start, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server._stop()
