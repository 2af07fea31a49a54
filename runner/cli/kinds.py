"""What options take beside text: durations, shares, dollars."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import click

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smhd])")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_ADDRESS: Final = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")
_AMOUNT: Final = re.compile(r"\$?([0-9]{1,9}(?:\.[0-9]{1,9})?)")


class Duration(click.ParamType[float]):
    """``30s``, ``5m``, ``6h``, ``2d``, ``1h30m``, ``0``; where that makes sense ``forever``."""

    name = "duration"

    def __init__(self, *, endless: bool = False) -> None:
        self._endless = endless

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds; ``inf`` for ``forever``."""
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip().lower()
        if text == "0":
            return 0.0
        if self._endless and text == "forever":
            return math.inf
        if _DURATION.fullmatch(text):
            return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        more = " or forever" if self._endless else ""
        unit = "; a number needs its unit" if text.isascii() and text.isdecimal() else ""
        message = f"{value} is no duration: write 30s, 5m, 6h, 2d, 0{more}{unit}"
        raise click.BadParameter(message, ctx, param)


class TaskNumber(click.ParamType[int]):
    """``17``, as `tasks` and exports print it."""

    name = "task"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if re.fullmatch(r"[0-9]{1,40}", text) and int(text) > 0:
            return int(text)
        message = f"{value} is no task number: write 17, as `runner tasks` and exports have it"
        raise click.BadParameter(message, ctx, param)


@dataclass(frozen=True, slots=True)
class Allowed:
    """How many failures are fine: a number, or a share of the run's tasks."""

    count: int = 0
    percent: float | None = None


class FailureLimit(click.ParamType[Allowed]):
    """``12`` or ``1.5%``."""

    name = "failures"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Allowed:
        if isinstance(value, Allowed):
            return value
        text = str(value).strip()
        if re.fullmatch(r"[0-9]{1,12}", text):
            return Allowed(count=int(text))
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?\s*%", text) and float(text.rstrip("% ")) <= 100:
            return Allowed(percent=float(text.rstrip("% ")))
        message = f"{value} is neither a number of tasks nor a share: write 10 or 1%"
        raise click.BadParameter(message, ctx, param)


class Address(click.ParamType[tuple[str, int]]):
    """``127.0.0.1:8090``, ``localhost:0``, ``[::1]:8090``."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Host and port."""
        if isinstance(value, tuple):
            return value
        found = _ADDRESS.fullmatch(str(value).strip())
        if found is None or int(found[3]) > 65_535:
            message = f"{value} is no address to listen on: write 127.0.0.1:8090 or [::1]:8090"
            raise click.BadParameter(message, ctx, param)
        return found[1] or found[2], int(found[3])


class Dollars(click.ParamType[Decimal]):
    """An amount in US dollars over 0, exact: ``40``, ``0.25``, ``$12.50``."""

    name = "dollars"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        if isinstance(value, Decimal):
            return value
        found = _AMOUNT.fullmatch(str(value).strip())
        if found is None or not (amount := Decimal(found[1])):
            message = f"{value} is no amount of US dollars over 0: write 40 or 0.25"
            raise click.BadParameter(message, ctx, param)
        return amount


class Roles(click.ParamType[frozenset[str]]):
    """``submit``, ``live,poll``: what a worker does, with commas."""

    name = "roles"

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[str]:
        """Those that are named, at least one."""
        if isinstance(value, frozenset):
            return value
        named = [each.strip().lower() for each in str(value).split(",")]
        for each in named:
            if each not in self._known:
                what = f"{each} is no role" if each else "a role is missing"
                choice = ", ".join(self._known)
                message = f"{what}: write one or more of {choice}, with commas between them"
                raise click.BadParameter(message, ctx, param)
        return frozenset(named)
