"""The form around every reply: versions, codes, messages, counters.

Source: API.md §4, §5; examples/*.json. Messages are the documented ones; the API may extend them.
"""

from collections.abc import Sequence
from typing import Final

from runner.money import dollars
from runner.simulator.calls import Call, Json, Reply

VERSION: Final = "0.1.20250724"

MESSAGES: Final = {
    20000: "Ok.",
    20100: "Task Created.",
    40000: "You can set only one task at a time.",
    40002: "Task belongs to another search engine.",
    40006: "You can set no more than 100 tasks at a time.",
    40100: "You are not authorized to access this resource. "
    "See your login details here: https://app.dataforseo.com/api-access",
    40101: "Internal SE Server Error.",
    40102: "No Search Results.",
    40103: "Task execution failed. Please resubmit the task.",
    40104: "Please verify your account before using the API.",
    40200: "Payment Required.",
    40202: "The rate-limit per minute has been exceeded.",
    40203: "The cost limit has been exceeded.",
    40207: "IP not whitelisted.",
    40209: "Too many simultaneous requests.",
    40210: "Insufficient Funds.",
    40400: "Not Found.",
    40401: "Task Not Found.",
    40403: "Results Expired.",
    40501: "Invalid Field.",
    40502: "POST Data Is Empty.",
    40503: "POST Data Is Invalid.",
    40506: "Unknown Fields in POST Data.",
    40601: "Task Handed.",
    40602: "Task In Queue.",
    50000: "Internal Error.",
    50401: "Internal Error. Timeout.",
}

_HTTP: Final = {40100: 401, 40200: 402, 40210: 402, 40203: 402, 40400: 404, 50000: 500}


def message_of(code: int) -> str:
    """The API's words for *code*."""
    return MESSAGES.get(code, "Error.")


def usd(amount: int) -> float:
    """Nano-dollars as the API prints money: a JSON number, plain 0 for nothing."""
    return float(dollars(amount)) if amount else 0


def success(tasks: Sequence[Json], *, cost: int = 0) -> Reply:
    """A call that the API understood; each task has its own code."""
    errors = sum(1 for task in tasks if task["status_code"] >= 40000)
    return Reply(_envelope(20000, message_of(20000), tasks, errors, cost))


def failure(code: int, *, http_status: int | None = None, message: str | None = None) -> Reply:
    """An error over the whole call: ``tasks`` is null."""
    body = _envelope(code, message or message_of(code), None, 0, 0)
    return Reply(body, _HTTP.get(code, 200) if http_status is None else http_status)


def _envelope(
    code: int, message: str, tasks: Sequence[Json] | None, errors: int, cost: int
) -> Json:
    return {
        "version": VERSION,
        "status_code": code,
        "status_message": message,
        "time": "0 sec." if tasks is None else "0.0849 sec.",
        "cost": usd(cost),
        "tasks_count": len(tasks or ()),
        "tasks_error": errors,
        "tasks": None if tasks is None else list(tasks),
    }


def echo(call: Call, request: Json, without: tuple[str, ...] = ()) -> Json:
    """``data`` of a task: where it went, and the parameters as sent."""
    data: Json = {"api": "ai_optimization", "function": "llm_responses", "se": call.provider}
    return data | {name: value for name, value in request.items() if name not in without}


def entry(
    call: Call,
    task_id: str,
    code: int,
    data: Json,
    *,
    message: str | None = None,
    result: list[Json] | None = None,
    cost: int | None = 0,
) -> Json:
    """One element of ``tasks``; *cost* in nano-dollars, None leaves the field out."""
    made: Json = {
        "id": task_id,
        "status_code": code,
        "status_message": message or message_of(code),
        "time": "0.0310 sec.",
        "cost": 0 if cost is None else usd(cost),
        "result_count": len(result or ()),
        "path": list(call.path),
        "data": data,
        "result": result,
    }
    if cost is None:
        del made["cost"]
    return made
