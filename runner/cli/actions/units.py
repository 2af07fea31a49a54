"""A crontab line and systemd units as text, every word quoted for the program that reads it.

    crontab    sh splits the words; before that cron ends the command at a bare %
    systemd    splits the words itself; % and $ stand for something until they are doubled

Sources: crontab(5); systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers".
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.errors import WrongInput

_STOP_S: Final = 180
"""More than a Live call may take: what is under way is saved before systemd insists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """A job that is started once a day."""

    job: str
    workspace: Path
    """Absolute; everything is started there."""
    program: tuple[str, ...]
    """How runner is called, with an absolute path."""
    shared: tuple[str, ...]
    """Options before the command: whom to call, which store."""
    command: tuple[str, ...]
    """``run``, the job and its options."""
    at: tuple[int, int]
    """Hour and minute, local time."""
    variables: tuple[str, ...]
    """What the environment has to bring."""
    by_date: bool
    """Each UTC day has a run of its own."""


def crontab(night: Night) -> str:
    """One line for ``crontab -e``, with what there is to know as comments above it.

    Raises:
        WrongInput: a path cannot stand in a crontab.
    """
    log = f"logs/{night.job}.jsonl"
    words = (*night.program, "-q", "--no-input", "--yes", *night.shared, *night.command)
    line = f"{_for_shell(words)} --log-format json --log-file {shlex.quote(log)}"
    command = f"cd {_for_shell([str(night.workspace)])} && mkdir -p logs && {line}"
    if bad := re.search(r"[\x00-\x1f\x7f\\]", command):
        raise _cannot_stand(bad[0], "a crontab")
    hour, minute = night.at
    escaped = command.replace("%", r"\%")
    return "\n".join([*_cron_comments(night), f"{minute} {hour} * * *  {escaped}", ""])


def systemd(night: Night, *, user: bool, account: str) -> dict[str, str]:
    """A service and a timer by their paths; for the system's manager they run as *account*.

    Raises:
        WrongInput: a path cannot stand in a unit.
    """
    folder = "~/.config/systemd/user" if user else "/etc/systemd/system"
    name = f"runner-{night.job}"
    service, timer = f"{folder}/{name}.service", f"{folder}/{name}.timer"
    words = " ".join((*_words(night), str(night.workspace)))
    if bad := re.search(r"[\x00-\x1f\x7f]|[\s\\]$", words):
        raise _cannot_stand(bad[0], "a systemd unit")
    return {
        service: _service(night, service, user=user, account=account),
        timer: _timer(night, timer, user=user),
    }


def _words(night: Night) -> tuple[str, ...]:
    return (*night.program, "--no-input", "--yes", *night.shared, *night.command)


def _cron_comments(night: Night) -> list[str]:
    lines = [
        "# -q prints nothing for exit codes 0, 3 and 75, so cron mails only if somebody is needed.",
        "# --yes answers what a person would be asked; limits of the job hold all the same.",
    ]
    if night.by_date:
        lines.append("# The time is this machine's; {{date}} in the job is the UTC day.")
    if night.variables:
        lines.append(
            "# cron's environment is nearly empty; it needs, as NAME=value lines above this one: "
            + ", ".join(night.variables)
        )
    return lines


def _service(night: Night, path: str, *, user: bool, account: str) -> str:
    program, *words = _words(night)
    lines = [f"# {path}", "[Unit]", f"Description=runner: {night.job}"]
    if not user:
        lines += ["Wants=network-online.target", "After=network-online.target"]
    lines += ["", "[Service]", "Type=oneshot"]
    if not user:
        lines.append(f"User={account}")
    # A path that is the whole value is taken as it stands, without quotes.
    lines.append(f"WorkingDirectory={_doubled(str(night.workspace))}")
    if night.variables:
        lines += [
            f"# Needed from the environment: {', '.join(night.variables)}",
            f"# EnvironmentFile={'%h/.config/runner' if user else '/etc/runner'}/{night.job}.env",
        ]
    # The program's own path is not searched for variables, so a $ in it stays single.
    command = [_quoted(_doubled(program)), *(_quoted(_doubled(w, variables=True)) for w in words)]
    lines += [
        f"ExecStart={' '.join(command)}",
        "# 3: answers are still to come. 75: try later. 143: systemctl stop; the state is saved.",
        "SuccessExitStatus=3 75 143",
        f"TimeoutStopSec={_STOP_S}",
        "",
    ]
    return "\n".join(lines)


def _timer(night: Night, path: str, *, user: bool) -> str:
    hour, minute = night.at
    unit = path.rpartition("/")[2]
    manager = "systemctl --user" if user else "systemctl"
    lines = [
        f"# {path}",
        f"# Turn it on: {manager} daemon-reload && {manager} enable --now {unit}",
    ]
    if user:
        lines.append("# It runs only while you are logged in, unless: loginctl enable-linger")
    if night.by_date:
        lines.append("# The time is this machine's; {{date}} in the job is the UTC day.")
    lines += [
        "[Unit]",
        f"Description=runner: {night.job}, every day",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {hour:02}:{minute:02}:00",
        "# A night that this machine slept through is caught up with.",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
        "",
    ]
    return "\n".join(lines)


def _for_shell(words: Sequence[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)


def _doubled(text: str, *, variables: bool = False) -> str:
    text = text.replace("%", "%%")
    return text.replace("$", "$$") if variables else text


def _quoted(word: str) -> str:
    """*word* in quotes if systemd would split it or read an escape in it."""
    if re.fullmatch(r"[\w@%+=:,./$-]+", word, re.ASCII):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _cannot_stand(character: str, place: str) -> WrongInput:
    return WrongInput(
        f"a path here holds the character {character!r} where {place} cannot carry it",
        how="rename the folder or the job file, or start it with a script of your own",
    )
