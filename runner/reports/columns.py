"""Our columns of an export: one table, in the order in which they stand behind the input's own.

A thing has the name that it has in the view ``results_v1``, but money, which the view holds in
nano-dollars (``cost_nanousd``) and an export in dollars (``cost_usd``).
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
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

_ANY: Final = "task_id"
"""A column that is always stored."""


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
    told = line.duplicate_of is None and _cost(line, run) is not None
    return _text(line.values["cost_evidence"]) if told else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


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


def _changed(line: ExportLine, _: Run) -> Value:
    return line.changed or None


COLUMNS: Final[dict[str, Read | None]] = {
    "target": None,
    "provider": None,
    "model": None,
    "prompt": None,
    "answer": None,
    "citation_urls": _citation_urls,
    "input_tokens": None,
    "output_tokens": None,
    "reasoning_tokens": None,
    "cost_usd": _cost,
    "cost_evidence": _evidence,
    "money_spent_usd": _dollars("money_spent_nanousd"),
    "posted_at": None,
    "answered_at": None,
    "received_at": None,
    "run": _run,
    "run_id": None,
    "task_id": None,
    "sample": None,
    "turn": None,
    "state": None,
    "reason": None,
    "error_code": None,
    "error_message": None,
    "attempts": None,
    "model_name": None,
    "reasoning": None,
    "fan_out_queries": _listed("fan_out_queries"),
    "web_search": _web_search,
    "remote_id": None,
    "tag": None,
    "position": _position,
    "duplicate_of": _duplicate_of,
    "changed": _changed,
}
"""Name and reader of each; None: it stands as it is stored."""

_COMPUTED: Final = tuple(
    (place, read) for place, read in enumerate(COLUMNS.values()) if read is not None
)
_stored: Final[Callable[[Mapping[str, object]], tuple[Value, ...]]] = itemgetter(
    *(name if read is None else _ANY for name, read in COLUMNS.items())
)
"""All at once; a computed one's place holds something else until it is computed."""


def values(line: ExportLine, run: Run) -> list[Value]:
    """What *line* holds in our columns, in their order."""
    found = list(_stored(line.values))
    for place, read in _COMPUTED:
        found[place] = read(line, run)
    return found


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
