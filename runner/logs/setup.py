"""The log of this process: set up once, then one call for each event.

    log.info("submitter.batch_posted", tasks=100)
       │ below the level: returns at once
       ▼
    bound keys + keys ─▶ masked ─▶ each sink: above its level? ─▶ rendered ─▶ written

Until it is set up, warnings and worse go to stderr and nothing is masked.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.contextvars import (
    bind_contextvars,
    bound_contextvars,
    clear_contextvars,
    get_contextvars,
    unbind_contextvars,
)
from structlog.typing import FilteringBoundLogger

from runner.clock import Clock, SystemClock
from runner.logs.lines import Render, as_coloured_text, as_json, as_short_text, as_text
from runner.logs.masking import Masker
from runner.logs.sinks import FileSink, Sink, StreamSink

Format = Literal["auto", "text", "json"]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

_FIRST: Final = ("run", "job")
"""Bound keys that lead every line, in this order; a context keeps none of its own."""


@dataclass(frozen=True, slots=True)
class _Output:
    sink: Sink
    render: Render
    level: int


class _Writer:
    """What structlog hands finished events to; one method for each level."""

    def __init__(self, outputs: list[_Output], masker: Masker, clock: Clock) -> None:
        self._outputs = outputs
        self._masker = masker
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: set[int] = set()

    def write(self, level: str, event: str, keys: Mapping[str, object]) -> None:
        """Mask and render one event and give it to every sink that takes its level."""
        with self._lock:
            self._write(level, self._masker.mask(event), self._masker.keys(keys))

    def _write(self, level: str, event: str, keys: Mapping[str, object]) -> None:
        now = self._clock.now()
        for index, output in enumerate(self._outputs):
            if _LEVELS[level] < output.level:
                continue
            if output.sink.write(output.render(now, level, event, keys)):
                self._failed.discard(index)
            elif index not in self._failed:
                # Told once, by whoever can still speak; the next lines are tried all the same.
                self._failed.add(index)
                self._write("warning", "log.output_failed", {"output": index})

    def close(self) -> None:
        for output in self._outputs:
            output.sink.close()

    def debug(self, event: str, keys: Mapping[str, object]) -> None:
        self.write("debug", event, keys)

    def info(self, event: str, keys: Mapping[str, object]) -> None:
        self.write("info", event, keys)

    def warning(self, event: str, keys: Mapping[str, object]) -> None:
        self.write("warning", event, keys)

    def error(self, event: str, keys: Mapping[str, object]) -> None:
        self.write("error", event, keys)

    def critical(self, event: str, keys: Mapping[str, object]) -> None:
        self.write("critical", event, keys)


def _collect(
    _logger: Any, _method: str, event_dict: structlog.typing.EventDict
) -> tuple[tuple[str, dict[str, object]], dict[str, object]]:
    """The one processor: bound keys first, then the event's own, an exception as text last."""
    bound_keys = sorted(get_contextvars().items(), key=lambda item: (_rank(item[0]), item[0]))
    keys: dict[str, object] = {**dict(bound_keys), **event_dict}
    event = str(keys.pop("event", ""))
    error = _exception(keys.pop("exc_info", None))
    if error is not None:
        keys["exception"] = _traceback(error)
    return (event, keys), {}


def _rank(key: str) -> int:
    return _FIRST.index(key) if key in _FIRST else len(_FIRST)


def _exception(exc_info: object) -> BaseException | None:
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case None | False | (None, None, None):
            return None
        case _:
            return sys.exc_info()[1]


def _traceback(error: BaseException) -> str:
    """Where *error* came from, without the value of any variable."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=False).format()
    return "".join(lines).rstrip("\n")


class _Foreign(logging.Handler):
    """Brings what libraries say through ``logging`` into the same lines, masked like the rest."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:
            message = str(record.msg)
        severe = record.levelno >= logging.ERROR
        write = get_logger().error if severe else get_logger().warning
        write("library.logged", library=record.name, message=message, exc_info=record.exc_info)


class _State:
    """What is set up now; there is one log in a process."""

    writer: _Writer | None = None
    foreign: _Foreign | None = None
    verbosity: int = 0


def configure(
    *,
    stream: TextIO,
    verbosity: int = 0,
    format: Format = "auto",
    secrets: Iterable[str] = (),
    log_file: Path | None = None,
    clock: Clock | None = None,
    colour: bool = False,
) -> None:
    """Send every event to *stream* and, if there is one, to *log_file*; again to change that.

    *verbosity*: -1 errors only, 0 what happened, 1 decisions too, 2 each call too
    (``calls_logged``). The log file takes what happened even where the stream is kept quiet.
    *format* ``auto`` is text, with only the time of day on a terminal, there in *colour* if that
    is wanted. *secrets* appear in no line, in no form.

    Raises:
        WrongInput: the log file cannot be opened; what was set up before goes on.
    """
    file = FileSink(log_file) if log_file is not None else None
    outputs = [_Output(StreamSink(stream), _render(format, stream, colour), _level(verbosity))]
    if file is not None:
        render = as_json if format == "json" else as_text
        outputs.append(_Output(file, render, _level(max(verbosity, 0))))
    _install(_Writer(outputs, Masker(secrets), clock or SystemClock()), outputs)
    _State.verbosity = verbosity
    _State.foreign = _Foreign(logging.WARNING)
    logging.getLogger().addHandler(_State.foreign)


def close() -> None:
    """Close the log file and forget the set-up; later events go where they went before any."""
    outputs = [_Output(_Stderr(), as_text, logging.WARNING)]
    _install(_Writer(outputs, Masker(()), SystemClock()), outputs)
    _State.verbosity = 0


def _install(writer: _Writer, outputs: list[_Output]) -> None:
    if _State.foreign is not None:
        logging.getLogger().removeHandler(_State.foreign)
        _State.foreign = None
    if _State.writer is not None:
        _State.writer.close()
    _State.writer = writer
    structlog.configure(
        processors=[_collect],
        wrapper_class=structlog.make_filtering_bound_logger(min(o.level for o in outputs)),
        logger_factory=lambda *_: writer,
        # A cached logger would keep writing to an output that has been replaced.
        cache_logger_on_first_use=False,
    )


class _Stderr:
    """Whatever stderr is at the moment of writing."""

    def write(self, line: str) -> bool:
        return StreamSink(sys.stderr).write(line)

    def close(self) -> None:
        """Nothing was opened."""


def _level(verbosity: int) -> int:
    if verbosity < 0:
        return logging.ERROR
    return logging.INFO if verbosity == 0 else logging.DEBUG


def _render(format: Format, stream: TextIO, colour: bool) -> Render:
    if format == "json":
        return as_json
    if format == "text" or not stream.isatty():
        return as_text
    return as_coloured_text if colour else as_short_text


def get_logger() -> FilteringBoundLogger:
    """The log, for a module to keep; it follows every later ``configure``.

    Where thousands of events a second may be filtered out, ``get_logger().bind()`` at the start of
    the work is cheaper still, and stays with the set-up of that moment.
    """
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def calls_logged() -> bool:
    """Whether each API call gets a line of its own (``-vv``); such lines are debug events."""
    return _State.verbosity > 1


def bind(**keys: object) -> None:
    """Give *keys*, such as job and run, to every later event of this task and those it starts."""
    bind_contextvars(**keys)


def bound(**keys: object) -> AbstractContextManager[None]:
    """``bind`` for the length of a ``with`` block."""
    return bound_contextvars(**keys)


def unbind(*keys: str) -> None:
    """Take bound keys away again; all of them if none is named."""
    if keys:
        unbind_contextvars(*keys)
    else:
        clear_contextvars()


close()
