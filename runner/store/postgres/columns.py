"""Lines turned into columns, which one statement takes by ``unnest``."""

from collections.abc import Iterable, Mapping


def columns(lines: Iterable[Mapping[str, object]]) -> dict[str, list[object]]:
    """*lines*, which have the same names, as a list for each name: what ``unnest`` takes."""
    found: dict[str, list[object]] = {}
    for line in lines:
        for name, value in line.items():
            found.setdefault(name, []).append(value)
    return found
