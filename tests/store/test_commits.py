"""What a commit came to whose reply was lost, where the server has lost its memory, too."""

import pytest

from runner.lifecycle import State
from runner.store.postgres.connection import Cursor, Db, Undecided, Values
from tests.store.places import ServerPlace
from tests.store.steps import begin, lost, numbered
from tests.store.test_postgres import Cut
from tests.support.clock import ManualClock


@pytest.mark.parametrize("given_out", [False, True])
async def test_a_number_that_a_crashed_server_gives_out_again_proves_nothing(
    dsn: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, given_out: bool
) -> None:
    """F33: the intent was lost with the server's memory, and its transaction's number is another's
    by the time somebody asks. Taken for saved, it would be posted with nothing in the store."""
    place = ServerPlace(dsn)
    async with place.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2))
        ((saved,),) = place.read("SELECT pg_current_xact_id()::text")
        cut = Cut(dsn, heard=False)
        cut.install(monkeypatch)
        original = Db.execute

        def crashed(db: Db, sql: str, values: Values | None = None) -> Cursor:
            if cut.done and "pg_xact_status" in sql:
                values = (saved if given_out else str(2**40),)
            elif cut.done and "stats_reset" in sql:
                sql = "SELECT clock_timestamp()"
            return original(db, sql, values)

        monkeypatch.setattr(Db, "execute", crashed)
        if given_out:
            with pytest.raises(Undecided):
                await scene.batch()
            assert await scene.states() == {State.PENDING: 2}
        batch = await scene.batch()
        assert [attempt.number for attempt in batch.attempts] == [1, 1]
        await scene.settle(batch, lost)
        assert await scene.states() == {State.UNKNOWN: 2}
