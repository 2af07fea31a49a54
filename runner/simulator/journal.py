"""The account's file: one line of JSON for each change, written before the reply leaves.

    {"simulator":1,"seed":7,"deposit":10000000000000,"at":1763766000000}
    {"posted":[[id,provider,tag,request,posted,finish,code,charge],...]}
                      Live calls have two fields more: method and gateway
    {"collected":id,"at":1763766004000}
    {"delivered":id,"at":1763766004000,"taken":true}

A line that is in the file survives the process being killed: it is handed to the system in one
write. A last line without its newline was being written when that happened; its call was never
answered, so it is cut off. Not synced to the disk: this is a rehearsal's money.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from runner.clock import Clock, from_ms, to_ms
from runner.errors import TryLater, WrongInput, reason_of
from runner.simulator.account import Account
from runner.simulator.ledger import RemoteTask
from runner.simulator.records import Collected, Delivered, Deposited, Posted, Record
from runner.simulator.scenario import Scenario
from runner.simulator.timing import ScaledClock
from runner.task import Gateway, Method, Provider

VERSION: Final = 1


class Journal:
    """An open account file; locked, so that one process at a time is the account."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at *path* (readable by its owner only).

        Raises:
            TryLater: another process has it open.
            WrongInput: it cannot be opened.
        """
        self.path = path
        self._closed = False
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise WrongInput(
                f"the simulated account {path} cannot be opened: {reason_of(error)}",
                how="name a file in a folder that is writable: simulate --account FILE, "
                "or with --api sim --store FILE",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise TryLater(f"the simulated account {path} is open in another process") from error

    def lines(self) -> Iterator[dict[str, Any]]:
        """All whole lines; a torn last one is cut off the file.

        Raises:
            WrongInput: a line in the middle is no JSON object.
        """
        end = 0
        with open(self.path, "rb") as reader:
            for number, line in enumerate(reader, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise WrongInput(f"{self.path}:{number}: no simulated account") from error
                end += len(line)
        os.ftruncate(self._file, end)

    def write(self, line: dict[str, Any]) -> None:
        """Append *line*; nothing of it stays if it cannot be written whole.

        Raises:
            OSError: the disk is full or broken, or the journal is closed.
        """
        if self._closed:
            # The number of a closed file soon belongs to another one, a socket perhaps.
            raise OSError(f"the simulated account {self.path} is closed")
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def append(self, record: Record) -> None:
        """Write *record*."""
        self.write(_line(record))

    def close(self) -> None:
        """Close the file and give it free; a second time does nothing."""
        if not self._closed:
            self._closed = True
            os.close(self._file)


def _line(record: Record) -> dict[str, Any]:
    match record:
        case Posted(tasks):
            return {"posted": [_packed(task) for task in tasks]}
        case Collected(task_id, at_ms):
            return {"collected": task_id, "at": at_ms}
        case Delivered(task_id, at_ms, taken):
            return {"delivered": task_id, "at": at_ms, "taken": taken}
        case Deposited(amount, at_ms):
            return {"deposit": amount, "at": at_ms}


def _packed(task: RemoteTask) -> list[object]:
    request = task.request.decode(errors="surrogatepass")
    times = [task.posted_ms, task.finish_ms]
    fields: list[object] = [
        task.id,
        task.provider,
        task.tag,
        request,
        *times,
        task.code,
        task.charge,
    ]
    return fields if task.method is Method.STANDARD else [*fields, task.method, task.gateway]


def _unpacked(fields: list[Any]) -> RemoteTask:
    task_id, provider, tag, request, posted_ms, finish_ms, code, charge, *live = fields
    method, gateway = live or (Method.STANDARD, Gateway.DATAFORSEO)
    return RemoteTask(
        id=task_id,
        provider=_PROVIDERS[provider],
        tag=tag,
        request=request.encode(errors="surrogatepass"),
        posted_ms=posted_ms,
        finish_ms=finish_ms,
        code=code,
        charge=charge,
        method=Method(method),
        gateway=Gateway(gateway),
        # Most have none, and parsing every request would make a large account slow to open.
        postback_url=json.loads(request).get("postback_url")
        if method == Method.STANDARD and _POSTBACK in request
        else None,
    )


_POSTBACK: Final = '"postback_url"'
_PROVIDERS: Final = {provider.value: provider for provider in Provider}


def _record(line: dict[str, Any]) -> Record:
    match line:
        case {"posted": tasks}:
            return Posted(tuple(map(_unpacked, tasks)))
        case {"collected": task_id, "at": at_ms}:
            return Collected(task_id, at_ms)
        case {"delivered": task_id, "at": at_ms, "taken": taken}:
            return Delivered(task_id, at_ms, taken)
        case {"deposit": amount, "at": at_ms}:
            return Deposited(amount, at_ms)
    raise ValueError(f"unknown record {sorted(line)}")


def open_account(
    path: Path | None = None,
    *,
    scenario: Scenario | None = None,
    seed: int | None = None,
    clock: Clock | None = None,
) -> Account:
    """The account kept at *path*, created if there is none; in memory only without a path.

    An account that exists keeps its seed and its money; the rest of *scenario* applies anew. *seed*
    goes before the scenario's. Without *clock* its time is real time, or ``scenario.speed`` times
    that, and never earlier than its last change.

    Raises:
        TryLater: another process has the account open.
        WrongInput: the file cannot be opened or is no simulated account.
    """
    scenario = scenario or Scenario()
    if seed is not None:
        scenario = replace(scenario, seed=seed)
    if path is None:
        account = Account(scenario, clock=clock or ScaledClock(scenario.speed))
        account.deposit(scenario.balance)
        return account
    journal = Journal(path)
    try:
        return _kept(journal, scenario, clock)
    except BaseException:
        journal.close()
        raise


def _kept(journal: Journal, scenario: Scenario, clock: Clock | None) -> Account:
    account = Account(
        scenario,
        clock=clock or ScaledClock(scenario.speed),
        record=journal.append,
        close=journal.close,
    )
    lines = journal.lines()
    head = next(lines, None)
    if head is None:
        opening = Deposited(scenario.balance, to_ms(account.clock.now()))
        journal.write({"simulator": VERSION, "seed": scenario.seed, **_line(opening)})
        account.apply(opening)
        return account
    if not isinstance(head, dict) or head.get("simulator") != VERSION:
        raise WrongInput(f"{journal.path} is no simulated account of this version")
    for number, line in enumerate(chain([head], lines), 1):
        try:
            account.apply(_record(line))
        except (ValueError, KeyError, TypeError) as error:
            raise WrongInput(f"{journal.path}:{number}: no simulated account") from error
    account.reseed(head["seed"])
    if clock is None:
        account.clock = ScaledClock(
            scenario.speed, start=max(account.clock.now(), from_ms(account.last_ms))
        )
    return account
