"""`cost --reconcile`: how a comparison of two books is told."""

from dataclasses import replace
from datetime import timedelta

from runner.cli.actions.audit_page import audit_document, audit_keys, audit_words
from runner.store.auditing import Audit
from tests.support.clock import START

FINE = Audit(
    start=START - timedelta(days=2),
    end=START,
    whole=True,
    listed=40,
    compared=30,
    listed_cost=1_000_000_000,
    booked_cost=1_000_000_000,
)


def test_books_that_agree_are_said_to_agree() -> None:
    """Silence could as well mean that nothing was compared."""
    words = audit_words(FINE)
    assert words.endswith("Nothing differs.")
    assert "apart" not in words


def test_a_difference_is_told_in_hundredths_of_a_percent() -> None:
    """A cent of a hundred dollars and a tenth of them are not the same news."""
    words = audit_words(replace(FINE, listed_cost=1_004_200_000, differing=1, incidents=1))
    assert "(0.42 % apart)" in words
    assert "1 differs by more than 1 %" in words
    assert words.endswith("see: runner incidents")


def test_whatever_limits_the_comparison_is_said() -> None:
    """A person must not take it for more than it is."""
    made = replace(FINE, whole=False, untold=7, missing=2, foreign=3, foreign_cost=30_600_000)
    words = audit_words(made)
    for part in ("7 show only their advance", "2 that the API took", "3 are of other", "too long"):
        assert part in words
    assert "Nothing differs" not in words


def test_what_a_refund_rests_on_is_told() -> None:
    """Where the listing proves nothing, the bill is the next to look at, and for what amount."""
    made = replace(FINE, untold=7, unrefunded=3, unrefunded_cost=30_600_000)
    assert "3 of these failed and are booked as refunded: if they are not, $0.0306 more" in (
        audit_words(made)
    )
    assert "refunded" not in audit_words(replace(FINE, untold=7))


def test_money_that_is_at_risk_no_longer_is_told() -> None:
    """Whoever asks because of it wants to read that it is gone."""
    assert "3 failed, and what was at risk" in audit_words(replace(FINE, settled=3))
    assert "at risk" not in audit_words(FINE)


def test_the_document_and_the_line_hold_the_same_numbers() -> None:
    """Scripts read either."""
    made = replace(FINE, differing=2, incidents=1)
    document, keys = audit_document(made)["reconciled"], audit_keys(made)
    assert isinstance(document, dict)
    assert (document["compared"], document["differing"]) == (keys["compared"], keys["differing"])
    assert (document["listed"], document["agrees"]) == ("1.000000000", False)
