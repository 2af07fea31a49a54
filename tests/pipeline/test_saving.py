"""Outcomes are saved however long it takes, and once: F33, with other workers about."""

from collections.abc import Awaitable, Callable

import pytest

from runner.pipeline.intents import save
from runner.store.values import AttemptOver, StoreUnwritable
from tests.pipeline.scene import Scene


class PerhapsSaved(StoreUnwritable):
    """The connection was lost in COMMIT, and the server stayed away."""

    perhaps_saved = True


def settling(*happens: Exception | None) -> tuple[Callable[[], Awaitable[None]], list[int]]:
    """A verb to which these things happen, one at each try; and its tries."""
    tries: list[int] = []

    async def settle() -> None:
        tries.append(len(tries) + 1)
        error = happens[len(tries) - 1]
        if error is not None:
            raise error

    return settle, tries


async def test_an_outcome_that_was_saved_unnoticed_is_not_a_mistake(scene: Scene) -> None:
    """Tried again it finds its attempts settled: by itself, which must not end the engine."""
    await scene.load(1)
    intent = await scene.poster.intend()
    assert intent is not None
    settle, tries = settling(PerhapsSaved("away"), StoreUnwritable("still"), AttemptOver("done"))
    await save(scene.engine, intent.batch, settle)
    assert tries == [1, 2, 3]
    assert (scene.engine.signals.debts, scene.engine.signals.unwritable) == (0, None)


async def test_an_outcome_that_nobody_can_have_saved_is_a_bug(scene: Scene) -> None:
    """Somebody has settled what was ours: to go on would hide that."""
    await scene.load(1)
    intent = await scene.poster.intend()
    assert intent is not None
    settle, _ = settling(StoreUnwritable("full"), AttemptOver("another's"))
    with pytest.raises(AttemptOver):
        await save(scene.engine, intent.batch, settle)
