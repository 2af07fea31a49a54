"""docs/systemd: the unit that a real installation copies."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.commands import environment

UNIT = Path(__file__).resolve().parent.parent / "docs" / "systemd" / "runner-work.service"


def settings() -> dict[str, list[str]]:
    """Every setting of the unit with its values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_a_stop_waits_longer_than_anything_that_is_under_way() -> None:
    """SIGKILL within a post leaves its tasks in doubt for a quarter of an hour, and within a Live
    call its answer is lost and paid for."""
    unit = settings()
    (wait,) = unit["TimeoutStopSec"]
    longest_live_s = 150
    assert int(wait) > longest_live_s
    assert unit["SuccessExitStatus"] == ["143"]
    assert unit["Restart"] == ["always"]
    assert set(unit["RestartPreventExitStatus"][0].split()) == {"2", "5"}


def test_no_secret_stands_in_the_unit_or_in_the_environment() -> None:
    """`systemctl show` and /proc tell a unit's environment to many."""
    text = UNIT.read_text(encoding="utf-8")
    assert not re.search(r"postgres(ql)?://[^/@\s]*:[^/@\s]*@", text)
    credentials = {value.split(":")[0] for value in settings()["LoadCredential"]}
    files = {value.rpartition("/")[2] for value in settings()["Environment"]}
    assert files == credentials == {"password", "pgpass"}


def test_libpq_finds_a_password_file_that_only_its_owner_reads() -> None:
    """It takes no other, and a credential of systemd 254 and newer has the group's bit, too."""
    unit = settings()
    (place,) = (v for v in unit["Environment"] if v.startswith("PGPASSFILE="))
    assert place.startswith(f"PGPASSFILE=%t/{unit['RuntimeDirectory'][0]}/")
    assert shlex.split(unit["ExecStartPre"][0])[1:] == [
        "-m",
        "0600",
        "${CREDENTIALS_DIRECTORY}/pgpass",
        "${PGPASSFILE}",
    ]


def test_what_it_starts_is_a_command_that_exists() -> None:
    """An option that was renamed would be found out by the night that did not run."""
    (command,) = settings()["ExecStart"]
    program, *words = shlex.split(command)
    assert os.path.isabs(program)
    done = subprocess.run(
        [sys.executable, "-m", "runner", *words, "--help"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "work" in done.stdout


def test_systemd_reads_it_without_a_word(tmp_path: Path) -> None:
    """Where systemd is there, its own reading counts: a setting it does not know is only logged,
    and protects nothing. Elsewhere at least each line is a setting of a section."""
    text = UNIT.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"\[[A-Z][a-z]+\]|[A-Z]\w+=.*", line) for line in lines)
    if shutil.which("systemd-analyze") is None:
        return
    here = text.replace("/opt/runner/bin/runner", sys.executable).replace(
        "User=runner", "User=root"
    )
    unit = tmp_path / UNIT.name
    unit.write_text(here, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    about_it = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert about_it == [], done.stderr
