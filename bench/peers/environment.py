"""The official client in an environment of its own, built once below ``out/bench``.

What pip is told by its own variables and files (index, certificates) holds here too.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

CLIENT: Final = "dataforseo-client==2.1.10"
_FOREIGN: Final = frozenset({"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_USER", "PIP_TARGET"})


class NotInstalled(Exception):
    """The peer cannot be had here; the message says why in a line."""


def client_python(root: Path) -> Path:
    """The Python of an environment that has the client.

    Raises:
        NotInstalled: no network, no such package, or no means to build an environment.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = root / "out" / "bench" / f"{CLIENT.replace('==', '-')}-py{version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "complete"
    if stamp.is_file() and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    base = str(getattr(sys, "_base_executable", None) or sys.executable)
    _run([base, "-m", "venv", str(folder)])
    try:
        _run([str(python), "-m", "pip", "install", "--disable-pip-version-check", CLIENT])
    except NotInstalled:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    stamp.touch()
    return python


def _run(command: list[str]) -> None:
    kept = {name: text for name, text in os.environ.items() if name not in _FOREIGN}
    try:
        done = subprocess.run(
            command, env=kept, check=False, capture_output=True, text=True, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{Path(command[0]).name}: {type(error).__name__}") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise NotInstalled(f"pip could not install {CLIENT}: {words[-1][:200]}")
