"""Commands within messages, completed so that whoever pastes one acts on the same store.

    runner --api sim run x.toml  ──▶  go on with: runner status  ──▶  runner --api sim status

Whoever writes a message names the command alone: it is completed where the message is printed.
"""

import re
import shlex
from typing import Final

from runner.cli.catalogue import BY_NAME
from runner.cli.shared import Shared

_COMMAND: Final = re.compile(r"(?<![\w/.-])runner (?P<verb>[a-z]+)\b(?=(?P<rest>[^;,·`\n]*))")
_OWN: Final = re.compile(r"--(?:api|store)\b")
_ANYWHERE: Final = frozenset({"help", "completion", "simulate"})
"""Commands that have to do with no workspace."""
_STORELESS: Final = frozenset({"init", "check"})
"""Those that look at its files alone."""


def completed(text: str, shared: Shared) -> str:
    """*text* with the flags in every command that it needs to reach what this one reached."""
    if shared.folder is None and not store_flags(shared):
        return text
    return _COMMAND.sub(lambda command: _completed(command, shared), text)


def _completed(command: re.Match[str], shared: Shared) -> str:
    verb, rest = command["verb"], command["rest"]
    if verb not in BY_NAME or verb in _ANYWHERE or "--help" in rest:
        return command[0]
    flags = folder_flags(shared)
    if verb not in _STORELESS and not _OWN.search(rest):
        flags += store_flags(shared)
    return f"runner{flags} {verb}"


def folder_flags(shared: Shared) -> str:
    """`` -C brands``, or nothing."""
    return "" if shared.folder is None else f" {shlex.join(['-C', str(shared.folder)])}"


def store_flags(shared: Shared) -> str:
    """`` --api sim``, or nothing."""
    words = []
    if shared.api is not None:
        words += ["--api", shared.api]
    # An address may hold a password; whoever pastes the command has it in the environment.
    if shared.store is not None and "://" not in shared.store:
        words += ["--store", shared.store]
    return f" {shlex.join(words)}" if words else ""
