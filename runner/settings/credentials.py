"""Login, password and AIsa's key: where they come from, and how they must not be shown."""

import os
import stat
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runner.settings.sources import Given, Sources

_LARGEST_FILE: Final = 4096
"""Bytes; more than this is some other file."""

_SHORTEST_LOGIN: Final = 8
"""Characters. A shorter login is a mere word: hiding ``demo`` would blank out half a log."""


def worth_hiding(login: str) -> bool:
    """Whether *login* is long enough to name an account, and so to be kept out of logs."""
    return len(login) >= _SHORTEST_LOGIN


@dataclass(frozen=True, slots=True)
class Credentials:
    """What every call to the API is signed with."""

    login: str = field(repr=False)
    password: str = field(repr=False)

    def _basic(self) -> str:
        pair = f"{self.login}:{self.password}"
        # An environment that is not UTF-8 arrives as surrogates; they stand for its bytes.
        return b64encode(pair.encode(errors="surrogateescape")).decode()

    def authorization(self) -> str:
        """The value of the header ``Authorization`` (HTTP Basic in UTF-8, API.md §1)."""
        return f"Basic {self._basic()}"

    def secrets(self) -> set[str]:
        """What no log, error or page may show."""
        hidden = {self.password, self._basic(), self.authorization()}
        if worth_hiding(self.login):
            hidden.add(self.login)
        return hidden


SIMULATED: Final = Credentials("simulated-login", "simulated-password")
"""For ``--api sim``: no account of anybody's."""


def simulated(account: str | None) -> Credentials:
    """The same for each of several accounts."""
    if account is None:
        return SIMULATED
    return Credentials(f"simulated-{account}", SIMULATED.password)


SIMULATED_AISA_KEY: Final = "sk-aisa-simulated"
"""The same for AIsa's side of the simulator."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of login and password, and why it cannot be used."""

    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    faults: tuple[str, ...] = ()
    """One sentence each; only a command that calls the API minds them."""
    warnings: tuple[str, ...] = ()


def find_credentials(sources: Sources) -> Found:
    """Login and password from their places, the password's file read; nothing is raised."""
    faults: list[str] = []
    warnings: list[str] = []
    login = sources.find("login")
    if login is None:
        faults.append("there is no login: DATAFORSEO_LOGIN is not set")
    elif fault := login_fault(login.value):
        faults.append(f"the login from {login.origin} {fault}")
    password = _read(_PASSWORD, sources, faults, warnings)
    return Found(
        login.value if login and isinstance(login.value, str) else None,
        password,
        tuple(faults),
        tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class FoundKey:
    """What was found of AIsa's key, and why it cannot be used."""

    key: str | None = field(default=None, repr=False)
    faults: tuple[str, ...] = ()
    """One sentence each; only a command that calls AIsa minds them."""
    warnings: tuple[str, ...] = ()

    def secrets(self) -> set[str]:
        """What no log, error or page may show."""
        return {self.key, f"Bearer {self.key}"} if self.key else set()


def find_aisa_key(sources: Sources) -> FoundKey:
    """AIsa's key from its places, its file read; nothing is raised."""
    faults: list[str] = []
    warnings: list[str] = []
    key = _read(_AISA_KEY, sources, faults, warnings)
    if key and not (key.isascii() and key.isprintable() and " " not in key) and not faults:
        faults.append("the AIsa key has characters that no header can carry")
    return FoundKey(key, tuple(faults), tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Secret:
    """A secret text and the two ways to give it."""

    key: str
    """The setting; that of its file ends in ``_file``."""
    what: str
    variable: str


_PASSWORD: Final = _Secret("password", "password", "DATAFORSEO_PASSWORD")
_AISA_KEY: Final = _Secret("aisa_api_key", "AIsa key", "AISA_API_KEY")


def _read(secret: _Secret, sources: Sources, faults: list[str], warnings: list[str]) -> str | None:
    direct, file = sources.find(secret.key), sources.find(f"{secret.key}_file")
    return read_secret(secret.what, secret.variable, direct, file, sources, faults, warnings)


def read_secret(
    what: str,
    variable: str,
    direct: Given | None,
    file: Given | None,
    sources: Sources,
    faults: list[str],
    warnings: list[str],
    *,
    whose: str = "",
) -> str | None:
    """The secret *what* itself, or from its file; what is wrong with it is added to *faults*.

    *variable* is the one to name where there is none, *whose* goes behind what is told of it.
    """
    if direct and file and file.variable:
        faults.append(f"{variable} and {variable}_FILE are both set; unset one of them")
    if direct is not None:
        text = str(direct.value)
        if not _sendable(text):
            faults.append(f"the {what} from {direct.origin}{whose} has control characters")
        return text
    if file is None:
        faults.append(f"there is no {what}{whose}: neither {variable} nor {variable}_FILE is set")
        return None
    return _read_file(what, whose, sources, file, faults, warnings)


def _read_file(
    what: str, whose: str, sources: Sources, file: Given, faults: list[str], warnings: list[str]
) -> str | None:
    path = sources.expand(file)
    if path is None:
        faults.append(f"the {what} file from {file.origin}{whose} is not a path")
        return None
    where = f"the {what} file {path} ({file.origin}){whose}"
    try:
        content, mode = _head(path)
        # An editor or `echo` ends the file with a line end that is not part of the secret.
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        faults.append(f"{where} cannot be read: {error.strerror or 'unreadable'}")
        return None
    except UnicodeDecodeError:
        faults.append(f"{where} is not UTF-8 text")
        return None
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        warnings.append(f"{where} can be read by everybody on this machine; chmod 600 {path}")
    if not text or len(content) > _LARGEST_FILE or not _sendable(text):
        faults.append(f"{where} must hold one line, the {what}, and nothing else")
        return None
    return text


def _head(path: Path) -> tuple[bytes, int]:
    """The first bytes of *path*, enough to see that it is too long, and its mode."""
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE + 1), os.fstat(file.fileno()).st_mode


def login_fault(login: object) -> str:
    """Why *login* cannot be sent; empty if it can."""
    if not isinstance(login, str) or not login.strip():
        return "is not a text"
    if ":" in login:
        return "has a colon, which HTTP Basic cannot carry"
    return "" if _sendable(login) else "has control characters"


def _sendable(text: str) -> bool:
    """Whether *text* can travel in a header: no control characters."""
    return not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)
