"""What holds for the repository as a whole."""

import ast
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runner import __version__
from runner.errors import WrongInput
from runner.store import opening

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "runner").rglob("*.py"))
SOURCES = [
    *MODULES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "bench").rglob("*.py")),
]
MIGRATIONS = sorted((ROOT / "migrations").rglob("*.sql"))
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name_of(path: Path) -> str:
    """A path as people know it."""
    return path.relative_to(ROOT).as_posix()


def file_of(test: str) -> str:
    """The file of a test's name; sorting by it leaves the order within a file as it is."""
    return test.partition("::")[0]


def pins(lock: Path) -> dict[str, str]:
    """The version that *lock* has of each package."""
    found = re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text("utf-8"), re.MULTILINE)
    return dict(found)


def imported(path: Path) -> Iterator[str]:
    """The first part of each absolute import in a source file."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def foreign(path: Path) -> set[str]:
    """The installed packages that a source file imports."""
    return {name for name in imported(path) if name not in sys.stdlib_module_names} - {"runner"}


# --- packages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: Path) -> None:
    """A host, a path or an option in it would make the install depend on where it was written."""
    line = re.compile(
        r"[a-z0-9-]+==[0-9][0-9a-z.+!]*( ; [A-Za-z0-9_ '.<>=!()]+)? \\"
        r"|    --hash=sha256:[0-9a-f]{64}( \\)?"
    )
    text = lock.read_text("utf-8")
    assert [each for each in text.splitlines() if not line.fullmatch(each)] == []
    assert "://" not in text


def test_tests_run_on_the_versions_that_people_run() -> None:
    """Two locks that drift apart would test one program and ship another."""
    runtime, development = (pins(lock) for lock in LOCKS)
    assert len(runtime) > 10
    assert runtime.items() <= development.items()


def test_the_locks_fit_the_declared_ranges() -> None:
    """A range edited without `python3 -m runner.dev lock` would be tested by nobody."""
    development = pins(LOCKS[1])
    groups = PROJECT["dependency-groups"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["postgres"],
        *groups["test"],
        *groups["lint"],
        *groups["build"],
    ]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(development[canonicalize_name(requirement.name)])


def test_every_import_is_declared_and_every_declared_package_imported() -> None:
    """An undeclared import breaks a fresh install; an unused package is weight for nothing."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    texts = [*PROJECT["project"]["dependencies"], *(text for extra in extras for text in extra)]
    declared = {Requirement(text).name.replace("-", "_") for text in texts}
    used = set[str]().union(*map(foreign, MODULES))
    # Comes with pydantic, as its other half.
    assert used - {"pydantic_core"} == declared


