"""Migrations and shipped jobs are found in a checkout, a wheel and an editable install."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from runner import resources
from runner.errors import RunnerError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, with a shipped job and an export beside it that git ignores."""
    copy = tmp_path_factory.mktemp("source")
    for folder in ("runner", "migrations"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "README.md").write_text("# runner\n")
    (copy / "jobs" / "out").mkdir(parents=True)
    (copy / "jobs" / "demo.toml").write_text('name = "demo"\n')
    (copy / "jobs" / "demo.csv").write_text("prompt\nwhy is the sky blue?\n")
    (copy / "jobs" / "out" / "demo.csv").write_text("answer\nmine alone\n")
    return copy


def build_wheel(source: Path, into: Path, version: str = "standard") -> zipfile.ZipFile:
    """The wheel of *source*, opened."""
    builder = WheelBuilder(str(source))
    return zipfile.ZipFile(next(iter(builder.build(directory=str(into), versions=[version]))))


def ask_installed(folder: Path) -> list[str]:
    """Where the package unpacked in *folder* finds its files, relative to that folder."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from runner import resources\n"
        "print(resources.migrations('sqlite'), resources.shipped_job('demo'), sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [Path(line).relative_to(folder).as_posix() for line in done.stdout.splitlines()]


def test_a_wheel_finds_its_schema_and_jobs_inside_the_package(source: Path, tmp_path: Path) -> None:
    """Whoever installs runner has no checkout to fall back to."""
    with build_wheel(source, tmp_path) as wheel:
        wheel.extractall(tmp_path / "site")
    assert ask_installed(tmp_path / "site") == [
        "runner/_migrations/sqlite",
        "runner/_jobs/demo.toml",
    ]


def test_a_wheel_carries_every_migration_and_nothing_that_git_ignores(
    source: Path, tmp_path: Path
) -> None:
    """A missing step breaks every new store; an ignored file may be somebody's answers."""
    with build_wheel(source, tmp_path) as wheel:
        names = wheel.namelist()
    steps = [path.name for path in (ROOT / "migrations" / "sqlite").iterdir()]
    assert steps
    assert {f"runner/_migrations/sqlite/{step}" for step in steps} <= set(names)
    assert [name for name in names if name.startswith("runner/_jobs/")] == [
        "runner/_jobs/demo.csv",
        "runner/_jobs/demo.toml",
    ]
    packages = {name.split("/")[0] for name in names}
    assert packages == {"runner", "dataforseo_llm_runner-0.1.0.dist-info"}


def test_an_sdist_builds_the_same_wheel(source: Path, tmp_path: Path) -> None:
    """Distributions build from the sdist, not from git."""
    archive = next(iter(SdistBuilder(str(source)).build(directory=str(tmp_path))))
    with tarfile.open(archive) as sdist:
        sdist.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    with (
        build_wheel(source, tmp_path / "straight") as straight,
        build_wheel(unpacked, tmp_path / "detour") as detour,
    ):
        assert detour.namelist() == straight.namelist()


def test_an_editable_install_is_the_checkout(source: Path, tmp_path: Path) -> None:
    """A changed job or a new migration is there at once, without installing again."""
    with build_wheel(source, tmp_path, "editable") as wheel:
        (pth,) = (name for name in wheel.namelist() if name.endswith(".pth"))
        assert wheel.read(pth).decode().split() == [str(source)]
    assert ask_installed(source) == ["migrations/sqlite", "jobs/demo.toml"]


def test_no_wheel_is_built_without_the_migrations(source: Path, tmp_path: Path) -> None:
    """Better no release than one that cannot make a store."""
    broken = tmp_path / "broken"
    shutil.copytree(source, broken, ignore=shutil.ignore_patterns("migrations"))
    with pytest.raises(FileNotFoundError, match="migrations"):
        build_wheel(broken, tmp_path / "dist")


def test_this_checkout_has_a_schema_for_sqlite() -> None:
    """The default store cannot be made without it."""
    assert resources.migrations("sqlite") == ROOT / "migrations" / "sqlite"
    assert list(resources.migrations("sqlite").glob("0001_*.sql"))


def test_a_store_without_a_schema_is_refused_by_name() -> None:
    """A broken installation says so, and does not make an empty store."""
    with pytest.raises(RunnerError, match="no schema for oracle"):
        resources.migrations("oracle")


def test_jobs_are_found_by_name_and_never_by_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`runner run ../secret` must not leave the folder of shipped jobs."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "jobs").mkdir()
    for name in ("jobs/b.toml", "jobs/a.toml", "jobs/a.csv", "secret.toml"):
        (tmp_path / name).touch()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "runner")
    assert [path.name for path in resources.shipped_jobs()] == ["a.toml", "b.toml"]
    assert resources.shipped_job("a") == tmp_path / "jobs" / "a.toml"
    assert resources.shipped_job("../secret") is None
    assert resources.shipped_job("c") is None


def test_the_neighbours_of_an_installed_package_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder ``jobs`` in site-packages belongs to somebody else."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "foreign.toml").touch()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "runner")
    assert resources.shipped_jobs() == []
