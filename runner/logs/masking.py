"""Secrets kept out of everything that is printed.

A secret is looked for as it is and in the forms in which it leaves by accident: escaped as ``repr``
and JSON do, percent-quoted in part or in whole, and inside base64 whatever stands before it there.

    "Basic " + b64("me:s3cr3t")  ──▶  three alignments of "s3cr3t" within base64 are masked
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from runner.clock import to_text

SHORTEST: Final = 4
"""Characters. Shorter texts are not masked: every word has them, and a log with all ``p`` blanked
out is both useless and a riddle that anybody can solve."""

_TOKENS: Final = ("***", "###", "•••", "§§§", "¤¤¤", "¦¦¦")
_DEPTH: Final = 8
_LONGEST: Final = 16_000
"""Characters of one value; a whole answer has no place in a log line."""

_SHORT_ESCAPES: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}


class Masker:
    """Replaces each of some secrets, in all its forms, by ``***``."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # Longest first: where one secret holds another, the whole of it goes.
        known = sorted({s for s in secrets if len(s) >= SHORTEST}, key=len, reverse=True)
        patterns = [*map(_written, known), *(p for secret in known for p in _in_base64(secret))]
        self._pattern = re.compile("|".join(patterns)) if patterns else None
        self._token = _token_apart_from(known)

    def mask(self, text: str) -> str:
        """*text* without any secret; masking it again changes nothing."""
        return self._pattern.sub(self._token, text) if self._pattern else text

    def value(self, value: object) -> object:
        """*value* as JSON could hold it, masked at every depth, keys too, and cut if huge."""
        return self._value(value, _DEPTH)

    def keys(self, keys: Mapping[str, object]) -> dict[str, object]:
        """Each key and each value of *keys*, as ``value`` has them."""
        return {self._text(key): self._value(value, _DEPTH) for key, value in keys.items()}

    def _value(self, value: object, depth: int) -> object:
        match value:
            case None | bool():
                return value
            case str():
                return self._text(value)
            case int() | float():
                return self._number(value)
            case datetime() if value.tzinfo is not None:
                return to_text(value)
            case bytes() | bytearray():
                return self._text(bytes(value).decode(errors="backslashreplace"))
            case Mapping() | list() | tuple() | set() | frozenset() if depth == 0:
                return "…"
            case Mapping():
                items = list(value.items())
                return {self._text(str(k)): self._value(v, depth - 1) for k, v in items}
            case list() | tuple() | set() | frozenset():
                return [self._value(item, depth - 1) for item in value]
            case BaseException():
                return self._text(f"{type(value).__name__}: {_said_by(value)}")
            case _:
                return self._text(_said_by(value))

    def _text(self, text: str) -> str:
        masked = self.mask(str(text))
        if len(masked) <= _LONGEST:
            return masked
        return f"{masked[:_LONGEST]}… (+{len(masked) - _LONGEST} characters)"

    def _number(self, number: float) -> object:
        if isinstance(number, int) and number.bit_length() > 1000:
            return "a number of over 300 digits"
        text = str(number)
        # JSON has no infinity; and a password may be all digits.
        plain = self.mask(text) == text and text not in ("nan", "inf", "-inf")
        return number if plain else self.mask(text)


def _said_by(value: object) -> str:
    try:
        return str(value)
    except Exception:
        # A log line must not fail for what it was given to say.
        return f"a {type(value).__name__} that cannot be printed"


def _written(secret: str) -> str:
    """A pattern for *secret* written out: each character plain, escaped or percent-quoted."""
    return "".join(f"(?:{'|'.join(_ways(character))})" for character in secret)


def _ways(character: str) -> list[str]:
    code = ord(character)
    ways = [re.escape(character)]
    if character in "\"'\\/":
        ways.append(re.escape(f"\\{character}"))
        # The longer way first, or its backslash would be left behind.
        ways.reverse()
    if character in _SHORT_ESCAPES:
        ways.append(re.escape(_SHORT_ESCAPES[character]))
    if character == " ":
        ways.append(r"\+")
    if not character.isascii() or not character.isprintable() or character in "<>&'":
        ways.append(rf"(?i:\\x{code:02x})" if code < 256 else rf"(?i:\\U{code:08x})")
        units = character.encode("utf-16-be", "surrogatepass").hex()
        ways.append("".join(rf"(?i:\\u{units[i : i + 4]})" for i in range(0, len(units), 4)))
    octets = character.encode(errors="surrogatepass")
    ways.append("(?i:" + "".join(f"%{octet:02x}" for octet in octets) + ")")
    return ways


def _in_base64(secret: str) -> Iterable[str]:
    """Patterns for what base64 makes of *secret* behind 0, 1 or 2 bytes, whatever they are."""
    data = secret.encode(errors="surrogateescape" if _from_environment(secret) else "surrogatepass")
    for before in range(3):
        encoded = b64encode(bytes(before) + data).decode()
        # Only the characters made of the secret's bits alone are always the same.
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        yield "".join(_BASE64_WAYS.get(c, c) for c in encoded[first:last])


def _from_environment(text: str) -> bool:
    """Whether every lone surrogate stands for a byte that was not UTF-8."""
    return all("\udc80" <= c <= "\udcff" for c in text if "\ud800" <= c <= "\udfff")


_BASE64_WAYS: Final = {"+": r"(?:\+|-|%2[bB])", "/": r"(?:\\?/|_|%2[fF])"}


def _token_apart_from(secrets: list[str]) -> str:
    """A replacement that shares no character with a secret.

    Else the replacement and its neighbours could spell the secret once more.
    """
    used = set("".join(secrets))
    for token in _TOKENS:
        if not used.intersection(token):
            return token
    return next(chr(code) * 3 for code in range(0x2580, 0x110000) if chr(code) not in used)
