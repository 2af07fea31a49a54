"""``id_list``: the account's tasks of a time window, with their parameters if asked for.

Source: API.md §7, examples/id_list.*.json. Times have whole seconds; both ends belong to
the window.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from runner.clock import from_ms, to_ms
from runner.simulator.account import Account
from runner.simulator.answers import api_time
from runner.simulator.calls import Call, Json, Reply
from runner.simulator.envelope import entry, failure, message_of, success, usd
from runner.simulator.ledger import OK, RemoteTask
from runner.task import Method

MAX_ROWS: Final = 1000
MAX_OFFSET: Final = 100_000_000
REACH: Final = timedelta(days=182)
REACH_WITH_METADATA: Final = timedelta(days=31)

_FIELDS: Final = frozenset(
    {"datetime_from", "datetime_to", "limit", "offset", "sort", "include_metadata"}
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+00:00")


def id_list(account: Account, call: Call) -> Reply:
    """One page of the tasks posted in the window that the call names."""
    if not account.scenario.listing:
        return failure(40400)
    try:
        sent = json.loads(call.body)
    except (ValueError, RecursionError):
        return failure(40503)
    if not isinstance(sent, list) or len(sent) != 1 or not isinstance(sent[0], dict):
        return failure(40503)
    request: Json = {name: value for name, value in sent[0].items() if value is not None}
    data = {"api": "ai_optimization", "function": "id_list"} | request
    now_ms = account.now_ms()
    code, message = _problem(request, from_ms(now_ms))
    if code != OK:
        return success([entry(call, account.new_id(), code, data, message=message)])
    rows = [_row(account, task, request, now_ms) for task in _page(account, request)]
    return success([entry(call, account.new_id(), OK, data, result=rows)])


def _page(account: Account, request: Json) -> list[RemoteTask]:
    start, end = _moment(request["datetime_from"]), _moment(request["datetime_to"])
    tasks = account.listed(to_ms(start), to_ms(end) + 999) if start and end else []
    if request.get("sort") == "desc":
        tasks.reverse()
    first = request.get("offset", 0)
    return tasks[first : first + request.get("limit", MAX_ROWS)]


def _problem(request: Json, now: datetime) -> tuple[int, str | None]:
    unknown = sorted(set(request) - _FIELDS)
    if unknown:
        return 40506, f"Unknown Fields in POST Data: {', '.join(unknown)}."
    reach = REACH_WITH_METADATA if request.get("include_metadata") else REACH
    start, end = _moment(request.get("datetime_from")), _moment(request.get("datetime_to"))
    for name, wrong in (
        ("datetime_from", start is None or start < now - reach),
        ("datetime_to", end is None or end > now or (start is not None and end < start)),
        ("limit", not _whole(request.get("limit", MAX_ROWS), 1, MAX_ROWS)),
        ("offset", not _whole(request.get("offset", 0), 0, MAX_OFFSET)),
        ("sort", request.get("sort", "asc") not in ("asc", "desc")),
        ("include_metadata", not isinstance(request.get("include_metadata", False), bool)),
    ):
        if wrong:
            return 40501, f"Invalid Field: '{name}'."
    return OK, None


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.strptime(value[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _row(account: Account, task: RemoteTask, request: Json, now_ms: int) -> Json:
    ended = task.ended(now_ms)
    live = task.method is Method.LIVE
    final = ended and account.scenario.listing_final_cost
    row: Json = {
        "id": task.id,
        "url": f"https://api.dataforseo.com/v3/ai_optimization/{task.provider}"
        f"/llm_responses/{'live' if live else 'task_post'}",
        "datetime_posted": api_time(from_ms(task.posted_ms)),
        "datetime_done": api_time(from_ms(task.finish_ms)) if ended else None,
        "status": message_of(task.code if ended else 40602),
        "cost": usd(task.charge if final else task.taken),
    }
    if request.get("include_metadata"):
        metadata: Json = json.loads(task.request)
        if not account.scenario.listing_tags:
            metadata.pop("tag", None)
        row["metadata"] = metadata
    return row
