"""The wheel, as people get it: built from a clean tree, installed where no checkout is near."""

import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from runner import __version__
from runner.cli.catalogue import BY_NAME

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NAME = "dataforseo_llm_runner"
LEFT_OUT = (
    *(".git", ".venv", "__pycache__", ".hypothesis", ".*_cache", ".import_linter_cache"),
    *("out", "dist", "build", "*.db*", ".env"),
)


def environment() -> dict[str, str]:
    """Ours without what would lead Python back to the checkout, and without settings."""
    own = ("DATAFORSEO_", "RUNNER_", "PYTHON", "VIRTUAL_ENV", "COVERAGE", "UV_", "PIP_")
    return {name: text for name, text in os.environ.items() if not name.startswith(own)}


def call(*argv: str | Path, cwd: Path) -> str:
    """Run a program that has to end well; what it printed."""
    done = subprocess.run(
        argv, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- built ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, with some of what lies about in one that is used."""
    copy = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (copy / "README.md").touch()
    for mine in (".env", "runner.db", "out/demo.csv", "jobs/out/demo.csv", "runner/x.db"):
        (copy / mine).parent.mkdir(exist_ok=True)
        (copy / mine).write_text("mine alone")
    return copy


@pytest.fixture(scope="module")
def dist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=source)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


def contents(wheel: Path) -> dict[str, str]:
    """A digest of each file in *wheel*, by its name."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


def test_a_wheel_for_every_platform_and_a_source_archive_are_built(dist: Path) -> None:
    """No compiler and no network is needed for it."""
    names = sorted(path.name for path in dist.iterdir())
    assert names == [f"{NAME}-{__version__}-py3-none-any.whl", f"{NAME}-{__version__}.tar.gz"]


def test_the_wheel_has_the_whole_package_and_nothing_else(wheel: Path) -> None:
    """A forgotten module fails on a customer's machine; an ignored file is somebody's data."""
    ours = [*(ROOT / "runner").rglob("*.py"), ROOT / "runner" / "py.typed"]
    expected = {path.relative_to(ROOT).as_posix() for path in ours}
    for folder, pattern in (("migrations", "**/*.sql"), ("jobs", "*.*")):
        expected |= {
            f"runner/_{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).glob(pattern)
        }
    assert {"runner/_jobs/demo.toml", "runner/_jobs/job.schema.json"} < expected
    found = contents(wheel).keys()
    about = f"{NAME}-{__version__}.dist-info/"
    assert {name for name in found if not name.startswith(about)} == expected
    assert {name.removeprefix(about) for name in found if name.startswith(about)} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_the_source_archive_builds_the_same_wheel_and_holds_nothing_that_git_ignores(
    dist: Path, wheel: Path, tmp_path: Path
) -> None:
    """Distributions build from it, and test what they built."""
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    for part in ("tests/test_package.py", "examples/library.py", "docker-compose.yml", "README.md"):
        assert (unpacked / part).is_file(), part
    assert [path for path in unpacked.rglob("*") if path.name in (".env", "runner.db", "out")] == []
    call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "again", cwd=unpacked)
    (again,) = (unpacked / "again").iterdir()
    assert contents(again) == contents(wheel)


def test_the_wheel_says_what_it_needs_and_which_command_it_brings(wheel: Path) -> None:
    """An installer reads this and nothing else."""
    about = f"{NAME}-{__version__}.dist-info"
    with zipfile.ZipFile(wheel) as opened:
        said = Parser().parsestr(opened.read(f"{about}/METADATA").decode())
        commands = configparser.ConfigParser()
        commands.read_string(opened.read(f"{about}/entry_points.txt").decode())
    needed = {str(Requirement(text)) for text in said.get_all("Requires-Dist", [])}
    extra = {
        str(Requirement(f"{text}; extra == '{name}'"))
        for name, texts in PROJECT["optional-dependencies"].items()
        for text in texts
    }
    assert needed == {str(Requirement(text)) for text in PROJECT["dependencies"]} | extra
    assert (said["Name"], said["Version"]) == (PROJECT["name"], __version__)
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert {name: dict(commands[name]) for name in commands.sections()} == {
        "console_scripts": {"runner": "runner.cli:main"}
    }


