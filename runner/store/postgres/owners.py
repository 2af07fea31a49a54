"""Whose tasks the tags of a listing are."""

from collections.abc import Sequence

from runner.store.postgres.connection import Db
from runner.task import Tag, identity_digest


class Owners:
    """The tasks that *tags* were made for, whose rows may have been loaded anew since."""

    def __init__(self, db: Db, tags: Sequence[Tag]) -> None:
        self._db = db
        self._tags = tags
        self._moved: dict[str, dict[str, int]] = {}

    def task_of(self, tag: Tag) -> int | None:
        """By its id, or, if that is another one's now, by digest; None if there is none."""
        row = self._db.execute(
            """
            SELECT r.tag_part, w.key, g.name, t.sample, t.turn
              FROM tasks t JOIN runs r ON r.id = t.run_id
              JOIN rows w ON w.id = t.row_id JOIN targets g ON g.id = t.target_id
             WHERE t.id = %s
            """,
            (tag.task,),
        ).fetchone()
        if row is not None and row[0] == tag.run and identity_digest(*row[1:]) == tag.digest:
            return int(tag.task)
        if tag.run not in self._moved:
            self._moved[tag.run] = self._look_through(tag.run)
        return self._moved[tag.run].get(tag.digest)

    def _look_through(self, run: str) -> dict[str, int]:
        """By digest the tasks of a run that are looked for: it is read once for all the tags."""
        wanted = {tag.digest for tag in self._tags if tag.run == run}
        rows = self._db.execute(
            """
            SELECT t.id, w.key, g.name, t.sample, t.turn
              FROM runs r JOIN tasks t ON t.run_id = r.id
              JOIN rows w ON w.id = t.row_id JOIN targets g ON g.id = t.target_id
             WHERE r.tag_part = %s
            """,
            (run,),
        )
        digests = ((identity_digest(*who), id_) for id_, *who in rows)
        return {digest: id_ for digest, id_ in digests if digest in wanted}
