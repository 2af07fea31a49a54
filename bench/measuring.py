"""What a case measures and how: sides that take turns, medians, and ratios within one run."""

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.processes import Measured


@dataclass(frozen=True, slots=True)
class Sample:
    """One side, once."""

    seconds: float
    """Of the work alone."""
    cpu_s: float | None = None
    """Of the whole process."""
    peak_mb: float | None = None


Side = Callable[[], Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One result: a ratio, and the figures that it was made of."""

    case: str
    what: str
    """The ratio in words: ``tasks/s, × the official client``."""
    ratio: float | None
    """None: the case could not be measured, ``note`` says why."""
    goal: str = ""
    """Such as ``≥ 1.0``; empty: none was set."""
    figures: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def met(self) -> bool | None:
        """Whether the goal is met; None if there is none, or no ratio."""
        if self.ratio is None or not self.goal:
            return None
        sign, bound = self.goal.split(" ", 1)
        return self.ratio >= float(bound) if sign == "≥" else self.ratio <= float(bound)

    def document(self) -> dict[str, object]:
        """The line for ``--json``."""
        return {
            "case": self.case,
            "what": self.what,
            "ratio": self.ratio,
            "goal": self.goal,
            "met": self.met(),
            "figures": {name: round(value, 6) for name, value in self.figures.items()},
            "note": self.note,
        }

    @classmethod
    def read(cls, document: dict[str, Any]) -> Self:
        """The line that ``document`` made."""
        return cls(**{name: value for name, value in document.items() if name != "met"})

    def text(self) -> str:
        """The line for people."""
        if self.ratio is None:
            return f"{self.case:<11} skipped: {self.note} ({self.what})"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met()]
        figures = " · ".join(f"{name} {_short(value)}" for name, value in self.figures.items())
        goal = f"{self.goal} {verdict}".strip()
        return f"{self.case:<11} {self.ratio:8.3f}  {goal:<14} {self.what}\n{'':<13}{figures}" + (
            f"\n{'':<13}{self.note}" if self.note else ""
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def skipped(case: str, what: str, why: str) -> Line:
    """A line that could not be measured."""
    return Line(case=case, what=what, ratio=None, note=why)


def take_turns(sides: Mapping[str, Side], rounds: int) -> dict[str, list[Sample]]:
    """Measure each side once a round, so that what else the machine does meets them alike."""
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            samples[name].append(side())
    return samples


def seconds(samples: list[Sample]) -> float:
    """The median time of the work."""
    return statistics.median(sample.seconds for sample in samples)


def cpu_us(samples: list[Sample], items: int) -> float:
    """The median CPU time for each of *items*, in microseconds, start of the process included."""
    return statistics.median(sample.cpu_s or 0.0 for sample in samples) / items * 1e6


def peak_mb(samples: list[Sample]) -> float:
    """The largest memory of any round."""
    return max(sample.peak_mb or 0.0 for sample in samples)


def told_seconds(measured: Measured) -> Sample:
    """What a peer's script says of its own work.

    Raises:
        RuntimeError: it failed.
    """
    must_succeed(measured)
    said = json.loads(measured.said.splitlines()[-1])
    return Sample(float(said["seconds"]), measured.cpu_s, measured.peak_mb)


def whole_process(measured: Measured) -> Sample:
    """A process from its start to its end.

    Raises:
        RuntimeError: it failed.
    """
    must_succeed(measured)
    return Sample(measured.wall_s, measured.cpu_s, measured.peak_mb)


def must_succeed(measured: Measured) -> None:
    """
    Raises:
        RuntimeError: the process did not end with 0.
    """
    if measured.exit_code != 0:
        raise RuntimeError(f"a process ended with {measured.exit_code}: {measured.said[-500:]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how large the cases run."""

    folder: Path
    """Scratch, emptied after each case."""
    url: str
    """Of the fast server."""
    rounds: int
    quick: bool
    scale: float = 1.0
    client: Path | None = None
    """The Python that has the official client; None: it could not be installed."""
    client_why: str = ""
    """Why not."""

    def told(self) -> str:
        """As JSON, for another process."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def heard(cls, told: str) -> Self:
        """The place that ``told`` described."""
        fields = json.loads(told)
        client = fields["client"]
        return cls(**fields | {"folder": Path(fields["folder"]), "client": client and Path(client)})

    def many(self, full: int, quick: int) -> int:
        """How many of something."""
        return quick if self.quick else max(quick, int(full * self.scale))
