"""What the stages say, handed to the standard library's ``logging``: a library prints nothing.

    stage ─▶ structlog ─▶ masked, one line ─▶ logging.getLogger("runner") ─▶ the program's handlers

A program that has set up structlog itself keeps its set-up: the events go there as they are.
"""

import logging
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from runner.settings import Settings

LOGGER: Final = "runner"

_secrets: set[str] = set()
"""Of every store that was opened in this process: none of them may show in any line."""

_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


def log_to_python(settings: Settings) -> None:
    """Send events to the logger ``runner`` from now on, without the secrets of *settings*."""
    known = len(_secrets)
    _secrets.update(settings.secrets())
    ours = structlog.get_config()["logger_factory"] is _logger
    if not structlog.is_configured() or (ours and len(_secrets) > known):
        _configure()
    for warning in settings.warnings:
        logging.getLogger(LOGGER).warning(warning)


def _configure() -> None:
    # Imported only now: it sets structlog up for the command line, and where the program has done
    # so itself, that is not ours to do.
    from runner.logs import Masker
    from runner.logs.lines import as_text

    masker = Masker(_secrets)

    def render(_: Any, level: str, event: structlog.typing.EventDict) -> str:
        keys = dict(event)
        name = masker.mask(str(keys.pop("event", "")))
        # The program's own formatter knows time and level.
        return as_text(_ANY_TIME, level, name, masker.keys(keys)).split(" ", 2)[2]

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=_logger,
        cache_logger_on_first_use=False,
    )


def _logger(*_: object) -> logging.Logger:
    return logging.getLogger(LOGGER)
