"""The frozen values that the stages hand to each other. No I/O, nothing of the API's JSON.

job ─▶ run ─▶ row × target × sample = task ─▶ attempt (one possible charge, one tag)
                                             ─▶ receipt (the API's id) ─▶ answer
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType, Self

TaskId = NewType("TaskId", int)
"""Our own number of a task: the primary key, and the way back from a tag."""

RemoteId = NewType("RemoteId", str)
"""The API's id of a task. Opaque text: printed ones hold non-hex letters (API.md §4)."""


class Provider(StrEnum):
    """Whose model answers."""

    CHAT_GPT = "chat_gpt"
    CLAUDE = "claude"
    GEMINI = "gemini"
    PERPLEXITY = "perplexity"


class Method(StrEnum):
    """How the API is asked: posted and fetched later, or answered in the same call."""

    STANDARD = "standard"
    LIVE = "live"


class Gateway(StrEnum):
    """Whose endpoint we call."""

    DATAFORSEO = "dataforseo"
    AISA = "aisa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Tasks of one endpoint may share a call."""

    gateway: Gateway = Gateway.DATAFORSEO
    provider: Provider
    method: Method = Method.STANDARD

    def __str__(self) -> str:
        return f"{self.gateway}/{self.provider}/{self.method}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The endpoint written by ``str``."""
        gateway, provider, method = text.split("/")
        return cls(gateway=Gateway(gateway), provider=Provider(provider), method=Method(method))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One provider, model and parameters that each prompt of a job is put to."""

    name: str
    """Part of every task's identity: renaming a target asks everything again."""
    endpoint: Endpoint
    model: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Request fields beside prompt, model and tag, as API.md §2 names them."""
    account: str | None = None
    """The only account that asks it; None: any. No part of a task's identity, so that moving it to
    another account asks nothing again."""


_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ALPHABET: Final = frozenset(_BASE32)
_PAIRS: Final = tuple(first + second for first in _BASE32 for second in _BASE32)
"""Two characters for each number of ten bits. The standard library takes twice as long for a tag,
and every task needs some."""


def short_digest(data: bytes, length: int) -> str:
    """*length* characters, at most 50, of lower-case base32 (5 bits each): a blake2b of *data*."""
    bits = (length + 1) // 2 * 10
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=32).digest(), "big") >> (256 - bits)
    pairs = [_PAIRS[digest >> shift & 1023] for shift in range(bits - 10, -1, -10)]
    return "".join(pairs)[:length]


def identity_digest(row_key: bytes, target: str, sample: int, turn: int) -> str:
    """What makes a task this task within its run, in 26 base32 characters (128 bits and more).

    Prompt and parameters are not part of it: an edited request is a changed task, not a new one.
    """
    name = target.encode()
    parts = (row_key, len(name).to_bytes(4, "big"), name, sample.to_bytes(4, "big"))
    return short_digest(b"".join(parts) + turn.to_bytes(4, "big"), 26)


@dataclass(frozen=True, slots=True)
class Tag:
    """What travels with a task to the API and comes back, on the wire at most 255 characters.

        <install 8>.<run 8>.<task id>.<task digest 26>.<attempt>.<check 4>

    Base32 and digits, no text of the customer's. A tag is burnt once used, even if nothing was
    sent under it.
    """

    install: str
    run: str
    task: TaskId
    digest: str
    attempt: int

    def _body(self) -> str:
        return f"{self.install}.{self.run}.{self.task}.{self.digest}.{self.attempt}"

    def __str__(self) -> str:
        body = self._body()
        return f"{body}.{short_digest(body.encode(), 4)}"

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """The tag in *text*; None if it is not one of ours (another program's, cut, altered)."""
        if not isinstance(text, str) or not text.isascii() or len(text) > 255:
            return None
        parts = text.split(".")
        if len(parts) != 6:
            return None
        install, run, task, digest, attempt, _check = parts
        if not (len(install) == len(run) == 8 and len(digest) == 26):
            return None
        if not _ALPHABET.issuperset(install + run + digest):
            return None
        if not (task.isdecimal() and attempt.isdecimal() and len(task) < 19 and len(attempt) < 9):
            return None
        tag = cls(install, run, TaskId(int(task)), digest, int(attempt))
        return tag if str(tag) == text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The API's receipt for one attempt."""

    tag: str
    remote_id: RemoteId
    cost_nanousd: int | None
    """What the reply says it took at posting; None if it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The API will not take this task as it stands."""

    tag: str
    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTaken:
    """Certainly not taken: it may be posted again after *wait_s* seconds."""

    tag: str
    why: str
    wait_s: float
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Perhaps taken: nobody knows."""

    tag: str
    why: str
    code: int | None = None
    suspect: bool = False
    """It may be what the call was refused for: should it be sent again, it goes alone."""


Outcome = Accepted | Refused | NotTaken | Lost
"""What became of one attempt of a posted batch."""
