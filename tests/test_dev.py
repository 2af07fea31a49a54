"""The tools of a checkout, on small checkouts of their own with real installers and no network."""

import base64
import hashlib
import importlib.util
import os
import platform
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from venv import EnvBuilder

import pytest

from runner import dev

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
"""Where the locked uv is."""


def add_wheel(shelf: Path, name: str) -> str:
    """Put a wheel with one module *name* on the shelf; its lines in a lock file."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text)}\n"
    wheel = shelf / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose runtime lock has ``brick`` and whose development lock ``mortar`` too.

    Both installers know the shelf with these two wheels and nothing else; uv is on PATH.
    """
    shelf = tmp_path / "shelf"
    root = tmp_path / "checkout"
    shelf.mkdir()
    root.mkdir()
    brick, mortar = add_wheel(shelf, "brick"), add_wheel(shelf, "mortar")
    (root / "requirements.lock").write_text(brick)
    (root / "requirements-dev.lock").write_text(brick + mortar)
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(TOOLS))
    return root


def fake_uv(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make PATH offer a uv that is this Python script."""
    folder.mkdir()
    tool = folder / "uv"
    tool.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def can_import(python: Path, *names: str) -> bool:
    """Whether that interpreter has all these modules."""
    return dev._capture([str(python), "-c", f"import {', '.join(names)}"])[0] == 0


# --- the environment ------------------------------------------------------------------------------


def test_the_demo_gets_the_small_lock_and_the_tests_add_to_it(checkout: Path) -> None:
    """The first success must not wait for the linters; they must not start from nothing either."""
    python = dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    assert can_import(python, "brick")
    assert not can_import(python, "mortar")
    mark = checkout / ".venv" / "mark"
    mark.touch()
    dev.ensure_environment(checkout, dev.DEV_LOCK)
    assert can_import(python, "brick", "mortar")
    assert mark.exists()


def test_the_environment_has_the_command_runner(checkout: Path) -> None:
    """After `. .venv/bin/activate` the command is what the documentation says."""
    python = dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    package = checkout / "runner" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("def main():\n    print('here')\n    return 3\n")
    done = subprocess.run(
        [str(python.parent / "runner")],
        cwd=checkout.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "here\n")


def test_programs_in_the_environment_can_import_the_checkout(checkout: Path) -> None:
    """`python examples/library.py` is what the README says, also after the folder was moved."""
    dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    (checkout / "runner").mkdir()
    (checkout / "runner" / "__init__.py").touch()
    (checkout / "examples").mkdir()
    (checkout / "examples" / "library.py").write_text("import runner; print(runner.__file__)")
    moved = checkout.rename(checkout.with_name("möved ünd more"))
    done = subprocess.run(
        [str(dev.python_of(moved / ".venv")), str(moved / "examples" / "library.py")],
        cwd=moved.parent,
        env=dev.clean_environment(),
        capture_output=True,
        check=False,
    )
    assert os.fsdecode(done.stdout.rstrip()) == str(moved / "runner" / "__init__.py"), done.stderr


def test_a_second_start_installs_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command begins here; it has to cost nothing when nothing changed."""
    python = dev.ensure_environment(checkout, dev.DEV_LOCK)
    monkeypatch.setattr(dev, "_install", lambda *_: pytest.fail("installed again"))
    capsys.readouterr()
    for lock in (dev.DEV_LOCK, dev.RUNTIME_LOCK):
        assert dev.ensure_environment(checkout, lock) == python
    assert capsys.readouterr() == ("", "")


def test_a_changed_lock_builds_the_environment_anew(checkout: Path) -> None:
    """What the old lock had installed could hide that the new one misses something."""
    python = dev.ensure_environment(checkout, dev.DEV_LOCK)
    lock = checkout / "requirements-dev.lock"
    lock.write_text((checkout / "requirements.lock").read_text())
    dev.ensure_environment(checkout, dev.DEV_LOCK)
    assert can_import(python, "brick")
    assert not can_import(python, "mortar")


def test_another_python_builds_the_environment_anew(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled packages of one version do not load in another."""
    dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    mark = checkout / ".venv" / "mark"
    mark.touch()
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.99")
    dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    assert not mark.exists()


def test_where_uv_fails_pip_does_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An index or a proxy may be known to pip only."""
    fake_uv(checkout / "bin", "sys.exit('no such index')", monkeypatch)
    asked = []

    def pip(venv: Path, lock: Path) -> None:
        EnvBuilder().create(venv)
        asked.append(lock.name)

    monkeypatch.setattr(dev, "_install_with_pip", pip)
    dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    assert asked == ["requirements.lock"]
    assert "no such index" in capsys.readouterr().err


def test_an_environment_made_by_uv_is_no_dead_end_without_uv(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv leaves pip out, so pip has to begin anew there."""
    python = dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    monkeypatch.setenv("PATH", "")
    dev.ensure_environment(checkout, dev.DEV_LOCK)
    assert can_import(python, "brick", "mortar", "pip")


def test_a_package_with_another_hash_is_refused(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lock is a promise about bytes; half an environment must not be left behind either."""
    lock = checkout / "requirements.lock"
    name, _, _digest = lock.read_text().partition("sha256:")
    lock.write_text(f"{name}sha256:{'0' * 64}\n")

    def pip(venv: Path, _lock: Path) -> None:
        assert not venv.exists()
        raise dev.Stop("pip refuses it too")

    monkeypatch.setattr(dev, "_install_with_pip", pip)
    assert dev.main(["demo"], checkout) == 2
    shown = capsys.readouterr().err
    assert "Hash mismatch" in shown
    assert "pip refuses it too" in shown
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("absent", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_which_package_to_install(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    """Debian and Ubuntu ship python3 like that; the tool's own message is long and late."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == absent else object()
    )
    with pytest.raises(dev.Stop, match=r"apt install python3\.\d+-venv"):
        dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    assert not (checkout / ".venv").exists()


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    """Somebody's files may be in it."""
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "thesis.txt").write_text("years of work")
    with pytest.raises(dev.Stop, match="move it away"):
        dev.ensure_environment(checkout, dev.RUNTIME_LOCK)
    assert (checkout / ".venv" / "thesis.txt").read_text() == "years of work"


def test_a_missing_lock_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a traceback: somebody has an incomplete copy."""
    assert dev.main(["lint"], tmp_path) == 2
    assert "requirements.lock is missing" in capsys.readouterr().err


def test_tools_do_not_see_the_callers_python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules found there would come before the locked ones; everything else is kept."""
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_CERT", "company.pem")
    cleaned = dev.clean_environment()
    assert "PYTHONPATH" not in cleaned
    assert "PIP_USER" not in cleaned
    assert cleaned["PIP_CERT"] == "company.pem"


# --- commands -------------------------------------------------------------------------------------


def test_the_demo_runs_the_shipped_job_in_a_fresh_folder_each_time(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A second demo that finds everything asked already would show nothing."""
    (checkout / "runner").mkdir()
    (checkout / "runner" / "__main__.py").write_text(
        "import brick, pathlib, sys\n"
        "print(*sys.argv[1:])\n"
        "pathlib.Path(sys.argv[6]).open('x').close()\n"
    )
    store = Path("out", "demo", "runner-sim.db")
    for _ in range(2):
        assert dev.main(["demo"], checkout) == 0
        shown = capfd.readouterr()
        assert shown.out == f"run {Path('jobs', 'demo.toml')} --api sim --store {store}\n"
        assert str(store) in shown.err
    assert (checkout / store).exists()


def test_every_check_runs_and_the_failed_one_is_shown_and_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who broke two things wants to hear of both; nobody wants to read what passed."""
    checks = (
        ("first", ("-c", "import sys; print('line 7 is wrong'); sys.exit(3)")),
        ("second", ("-c", "print('nothing of interest')")),
    )
    monkeypatch.setattr(dev, "CHECKS", checks)
    monkeypatch.setattr(dev, "hand_over", lambda *_, **__: pytest.fail("tests ran all the same"))
    assert dev.main(["test"], checkout) == 1
    shown = capfd.readouterr().err
    assert "line 7 is wrong" in shown
    assert "dev: second        ok" in shown
    assert "dev: failed: first\n" in shown
    assert "nothing of interest" not in shown


def test_arguments_after_test_go_to_pytest_and_its_words_come_last(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """CI reads pytest's closing line, and its exit code is ours."""
    monkeypatch.setattr(dev, "CHECKS", ())
    (checkout / "pytest.py").write_text("import sys; print(sys.argv[1:]); sys.exit(5)")
    assert dev.main(["test", "-k", "money"], checkout) == 5
    assert capfd.readouterr().out == "['-k', 'money']\n"


@pytest.mark.parametrize(
    ("extra", "lock"),
    [(["--kills", "3"], dev.RUNTIME_LOCK), (["--workers", "4"], dev.DEV_LOCK)],
)
def test_a_soak_installs_a_server_only_for_several_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: list[str], lock: str
) -> None:
    """A soak of one run is had from the few packages that everybody has."""
    asked: list[tuple[str, list[str]]] = []

    def install(_root: Path, name: str) -> Path:
        asked.append((name, []))
        return Path("python")

    def start(command: list[str], *, cwd: Path) -> int:
        asked[-1][1].extend(command[3:])
        return 0 if cwd == tmp_path else 1

    monkeypatch.setattr(dev, "ensure_environment", install)
    monkeypatch.setattr(dev, "hand_over", start)
    assert dev.soak(tmp_path, extra) == 0
    assert asked == [(lock, extra)]


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 2), (["--help"], 0), (["deploy"], 2), (["lint", "--fix"], 2)]
)
def test_wrong_usage_shows_the_right_one(
    arguments: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands are few; one line has them all."""
    assert dev.main(arguments, tmp_path) == code
    shown = capsys.readouterr()
    assert dev.USAGE in shown.out + shown.err


def test_an_old_python_is_told_what_is_missing() -> None:
    """Its own words would be a SyntaxError or an ImportError."""
    script = (
        "import runpy, sys\n"
        "sys.argv = ['dev', 'demo']\n"
        "sys.version_info = (3, 8, 18, 'final', 0)\n"
        "runpy.run_module('runner.dev', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "needs Python 3.11 or newer, and this is Python 3.8.18" in done.stderr
    assert "python3.12 -m runner.dev demo" in done.stderr


# --- lock -----------------------------------------------------------------------------------------

PYPROJECT = """
[project]
name = "house"
version = "1"
requires-python = ">=3.11"
dependencies = ["brick"]
[dependency-groups]
dev = ["mortar"]
"""


def test_lock_writes_both_files_without_a_trace_of_this_machine(checkout: Path) -> None:
    """They are committed, and installed by people who are elsewhere."""
    before = [(checkout / name).read_text() for name in (dev.RUNTIME_LOCK, dev.DEV_LOCK)]
    for name in (dev.RUNTIME_LOCK, dev.DEV_LOCK):
        (checkout / name).unlink()
    (checkout / "pyproject.toml").write_text(PYPROJECT)
    assert dev.main(["lock"], checkout) == 0
    assert [(checkout / name).read_text() for name in (dev.RUNTIME_LOCK, dev.DEV_LOCK)] == before


def test_a_lock_that_would_name_a_host_is_not_written(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Company addresses have been published that way; the old lock stays as it is."""
    script = "open(sys.argv[-1], 'w').write('brick @ https://intern.example/brick.whl')"
    fake_uv(checkout / "bin", script, monkeypatch)
    before = (checkout / "requirements.lock").read_text()
    assert dev.main(["lock"], checkout) == 2
    assert "would name a host" in capsys.readouterr().err
    assert (checkout / "requirements.lock").read_text() == before
    assert not list(checkout.glob("*.new"))


# --- handing over ---------------------------------------------------------------------------------

HAND_OVER = """
import sys
from pathlib import Path
from runner.dev import hand_over
sys.exit(hand_over([sys.executable, "-c", sys.argv[1]], cwd=Path.cwd()))
"""

STOPS_POLITELY = """
import signal, sys, time
def stop(number, frame):
    sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.mark.parametrize(
    ("number", "to_group", "code"), [(signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)]
)
def test_a_stop_is_left_to_the_program_that_runs(
    number: signal.Signals, to_group: bool, code: int
) -> None:
    """A run that is stopped saves its state first; killing it from above would cut that short."""
    with subprocess.Popen(
        [sys.executable, "-c", HAND_OVER, STOPS_POLITELY],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        # A terminal sends Ctrl-C to the whole foreground group, systemd its SIGTERM to one.
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(timeout=30) == code


def test_a_killed_program_ends_as_in_a_shell() -> None:
    """Scripts compare with 137, not with -9."""
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert dev.hand_over([sys.executable, "-c", script], cwd=ROOT) == 137
