"""Every state of the model, none left out, and a shortest way to each."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from runner.lifecycle import Event
from tests.support.model import BEGINNING, Model, Rules, World


class Search:
    """Every world that *rules* and the table of moves allow, and a shortest way to each.

    With *until*, no further than to the first world of which it holds.
    """

    def __init__(self, rules: Rules, *, until: Callable[[World], bool] | None = None) -> None:
        model = Model(rules)
        self._came_from: dict[World, tuple[str, World] | None] = {BEGINNING: None}
        self._hopes: dict[World, list[World]] = {}
        """Where each world may go without any further misfortune."""
        ahead = deque([BEGINNING])
        while ahead:
            world = ahead.popleft()
            if until is not None and until(world):
                break
            hopes = self._hopes[world] = []
            for what, then, harm in model.steps(world):
                if not harm:
                    hopes.append(then)
                if then not in self._came_from:
                    self._came_from[then] = (what, world)
                    ahead.append(then)
        self.events: frozenset[Event] = frozenset(model.events)
        """Those that came about somewhere."""

    def __len__(self) -> int:
        return len(self._came_from)

    def __iter__(self) -> Iterator[World]:
        """The nearest first."""
        return iter(self._came_from)

    def first(self, wrong: Callable[[World], bool]) -> World | None:
        """The nearest world that is *wrong*; None if there is none."""
        return next((world for world in self._came_from if wrong(world)), None)

    def stuck(self, ends: Callable[[World], bool]) -> World | None:
        """The nearest world from which no end can be reached without another misfortune."""
        hopeful = _upstream(filter(ends, self._came_from), self._hopes)
        return self.first(lambda world: world not in hopeful)

    def story(self, world: World | None) -> str:
        """How *world* came about, a line for each step; nothing for None."""
        lines: list[str] = []
        while world is not None:
            step = self._came_from[world]
            what = step[0] if step else "at first"
            lines.append(f"{what:<44} {world}")
            world = step[1] if step else None
        numbered = enumerate(reversed(lines))
        return "\n" + "\n".join(f"{number:>3}  {line}" for number, line in numbered)


def _upstream(ends: Iterable[World], leads_to: Mapping[World, list[World]]) -> set[World]:
    """All worlds from which one of *ends* can be reached."""
    comes_from: dict[World, list[World]] = {}
    for world, nexts in leads_to.items():
        for then in nexts:
            comes_from.setdefault(then, []).append(world)
    found = set(ends)
    ahead = list(found)
    while ahead:
        for world in comes_from.get(ahead.pop(), ()):
            if world not in found:
                found.add(world)
                ahead.append(world)
    return found
