"""The files that travel with the code: schema migrations and shipped jobs.

    a checkout    runner/resources.py   migrations/sqlite/*.sql    jobs/*.toml
    a wheel       runner/resources.py   runner/_migrations/…       runner/_jobs/…

The only module that knows one from the other; an editable install is a checkout.
"""

from pathlib import Path
from typing import Final

from runner.errors import RunnerError

_PACKAGE: Final = Path(__file__).resolve().parent


def migrations(store: str) -> Path:
    """The folder of the numbered ``.sql`` files for *store* (``sqlite``).

    Raises:
        RunnerError: the installation is incomplete.
    """
    folder = _folder("migrations") / store
    if not folder.is_dir():
        raise RunnerError(
            f"this installation of runner has no schema for {store}",
            where=str(folder),
            how="install runner again",
        )
    return folder


def shipped_jobs() -> list[Path]:
    """Every job file that comes with runner, by name."""
    return sorted(_folder("jobs").glob("*.toml"))


def shipped_job(name: str) -> Path | None:
    """The shipped job called *name* (``demo``, without ``.toml``), None if there is none."""
    return next((path for path in shipped_jobs() if path.stem == name), None)


def _folder(name: str) -> Path:
    """Where the files called *name* are here."""
    inside = _PACKAGE / f"_{name}"
    # An installed package has other people's folders beside it: look around in a checkout only.
    if inside.is_dir() or not (_PACKAGE.parent / "pyproject.toml").is_file():
        return inside
    return _PACKAGE.parent / name
