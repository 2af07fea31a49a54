"""Some hundred tasks over an hour, with the real stages and the time of a bench."""

from pathlib import Path

from bench.collecting import collect


async def test_polling_a_burst_uses_the_calls_for_answers_and_stays_within_the_limit(
    tmp_path: Path,
) -> None:
    """The bench's figures for twenty thousand tasks hold in small: one GET for each answer, no
    call over the limit, and no long rest while answers wait."""
    result = await collect(tmp_path, tasks=600, latency="2m", calls_per_minute=200)
    assert result.completed == 600
    assert result.refused == 0
    assert result.largest_minute <= 200
    assert result.gets <= 600 * 1.05 + 40
    assert result.makespan_s <= 1.15 * result.bound_s
