"""One task on a page: what it is, what happened to it, what was asked and answered.

    task 12 · completed · claude claude-sonnet-4-0
    …
    attempt 1
      2026-11-21 02:15:01  intended   batch 3
      2026-11-21 02:15:02  posted     after 1 s, as 11210215-…
      2026-11-21 02:16:40  answered   after 1 min 38 s, asked 2 times

Off a terminal nothing is wrapped or cut. What a terminal would obey is written out everywhere.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from runner.answer import Citation
from runner.cli.layout import clipped, span, wrapped
from runner.clock import to_text
from runner.lifecycle import State
from runner.logs import printable
from runner.money import exact, short
from runner.reports.task_lines import age_s, cells_of, request_of
from runner.store.listing import AttemptDetail, ResultDetail, TaskDetail, TaskLine
from runner.store.values import Run

_INDENT: Final = "  "
_LONGEST_CELL: Final = 300
"""Columns of a cell of the input on a terminal; all of it is in ``--json``."""
_ELSEWHERE: Final = frozenset({"user_prompt", "system_message", "message_chain", "model_name"})
"""Of the request, what does not stand among the parameters."""
_ENDS: Final = {"completed": "answered", "not_taken": "not taken"}
_MARKS: Final = re.compile(r"\r\n|\n")


def prose(text: str) -> str:
    """*text* with its lines, and nothing else in it that a terminal would obey."""
    return "\n".join(_lines(text))


def _lines(text: str) -> list[str]:
    return ["\t".join(map(printable, line.split("\t"))) for line in _MARKS.split(text)]


def page(
    detail: TaskDetail,
    run: Run,
    shown: AttemptDetail | None,
    now: datetime,
    width: int | None,
    *,
    to_paste: Callable[[str], str] = str,
) -> Iterator[str]:
    """The lines of the page; *width* is a terminal's, None wraps and cuts nothing.

    *shown* is the attempt whose answer stands on it; *to_paste* completes the commands on it.
    """
    line, request = detail.line, request_of(detail)
    for text in _head(detail, run, request, now):
        yield from _wrapped(text, width, "")
    for text in _next(line):
        yield from _wrapped(to_paste(text), width, "")
    yield from _section("row", _row(detail, width))
    for attempt in detail.attempts:
        latest = attempt.number == line.attempts
        yield from ("", f"attempt {attempt.number}")
        for step, rest in _steps(attempt, detail if latest else None, now):
            yield from _hanging(f"{_INDENT}{step}", printable(rest), width)
    if request is None:
        yield from _section("prompt", ["the request was pruned"])
    else:
        for name, text in _texts(request):
            yield from _section(name, _lines(text), width)
    if detail.edited_body is not None:
        told = "the input has another request now; decide: runner run … --changed ask or keep"
        yield from _section("changed", [to_paste(told)], width)
    if shown is None and line.state is State.COMPLETED:
        yield from _section("answer", ["the answer was pruned"], width)
    if shown is not None and shown.result is not None:
        yield from _answered(shown, shown.result, line.attempts, width)


def _head(
    detail: TaskDetail, run: Run, request: Mapping[str, Any] | None, now: datetime
) -> Iterator[str]:
    line, endpoint = detail.line, detail.line.endpoint
    reason = f" ({line.reason})" if line.reason else ""
    yield printable(
        f"task {line.id} · {line.state}{reason} · {endpoint.provider} {line.model} · "
        f"since {span(age_s(line, now))}"
    )
    yield printable(f"run         {run.name} ({run.number})")
    yield printable(f"target      {line.target} ({endpoint.method}, {endpoint.gateway})")
    if line.sample > 1 or line.turn > 1:
        yield f"sample      {line.sample}, turn {line.turn}"
    parameters = {k: v for k, v in (request or {}).items() if k not in _ELSEWHERE}
    if parameters:
        told = " ".join(f"{name}={_json(value)}" for name, value in parameters.items())
        yield printable(f"parameters  {told}")
    yield printable(f"cost        {_cost(detail)}")
    if line.state is State.PENDING and detail.due_at is not None:
        yield f"due         {_moment(detail.due_at)}"
    elif line.state is State.PENDING and line.turn > 1:
        yield "due         when the first question of its row is answered"
    if detail.tries:
        yield f"tries       {detail.tries} of {detail.allowed_tries} used"


def _next(line: TaskLine) -> Iterator[str]:
    if line.state is State.QUARANTINED:
        yield (
            f"next        look for its tag at the API, then: runner resolve {line.id} --adopt ID, "
            "or --absent --pay-again, or --write-off"
        )
    if line.state is State.UNKNOWN:
        yield "next        the reconciler decides: runner run, runner poll or runner work"


def _cost(detail: TaskDetail) -> str:
    parts = [short(detail.line.charged)]
    held = sum(each.money.reserved for each in detail.attempts)
    risk = sum(each.money.at_risk for each in detail.attempts)
    parts += [f"{short(held)} reserved"] if held else []
    parts += [f"{short(risk)} at risk"] if risk else []
    return ", ".join(parts)


def _row(detail: TaskDetail, width: int | None) -> Iterator[str]:
    if detail.source is not None:
        yield printable(f"line {detail.source_line} of {detail.source}")
    cells = cells_of(detail.line)
    widest = min(max(map(len, cells), default=0), 24)
    for name, value in cells.items():
        text = printable(value if isinstance(value, str) else _json(value))
        text = text if width is None else clipped(text, _LONGEST_CELL)
        yield from _hanging(f"{printable(name):<{widest}}  ", text, width)


def _steps(
    attempt: AttemptDetail, latest: TaskDetail | None, now: datetime
) -> Iterator[tuple[str, str]]:
    """What happened in the attempt, each with its time and how long it took; its money.

    *latest* is the task if this is its latest attempt: only for that one the asks are counted.
    """
    whose = f", account {attempt.account}" if attempt.account else ""
    yield _step(attempt.intended_at, "intended", f"batch {attempt.batch}{whose}")
    asked = f"asked {_times(latest.line.polls)}" if latest and latest.line.polls else ""
    if attempt.accepted_at is not None:
        after = _after(attempt.intended_at, attempt.accepted_at)
        yield _step(attempt.accepted_at, "posted", f"{after}, as {attempt.remote_id or '-'}")
    told = " ".join(filter(None, (str(attempt.code or ""), attempt.message)))
    start = attempt.accepted_at or attempt.intended_at
    if attempt.ended_at is not None:
        word = _ENDS.get(attempt.state, attempt.state)
        rest = [_after(start, attempt.ended_at), asked, told]
        yield _step(attempt.ended_at, word, ", ".join(filter(None, rest)))
    else:
        word = {"posted": "waiting", "unknown": "in doubt"}.get(attempt.state, attempt.state)
        due = latest.due_at if latest and attempt.state == "posted" else None
        again = f"next asked for {_moment(due)}" if due else ""
        rest = [f"for {span((now - start).total_seconds())}", asked, again, told]
        yield _step(None, word, ", ".join(filter(None, rest)))
    yield _step(None, "money", _money(attempt))
    yield _step(None, "tag", attempt.tag)


def _step(moment: datetime | None, word: str, rest: str) -> tuple[str, str]:
    return f"{_moment(moment) if moment else '':<19}  {word:<9}  ", rest


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _after(start: datetime, end: datetime) -> str:
    seconds = max(0.0, (end - start).total_seconds())
    return f"after {seconds:.1f} s" if seconds < 10 else f"after {span(seconds)}"


def _money(attempt: AttemptDetail) -> str:
    money = attempt.money
    parts = [
        f"{name} ${exact(amount).rstrip('0').ljust(4, '0') if amount else '0.00'}"
        for name, amount in (
            ("advanced", money.advanced),
            ("charged", money.charged),
            ("refunded", money.refunded),
            ("reserved", money.reserved),
            ("at risk", money.at_risk),
            ("over reserve", money.over_reserve),
        )
        if amount or name in ("advanced", "charged")
    ]
    return ", ".join(parts) + (f" ({attempt.evidence})" if attempt.evidence else "")


def _texts(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The prompt and what goes before it."""
    if system := request.get("system_message"):
        yield "system message", str(system)
    for message in request.get("message_chain") or ():
        if isinstance(message, Mapping):
            yield f"earlier, {message.get('role', '?')}", str(message.get("message", ""))
    yield "prompt", str(request.get("user_prompt", ""))


