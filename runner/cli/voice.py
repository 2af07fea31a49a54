"""Everything that is printed: the answer on stdout, all the rest on stderr.

            stdout                        stderr
    text    the answer, the summary       notes, warnings, problems, errors, progress
    --json  one document, or events       the same
    -q      what --json and -o - ask for  nothing for the codes 0, 3 and 75, else the error

No secret passes here, no control character of anybody's prompt or reply, and every line ends.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, cast
from urllib.parse import urlsplit

from runner.cli.exit_codes import QUIET
from runner.cli.pasting import completed
from runner.cli.shared import Shared
from runner.cli.terminal import fitted, is_terminal, size_of, wants_colour
from runner.errors import Exit, Problem, RunnerError, TryLater, WrongInput, reason_of

if TYPE_CHECKING:
    from runner.logs import Masker

Document = Mapping[str, object]

_SECRET_VARIABLES: Final = (
    "DATAFORSEO_PASSWORD",
    "AISA_API_KEY",
    "RUNNER_SECRET",
    "RUNNER_SECRET_PREVIOUS",
)
_RED, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[0m"


def secrets_in(environ: Mapping[str, str]) -> set[str]:
    """Secrets that are known before the settings are read."""
    found = {environ[name] for name in _SECRET_VARIABLES if environ.get(name)}
    found |= {url_password(environ.get("RUNNER_STORE", ""))}
    return found - {""}


def url_password(text: str) -> str:
    """The password within a URL, or nothing."""
    try:
        return urlsplit(text).password or ""
    except ValueError:
        return ""


class Voice:
    """The two streams of one command."""

    def __init__(
        self, shared: Shared, *, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.environ = environ
        self.secrets = secrets_in(environ)
        self._shared = shared
        self._above: Callable[[str], None] | None = None
        self._stdout_closed = False
        self._masker: tuple[frozenset[str], Masker] | None = None

    # -- what holds --------------------------------------------------------------------------

    @property
    def json(self) -> bool:
        return self._shared.json

    @property
    def quiet(self) -> bool:
        return self._shared.quiet

    @property
    def for_people(self) -> bool:
        """Whether the answer is read on a terminal, rather than by a program."""
        return is_terminal(self.stdout) and not self.json

    @property
    def width(self) -> int | None:
        """Columns of the terminal that the answer is read on; None where it is not on one."""
        return size_of(self.stdout, self.environ)[0] if self.for_people else None

    def mask(self, text: str) -> str:
        """*text* without any secret."""
        return self._current_masker().mask(text) if self.secrets else text

    def _current_masker(self) -> "Masker":
        secrets = frozenset(self.secrets)
        if self._masker is None or self._masker[0] != secrets:
            from runner.logs import Masker

            self._masker = secrets, Masker(secrets)
        return self._masker[1]

    def to_paste(self, text: str) -> str:
        """*text* whose commands reach the same store."""
        return completed(text, self._shared)

    def keep_above(self, bars: Callable[[str], None] | None) -> None:
        """Give lines for a terminal's stderr to *bars* from now on, so that they stay below."""
        self._above = bars

    # -- the answer --------------------------------------------------------------------------

    def answer(self, text: str) -> None:
        """The answer, or a part of it, for people or as plain lines; not with ``-q``.

        Raises:
            BrokenPipeError: nobody reads on.
        """
        if not self.quiet and not self.json:
            self._answer(self.mask(text))

    def document(self, document: Document) -> None:
        """The answer as one JSON document.

        Raises:
            BrokenPipeError: nobody reads on.
        """
        self._answer(self._json(document))

    def documents(self, documents: Iterable[Document]) -> None:
        """Parts of an answer of many JSON documents, a line each, written at once.

        Raises:
            BrokenPipeError: nobody reads on.
        """
        if lines := [self._json(document) for document in documents]:
            self._answer("\n".join(lines))

    def exact(self, text: str) -> None:
        """What was asked for by its name, even with ``-q``: a prompt, an answer.

        Raises:
            BrokenPipeError: nobody reads on.
        """
        self._answer(self.mask(text))

    def raw_bytes(self, data: bytes) -> None:
        """*data* as it is, unmasked: only for what the API sent and a person asks for raw.

        Raises:
            BrokenPipeError: nobody reads on.
        """
        with self.stream() as out:
            out.write(data)
            out.flush()

    @contextmanager
    def stream(self) -> Iterator[BinaryIO]:
        """Stdout itself, for an answer that is written part by part and unmasked.

        Raises:
            BrokenPipeError: nobody reads on.
            TryLater: it cannot be written.
        """
        with _writable():
            self.stdout.flush()
            yield self.stdout.buffer

    def event(self, kind: str, keys: Document) -> None:
        """One of many JSON lines, with ``--json``. A reader who has left does not stop the work."""
        if not self.json or self._stdout_closed:
            return
        try:
            self._answer(self._json({"schema": "runner.event/1", "event": kind, **keys}))
        except BrokenPipeError:
            self._stdout_closed = True

    def last_word(self, text: str) -> None:
        """The summary of a run: as ``answer``, and a reader who has left changes nothing."""
        try:
            self.answer(text)
        except BrokenPipeError:
            self._stdout_closed = True

    def _json(self, document: Document) -> str:
        # ASCII: readable by every program, obeyed by no terminal.
        text = json.dumps(document)
        if self.mask(text) == text:
            return text
        return json.dumps({name: self._masked(value) for name, value in document.items()})

    def _masked(self, value: object) -> object:
        """As the log's masker, but nothing is cut: answers are long."""
        match value:
            case str():
                return self.mask(value)
            case Mapping():
                return {self.mask(str(name)): self._masked(item) for name, item in value.items()}
            case list() | tuple():
                return [self._masked(item) for item in value]
        return self._current_masker().value(value)

    def _answer(self, text: str) -> None:
        with _writable():
            self.stdout.write(fitted(f"{text}\n", self.stdout.encoding))
            self.stdout.flush()

    # -- everything else ---------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Something a person should know; not with ``-q``."""
        if not self.quiet:
            self._tell(self._one_line(self.to_paste(text)))

    def warn(self, text: str) -> None:
        """Something a person should look at; not with ``-q``."""
        text = self.to_paste(text)
        if not self.quiet:
            self._tell(f"{self._painted('warning:', _YELLOW)} {self._one_line(text)}")
        self.event("warning", {"message": text})

    def alarm(self, word: str, text: str, code: Exit) -> None:
        """Something that gets worse with every day: with ``-q`` too, unless all is well."""
        if not (self.quiet and code in (Exit.DONE, Exit.NOT_FINISHED)):
            text = self._one_line(self.to_paste(text))
            self._tell(f"{self._painted(f'{word}:', _YELLOW)} {text}")

    def problem(self, problem: Problem) -> None:
        """One mistake in a file: ``PATH:LINE:COL: message``, on one line however long."""
        self._tell(self._one_line(str(problem)))
        self.event("problem", as_json(problem))

    def error(self, error: RunnerError, code: Exit) -> None:
        """What went wrong, where, why and how to go on; its problems first."""
        if self.quiet and code in QUIET:
            return
        if isinstance(error, WrongInput):
            for problem in error.problems:
                self._tell(self._one_line(str(problem)))
        label = "bug:" if code is Exit.BUG else "error:"
        what, *rest = map(self.to_paste, error.lines())
        self._tell(f"{self._painted(label, _RED)} {self._one_line(what)}")
        for line in (part for text in rest for part in text.split("\n")):
            indent = "" if line.startswith("  ") else "  "
            self._tell(indent + self._one_line(line))

    def error_document(self, error: RunnerError, code: Exit) -> dict[str, object]:
        """*error* in ``--json``."""
        problems = error.problems if isinstance(error, WrongInput) else ()
        return {
            "what": self.to_paste(error.what),
            "where": error.where,
            "why": error.why and self.to_paste(error.why),
            "how": error.how and self.to_paste(error.how),
            "problems": [as_json(problem) for problem in problems],
            "exit": int(code),
        }

    def _one_line(self, text: str) -> str:
        from runner.logs import printable

        return printable(self.mask(text))

    def _painted(self, text: str, colour: str) -> str:
        painted = wants_colour(self.stderr, self._shared.color, self.environ)
        return f"{colour}{text}{_PLAIN}" if painted else text

    def _tell(self, line: str) -> None:
        if self._above is not None:
            self._above(line)
            return
        try:
            # What was answered so far comes first where both go to one file.
            self.stderr.write(fitted(f"{line}\n", self.stderr.encoding))
            self.stderr.flush()
        except (OSError, ValueError):
            # A log that nobody can read must not stop the work.
            return

    @property
    def log_stream(self) -> TextIO:
        """For log lines, masked and finished already: stderr, above the bars if there are any."""
        tell = _tell_nobody if self.quiet else self._tell
        return cast("TextIO", _LogStream(tell, self.stderr))

    def raw(self, text: str) -> None:
        """Lines for stderr that are finished already, such as a traceback."""
        for line in text.rstrip("\n").split("\n"):
            self._tell(self.mask(line))

    def hush(self) -> None:
        """Stdout's reader is gone: what Python still wants to flush at its end goes nowhere."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stdout.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            return

    @property
    def deaf(self) -> bool:
        """Whether stdout's reader has gone while the work went on."""
        return self._stdout_closed


def _tell_nobody(_line: str) -> None:
    """With ``-q``."""


class _LogStream:
    """As much of a text stream as a log needs."""

    def __init__(self, tell: Callable[[str], None], stderr: TextIO) -> None:
        self._tell = tell
        self._stderr = stderr
        self.encoding = "utf-8"

    def write(self, text: str) -> int:
        self._tell(text.removesuffix("\n"))
        return len(text)

    def flush(self) -> None:
        """Each line is flushed as it is told."""

    def isatty(self) -> bool:
        return is_terminal(self._stderr)


def as_json(problem: Problem) -> dict[str, object]:
    """A problem in ``--json``."""
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


@contextmanager
def _writable() -> Iterator[None]:
    """Say what it means that stdout takes no more, unless its reader has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TryLater(
            f"the answer cannot be written: {reason_of(error)}",
            where="standard output",
            how="make room, or write to a file elsewhere",
        ) from error
