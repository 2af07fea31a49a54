"""Scenarios out of flags, TOML files and control messages, with errors that say what and where.

seed = 3
balance_usd = "12.50"
latency = "lognormal 20s 1.2"
[faults]                # for every kind of call
html = 0.001
[faults.task_post]      # for one kind
drop_after = "1%"
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from runner.errors import Problem, WrongInput, reason_of
from runner.money import nanos
from runner.simulator.calls import CallKind
from runner.simulator.faults import DEFAULT_SECONDS, Fault, FaultRate, Strike
from runner.simulator.latency import Latency, read_duration, read_latency
from runner.simulator.scenario import (
    AisaHeaders,
    EmptyList,
    FailureCharge,
    Place,
    PostCost,
    Running,
    Scenario,
)

T = TypeVar("T", bound=StrEnum)


def scenario_from_options(
    base: Scenario | None = None,
    *,
    latency: str | None = None,
    error_rate: str | None = None,
    lose_posts: str | None = None,
    speed: str | None = None,
    seed: int | None = None,
) -> Scenario:
    """*base* (else the defaults) changed by the flags of ``runner simulate``.

    Raises:
        WrongInput: a flag cannot be read; the message names the flag.
    """
    scenario = base or Scenario()
    changes: dict[str, Any] = {} if seed is None else {"seed": seed}
    for flag, setting, text, read in (
        ("--latency", "latency", latency, _latency),
        ("--error-rate", "error_rate", error_rate, _rate),
        ("--speed", "speed", speed, _speed),
        ("--lose-posts", "faults", lose_posts, lambda rate: scenario.faults + _lost_posts(rate)),
    ):
        if text is not None:
            try:
                changes[setting] = read(text)
            except WrongInput as error:
                raise WrongInput(f"{flag}: {error.what}") from None
    return replace(scenario, **changes)


def scenario_from_toml(path: Path, base: Scenario | None = None) -> Scenario:
    """*base* (else the defaults) changed by the scenario file at *path*.

    Raises:
        WrongInput: unreadable, no TOML, or wrong settings; all of these at once with their lines.
    """
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        why = reason_of(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise WrongInput(
            f"the scenario {path} cannot be read: {why}", how="name another: --scenario FILE"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise WrongInput(f"{path} is no TOML: {error}") from error
    try:
        return scenario_from_table(table, base)
    except BadSettings as error:
        problems = [
            Problem(str(path), *_place(text, setting), f"{setting}: {message}")
            for setting, message in error.mistakes
        ]
        raise WrongInput(f"{path} cannot be used", problems=problems) from None


class BadSettings(WrongInput):
    """Settings that cannot be used, each with its name."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{setting}: {message}" for setting, message in mistakes))
        self.mistakes = mistakes


def scenario_from_table(table: Mapping[str, object], base: Scenario | None = None) -> Scenario:
    """*base* changed by settings under their own names (``balance_usd`` for the balance).

    Raises:
        BadSettings: unknown names or values out of range, all at once.
    """
    changes: dict[str, Any] = {}
    mistakes: list[tuple[str, str]] = []
    for name, value in table.items():
        read = _READERS.get(name)
        try:
            if read is None:
                raise WrongInput("no such setting" + _suggestion(name, _READERS))
            changes[_FIELDS.get(name, name)] = read(value)
        except WrongInput as error:
            mistakes.append((name, error.what))
    if mistakes:
        raise BadSettings(mistakes)
    return replace(base or Scenario(), **changes)


def read_strike(table: Mapping[str, object]) -> Strike:
    """A fault to order, as the control endpoint takes it: ``{"fault": "drop_after", "times": 2}``.

    Raises:
        WrongInput: an unknown fault or key, or a value of the wrong kind.
    """
    unknown = set(table) - {"fault", "times", "skip", "call", "seconds", "code", "match"}
    if unknown:
        raise WrongInput(f"unknown keys in an order: {', '.join(sorted(unknown))}")
    call, code, match = table.get("call"), table.get("code"), table.get("match")
    return Strike(
        fault=_choice(Fault)(table.get("fault")),
        times=_whole(1)(table.get("times", 1)),
        skip=_whole(0)(table.get("skip", 0)),
        call=None if call is None else _choice(CallKind)(call),
        seconds=_seconds(table.get("seconds", DEFAULT_SECONDS)),
        code=None if code is None else _whole(10_000)(code),
        match=None if match is None else _text(match),
    )


def read_dollars(value: object) -> int:
    """Nano-dollars of a number, or of text such as ``"12.50"``.

    Raises:
        WrongInput: not an amount.
    """
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return nanos(Decimal(str(value)))
        except (InvalidOperation, ValueError):
            pass
    raise WrongInput(f"{value!r} is no amount of US dollars")


