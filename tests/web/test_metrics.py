"""What a monitor reads of the store itself."""

from datetime import UTC, datetime, timedelta

from runner.lifecycle import State
from runner.store.care import Health, TableHealth
from runner.store.inbox import Gauges
from runner.store.pacing import Rate
from runner.web.metrics import Counts, metrics_text

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
GAUGES = Gauges(
    states=dict.fromkeys(State, 0),
    charged=0,
    reserved=0,
    at_risk=0,
    posts=0,
    inbox=0,
    oldest_delivery_at=None,
    oldest_posted_at=None,
)


def text_of(health: Health) -> list[str]:
    return metrics_text(Counts(), GAUGES, health, calls=None, now=NOW).splitlines()


def test_a_monitor_sees_what_vacuum_leaves_behind() -> None:
    """F35: the night slows down hours before anybody would look at the tables by hand."""
    table = TableHealth(name="tasks", live=10, dead=60_000, vacuumed_at=NOW - timedelta(minutes=5))
    never = TableHealth(name="inbox", live=0, dead=0, vacuumed_at=None)
    lines = text_of(
        Health(bytes=7_000, tables=(table, never), oldest_transaction=timedelta(seconds=900))
    )
    assert 'runner_store_rows{table="tasks",kind="dead"} 60000' in lines
    assert 'runner_store_rows{table="tasks",kind="live"} 10' in lines
    assert 'runner_store_vacuumed_seconds{table="tasks"} 300' in lines
    assert not any("vacuumed_seconds" in line and "inbox" in line for line in lines)
    assert "runner_store_oldest_transaction_seconds 900.000" in lines
    assert "runner_store_bytes 7000" in lines
    assert "runner_store_warnings 2" in lines


def test_a_file_has_a_size_and_no_vacuum() -> None:
    """A gauge that is always 0 would look like good news."""
    lines = text_of(Health(bytes=7_000))
    assert "runner_store_bytes 7000" in lines
    assert not any("runner_store_rows" in line or "transaction" in line for line in lines)


def test_a_monitor_sees_how_much_of_a_shared_limit_is_given_out() -> None:
    """Which host called how often says little; whether all of them together use the limit does."""
    rates = [Rate(account=1, per_minute=1_500, granted=123_456)]
    text = metrics_text(Counts(), GAUGES, Health(bytes=1), rates=rates, calls=None, now=NOW)
    assert 'runner_account_calls_total{account="1"} 123456' in text.splitlines()
    assert 'runner_account_calls_per_minute{account="1"} 1500' in text.splitlines()
    alone = metrics_text(Counts(), GAUGES, Health(bytes=1), calls=None, now=NOW)
    assert "runner_account" not in alone
