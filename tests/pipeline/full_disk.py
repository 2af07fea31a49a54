"""A store whose disk is full for chosen verbs."""

from collections import Counter
from typing import Any

from runner.store.protocol import TaskStore
from runner.store.values import StoreUnwritable


class FullDisk:
    """Passes everything on to *store*, but refuses the verbs in ``full`` as a full disk does."""

    def __init__(self, store: TaskStore, *full: str) -> None:
        self._store = store
        self.full = set(full)
        self.refused: Counter[str] = Counter()
        """How often each verb was refused."""
        self.called: Counter[str] = Counter()
        """How often each verb was let through."""
        for name in dir(store):
            # Attributes of its own: a protocol does not look for what is made when it is asked for.
            ours = name.startswith("_") or hasattr(type(self), name)
            if not ours and callable(getattr(store, name)):
                setattr(self, name, self.passing(name))

    def make_room(self) -> None:
        """From now on everything can be written."""
        self.full.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def passing(self, name: str) -> Any:
        """The store's verb *name*, unless there is no room for it."""
        verb = getattr(self._store, name)

        async def try_it(*args: Any, **kwargs: Any) -> Any:
            if name in self.full:
                self.refused[name] += 1
                raise StoreUnwritable("the store cannot be written: database or disk is full")
            self.called[name] += 1
            return await verb(*args, **kwargs)

        return try_it
