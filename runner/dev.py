"""The tools of a checkout: ``python3 -m runner.dev demo | test | soak | bench | lint | lock``.

    demo        .venv from requirements.lock      runs jobs/demo.toml against the simulator
    test        .venv from requirements-dev.lock  all checks, then pytest
    soak        .venv from requirements.lock      kills a run 200 times, then compares the bills
    bench       the same                          measures us beside others (``bench``)
    lint        .venv from requirements-dev.lock  all checks
    lock        the same, or a uv on PATH         writes both lock files from pyproject.toml

Runs on any Python 3.11 with nothing installed: standard library only, nothing of ours imported.
Every package is installed by hash from a lock file, as a wheel. Only our own words stand on
stderr; what a tool says is shown when it fails, and pytest and the demo speak for themselves.
"""

import sys

# Before anything else is imported or defined, and in words that a Python 3.6 can parse.
if sys.version_info < (3, 11):
    print(
        "runner needs Python 3.11 or newer, and this is Python",
        ".".join(str(part) for part in sys.version_info[:3]) + ": " + sys.executable,
        "\nStart it with a newer one, such as: python3.12 -m runner.dev " + " ".join(sys.argv[1:]),
        file=sys.stderr,
    )
    sys.exit(2)

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
RUNTIME_LOCK: Final = "requirements.lock"
DEV_LOCK: Final = "requirements-dev.lock"
"""Holds the runtime packages too, at the versions of ``RUNTIME_LOCK``."""

DEMO_FOLDER: Final = Path("out", "demo")

CHECKS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("ruff check", ("-m", "ruff", "check", ".")),
    ("ruff format", ("-m", "ruff", "format", "--check", ".")),
    ("mypy", ("-m", "mypy")),
    # It has no module to run, and the script beside it stops working when the checkout is moved.
    (
        "lint-imports",
        ("-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"),
    ),
)
"""What is checked before the tests, as arguments to the environment's Python."""

_FOREIGN_VARIABLES: Final = frozenset(
    {
        # Would put other people's modules before the locked ones, or hide the checkout.
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSAFEPATH",
        "VIRTUAL_ENV",
        # Would install to somewhere else.
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
    }
)


class Stop(Exception):
    """Nothing more can be done; the message says what a person can do."""


def say(text: str) -> None:
    """One line of ours, never out of order with what the tools print."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def clean_environment() -> dict[str, str]:
    """The environment for every tool: the caller's, without what would lead it astray."""
    return {name: text for name, text in os.environ.items() if name not in _FOREIGN_VARIABLES}


