"""What the last export of each run knew."""

from collections.abc import Sequence

from runner.store.postgres.connection import Connection, Db


def _mark(db: Db, run: int) -> str:
    (mark,) = db.execute("SELECT mark FROM export_marks WHERE run_id = %s", (run,)).fetchone()
    return str(mark)


def _note(db: Db, run: int, folder: str, mark: str) -> None:
    db.execute(
        """
        INSERT INTO exports (run_id, folder, mark) VALUES (%s, %s, %s)
        ON CONFLICT (run_id, folder) DO UPDATE SET mark = excluded.mark WHERE excluded.mark <> ''
        """,
        (run, folder, mark),
    )


def _behind(db: Db, runs: Sequence[int], folder: str) -> list[int]:
    rows = db.execute(
        """
        SELECT m.run_id
          FROM export_marks m
         WHERE m.run_id = ANY(%(runs)s)
           AND EXISTS (SELECT 1 FROM exports e WHERE e.run_id = m.run_id)
           AND NOT EXISTS (SELECT 1 FROM exports e
                            WHERE e.run_id = m.run_id AND e.mark = m.mark
                              AND (e.folder = %(folder)s
                                   OR NOT EXISTS (SELECT 1 FROM exports f
                                                   WHERE f.run_id = m.run_id
                                                     AND f.folder = %(folder)s)))
         ORDER BY m.run_id
        """,
        {"runs": list(runs), "folder": folder},
    )
    return [run for (run,) in rows]


class ExportsVerbs:
    """``runner.store.exports.Exports`` in one PostgreSQL database."""

    _writer: Connection
    _reader: Connection

    async def export_mark(self, run: int) -> str:
        return await self._reader.read(_mark, run)

    async def note_export(self, run: int, folder: str, mark: str = "") -> None:
        await self._writer.write(_note, run, folder, mark)

    async def exports_behind(self, runs: Sequence[int], folder: str) -> list[int]:
        return await self._reader.read(_behind, runs, folder)
