"""What the last export of a run knew outlives the process that wrote it."""

import pytest

from tests.store.steps import Scene, answered, begin, numbered
from tests.support.clock import ManualClock

HERE, THERE = "/jobs/out", "/elsewhere"


async def noted(scene: Scene, folder: str = HERE) -> None:
    """The run's files in *folder* are written now."""
    mark = await scene.store.export_mark(scene.run.id)
    await scene.store.note_export(scene.run.id, folder, mark)


async def behind(scene: Scene, folder: str = HERE) -> bool:
    return await scene.store.exports_behind([scene.run.id], folder) == [scene.run.id]


async def test_an_answer_that_came_after_the_export_leaves_it_behind(scene: Scene) -> None:
    """Whoever collected it: nobody else knows what the files show."""
    await scene.load(numbered(2))
    await scene.post(2)
    await noted(scene)
    assert not await behind(scene)
    await scene.book(*map(answered, await scene.take(1)))
    assert await behind(scene)
    await noted(scene)
    assert not await behind(scene)


async def test_what_comes_while_the_files_are_written_is_not_taken_for_shown(scene: Scene) -> None:
    """The mark is of the moment at which the export began."""
    await scene.load(numbered(1))
    await scene.post()
    mark = await scene.store.export_mark(scene.run.id)
    await scene.book(*map(answered, await scene.take()))
    await scene.store.note_export(scene.run.id, HERE, mark)
    assert await behind(scene)


async def test_files_that_are_owed_are_behind_until_they_are_written(scene: Scene) -> None:
    """A start that dies before its first export leaves no file, and must not be forgotten."""
    await scene.load(numbered(1))
    assert not await behind(scene)
    await scene.store.note_export(scene.run.id, HERE)
    assert await behind(scene)
    await noted(scene)
    await scene.store.note_export(scene.run.id, HERE)
    assert not await behind(scene)


async def test_another_load_is_another_export(scene: Scene) -> None:
    """Its lines stand in the order of the latest load."""
    await scene.load(numbered(2))
    await noted(scene)
    await scene.load(list(reversed(numbered(2))), digest="the other way round")
    assert await behind(scene)


async def test_each_folder_is_behind_by_itself(scene: Scene) -> None:
    """Files written elsewhere say nothing of those that a job's nights are read from."""
    await scene.load(numbered(1))
    await scene.post()
    await noted(scene)
    await scene.book(*map(answered, await scene.take()))
    await noted(scene, THERE)
    assert await behind(scene)
    assert not await behind(scene, THERE)
    # A job whose folder was changed is not written again for that alone.
    assert not await behind(scene, "/new")


async def test_only_the_runs_asked_about_are_told(scene: Scene, clock: ManualClock) -> None:
    """Another job's start has other files."""
    other = await begin(scene.store, clock, job="other")
    for each in (scene, other):
        await each.store.note_export(each.run.id, HERE)
    assert await scene.store.exports_behind([other.run.id], HERE) == [other.run.id]
    assert await scene.store.exports_behind([], HERE) == []


@pytest.mark.parametrize("changed", [False, True])
async def test_runs_from_before_count_as_written_until_they_change(
    scene: Scene, changed: bool
) -> None:
    """A store that is brought up to date does not write the files of all nights anew."""
    await scene.load(numbered(1))
    await scene.post()
    # As the migration notes them: it knows no folder.
    await noted(scene, "")
    if changed:
        await scene.book(*map(answered, await scene.take()))
    assert await behind(scene) == changed
