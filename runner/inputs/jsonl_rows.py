"""JSON Lines: one object on each line, in UTF-8."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from runner.errors import Problem, WrongInput
from runner.inputs.json_objects import Fault, explain, objection
from runner.inputs.lines import Overlong, split_lines
from runner.inputs.places import json_offset
from runner.inputs.reader import Reread, reject_overlong
from runner.inputs.rows import Place, Reject, Row


class JsonlReader:
    """Reads JSON Lines; every row brings its own names."""

    columns: None = None
    delimiter: None = None
    header: bytes = b""

    def __init__(self, display: str) -> None:
        self.display = display

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        return Place(line, json_offset(raw.decode(), name) + 1)

    def as_reject(self, raw: bytes) -> bytes:
        return raw

    def read(
        self, blocks: Iterable[bytes], reread: Reread, before: int = 0
    ) -> Iterator[Row | Reject]:
        """See ``Reader.read``.

        Raises:
            WrongInput: this is JSON, but not one object a line.
        """
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        line = 0
        number = before
        for piece in split_lines(blocks):
            if isinstance(piece, Overlong):
                line += 1
                number += 1
                yield reject_overlong(
                    piece, number=number, line=line, display=self.display, reread=reread
                )
                continue
            for raw in piece:
                line += 1
                try:
                    cells = decode(raw)
                except (ValueError, RecursionError) as error:
                    if not raw.strip():
                        continue
                    if number == before:
                        self._refuse_other_json(raw, line)
                    number += 1
                    yield self._reject(number, line, raw, explain(raw, error, whole="line"))
                    continue
                number += 1
                fault = objection(raw, cells)
                if fault is None:
                    yield Row(number, line, cells, raw, self)
                else:
                    yield self._reject(number, line, raw, fault)

    def _refuse_other_json(self, raw: bytes, line: int) -> None:
        first = raw.strip()
        if first in (b"[", b"{"):
            values = ".[]" if first == b"[" else "."
            raise WrongInput(
                f"{self.display} is JSON, but not JSON Lines: its values run over several lines",
                where=f"{self.display}:{line}",
                how="call it something.json if it is one list of objects; or write one object on "
                f"each line: jq -c '{values}' FILE > prompts.jsonl",
            )

    def _reject(self, number: int, line: int, raw: bytes, fault: Fault) -> Reject:
        problem = Problem(self.display, line, fault.offset + 1, fault.message)
        return Reject(number, line, (problem,), raw)
