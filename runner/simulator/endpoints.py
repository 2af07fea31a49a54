"""What each endpoint answers: the account's state in the API's own form.

Source: API.md §4 (shapes), §5 (codes), examples/*.json. Functions of (account, call); the
router has checked credentials and limits before.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

from runner.clock import from_ms
from runner.money import ADVANCE
from runner.simulator import aisa
from runner.simulator.account import MAX_TASKS, Account, Judged, PaymentRequired
from runner.simulator.answers import api_time
from runner.simulator.calls import Call, CallKind, Json, Reply
from runner.simulator.catalogue import MODELS
from runner.simulator.envelope import echo, entry, failure, success, usd
from runner.simulator.ledger import OK, TAKEN, RemoteTask
from runner.simulator.listing import id_list
from runner.simulator.live import crowded, live
from runner.simulator.profile import user_data
from runner.simulator.scenario import EmptyList, Place, PostCost, Running
from runner.task import Gateway, Provider


def answer(account: Account, call: Call) -> Reply:
    """Let *call* take effect and say what the API says."""
    handler = _HANDLERS.get(call.kind)
    return failure(40400) if handler is None else handler(account, call)


def read_posted(body: bytes) -> list[object] | Reply:
    """The objects of a POST body, or the reply that refuses it (API.md §1: always an array)."""
    if not body.strip():
        return failure(40502)
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        return failure(40503)
    if not isinstance(sent, list):
        return failure(40503)
    return sent or failure(40502)


def task_post(account: Account, call: Call) -> Reply:
    sent = read_posted(call.body)
    if isinstance(sent, Reply):
        return sent
    try:
        judged = account.post(_provider(call), sent)
    except PaymentRequired:
        return failure(40200)
    scenario = account.scenario
    cost = {PostCost.WITH_BASE: TAKEN, PostCost.ADVANCE: ADVANCE, PostCost.ABSENT: None}[
        scenario.post_cost
    ]
    reply = success([_outcome(account, call, each, cost) for each in judged])
    accepted = sum(1 for each in judged if isinstance(each.outcome, RemoteTask))
    reply.body["cost"] = usd(accepted * (cost or 0))
    if cost is None:
        del reply.body["cost"]
    if scenario.shuffle_posts:
        account.shuffle(reply.body["tasks"])
    return reply


def live_call(account: Account, call: Call) -> Reply:
    sent = read_posted(call.body)
    if isinstance(sent, Reply):
        return sent
    scenario = account.scenario
    through_aisa = call.gateway is Gateway.AISA
    most = scenario.aisa_at_once if through_aisa else scenario.live_at_once
    lane = (call.gateway, _provider(call))
    if not account.open_calls.enter(lane, most=most):
        return too_many(account, call)
    try:
        return live(account, call, sent, lane)
    except PaymentRequired:
        account.open_calls.leave(lane)
        return no_money(call)
    except BaseException:
        account.open_calls.leave(lane)
        raise


def too_many(account: Account, call: Call) -> Reply:
    """Too many Live calls are open: each face says it in its own way."""
    if call.gateway is Gateway.AISA:
        return aisa.too_many()
    sent = read_posted(call.body)
    return crowded(account, call, [{}] if isinstance(sent, Reply) else sent)


def no_money(call: Call) -> Reply:
    """The balance is used up."""
    return aisa.no_money() if call.gateway is Gateway.AISA else failure(40200)


def _outcome(account: Account, call: Call, judged: Judged, cost: int | None) -> Json:
    sent = judged.sent if isinstance(judged.sent, dict) else {}
    data = echo(call, sent, account.scenario.echo_without)
    match judged.outcome:
        case RemoteTask() as task:
            return entry(call, task.id, 20100, data, cost=cost)
        case (code, message):
            return entry(call, account.new_id(), code, data, message=message or None)


def tasks_ready(account: Account, call: Call) -> Reply:
    provider = _provider(call)
    result = [_ready_row(task) for task in account.ready(provider)]
    data: Json = {"api": "ai_optimization", "function": "tasks_ready", "se": provider}
    if result:
        return success([entry(call, account.new_id(), OK, data, result=result)])
    match account.scenario.empty_list:
        case EmptyList.NO_TASKS:
            return success([])
        case EmptyList.EMPTY:
            return success([entry(call, account.new_id(), OK, data, result=[])])
    return success([entry(call, account.new_id(), OK, data)])


def _ready_row(task: RemoteTask) -> Json:
    return {
        "id": task.id,
        "se": task.provider,
        "se_type": "llm_responses",
        "date_posted": api_time(from_ms(task.posted_ms)),
        "tag": task.tag,
        "endpoint": f"/v3/ai_optimization/{task.provider}/llm_responses/task_get/{task.id}",
    }


def task_get(account: Account, call: Call) -> Reply:
    task = account.find(call.task_id)
    if task is None:
        return _without_result(call, 40401)
    if task.provider is not call.provider:
        return _without_result(call, 40002)
    if account.expired(task):
        return _without_result(call, 40403)
    now_ms = account.now_ms()
    if not task.ended(now_ms):
        return _without_result(call, _running_code(account, task, now_ms))
    try:
        result = account.collect(task)
    except PaymentRequired:
        return failure(40200)
    return _told(account, call, task, result)


def _told(account: Account, call: Call, task: RemoteTask, result: Json | None) -> Reply:
    data = echo(call, json.loads(task.request), account.scenario.echo_without)
    cost = task.charge if account.scenario.get_cost else 0
    told = None if result is None else [result]
    return success([entry(call, task.id, task.code, data, result=told, cost=cost)], cost=cost)


def postback(account: Account, task: RemoteTask) -> Reply:
    """What is delivered of an ended *task*: the very reply to a task_get (API.md §6)."""
    path = ("v3", "ai_optimization", str(task.provider), "llm_responses", "task_get", task.id)
    call = Call(CallKind.TASK_GET, path, task.provider, task.id)
    return _told(account, call, task, account.result_of(task))


def webhook_resend(account: Account, call: Call) -> Reply:
    sent = read_posted(call.body)
    if isinstance(sent, Reply):
        return sent
    entries = []
    for each in sent[:MAX_TASKS]:
        name = each.get("id") if isinstance(each, dict) else None
        known = isinstance(name, str) and account.resend(name)
        data: Json = {"api": "appendix", "function": "webhook_resend", "id": name}
        entries.append(entry(call, account.new_id(), 20100 if known else 40401, data))
    return success(entries)


def _running_code(account: Account, task: RemoteTask, now_ms: int) -> int:
    match account.scenario.running:
        case Running.CREATED:
            return 20100
        case Running.NULL_RESULT:
            return OK
    halfway = (task.posted_ms + task.finish_ms) // 2
    return 40602 if now_ms < halfway else 40601


def _without_result(call: Call, code: int) -> Reply:
    return success([entry(call, call.task_id, code, echo(call, {}))])


def models(account: Account, call: Call) -> Reply:
    provider = _provider(call)
    standard = provider is not Provider.PERPLEXITY
    result = [
        {
            "model_name": model.name,
            "reasoning": model.reasoning,
            "web_search_supported": model.web_search,
            "task_post_supported": standard and model.name not in account.scenario.not_postable,
        }
        for model in MODELS[provider].values()
    ]
    data: Json = {"api": "ai_optimization", "function": "models", "se": provider}
    return success([entry(call, account.new_id(), OK, data, result=result)])


def rate_limited(account: Account, call: Call) -> Reply:
    """40202 where the scenario puts it: over the call, or in each of its tasks."""
    if account.scenario.limit_place is Place.TOP:
        return failure(40202)
    posting = call.kind in {CallKind.TASK_POST, CallKind.LIVE}
    sent = read_posted(call.body) if posting else [{}]
    bodies = [{}] if isinstance(sent, Reply) else sent
    return success(
        [
            entry(call, account.new_id(), 40202, echo(call, body if isinstance(body, dict) else {}))
            for body in bodies
        ]
    )


def _provider(call: Call) -> Provider:
    assert call.provider is not None, "the path of this call names its provider"
    return call.provider


_HANDLERS: Final[Mapping[CallKind, Callable[[Account, Call], Reply]]] = {
    CallKind.TASK_POST: task_post,
    CallKind.LIVE: live_call,
    CallKind.TASKS_READY: tasks_ready,
    CallKind.TASK_GET: task_get,
    CallKind.MODELS: models,
    CallKind.ID_LIST: id_list,
    CallKind.USER_DATA: user_data,
    CallKind.WEBHOOK_RESEND: webhook_resend,
}
