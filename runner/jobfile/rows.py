"""A row of the input to the requests it stands for, or to what is wrong with it.

    row ─▶ row key          a digest of the key columns: names the row for ever
        ─▶ prompt, chain    checked against API.md §2, each fault placed at its cell
        ─▶ parameters       cells that override the job's; checked together, per target
        ─▶ asks             target × sample, each with its body

Pure: nothing is remembered of earlier rows but what saves work, so the same row always gives the
same bytes. The part of a body that rows have in common is encoded once (`_Frame`).
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from runner import parameters
from runner.errors import Problem
from runner.inputs.paths import Miss, MissKind, get_path
from runner.inputs.rows import Reject, Row
from runner.inputs.table import Table
from runner.jobfile.campaign import HISTORY, too_long
from runner.jobfile.findings import of_targets, shown
from runner.jobfile.job import ENCODER, Job
from runner.jobfile.targets import complete_request, faults_of, merged
from runner.parameters import Kind
from runner.parameters.table import CHAIN_LIMIT, TEXT_LIMIT
from runner.rows import Ask, InputRow
from runner.task import Target

_KEY_BYTES: Final = 16
_CACHED_PLANS: Final = 1_000

_IN_ORDER: Final = msgspec.json.Encoder()
_LETTER_OR_DIGIT: Final = re.compile(r"\w")
_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}
_WITH_CHAIN: Final = b"[true]"
_WITHOUT: Final = b"[false]"
"""What rows without parameter cells of their own are known as among the plans."""
_CELL_INDEX: Final = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class _Frame:
    """A target's body with gaps for what each row brings: head CHAIN middle PROMPT tail."""

    target: str
    head: bytes
    middle: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one choice of parameter cells makes of the job's targets."""

    frames: tuple[_Frame, ...]
    faults: tuple[tuple[str, str], ...]
    """Column and message of each parameter cell that the API would refuse."""


@dataclass(frozen=True, slots=True)
class FirstTurn:
    """A row that can be asked, but for its follow-up."""

    row: InputRow
    """Without the follow-up."""
    problems: list[Problem]
    """What is wrong with that."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A chunk of the input, sorted into what can be asked and what cannot."""

    rows: list[InputRow]
    rejects: list[Reject]
    """In the order of the file."""
    bytes_read: int


