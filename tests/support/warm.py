"""Processes of `runner` that begin warm: forked from one that has imported everything already.

    tests ── arguments, folder, environment ──▶ warm process ─ forks ▶ minder ─ forks ▶ life
      ▲                                                                  │
      └────────────────────── its pid, then its exit code ───────────────┘

Three quarters of a short life are imports, and the crash sweep lives some five hundred. A life is
a process of its own in all that matters here: it can be killed, and leaves nothing behind.
"""

import asyncio
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from tests.support.commands import environment

_LONGEST_ORDER: Final = 100_000
_NOT_WARMED: Final = ("runner.__main__", "runner.dev")


class WarmLife:
    """One such process, with as much of ``asyncio.subprocess.Process`` as is needed."""

    def __init__(self, pid: int, output: IO[bytes], ending: asyncio.StreamReader) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._said = b""
        self._over = asyncio.ensure_future(self._end(output, ending))

    async def _end(self, output: IO[bytes], ending: asyncio.StreamReader) -> None:
        with output:
            self.returncode = int(await ending.readline())
            output.seek(0)
            self._said = output.read()

    def kill(self) -> None:
        """SIGKILL."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code; minus the signal that ended it."""
        await asyncio.shield(self._over)
        assert self.returncode is not None
        return self.returncode

    async def communicate(self) -> tuple[bytes, None]:
        """All that it said, once it has ended."""
        await self.wait()
        return self._said, None


class Warm:
    """The process that the others are forked from."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    async def begin(
        self, arguments: Sequence[str], *, folder: Path, variables: Mapping[str, str]
    ) -> WarmLife:
        """Start `runner` with *arguments* in *folder*; *variables* are all of its environment."""
        order = {"arguments": list(arguments), "folder": str(folder), "variables": dict(variables)}
        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
        output = os.fdopen(descriptor, "rb")
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(
                self._control, [json.dumps(order).encode()], [output.fileno(), theirs.fileno()]
            )
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        life = WarmLife(int(await reader.readline()), output, reader)
        life._over.add_done_callback(lambda _over: writer.close())
        return life


@contextmanager
def warm() -> Iterator[Warm]:
    """A warm process until the end of the block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                env=environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        yield Warm(ours)
    process.wait()


# --- the warm process -----------------------------------------------------------------------------


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork a life for each order; returns in each of them, and in the warm process never."""
    # Nobody waits for a minder.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        said, (output, ending), _, _ = _order(control)
        if os.fork():
            os.close(output)
            os.close(ending)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        life = os.fork()
        if life:
            os.close(output)
            os.write(ending, b"%d\n" % life)
            code = os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
            os.write(ending, b"%d\n" % code)
            os._exit(0)
        os.close(ending)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        order: dict[str, Any] = json.loads(said)
        return order


def _order(control: socket.socket) -> tuple[bytes, list[int], int, Any]:
    received = socket.recv_fds(control, _LONGEST_ORDER, 2)
    if not received[0]:
        sys.exit(0)
    return received


def _warm_up() -> None:
    import runner

    for module in pkgutil.walk_packages(runner.__path__, "runner."):
        if module.name not in _NOT_WARMED:
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _become(order: dict[str, Any]) -> None:
    """What a process is given when it starts."""
    from runner import failpoints

    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["variables"])
    sys.argv = ["runner", *order["arguments"]]
    # It is read at import, and bound by name in each module that has a point.
    ordered = failpoints.armed(os.environ.get(failpoints.VARIABLE))
    unarmed = failpoints.hit
    for module in list(sys.modules.values()):
        if getattr(module, "hit", None) is unarmed:
            module.__dict__["hit"] = ordered


if __name__ == "__main__":
    _warm_up()
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    from runner.cli import main

    sys.exit(main())
