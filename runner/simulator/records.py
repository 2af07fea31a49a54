"""The changes of an account: whatever happened to it is a row of these, in order.

A journal keeps them, and replaying them makes the same account again.
"""

from dataclasses import dataclass

from runner.simulator.ledger import RemoteTask


@dataclass(frozen=True, slots=True)
class Posted:
    """Tasks were accepted in one call, a Live one among them."""

    tasks: tuple[RemoteTask, ...]


@dataclass(frozen=True, slots=True)
class Collected:
    """The result of a task was read for the first time."""

    task_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A postback was sent; *taken*: the receiver said 200 to 300 in time."""

    task_id: str
    at_ms: int
    taken: bool


@dataclass(frozen=True, slots=True)
class Deposited:
    """Money was paid in, nano-dollars."""

    amount: int
    at_ms: int


Record = Posted | Collected | Delivered | Deposited
