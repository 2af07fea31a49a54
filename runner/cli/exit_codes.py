"""What each exit code means and what cron should do about it (UX.md §2.3)."""

from typing import Final

from runner.errors import Exit

MEANING: Final[dict[Exit, str]] = {
    Exit.DONE: "everything asked for is done, or there was nothing to do",
    Exit.SOME_FAILED: "too many failed, tasks await a decision, or a check failed",
    Exit.WRONG_INPUT: "wrong flag, job file, input, store or folder",
    Exit.NOT_FINISHED: "tasks are still waiting; the next start picks them up",
    Exit.MONEY: "stopped by a budget, hold, balance or daily limit",
    Exit.CREDENTIALS: "login or password missing or refused",
    Exit.BUG: "our bug; a report file was written",
    Exit.TRY_LATER: "try later: another run holds the store, or nobody answers",
    Exit.INTERRUPTED: "stopped by Ctrl-C; the state is saved",
    Exit.TERMINATED: "stopped by SIGTERM; the state is saved",
}

CRON: Final[dict[Exit, str]] = {
    Exit.DONE: "nothing",
    Exit.SOME_FAILED: "mail",
    Exit.WRONG_INPUT: "mail",
    Exit.NOT_FINISHED: "nothing: the next start goes on",
    Exit.MONEY: "mail",
    Exit.CREDENTIALS: "mail",
    Exit.BUG: "mail",
    Exit.TRY_LATER: "nothing: the next start tries again",
    Exit.INTERRUPTED: "-",
    Exit.TERMINATED: "-",
}

QUIET: Final = frozenset({Exit.DONE, Exit.NOT_FINISHED, Exit.TRY_LATER})
"""With ``-q`` these end without a word: nobody is needed."""


def table() -> str:
    """The whole table, as `runner help exit-codes` prints it."""
    width = max(map(len, MEANING.values()))
    lines = [f"code  {'meaning':<{width}}  what cron should do"]
    lines += [f"{code:>4}  {MEANING[code]:<{width}}  {CRON[code]}" for code in Exit]
    return "\n".join(lines)
