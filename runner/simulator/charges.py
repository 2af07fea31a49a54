"""What a task costs in the end (API.md §5 Cost); integer nano-dollars."""

from typing import Final

from runner.money import ADVANCE, BASE_PRICE_LIVE, BASE_PRICE_STANDARD
from runner.simulator.ledger import BASE_PRICES, OK
from runner.simulator.scenario import FailureCharge, Scenario
from runner.task import Method

LIVE_TIMEOUT: Final = 50401
"""What a Live call that has run for 120 s ends with (API.md §5)."""


def charge_of(scenario: Scenario, code: int, method: Method, *, spent: int, timed_out: bool) -> int:
    """The charge of a task that ends with *code*.

    *spent*: what the model's answer costs, if there is one; *timed_out*: after 72 h.
    """
    if code == OK or _unheard(scenario, code, method):
        return spent + BASE_PRICES[method]
    return _of_failure(scenario.failure_charge, method, timed_out=timed_out)


def _unheard(scenario: Scenario, code: int, method: Method) -> bool:
    """Whether the model answered, and is paid, though the API gave up waiting for it."""
    return method is Method.LIVE and code == LIVE_TIMEOUT and scenario.live_timeout_charged


def _of_failure(charged: FailureCharge, method: Method, *, timed_out: bool) -> int:
    if method is Method.LIVE:
        return 0 if charged is FailureCharge.NOTHING else BASE_PRICE_LIVE
    match charged:
        case FailureCharge.NOTHING:
            return 0
        case FailureCharge.ADVANCE if not timed_out:
            return ADVANCE + BASE_PRICE_STANDARD
    return BASE_PRICE_STANDARD
