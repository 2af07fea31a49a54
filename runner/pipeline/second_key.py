"""Finds a doubtful task in a listing without tags: by its prompt, model and endpoint.

    rows without a tag ─▶ posted in the time of the doubt, id unknown ─▶ one row, one attempt
                                          ─▶ asked by id, for nothing ─▶ not another tag: adopted

Whether the listing's metadata holds tags is unknown (API.md §7). This is the weaker key, so it
counts only where nothing is ambiguous; everything else waits, and ends in quarantine.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import structlog

from runner.api.errors import ApiError
from runner.api.fetching import Finished
from runner.api.wire import Listed
from runner.pacing import Priority
from runner.pipeline.account import heard, heed
from runner.pipeline.engine import Engine
from runner.pipeline.extras import book_sightings
from runner.store.reconciling import Doubt, DoubtfulAttempt, Sighting
from runner.task import Provider

log = structlog.get_logger()

Key = tuple[Provider, str, str]
"""Provider, model, prompt."""

Pair = tuple[DoubtfulAttempt, Provider, Listed]
"""A doubtful attempt, whose endpoint it is of, and the one row that can be its task."""

Spans = Mapping[int, tuple[datetime, datetime]]
"""By batch: from when to when its tasks were posted if they were, in the API's time. A batch whose
doubt is too young has none."""

ASKED_AT_ONCE: Final = 20
"""Rows asked for in one look: posting and results need the calls, too."""

_PATH: Final = "/llm_responses/task_post"


async def unambiguous(
    engine: Engine, doubts: Sequence[Doubt], rows: Sequence[Listed], spans: Spans
) -> list[Pair]:
    """Attempts in doubt for which exactly one row of an id that nobody has can stand."""
    attempts, wanted = _attempts(doubts), _rows(rows)
    if not any(doubt.batch in spans for doubt in doubts):
        return []
    likely = [row for key in attempts for row in wanted.get(key, [])]
    if not likely:
        return []
    booked = await engine.store.known_ids([row.id for row in likely])
    return list(_pairs(attempts, wanted, booked, spans))


def _attempts(doubts: Iterable[Doubt]) -> dict[Key, list[tuple[Doubt, DoubtfulAttempt]]]:
    found: dict[Key, list[tuple[Doubt, DoubtfulAttempt]]] = defaultdict(list)
    for doubt in doubts:
        for attempt in doubt.attempts:
            if attempt.model is not None and attempt.prompt is not None:
                key = (doubt.endpoint.provider, attempt.model, attempt.prompt)
                found[key].append((doubt, attempt))
    return found


def _rows(rows: Iterable[Listed]) -> dict[Key, list[Listed]]:
    found: dict[Key, list[Listed]] = defaultdict(list)
    for row in rows:
        if row.tag is None and row.url and row.model is not None and row.prompt is not None:
            for provider in Provider:
                if row.url.endswith(f"/{provider}{_PATH}"):
                    found[provider, row.model, row.prompt].append(row)
    return found


def _pairs(
    attempts: Mapping[Key, Sequence[tuple[Doubt, DoubtfulAttempt]]],
    rows: Mapping[Key, Sequence[Listed]],
    booked: frozenset[str],
    spans: Spans,
) -> Iterable[Pair]:
    for key, claimants in attempts.items():
        open_rows = [row for row in rows.get(key, []) if row.id not in booked]
        if len(claimants) != 1 or len(open_rows) != 1:
            continue
        (doubt, attempt), row = claimants[0], open_rows[0]
        span = spans.get(doubt.batch)
        if span and row.posted_at is not None and span[0] <= row.posted_at <= span[1]:
            yield attempt, doubt.endpoint.provider, row


async def adopt_verified(engine: Engine, pairs: Sequence[Pair]) -> frozenset[str]:
    """Adopt those whose tasks, asked for by id, are done and bear no other tag; their tags."""
    seen = []
    for attempt, provider, row in pairs[:ASKED_AT_ONCE]:
        try:
            fetched = await engine.api.task_get(
                provider, row.id, tag=attempt.tag, priority=Priority.RECONCILE
            )
        except ApiError as error:
            heed(engine, error)
            continue
        heard(engine)
        if isinstance(fetched, Finished) and fetched.tag in {None, attempt.tag}:
            log.info("reconciler.second_key", task=attempt.task, echoed=fetched.tag is not None)
            seen.append(
                Sighting(
                    tag=attempt.tag,
                    remote_id=row.id,
                    cost=row.cost_nanousd,
                    posted_at=row.posted_at,
                )
            )
    return (await book_sightings(engine, seen)).adopted
