"""Replies as they might come one day: a valid one, altered at random."""

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1.5, 1e308, 2**70, "", "NaN", "\ud83d", [], {}, [[]], "x" * 300]
).map(copy.deepcopy)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _places(inner, (*path, name))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*path, index))


def _at(value: Any, path: Sequence[Any]) -> Any:
    for name in path:
        value = value[name]
    return value


@st.composite
def mutated(draw: st.DrawFn, body: bytes, words: Sequence[str]) -> bytes:
    """*body* with up to six parts replaced, dropped, doubled or moved elsewhere, or cut short.

    *words* are strings worth putting in wrong places: tags, ids.
    """
    value = json.loads(body)
    codes = st.sampled_from([20000, 20100, 40006, 40202, 40501, 40602, 50000, 59999])
    for _ in range(draw(st.integers(0, 6))):
        path = draw(st.sampled_from(sorted(_places(value), key=repr)))
        if not path:
            continue
        *above, name = path
        parent = _at(value, above)
        match draw(st.integers(0, 5)):
            case 0:
                parent[name] = draw(_ODD)
            case 1:
                del parent[name]
            case 2:
                parent[name] = draw(codes)
            case 3:
                parent[name] = draw(st.sampled_from(words))
            case 4 if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[name]))
            case _:
                other = draw(st.sampled_from(sorted(_places(value), key=repr)))
                parent[name] = copy.deepcopy(_at(value, other))
    text = json.dumps(value).encode()
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text
