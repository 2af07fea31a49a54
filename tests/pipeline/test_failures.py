"""How far a listing is believed about costs, whatever its rows may mean."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runner.money import ADVANCE
from runner.pipeline.failures import Proof, Row
from runner.store.auditing import Expected
from runner.task import RemoteId
from tests.pipeline.scene import HOUR, RESERVE
from tests.support.clock import START

DEAR = 40_300_000
"""An advance, should it ever be another."""

ANSWERED = Expected(
    task=1,
    attempt=1,
    remote_id=RemoteId("answered"),
    tag="",
    advanced=RESERVE,
    charged=3_000_000,
    accepted_api=START,
)
FAILED = replace(ANSWERED, task=2, remote_id=RemoteId("failed"), charged=0, failed=True)
AT_RISK = replace(FAILED, charged=None)
CHARGED = replace(FAILED, charged=RESERVE)

ADVANCE_SHOWN = Row(RESERVE, START + HOUR, failed=True)
ZERO_SHOWN = Row(0, START + HOUR, failed=True)


def proof(answered: Expected = ANSWERED, cost: int | None = None, *, hours: float = 2) -> Proof:
    """What a listing proves that shows *answered* with its cost, or another."""
    found = Proof()
    shown = answered.charged if cost is None else cost
    found.learn(answered, Row(shown, START + timedelta(hours=hours), failed=False))
    return found


@pytest.mark.parametrize("task", [FAILED, AT_RISK], ids=["refunded", "at risk"])
def test_an_advance_is_believed_beside_a_final_cost(task: Expected) -> None:
    """Then it is what the failed task cost."""
    assert proof().tells(task, ADVANCE_SHOWN)
    assert proof(hours=1).tells(task, ADVANCE_SHOWN)
    assert not Proof().tells(task, ADVANCE_SHOWN)
    assert not proof().tells(task, ADVANCE_SHOWN._replace(done_at=None))
    assert not proof(hours=0.9).tells(task, ADVANCE_SHOWN)


@pytest.mark.parametrize(
    "nothing_learnt",
    [
        pytest.param(proof(cost=RESERVE), id="an answer with the advance"),
        pytest.param(proof(cost=ADVANCE), id="an answer with the advance alone"),
        pytest.param(
            proof(replace(ANSWERED, charged=RESERVE)), id="an answer that cost what was advanced"
        ),
        pytest.param(
            proof(replace(ANSWERED, advanced=DEAR, charged=DEAR)), id="the same at other prices"
        ),
        pytest.param(
            proof(replace(ANSWERED, advanced=ADVANCE, charged=RESERVE)), id="or advance and base"
        ),
        pytest.param(proof(cost=3_100_000), id="an answer with a cost that is not ours"),
        pytest.param(proof(replace(ANSWERED, charged=None), 3_000_000), id="a cost not known yet"),
    ],
)
def test_nothing_else_proves_that_costs_are_final(nothing_learnt: Proof) -> None:
    """An advance that is no charge must not be booked as one, nor a person be sent to complain."""
    assert nothing_learnt == Proof()


def test_a_0_is_the_refund_of_what_was_at_risk_unless_the_listing_says_0_of_all() -> None:
    """The reply's own 0 is believed on less."""
    assert Proof().tells(AT_RISK, ZERO_SHOWN)
    assert not Proof().tells(AT_RISK, ZERO_SHOWN._replace(failed=False))
    assert not proof(cost=0).tells(AT_RISK, ZERO_SHOWN)
    both = proof()
    both.learn(ANSWERED, Row(0, START, failed=False))
    assert not both.tells(AT_RISK, ZERO_SHOWN)


def test_a_0_takes_back_a_charge_only_where_costs_are_final() -> None:
    """The charge was the API's own word, too."""
    assert not Proof().tells(CHARGED, ZERO_SHOWN)
    assert proof().tells(CHARGED, ZERO_SHOWN)


def test_what_is_no_advance_needs_no_proof() -> None:
    """Nothing but a correction brings it into the listing."""
    for task in (FAILED, AT_RISK, CHARGED):
        assert Proof().tells(task, Row(200_000, None, failed=False))
        assert not Proof().tells(task, Row(None, START, failed=True))
        assert not Proof().tells(replace(task, advanced=DEAR), Row(DEAR, START, failed=True))
