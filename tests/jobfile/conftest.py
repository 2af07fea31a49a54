from pathlib import Path

import pytest

from tests.jobfile.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path)
