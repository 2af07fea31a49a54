"""Several `runner work` on one store, each a process as on a machine of its own."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.support.lives import Home

TERMINATE: Final = "SELECT pg_terminate_backend({pid})"

_BACKENDS: Final = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'runner' ORDER BY backend_start
"""


@dataclass(slots=True)
class Machine:
    """A place where a worker runs, and is started again when it is gone."""

    home: Home
    number: int
    changes: Mapping[str, float] = field(default_factory=dict)
    """In what it differs from this machine (``tests.support.host``)."""
    inside: Sequence[str] = ()
    """A command that runs another one, such as in a network namespace."""
    options: Sequence[str] = ()
    """More of `work`."""
    variables: dict[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    ended_by_itself: list[int] = field(default_factory=list)
    """The exit codes of lives that nobody ended."""

    @property
    def log(self) -> Path:
        """All that its workers said."""
        return self.home.folder / f"machine-{self.number}.log"

    async def start(self) -> None:
        """A worker begins."""
        changes = [f"{name}={number}" for name, number in self.changes.items()]
        program = (sys.executable, "-m", "tests.support.host", *changes)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.inside, *program, "work", *self.options),
                cwd=self.home.folder,
                env=self.home.environment(**self.variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> None:
        """As `kill -9`; a worker that has ended by itself is remembered."""
        process = self.process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        code = await process.wait()
        if code != -signal.SIGKILL:
            self.ended_by_itself.append(code)
        self.process = None

    def hold(self) -> None:
        """Let it stand still, as a machine that is suspended."""
        self._send(signal.SIGSTOP)

    def let_go(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self.process is not None and self.process.returncode is None:
                self.process.send_signal(number)

    async def stop(self) -> int:
        """As systemd would; its exit code."""
        process, self.process = self.process, None
        assert process is not None
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
        return await process.wait()


@asynccontextmanager
async def machines(*all_of_them: Machine) -> AsyncIterator[Sequence[Machine]]:
    """Start a worker on each; whatever still runs at the end of the block is killed."""
    try:
        for machine in all_of_them:
            await machine.start()
        yield all_of_them
    finally:
        for machine in all_of_them:
            await machine.kill()


def terminate_a_backend(home: Home, random: Random) -> bool:
    """End one connection at the server, whosever it is; False if there was none."""
    backends = [pid for (pid,) in home.rows(_BACKENDS)]
    if not backends:
        return False
    return bool(home.rows(TERMINATE.format(pid=random.choice(backends)))[0][0])
