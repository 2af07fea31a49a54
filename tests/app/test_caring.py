"""Care of the store itself, where it fails half-way."""

from pathlib import Path

import pytest

from runner.app import caring
from runner.errors import StoreBroken
from runner.settings import Settings


async def test_a_backup_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As large as the store, it would fill the disk that was too small for it."""
    settings = Settings.load(environ={}, flags={}, workspace=tmp_path)
    to = tmp_path / "copy.db"

    async def half_way(_: Path, half: Path) -> None:
        half.write_bytes(b"half of it")
        raise StoreBroken("a page is gone")

    monkeypatch.setattr(caring, "copy_store", half_way)
    with pytest.raises(StoreBroken):
        await caring.back_up(settings, to, force=False)
    assert list(tmp_path.iterdir()) == []