def python_of(venv: Path) -> Path:
    """The interpreter of the virtual environment *venv*."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


# --- the environment ------------------------------------------------------------------------------


def ensure_environment(root: Path, lock_name: str) -> Path:
    """The Python of ``root/.venv``, with everything that the lock file asks for.

    A stamp inside remembers the lock files installed and the Python they were installed for, so
    that a repeat reads two small files. Another Python or a changed lock builds it anew; the
    development packages are added to an environment that has the runtime ones.

    Raises:
        Stop: no lock file, no means to build an environment, or a package could not be had.
    """
    venv = root / ".venv"
    stamp = venv / "runner-dev.stamp"
    wanted = [_python_line(), _lock_line(root, RUNTIME_LOCK)]
    if lock_name != RUNTIME_LOCK:
        wanted.append(_lock_line(root, lock_name))
    have = stamp.read_text("utf-8").splitlines() if stamp.is_file() else []
    if python_of(venv).exists() and set(wanted) <= set(have):
        return python_of(venv)

    began = time.monotonic()
    if have != wanted[:2] or not python_of(venv).exists():
        _remove(venv)
    say(f"dev: installing {lock_name} into .venv, each package checked by its hash")
    stamp.unlink(missing_ok=True)
    _install(venv, root / lock_name)
    _put_command(venv, root)
    stamp.write_text("\n".join(wanted) + "\n", "utf-8")
    say(f"dev: .venv is ready, {time.monotonic() - began:.0f} s")
    return python_of(venv)


def _python_line() -> str:
    return f"{platform.python_implementation()} {platform.python_version()} {sys.base_prefix}"


def _lock_line(root: Path, name: str) -> str:
    try:
        content = (root / name).read_bytes()
    except FileNotFoundError:
        raise Stop(f"dev: {name} is missing; `lock` writes it, given a uv on PATH") from None
    return f"{name} {hashlib.sha256(content).hexdigest()}"


def _remove(venv: Path) -> None:
    """Take a stale or half-made environment away, and nothing that is not one."""
    if not venv.exists() and not venv.is_symlink():
        return
    if venv.is_symlink() or (not (venv / "pyvenv.cfg").is_file() and any(venv.iterdir())):
        raise Stop(f"{venv} is not a virtual environment of this checkout: move it away")
    try:
        shutil.rmtree(venv)
    except OSError as error:
        raise Stop(f"{venv} is out of date and cannot be removed: {error}") from error


def _install(venv: Path, lock: Path) -> None:
    """Fill *venv* from *lock*, by uv if there is one; leave nothing half-made behind."""
    uv = shutil.which("uv")
    try:
        if uv is not None:
            try:
                _install_with_uv(uv, venv, lock)
            except Stop as error:
                # uv reads none of pip's settings: an index or a proxy may be known to pip only.
                say(f"{error}\ndev: uv could not do it, trying pip")
                shutil.rmtree(venv, ignore_errors=True)
                _install_with_pip(venv, lock)
        else:
            _install_with_pip(venv, lock)
    except BaseException:
        shutil.rmtree(venv, ignore_errors=True)
        raise


def _put_command(venv: Path, root: Path) -> None:
    """Make ``runner`` a command and a module of the environment: both are this checkout."""
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(venv)}))
    # Relative, as Python reads it: the folder may be moved, and its name be in any letters.
    (site / "runner-dev.pth").write_text(os.path.relpath(root, site) + "\n", "utf-8")
    python = str(python_of(venv))
    code = f"import sys; sys.path.insert(0, {str(root)!r})"
    code += "; from runner.cli import main; sys.exit(main())"
    if os.name == "nt":
        (python_of(venv).parent / "runner.cmd").write_text(f'@"{python}" -P -c "{code}" %*\n')
        return
    command = python_of(venv).parent / "runner"
    # -P: what lies in the current folder must not stand in for a module of ours.
    line = f'exec {shlex.quote(python)} -P -c {shlex.quote(code)} "$@"'
    command.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
    command.chmod(0o755)


def _install_with_uv(uv: str, venv: Path, lock: Path) -> None:
    if not python_of(venv).exists():
        _quietly([uv, "venv", "--python", _base_python(), str(venv)])
    _quietly(
        [
            *(uv, "pip", "install", "--python", str(python_of(venv))),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)),
        ]
    )


def _install_with_pip(venv: Path, lock: Path) -> None:
    if python_of(venv).exists() and _capture([str(python_of(venv)), "-c", "import pip"])[0] != 0:
        # Made by a uv that is gone since.
        shutil.rmtree(venv)
    if not python_of(venv).exists():
        # Some distributions put venv's other half into a package of its own.
        if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
            raise Stop(_no_venv_hint())
        try:
            _quietly([_base_python(), "-m", "venv", str(venv)])
        except Stop as error:
            hint = f"\n{_no_venv_hint()}" if "ensurepip" in str(error) else ""
            raise Stop(f"{error}{hint}") from error
    _quietly(
        [
            *(str(python_of(venv)), "-m", "pip", "install", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(lock)),
        ]
    )


def _no_venv_hint() -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"This Python {version} cannot make virtual environments: its module venv or ensurepip is"
        f" missing.\nOn Debian and Ubuntu: apt install python{version}-venv"
        "\nElsewhere: install uv, or a Python that has both."
    )


def _base_python() -> str:
    """The interpreter to build from: never the one inside the environment that is replaced."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _capture(command: Sequence[str], cwd: Path = ROOT) -> tuple[int, str]:
    """Run a tool without a terminal; its exit code and all it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean_environment(),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout.rstrip()


def _quietly(command: Sequence[str], cwd: Path = ROOT) -> None:
    """Run a tool of which nothing is heard while it works.

    Raises:
        Stop: it failed; the message has all it said.
    """
    code, output = _capture(command, cwd)
    if code != 0:
        tool = " ".join([Path(command[0]).name, *command[1:4]])
        raise Stop(f"{output}\ndev: `{tool} …` failed with code {code}")


# --- what can be asked for ------------------------------------------------------------------------


def demo(root: Path, extra: Sequence[str]) -> int:
    """Run the shipped job against the simulator, from nothing, in a folder of its own."""
    _refuse(extra)
    python = ensure_environment(root, RUNTIME_LOCK)
    folder = root / DEMO_FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store = DEMO_FOLDER / "runner-sim.db"
    command = ["-m", "runner", "run", str(Path("jobs", "demo.toml"))]
    code = hand_over([str(python), *command, "--api", "sim", "--store", str(store)], cwd=root)
    if code == 0:
        say(f"dev: the queue with every answer and cost is {store} (SQLite)")
    return code


SIDE_BY_SIDE: Final = ("--numprocesses=2", "--dist=loadfile")
"""All tests, in two processes: they wait for servers and clocks more than they calculate."""


def test(root: Path, extra: Sequence[str]) -> int:
    """All checks; if they pass pytest, with the arguments in *extra*."""
    python = ensure_environment(root, DEV_LOCK)
    if not passes_checks(python, root):
        return 1
    return hand_over([str(python), "-m", "pytest", *(extra or SIDE_BY_SIDE)], cwd=root)


def soak(root: Path, extra: Sequence[str]) -> int:
    """Kill a run, or several workers, against a simulator that misbehaves (``tests/soak``)."""
    # Workers share a PostgreSQL server, which comes with the development packages.
    shared = any(word.startswith("--workers") for word in extra)
    python = ensure_environment(root, DEV_LOCK if shared else RUNTIME_LOCK)
    return hand_over([str(python), "-m", "tests.soak", *extra], cwd=root)


def bench(root: Path, extra: Sequence[str]) -> int:
    """Measure: ``--only NAME``, ``--quick``, ``--rounds N``, ``--scale F``, ``--json``."""
    python = ensure_environment(root, RUNTIME_LOCK)
    return hand_over([str(python), "-m", "bench", *extra], cwd=root)


def lint(root: Path, extra: Sequence[str]) -> int:
    """All checks."""
    _refuse(extra)
    python = ensure_environment(root, DEV_LOCK)
    return 0 if passes_checks(python, root) else 1


def lock(root: Path, extra: Sequence[str]) -> int:
    """Write both lock files; *extra* goes to uv (``-P aiohttp``, ``--upgrade``).

    Versions that still fit stay as they are. The development lock is held to the versions of the
    runtime lock, so that the tests run what people run.
    """
    uv = shutil.which("uv")
    if uv is None:
        # The development environment has one, unless this is the first lock of all.
        inside = ensure_environment(root, DEV_LOCK).parent
        uv = shutil.which("uv", path=inside) or str(inside / "uv")
    _compile(uv, root, RUNTIME_LOCK, extra)
    _compile(uv, root, DEV_LOCK, ["--group", "dev", "--constraints", RUNTIME_LOCK, *extra])
    return 0


def _compile(uv: str, root: Path, name: str, options: Sequence[str]) -> None:
    """Write the lock file *name*: hashes for every platform, and nothing of this machine.

    Raises:
        Stop: uv failed, or the result would name a host.
    """
    # Aside first: a lock that names a host must never stand where it could be committed. The old
    # one goes there too, because uv keeps the versions it finds in its output file.
    aside = root / f"{name}.new"
    if (root / name).exists():
        shutil.copyfile(root / name, aside)
    try:
        _quietly(
            [
                *(uv, "pip", "compile", "pyproject.toml", "--universal"),
                # Resolved for 3.11 whatever runs here; uv would fetch a 3.11 of its own for that.
                *("--python-version", "3.11", "--no-python-downloads"),
                *("--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"),
                *("--no-header", "--no-annotate", *options, "-o", aside.name),
            ],
            root,
        )
        text = aside.read_text("utf-8")
        if "://" in text:
            raise Stop(f"{name} would name a host: is a dependency given by its address?")
        aside.replace(root / name)
    finally:
        aside.unlink(missing_ok=True)
    packages = sum(1 for line in text.splitlines() if "==" in line and not line.startswith(" "))
    say(f"dev: wrote {name}, {packages} packages")


def passes_checks(python: Path, root: Path) -> bool:
    """Run every check, say how each ended, show what the failed ones had to say."""
    failed = []
    for name, arguments in CHECKS:
        began = time.monotonic()
        code, output = _capture([str(python), *arguments], root)
        took = time.monotonic() - began
        if code == 0:
            say(f"dev: {name:<13} ok     {took:5.1f} s")
        else:
            failed.append(name)
            say(f"{output}\ndev: {name:<13} FAILED {took:5.1f} s")
    if failed:
        say(f"dev: failed: {', '.join(failed)}")
    return not failed


def hand_over(command: Sequence[str], *, cwd: Path) -> int:
    """Run *command* on our terminal until it ends by itself; return its exit code.

    Ctrl-C reaches it without us, SIGTERM is passed on: how to stop is its own affair.
    """
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        for child in children:
            child.terminate()

    def leave_to_it(_number: int, _frame: FrameType | None) -> None:
        pass

    # Before it starts: a signal that comes while it does must find them in place.
    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
        signal.SIGINT: signal.signal(signal.SIGINT, leave_to_it),
    }
    try:
        with subprocess.Popen(command, cwd=cwd, env=clean_environment()) as child:
            children.append(child)
            code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _refuse(extra: Sequence[str]) -> None:
    if extra:
        raise Stop(f"dev: takes no further arguments: {' '.join(extra)}\n{USAGE}")


COMMANDS: Final[dict[str, Callable[[Path, Sequence[str]], int]]] = {
    "demo": demo,
    "test": test,
    "soak": soak,
    "bench": bench,
    "lint": lint,
    "lock": lock,
}

USAGE: Final = (
    "usage: python3 -m runner.dev demo | test [PYTEST ARGUMENTS] | soak [--kills N --seed N ...]"
    " | bench [--only NAME --quick ...] | lint | lock [UV ARGUMENTS]"
)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Carry out one command; return the exit code."""
    name, *extra = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if arguments else 2
    if name not in COMMANDS:
        say(f"dev: no such command: {name}\n{USAGE}")
        return 2
    try:
        return COMMANDS[name](root, extra)
    except Stop as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
