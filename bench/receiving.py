"""The receiver of postbacks as a process: python3 -m bench.receiving FOLDER durable | answers.

    durable     as it is: the delivery is synced before the 200
    answers     the same server, signature and body read, but nothing is kept

Prints its address as JSON and runs until it is terminated.
"""

import asyncio
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest.mock import patch

from runner.clock import SystemClock
from runner.store.inbox import Delivery
from runner.store.sqlite.store import open_store
from runner.web.listen import Listen
from runner.web.mailbox import Mailbox
from runner.web.receiver import Receiver

SECRET: Final = "a secret that only benchmarks use"


async def _take_and_forget(_mailbox: Mailbox, _delivery: Delivery) -> None:
    pass


async def main(folder: Path) -> None:
    """Receive until SIGTERM."""
    over, clock = asyncio.Event(), SystemClock()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with open_store(folder / "inbox.db", clock=clock) as store:
        receiver = Receiver(store, Listen(host="127.0.0.1", port=0), secrets=(SECRET,), clock=clock)
        async with receiver:
            print(json.dumps({"url": receiver.url}), flush=True)
            await over.wait()


if __name__ == "__main__":
    with ExitStack() as patches:
        if sys.argv[2] == "answers":
            patches.enter_context(patch.object(Mailbox, "put", _take_and_forget))
        asyncio.run(main(Path(sys.argv[1])))