class Expander:
    """Turns rows of *table* into what *job* asks about them."""

    def __init__(self, job: Job, table: Table, *, key_columns: Sequence[str] = ()) -> None:
        """*key_columns* are those recorded with a run that exists already; else the job's own."""
        self._column = job.prompt.column
        self._template = job.prompt.template
        self._follow_up = job.prompt.follow_up
        self._wheres = {name: tuple(where.items()) for name, where in job.wheres.items()}
        self._template_place = _template_place(job)
        self._chain_column = job.prompt.message_chain
        self._samples = range(1, job.prompt.samples + 1)
        self._targets = job.targets
        self._overriding = job.input.parameters
        self._key_columns = tuple(key_columns) or job.key_columns
        self._key_is_prompt = set(self._key_columns) <= set(job.prompt.columns)
        self._kinds = _kinds(job.targets) if table.textual else {}
        self._plans: dict[bytes, _Plan] = {}

    def expand(self, row: Row) -> InputRow | FirstTurn | list[Problem]:
        """The requests of *row*, or all that is wrong with it, each fault placed at its cell.

        Where nothing is wrong but the follow-up, both.
        """
        problems: list[Problem] = []
        prompt = self._prompt(row, problems)
        chain = self._chain(row, problems)
        plan = self._plan(row.cells, with_chain=chain is not None)
        for column, message in plan.faults:
            problems.append(row.problem(message, column))
        key = self._key(row, problems)
        if problems:
            return problems
        follow_up = self._second(row, chain, problems)
        frames = [frame for frame in plan.frames if self._is_asked(frame.target, row.cells)]
        turns = (prompt,) if follow_up is None else (prompt, follow_up)
        expanded = InputRow(
            position=row.number,
            line=row.line,
            key=key,
            cells=_IN_ORDER.encode(row.cells),
            asks=tuple(_asks(frames, turns, chain or b"", self._samples)),
        )
        return FirstTurn(expanded, problems) if problems else expanded

    def _is_asked(self, target: str, cells: Mapping[str, object]) -> bool:
        """Whether the target's ``where``, if it has one, means a row with these *cells*."""
        return all(
            _as_text(get_path(cells, column)) in wanted
            for column, wanted in self._wheres.get(target, ())
        )

    def _key(self, row: Row, problems: list[Problem]) -> bytes:
        named = [(column, get_path(row.cells, column)) for column in self._key_columns]
        if not self._key_is_prompt:
            problems += _key_problems(row, named)
        if problems:
            return b""
        # A cell that a template does without is as good as an empty one.
        known = [(column, None if isinstance(cell, Miss) else cell) for column, cell in named]
        return hashlib.blake2b(ENCODER.encode(known), digest_size=_KEY_BYTES).digest()

    def _prompt(self, row: Row, problems: list[Problem]) -> bytes:
        if self._template is None:
            cell = get_path(row.cells, self._column)
            return self._text(row, "prompt", self._column, cell, problems)
        rendered = self._template.render(row.cells)
        if isinstance(rendered, str):
            longest = max(
                self._template.columns, key=lambda name: len(_as_text(get_path(row.cells, name)))
            )
            return self._text(row, "prompt", longest, rendered, problems)
        needed = f", and the template needs it ({self._template_place})"
        problems += [row.problem(fault.message + needed, fault.column) for fault in rendered]
        return b""

    def _second(self, row: Row, chain: bytes | None, problems: list[Problem]) -> bytes | None:
        """The follow-up as JSON; None if the row has none, or it cannot be asked."""
        column = self._follow_up
        if column is None:
            return None
        text = get_path(row.cells, column)
        if text is None or text == "":
            return None
        if isinstance(text, Miss) and text.kind is MissKind.OUT_OF_RANGE:
            return None
        before = len(problems)
        follow_up = self._text(row, "follow-up", column, text, problems)
        if chain is not None and (said := len(msgspec.json.decode(chain))) > CHAIN_LIMIT - HISTORY:
            problems.append(row.problem(too_long(said), self._chain_column))
        return follow_up if len(problems) == before else None

    def _text(
        self, row: Row, what: str, column: str, prompt: object, problems: list[Problem]
    ) -> bytes:
        if type(prompt) is str and len(prompt) <= TEXT_LIMIT and _LETTER_OR_DIGIT.search(prompt):
            try:
                return ENCODER.encode(prompt)
            except UnicodeEncodeError:
                pass  # half a character: said with its place below
        beside = row.beside(column)
        faults = [f"{what} {fault}{beside}" for fault in self._prompt_faults(prompt)]
        problems += [row.problem(message, column) for message in faults]
        return b"" if faults else ENCODER.encode(prompt)

    def _prompt_faults(self, prompt: object) -> Iterator[str]:
        match prompt:
            case Miss():
                yield f"is missing: {prompt}"
            case None | "":
                yield "is empty"
            case str() if len(prompt) > TEXT_LIMIT:
                yield f"has {len(prompt)} characters; the API takes at most {TEXT_LIMIT}"
            case str():
                for _field, message in self._objections({"user_prompt": prompt}):
                    yield message
            case _:
                yield f"must be text, got {shown(prompt)}"

    def _chain(self, row: Row, problems: list[Problem]) -> bytes | None:
        """The row's conversation as JSON; None if it has none."""
        column = self._chain_column
        if column is None:
            return None
        chain = get_path(row.cells, column)
        if isinstance(chain, Miss):
            problems.append(row.problem(f"message_chain is missing: {chain}", column))
            return None
        if chain is None or chain == []:
            return None
        for field, message in self._objections({"message_chain": chain}):
            if field.startswith("message_chain"):
                inside = field.removeprefix("message_chain")
                cell = column + _CELL_INDEX.sub(r".\1", inside)
                problems.append(row.problem(f"{field}: {message}", cell))
        return ENCODER.encode(chain)

    def _plan(self, cells: Mapping[str, object], *, with_chain: bool) -> _Plan:
        values: list[object] = []
        known_as = _WITH_CHAIN if with_chain else _WITHOUT
        if self._overriding:
            found = [get_path(cells, column) for column in self._overriding]
            values = [None if isinstance(value, Miss) else value for value in found]
            known_as = ENCODER.encode([with_chain, *values])
        plan = self._plans.get(known_as)
        if plan is None:
            if len(self._plans) >= _CACHED_PLANS:
                self._plans.clear()
            plan = self._plans[known_as] = self._make_plan(values, with_chain)
        return plan

    def _make_plan(self, values: Sequence[object], with_chain: bool) -> _Plan:
        given = {
            field: self._typed(field, value)
            for field, value in zip(self._overriding, values, strict=True)
            if value is not None and value != ""
        }
        faults = []
        # Without any, the request is the job's own, which was checked when the job was read.
        for field, message in self._objections(given) if given else ():
            faults.append((_culprit(field, message, given), f"{field}: {message}"))
        frames = tuple(
            _frame(target, merged(target, given), with_chain) for target in self._targets
        )
        return _Plan(frames, tuple(faults))

    def _typed(self, field: str, value: object) -> object:
        """A cell of text as the type its field has; as it is, for its check, if it cannot be."""
        if not isinstance(value, str):
            return value
        text = value.strip()
        kind = self._kinds.get(field)
        if kind is Kind.FLAG:
            return _FLAGS.get(text.lower(), value)
        if kind in (Kind.INTEGER, Kind.NUMBER) and _INTEGER.fullmatch(text) and len(text) < 20:
            return int(text)
        if kind is Kind.NUMBER and _NUMBER.fullmatch(text):
            return float(text)
        return value

    def _objections(self, given: Mapping[str, object]) -> list[tuple[str, str]]:
        """Field and message of each fault of the job's requests once *given* is put into them.

        A fault that only some of the targets have carries their names.
        """
        found: dict[tuple[str, str], list[str]] = {}
        for target in self._targets:
            for fault in faults_of(target.endpoint, complete_request(target, given)):
                found.setdefault((fault.field, fault.message), []).append(target.name)
        return [
            (field, message + of_targets(names, len(self._targets)))
            for (field, message), names in found.items()
        ]


