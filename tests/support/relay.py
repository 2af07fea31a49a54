"""A wire between two processes that can be cut: bytes wait, as packets do that are sent again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_MOST = 65_536


class Relay:
    """Passes on what comes to *port* of this machine, both ways, unless it is cut."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0

    def cut(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._whole.clear()

    def heal(self) -> None:
        """What has waited goes on its way."""
        self._whole.set()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await self._whole.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass_on(reader, back))
                    both.create_task(self._pass_on(there, writer))
            finally:
                back.close()
        except* OSError:
            pass
        finally:
            self._links.discard(task)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(_MOST):
            await self._whole.wait()
            writer.write(said)
            await writer.drain()
        await self._whole.wait()
        writer.close()

    async def end(self) -> None:
        """Close all connections."""
        links = list(self._links)
        for link in links:
            link.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*links, return_exceptions=True)


@asynccontextmanager
async def relay(port: int) -> AsyncIterator[Relay]:
    """A whole wire to *port* until the end of the block."""
    made = Relay(port)
    server = await asyncio.start_server(made._link, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
        await server.wait_closed()