# --- installed ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and from the checkout's own the packages it needs."""

    folder: Path

    @property
    def programs(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def python(self, script: str, cwd: Path) -> str:
        """What *script* printed."""
        return call(self.programs / "python", "-c", script, cwd=cwd)

    def runner(self, *argv: str, cwd: Path) -> str:
        """What the command printed."""
        return call(self.programs / "runner", *argv, cwd=cwd)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an empty environment in another folder."""
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(folder, with_pip=False)
    made = Installed(folder)
    call(
        *(sys.executable, "-m", "uv", "pip", "install", "--python", made.programs / "python"),
        *("--offline", "--no-cache", "--no-index", "--no-deps", "--link-mode", "copy", wheel),
        cwd=folder,
    )
    # No network in tests: the packages are the checkout's, the program is not.
    packages = Path(sysconfig.get_path("purelib"))
    assert not (packages / "runner").exists()
    inside = made.python("import sysconfig; print(sysconfig.get_path('purelib'))", folder).strip()
    (Path(inside) / "needed.pth").write_text(f"{packages}\n", "utf-8")
    return made


def test_the_installed_package_finds_itself_its_schema_and_its_jobs(
    installed: Installed, tmp_path: Path
) -> None:
    """There is no checkout that could help out."""
    script = (
        "import runner\n"
        "from runner import resources\n"
        "print(runner.__file__, resources.migrations('sqlite'), *resources.shipped_jobs())\n"
    )
    package, migrations, *jobs = map(Path, installed.python(script, tmp_path).split())
    assert package.is_relative_to(installed.folder)
    assert migrations == package.parent / "_migrations" / "sqlite"
    shipped = sorted((ROOT / "jobs").glob("*.toml"))
    assert jobs == [package.parent / "_jobs" / path.name for path in shipped]


def test_the_demo_runs_from_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    """`pip install`, `runner run demo --api sim`: the first two things anybody types."""
    said = installed.runner("run", "demo", "--api", "sim", "--limit", "1", cwd=tmp_path)
    assert " done=3 failed=0 waiting=0 " in said
    assert said.endswith(" exit=0\n")
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"runner-sim.db", "out/demo.sim.csv", "out/demo.sim.jsonl"} <= made
    # The package's own folder may be read-only, and is nobody's workspace.
    assert not list((installed.folder).rglob("out"))


def test_the_installed_command_shows_its_help_without_what_only_work_needs(
    installed: Installed, tmp_path: Path
) -> None:
    """A help that takes a second is not asked for twice."""
    said = installed.runner("--help", cwd=tmp_path)
    for name in BY_NAME:
        assert re.search(rf"^  {name} ", said, re.MULTILINE), name
    script = (
        "import contextlib, io, sys\n"
        "from runner.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    code = main(['--help'])\n"
        "print(code, *sorted({'aiohttp', 'pydantic', 'rich', 'anyio'} & set(sys.modules)))\n"
    )
    assert installed.python(script, tmp_path) == "0\n"


def test_the_version_is_that_of_the_package(installed: Installed, tmp_path: Path) -> None:
    """A report about a bug begins with it."""
    assert installed.runner("--version", cwd=tmp_path) == f"runner {__version__}\n"
    script = f"from importlib.metadata import version; print(version('{PROJECT['name']}'))"
    assert installed.python(script, tmp_path) == f"{__version__}\n"


def test_type_checkers_see_the_librarys_types(installed: Installed, tmp_path: Path) -> None:
    """Without py.typed in the wheel every name from it would be of any type."""
    (tmp_path / "uses.py").write_text(
        "import runner\n"
        "summary = runner.run('demo', api='sim')\n"
        "reveal_type(summary.charged_usd)\n"
        "runner.rum('demo')\n"
    )
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull),
            *("--python-executable", installed.programs / "python", "--follow-imports", "silent"),
            *("--cache-dir", tmp_path / "cache", "uses.py"),
        ],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'Revealed type is "decimal.Decimal"' in checked.stdout
    assert 'uses.py:4: error: Module has no attribute "rum"' in checked.stdout
    assert "Found 1 error" in checked.stdout
