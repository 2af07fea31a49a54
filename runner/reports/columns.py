"""Our columns of an export: one table, in the order in which they stand behind the input's own.

A thing has the name that it has in the view ``results_v1``, but money, which the view holds in
nano-dollars (``cost_nanousd``) and an export in dollars (``cost_usd``).
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from runner.lifecycle import State
from runner.money import exact
from runner.store.values import ExportLine, Run

Value = str | int | bool | list[object] | None
"""What a column holds: None where there is nothing to say."""

Read = Callable[[ExportLine, Run], Value]

PREFIX: Final = "runner_"
"""Goes before a column of ours whose name the input has taken."""

_NOTHING: Final = exact(0)


def _stored(name: str) -> Read:
    def read(line: ExportLine, _: Run) -> Value:
        value = line.values[name]
        return value if value is None or isinstance(value, int) else str(value)

    return read


def _listed(name: str) -> Read:
    def read(line: ExportLine, _: Run) -> Value:
        return _list(line.values[name])

    return read


def _dollars(name: str) -> Read:
    def read(line: ExportLine, _: Run) -> Value:
        amount = line.values[name]
        return exact(amount) if isinstance(amount, int) else None

    return read


def _list(text: object) -> list[object] | None:
    return None if text is None else msgspec.json.decode(str(text), type=list[object])


def _cost(line: ExportLine, _: Run) -> Value:
    """What the row cost: a duplicate of another row nothing, so that the column can be summed."""
    amount = line.values["cost_nanousd"]
    # A task that is not answered has 0 booked until something is known.
    if not isinstance(amount, int) or (not amount and line.values["state"] != State.COMPLETED):
        return None
    return exact(amount) if line.duplicate_of is None else _NOTHING


def _evidence(line: ExportLine, run: Run) -> Value:
    """``reported`` by the API, or at least in part ``computed``; None where no cost is told."""
    told = _cost(line, run) is not None and line.duplicate_of is None
    return _stored("cost_evidence")(line, run) if told else None


def _citation_urls(line: ExportLine, _: Run) -> Value:
    """In the order of the answer; None without an answer, an empty list if it cites nothing."""
    urls = _list(line.values["citation_urls"])
    return None if urls is None else [url for url in urls if url is not None]


def _web_search(line: ExportLine, _: Run) -> Value:
    made = line.values["web_search"]
    return None if made is None else bool(made)


def _run(_: ExportLine, run: Run) -> Value:
    return run.name


def _position(line: ExportLine, _: Run) -> Value:
    return line.position


def _duplicate_of(line: ExportLine, _: Run) -> Value:
    return line.duplicate_of


COLUMNS: Final[dict[str, Read]] = {
    "target": _stored("target"),
    "provider": _stored("provider"),
    "model": _stored("model"),
    "prompt": _stored("prompt"),
    "answer": _stored("answer"),
    "citation_urls": _citation_urls,
    "input_tokens": _stored("input_tokens"),
    "output_tokens": _stored("output_tokens"),
    "reasoning_tokens": _stored("reasoning_tokens"),
    "cost_usd": _cost,
    "cost_evidence": _evidence,
    "money_spent_usd": _dollars("money_spent_nanousd"),
    "posted_at": _stored("posted_at"),
    "answered_at": _stored("answered_at"),
    "received_at": _stored("received_at"),
    "run": _run,
    "run_id": _stored("run_id"),
    "task_id": _stored("task_id"),
    "sample": _stored("sample"),
    "turn": _stored("turn"),
    "state": _stored("state"),
    "reason": _stored("reason"),
    "error_code": _stored("error_code"),
    "error_message": _stored("error_message"),
    "attempts": _stored("attempts"),
    "model_name": _stored("model_name"),
    "reasoning": _stored("reasoning"),
    "fan_out_queries": _listed("fan_out_queries"),
    "web_search": _web_search,
    "remote_id": _stored("remote_id"),
    "tag": _stored("tag"),
    "position": _position,
    "duplicate_of": _duplicate_of,
}
"""Name and reader of each."""


def values(line: ExportLine, run: Run) -> list[Value]:
    """What *line* holds in our columns, in their order."""
    return [read(line, run) for read in COLUMNS.values()]


def beside(inputs: Iterable[str]) -> list[str]:
    """Our columns' names where they stand beside *inputs*: no name stands twice."""
    taken = set(inputs)
    names = []
    for own in COLUMNS:
        name = own
        # An export that is asked again as input has columns with the prefix already.
        while name in taken:
            name = PREFIX + name
        taken.add(name)
        names.append(name)
    return names