def _rate(value: object) -> float:
    text = str(value).strip()
    percent = text.endswith("%")
    if not isinstance(value, bool) and re.fullmatch(r"\d*\.?\d+", text.rstrip("%").strip()):
        rate = float(text.rstrip("%")) / (100 if percent else 1)
        if rate <= 1:
            return rate
    raise WrongInput(f"{value!r} is no share: write 2% or 0.02")


def _speed(value: object) -> float:
    text = str(value).strip().removesuffix("x")
    if not re.fullmatch(r"\d*\.?\d+", text) or not 0 < float(text) <= 1e6:
        raise WrongInput(f"{value!r} is no speed: write 60 or 60x for sixty times real time")
    return float(text)


def _latency(value: object) -> Latency:
    return read_latency(_text(value))


def _seconds(value: object) -> float:
    if isinstance(value, str):
        return read_duration(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise WrongInput(f"{value!r} is no time in seconds")


def _whole(least: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        raise WrongInput(f"{value!r} is no whole number from {least}")

    return read


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongInput(f"{value!r} is neither true nor false")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise WrongInput(f"{value!r} is no text")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(item) for item in value)
    raise WrongInput(f"{value!r} is no list")


def _codes(value: object) -> tuple[int, ...]:
    if isinstance(value, list) and value:
        return tuple(_whole(10_000)(item) for item in value)
    raise WrongInput(f"{value!r} is no list of status codes")


def _choice(kind: type[T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        try:
            return kind(str(value))
        except ValueError:
            names = [member.value for member in kind]
            hint = _suggestion(str(value), names) or f": choose {', '.join(names)}"
            raise WrongInput(f"{value!r} is not known{hint}") from None

    return read


def _faults(value: object) -> tuple[FaultRate, ...]:
    if not isinstance(value, dict):
        raise WrongInput("faults is a table of rates")
    rates: list[FaultRate] = []
    for name, entry in value.items():
        if isinstance(entry, dict):
            call = _choice(CallKind)(name)
            rates += [_fault_rate(fault, rate, call) for fault, rate in entry.items()]
        else:
            rates.append(_fault_rate(name, entry, None))
    return tuple(rates)


def _fault_rate(name: str, rate: object, call: CallKind | None) -> FaultRate:
    return FaultRate(fault=_choice(Fault)(name), rate=_rate(rate), call=call)


def _lost_posts(rate: object) -> tuple[FaultRate, ...]:
    """Half of the lost posts took effect, half did not: the caller must not guess."""
    half = _rate(rate) / 2
    return tuple(
        FaultRate(fault=fault, rate=half, call=CallKind.TASK_POST)
        for fault in (Fault.DROP_AFTER, Fault.DROP_BEFORE)
    )


def _suggestion(name: str, known: Mapping[str, object] | list[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _place(text: str, setting: str) -> tuple[int, int]:
    """Line and column of *setting* in a TOML text."""
    pattern = re.compile(rf"^(\s*\[?\s*){re.escape(setting)}\b")
    for number, line in enumerate(text.splitlines(), 1):
        if found := pattern.match(line):
            return number, len(found[1]) + 1
    return 1, 1


_READERS: Final[dict[str, Callable[[object], object]]] = {
    "seed": _whole(0),
    "speed": _speed,
    "login": _text,
    "password": _text,
    "balance_usd": read_dollars,
    "latency": _latency,
    "live_latency": _latency,
    "reply_delay_s": _seconds,
    "error_rate": _rate,
    "error_codes": _codes,
    "stuck_rate": _rate,
    "timeout_code": _whole(10_000),
    "refuse_rate": _rate,
    "refuse_code": _whole(10_000),
    "failure_charge": _choice(FailureCharge),
    "calls_per_minute": _whole(1),
    "ready_per_minute": _whole(1),
    "listing_per_minute": _whole(1),
    "user_data_per_minute": _whole(1),
    "live_at_once": _whole(1),
    "live_timeout_charged": _switch,
    "aisa_key": _text,
    "aisa_calls_per_minute": _whole(1),
    "aisa_at_once": _whole(1),
    "aisa_headers": _choice(AisaHeaders),
    "rate_headers": _switch,
    "limit_place": _choice(Place),
    "payment_place": _choice(Place),
    "post_cost": _choice(PostCost),
    "get_cost": _switch,
    "shuffle_posts": _switch,
    "running": _choice(Running),
    "empty_list": _choice(EmptyList),
    "ready_lists_failures": _switch,
    "echo_without": _texts,
    "listing": _switch,
    "listing_lag_s": _seconds,
    "listing_tags": _switch,
    "listing_final_cost": _switch,
    "listing_live": _switch,
    "listed_models_only": _switch,
    "not_postable": _texts,
    "webhook_delay_ms": _whole(0),
    "webhook_timeout_s": _seconds,
    "faults": _faults,
}

_FIELDS: Final = {"balance_usd": "balance"}

assert {_FIELDS.get(name, name) for name in _READERS} == {f.name for f in fields(Scenario)}
