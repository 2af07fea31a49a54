"""What runner says while it works: structured lines, safe to read and to keep.

    masking ── no secret in any form      lines ── one event, one line
    sinks ── stderr, a log file           setup ── configure, get_logger, bind

Event names are ``stage.thing_happened``, past tense, fixed text; all that varies is a key. One line
for a batch, not one for each task.
"""

from runner.logs.lines import printable
from runner.logs.masking import Masker
from runner.logs.setup import (
    Format,
    bind,
    bound,
    calls_logged,
    close,
    configure,
    get_logger,
    unbind,
)

__all__ = [
    "Format",
    "Masker",
    "bind",
    "bound",
    "calls_logged",
    "close",
    "configure",
    "get_logger",
    "printable",
    "unbind",
]