def _answered(
    attempt: AttemptDetail, result: ResultDetail, latest: int, width: int | None
) -> Iterator[str]:
    of = "" if attempt.number == latest else f" of attempt {attempt.number}"
    if result.parse_error is not None:
        told = f"the reply could not be read: {printable(result.parse_error)}; see it with --raw"
        yield from _section(f"answer{of}", [told], width)
    else:
        yield from _section(f"answer{of}", _lines(result.answer), width)
    if result.citations:
        yield from _section("sources", _sources(result.citations), width)
    if result.fan_out_queries:
        yield from _section("searched for", map(printable, result.fan_out_queries), width)
    if result.reasoning:
        yield from _section("reasoning", _lines(result.reasoning), width)
    yield from _section("took", _took(result), width)


def _sources(citations: Sequence[Citation]) -> Iterator[str]:
    for number, citation in enumerate(citations, 1):
        parts = [part for part in (citation.title, citation.url) if part]
        yield printable(f"{number:>2}. {' · '.join(parts) or '-'}")


def _took(result: ResultDetail) -> Iterator[str]:
    tokens = (
        (result.input_tokens, "tokens in"),
        (result.output_tokens, "tokens out"),
        (result.reasoning_tokens, "tokens of reasoning"),
    )
    parts = [f"{number:,} {name}" for number, name in tokens if number]
    if result.web_search:
        parts.append("web search")
    if result.model_name:
        parts.append(f"answered by {result.model_name}")
    yield printable(", ".join([*parts, f"price {short(result.money_spent)}"]))


def _section(title: str, lines: Iterable[str], width: int | None = None) -> Iterator[str]:
    yield ""
    yield title
    for line in lines:
        yield from _wrapped(line, width, _INDENT)


def _wrapped(line: str, width: int | None, indent: str) -> Iterator[str]:
    if width is None:
        yield f"{indent}{line}".rstrip()
        return
    for part in wrapped(line.expandtabs(4), max(width - len(indent), 20)):
        yield f"{indent}{part}".rstrip()


def _hanging(name: str, text: str, width: int | None) -> Iterator[str]:
    """*text* beside *name*, its further lines under its first."""
    if width is None:
        yield f"{name}{text}"
        return
    first, *rest = wrapped(text, max(width - len(name) - len(_INDENT), 20))
    yield f"{name}{first}"
    yield from (" " * len(name) + part for part in rest)


def _moment(moment: datetime) -> str:
    return to_text(moment).replace("T", " ").removesuffix("Z")


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
