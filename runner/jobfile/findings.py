"""The mistakes of one job file, gathered so that a person sees all of them at once.

    jobs/x.toml:2:1: limits.buget_usd: unknown setting; did you mean budget_usd?
    jobs/x.toml:17:1: targets[1].max_output_tokens: must be a whole number, got "lots"

Values and names are printed so that no terminal takes them for orders.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Final

from runner.errors import Problem, WrongInput
from runner.jobfile.positions import Path, Positions
from runner.parameters.values import shown as shown_json

_HELP: Final = "runner help job-file"
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")


class Findings:
    """Collects problems of the job file *path*, each placed at the key that it is about."""

    def __init__(self, path: str, positions: Positions) -> None:
        self.path = path
        self.positions = positions
        self._found: dict[Problem, None] = {}
        self._inputs: dict[tuple[Problem, ...], WrongInput] = {}
        """Of input files, by their places: with a preview and a way on that are theirs alone."""
        self.how: str | None = None
        """How to go on, where that is the same for all."""

    def add(self, key: Path, message: str) -> None:
        """Note that the value of *key* is wrong; the same message at one place counts once."""
        line, column = self.positions.of(*key)
        text = f"{dotted(key)}: {message}" if key else message
        self._found[Problem(self.path, line, column, text)] = None

    def add_inside(self, key: Path, offset: int, message: str) -> None:
        """Note what is wrong at character *offset* (from 0) of the text at *key*."""
        line, column = self.positions.inside(key, offset)
        self._found[Problem(self.path, line, column, f"{dotted(key)}: {message}")] = None

    def add_input(self, key: Path, error: WrongInput) -> None:
        """Note that the input file, named at *key*, cannot be read; its own places are kept."""
        if error.problems:
            self._inputs[error.problems] = error
        else:
            parts = (error.what, error.why, error.how)
            self.add(key, "; ".join(part for part in parts if part))

    @property
    def any(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._found or self._inputs)

    def error(self) -> WrongInput:
        """All problems in one error; those of the job file first, from its top to its bottom.

        Where nothing but one input file is at fault, its own error says it best.
        """
        if not self._found and len(self._inputs) == 1:
            return next(iter(self._inputs.values()))
        own = sorted(self._found, key=lambda p: (p.path != self.path, p.line, p.column))
        problems = [*own, *self._of_inputs()]
        number, files = len(problems), dict.fromkeys(problem.path for problem in problems)
        return WrongInput(
            f"{number} {'mistake' if number == 1 else 'mistakes'} in {' and '.join(files)}; "
            "nothing was sent",
            problems=problems,
            how=self.how or (f"see: {_HELP}" if own else None),
        )

    def _of_inputs(self) -> Iterator[Problem]:
        """The places in input files, each with what its error adds: no line follows to say it."""
        for error in self._inputs.values():
            first, *others = error.problems
            parts = (first.message, error.why, error.how)
            yield replace(first, message="; ".join(part for part in parts if part))
            yield from others


def dotted(path: Path) -> str:
    """*path* as people write it: ``targets[1].model``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _PLAIN_KEY.fullmatch(part) else shown(part)
            text += f".{name}" if text else name
    return text


def shown(value: object) -> str:
    """*value* in a few words, the way its file spells it, nothing in it that a terminal obeys."""
    match value:
        case date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case dict():
            return "a table"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case _:
            return shown_json(value)


def listed(names: Sequence[str]) -> str:
    """The first *names* in a row, each as it is if that can be printed."""
    spelt = [name if name.isprintable() and len(name) <= 40 else shown(name) for name in names[:20]]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(spelt) + more


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """``; did you mean X?`` if one of *known* is as like *word* as *cutoff* (0 to 1) demands."""
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""


def of_targets(names: Sequence[str], all_targets: int) -> str:
    """Which targets a message is about, to stand behind it; nothing if it is about all."""
    if len(names) == all_targets:
        return ""
    return f" ({'target' if len(names) == 1 else 'targets'} {', '.join(names)})"