def checked_rows(
    job: Job, table: Table, chunk: int = 1000, *, key_columns: Sequence[str] = ()
) -> Iterator[Checked]:
    """The whole input in chunks of about *chunk* rows, each row checked and expanded.

    Raises:
        WrongInput: the file cannot be read on, or changed meanwhile.
    """
    expander = Expander(job, table, key_columns=key_columns)
    for part in table.chunks(chunk):
        rows = []
        rejects = list(part.rejects)
        for row in part.rows:
            match expander.expand(row):
                case InputRow() as good:
                    rows.append(good)
                case FirstTurn(row=good, problems=problems):
                    rows.append(good)
                    rejects.append(row.reject(problems))
                case problems:
                    rejects.append(row.reject(problems))
        rejects.sort(key=lambda reject: reject.number)
        yield Checked(rows, rejects, part.bytes_read)


def _asks(
    frames: Sequence[_Frame], turns: Sequence[bytes], chain: bytes, samples: Iterable[int]
) -> Iterator[Ask]:
    for frame in frames:
        bodies = [
            b"".join((frame.head, chain, frame.middle, prompt, frame.tail)) for prompt in turns
        ]
        for sample in samples:
            for turn, body in enumerate(bodies, start=1):
                yield Ask(target=frame.target, sample=sample, turn=turn, body=body)


def _as_text(cell: object) -> str:
    """A cell as the text that a CSV would have; nothing where there is none."""
    match cell:
        case Miss() | None:
            return ""
        case str():
            return cell
        case _:
            return ENCODER.encode(cell).decode()


def _template_place(job: Job) -> str:
    if job.positions is None:
        return job.path
    line, column = job.positions.of("prompt", "template")
    return f"{job.path}:{line}:{column}"


def _key_problems(row: Row, named: Sequence[tuple[str, object]]) -> Iterator[Problem]:
    for column, value in named:
        if isinstance(value, Miss):
            yield row.problem(f"key column {shown(column)} is missing: {value}", column)
    if all(value in ("", None) for _column, value in named):
        columns = ", ".join(column for column, _value in named)
        yield row.problem(f"key is empty ({columns}), so nothing names this row", named[0][0])


def _culprit(field: str, message: str, given: Iterable[str]) -> str:
    """The parameter column that a fault is about.

    It may bear the name of a setting of the job's, and only say which one does not go with that.
    """
    columns = tuple(given)
    named = [column for column in columns if field.partition("[")[0] == column]
    named += [column for column in columns if column in message]
    return (named or columns)[0]


def _kinds(targets: Iterable[Target]) -> dict[str, Kind]:
    return {
        field.name: field.kind for target in targets for field in parameters.TABLE[target.endpoint]
    }


def _frame(target: Target, fields: Mapping[str, object], with_chain: bool) -> _Frame:
    request = {"model_name": target.model, "user_prompt": None, **fields}
    gaps = {"user_prompt"}
    if with_chain:
        request["message_chain"] = None
        gaps.add("message_chain")
    pieces = []
    piece = b"{"
    for number, name in enumerate(sorted(request)):
        piece += (b"," if number else b"") + ENCODER.encode(name) + b":"
        if name in gaps:
            pieces.append(piece)
            piece = b""
        else:
            piece += ENCODER.encode(request[name])
    pieces.append(piece + b"}")
    head, *middle, tail = pieces
    return _Frame(target.name, head, middle[0] if middle else b"", tail)
