"""One event, one line: as text for people and cron, as JSON for collectors, short for a terminal.

    2026-11-21T02:15:01Z info run.start run=r42 job=brand-watch tasks=3750
    {"time": "2026-11-21T02:15:01Z", "level": "info", "event": "run.start", "run": "r42", ...}

Values come from files and from the network. What would end the line, or what a terminal obeys, is
written out (``\\n``, ``\\x1b``), so that nothing can forge a line or repaint a screen.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from runner.clock import to_text

Render = Callable[[datetime, str, str, Mapping[str, object]], str]
"""Time (UTC), level, event and keys to one line without its end."""

_UNSAFE: Final = re.compile(
    # Controls; soft hyphen; marks, separators and overrides of direction; surrogates; BOM and
    # the like; tag characters. Zero-width joiners stay: emoji and some scripts are spelt with them.
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff"
    "\ufeff\ufff9-\uffff\U000e0000-\U000e0fff]"
)
_NOT_IN_A_KEY: Final = re.compile(r"[^\w.\-\[\]]")
_NEEDS_QUOTES: Final = re.compile(r'[\s"=\\]|^$')
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_COLOURS: Final = {"warning": "33", "error": "31", "critical": "31", "debug": "2"}


def printable(text: str) -> str:
    """*text* on one line, with nothing in it that a terminal would obey."""
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def as_json(now: datetime, level: str, event: str, keys: Mapping[str, object]) -> str:
    """One JSON object. A key of the caller's that is one of ours gets ``_`` behind it."""
    line: dict[str, object] = {"time": to_text(now), "level": level, "event": event}
    for key, value in keys.items():
        line[f"{key}_" if key in ("time", "level", "event") else key] = value
    # The encoder leaves what is no ASCII control as it is; inside a JSON text \u says the same.
    return _UNSAFE.sub(_json_escape, json.dumps(line, ensure_ascii=False))


def as_text(now: datetime, level: str, event: str, keys: Mapping[str, object]) -> str:
    """Time, level, event, then ``key=value``; values with spaces or quotes stand in quotes."""
    return f"{to_text(now)} {level} {printable(event)}{_pairs(keys)}"


def as_short_text(now: datetime, level: str, event: str, keys: Mapping[str, object]) -> str:
    """For a terminal: as ``as_text``, but only the time of day, still UTC."""
    return f"{to_text(now)[11:]} {level} {printable(event)}{_pairs(keys)}"


def as_coloured_text(now: datetime, level: str, event: str, keys: Mapping[str, object]) -> str:
    """As ``as_short_text``, the level in its colour."""
    colour = _COLOURS.get(level)
    painted = f"\x1b[{colour}m{level}\x1b[0m" if colour else level
    return f"\x1b[2m{to_text(now)[11:]}\x1b[0m {painted} {printable(event)}{_pairs(keys)}"


def _pairs(keys: Mapping[str, object]) -> str:
    return "".join(f" {_NOT_IN_A_KEY.sub('_', key)}={_quoted(v)}" for key, v in keys.items())


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not _NEEDS_QUOTES.search(text) and not _UNSAFE.search(text):
        return text
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(inner)}"'