def test_what_a_store_on_a_server_lacks_is_named_as_it_is_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`runner` is published nowhere, so its extra's name leads to a stranger's package."""
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(WrongInput) as refused:
        opening.check_installed()
    extra = PROJECT["project"]["optional-dependencies"]["postgres"]
    assert refused.value.how == f"pip install {' '.join(map(shlex.quote, extra))}"
    # Other texts name it as well, and never as a part of ours.
    texts = "".join(path.read_text("utf-8") for path in MODULES)
    assert "[postgres]'" not in texts


def test_the_package_and_the_tools_start_with_nothing_installed() -> None:
    """`python3 -m runner.dev` is what installs everything else."""
    assert foreign(ROOT / "runner" / "__init__.py") == set()
    script = "import sys; sys.path.insert(0, sys.argv[1]); import runner.dev"
    subprocess.run([sys.executable, "-I", "-S", "-c", script, str(ROOT)], check=True)


# --- sources --------------------------------------------------------------------------------------


def test_every_module_says_what_it_is_for() -> None:
    """A reader meets the purpose before the code."""
    silent = [path for path in MODULES if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert list(map(name_of, silent)) == []


def test_every_folder_of_the_package_is_one() -> None:
    """Without its __init__.py a folder is invisible to the check of the layers."""
    bare = {path.parent for path in MODULES if not (path.parent / "__init__.py").exists()}
    assert list(map(name_of, sorted(bare))) == []


def test_every_file_can_be_read_at_one_sitting() -> None:
    """What outgrows that is split by meaning; a table of cases in a test may be longer."""

    def too_long(path: Path) -> bool:
        lines = len(path.read_text("utf-8").splitlines())
        return lines >= (450 if path in MODULES else 600)

    assert list(map(name_of, filter(too_long, SOURCES))) == []


def test_no_check_is_silenced_and_nothing_is_left_undone() -> None:
    """A silenced checker or a skipped test looks like a passed one."""
    silenced = re.compile(
        r"#\s*(?:type:\s*ignore|noqa|TODO|FIXME|XXX)"
        r"|raise\s+NotImplementedError|pytest\.(?:mark\.)?(?:skip|xfail)"
    )
    found = [path for path in SOURCES if silenced.search(path.read_text("utf-8"))]
    assert list(map(name_of, found)) == []


def test_the_first_words_of_the_tools_can_be_read_by_old_pythons() -> None:
    """Who starts them with Python 3.8 has to be told so, not shown a SyntaxError."""
    for name in ("__init__.py", "dev.py"):
        ast.parse((ROOT / "runner" / name).read_bytes(), feature_version=(3, 8))


# --- migrations -----------------------------------------------------------------------------------


def statements(name: str, sql: str) -> list[str]:
    """The SQL statements of the migration *name*, without its comments."""
    text = re.sub(r"--[^\n]*", "", sql)
    found, current = [], ""
    for piece in re.split(r"(?<=;)", text):
        current += piece
        if sqlite3.complete_statement(current):
            found.append(current.strip())
            current = ""
    assert current.strip() == "", f"{name}: the last statement has no semicolon"
    return found


def test_migrations_are_numbered_without_gaps() -> None:
    """A gap is a step that somebody's store may have and ours has not."""
    assert MIGRATIONS
    for folder in {path.parent for path in MIGRATIONS}:
        names = [path.name for path in MIGRATIONS if path.parent == folder]
        assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
        assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", name) for name in names)


@pytest.mark.parametrize("path", MIGRATIONS, ids=name_of)
def test_a_migration_leaves_the_transaction_to_the_program(path: Path) -> None:
    """One that commits by itself could fail halfway and leave half a schema behind."""
    alone = re.compile(
        # That one pragma is for the transaction that is open, and ends with it.
        r"(?i)(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA(?! defer_foreign_keys)"
        r"|ATTACH|VACUUM)\b"
    )
    # The body of a function of PostgreSQL's (`$$ … $$`) is a text, and no statement.
    outside = re.sub(r"(?s)\$\$.*?\$\$", "''", path.read_text("utf-8"))
    if path.parent.name == "postgres":
        # Its triggers have no body of their own, whose END would be waited for.
        outside = outside.replace("CREATE TRIGGER", "CREATE RULE")
    assert [each for each in statements(path.name, outside) if alone.match(each)] == []


# --- the front door -------------------------------------------------------------------------------


def test_ci_runs_the_readmes_own_test_command() -> None:
    """What is promised to people is what is checked."""
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "python3 -m runner.dev test" in script.read_text("utf-8")
    for command in ("demo", "test"):
        assert f"python3 -m runner.dev {command}" in readme


def test_tests_are_called_the_same_whenever_they_are_collected(
    request: pytest.FixtureRequest,
) -> None:
    """Two processes share the suite, and refuse to begin when a name or the order is chance."""
    other = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = sorted((item.nodeid for item in request.session.items), key=file_of)
    mine = set(here)
    there = sorted((name for name in other.stdout.splitlines() if name in mine), key=file_of)
    assert mine - set(there) == set()
    assert there == here


def test_the_changelog_knows_this_version() -> None:
    """People look there before they upgrade."""
    assert __version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")
