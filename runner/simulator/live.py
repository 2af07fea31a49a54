"""Live calls: one task, open while its model answers, 120 s at most, nothing stored.

    ─▶ a place among the open ones ─▶ taken, its end drawn ─▶ … latency … ─▶ answer and cost

The task is booked when it is taken and charged when it ends, whether or not anybody still listens.
Source: API.md §3 (one task, 30 open, 120 s), §4, §5 (40000, 40209, 50401, cost = money_spent + base
price); the cost of a call that timed out is UNKNOWN, so its reply says 0 whatever it was.
"""

from typing import Final

from runner.simulator.account import Account, Judged
from runner.simulator.calls import Call, Json, Lane, Reply
from runner.simulator.charges import LIVE_TIMEOUT
from runner.simulator.envelope import echo, entry, failure, success
from runner.simulator.ledger import RemoteTask
from runner.simulator.scenario import Place

TOO_MANY_AT_ONCE: Final = 40209


def live(account: Account, call: Call, sent: list[object], lane: Lane) -> Reply:
    """Answer the first object of *sent*; the reply says when it is due, and that it holds a place
    in *lane*.

    Raises:
        PaymentRequired: nothing is left on the balance.
    """
    gateway, provider = lane
    judged = account.ask(provider, sent[0], gateway)
    outcomes = [_told(account, call, judged)]
    outcomes += [
        entry(call, account.new_id(), 40000, _echo(account, call, extra)) for extra in sent[1:]
    ]
    task = judged.outcome
    if not isinstance(task, RemoteTask):
        return Reply(success(outcomes).body, lane=lane)
    cost = _stated(task)
    # A millisecond more: an ended task must not still be running when its answer is there.
    after_s = max(task.finish_ms - task.posted_ms, 0) / 1000
    reply = success(outcomes, cost=cost)
    return Reply(reply.body, after_s=after_s + 0.001 if after_s else 0.0, lane=lane)


def crowded(account: Account, call: Call, sent: list[object]) -> Reply:
    """40209 where the scenario puts the errors of limits."""
    if account.scenario.limit_place is Place.TOP:
        return failure(TOO_MANY_AT_ONCE)
    return success(
        [
            entry(call, account.new_id(), TOO_MANY_AT_ONCE, _echo(account, call, each))
            for each in sent
        ]
    )


def _told(account: Account, call: Call, judged: Judged) -> Json:
    data = _echo(account, call, judged.sent)
    match judged.outcome:
        case RemoteTask() as task:
            result = account.result_of(task)
            told = None if result is None else [result]
            return entry(call, task.id, task.code, data, result=told, cost=_stated(task))
        case (code, message):
            return entry(call, account.new_id(), code, data, message=message or None)


def _stated(task: RemoteTask) -> int:
    return 0 if task.code == LIVE_TIMEOUT else task.charge


def _echo(account: Account, call: Call, sent: object) -> Json:
    """``data`` of the task: where it went, and the parameters as sent."""
    return echo(call, sent if isinstance(sent, dict) else {}, account.scenario.echo_without)
