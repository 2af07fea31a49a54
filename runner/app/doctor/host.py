"""This machine: what runs here, and the disk that the store is on."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import disk_usage
from typing import Final

from runner import __version__
from runner.app.doctor.finding import Finding, doubtful, fine, wrong
from runner.settings import Settings
from runner.store.opening import INSTALL
from runner.store.sqlite.connection import OLDEST_SQLITE, SQLITE

MOUNTS: Final = Path("/proc/self/mounts")

_GB: Final = 1_000_000_000
LITTLE_ROOM: Final = 1 * _GB
"""Bytes. 100,000 answers of 4 KB, with the raw replies, take 0.6 of it."""

NO_ROOM: Final = LITTLE_ROOM // 20

_FAR_AWAY: Final = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|gpfs|beegfs|ncpfs|ocfs2|gfs2"
    r"|fuse\.(sshfs|s3fs|rclone|glusterfs|ceph.*|gcsfuse|davfs2?|goofys|juicefs)|davfs2?|vboxsf|prl_fs"
)
"""File systems whose other end may be another machine, or whose locks do not hold."""


def look_at_programs(settings: Settings) -> list[Finding]:
    """The versions that matter."""
    text = f"runner {__version__}, Python {platform.python_version()}, SQLite {SQLITE}"
    if tuple(map(int, SQLITE.split("."))) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE[:2]))
        return [wrong("programs", f"{text}: SQLite is too old", f"SQLite {oldest} or newer")]
    if settings.server is not None:
        try:
            text += f", psycopg {version('psycopg')}"
        except PackageNotFoundError:
            return [wrong("programs", f"{text}; the store's server needs psycopg", INSTALL)]
    return [fine("programs", text)]


def look_at_disk(settings: Settings, *, mounts: Path = MOUNTS) -> list[Finding]:
    """Whether the store's file can grow where it is, and is safe there."""
    if settings.server is not None:
        return []
    folder = next(each for each in settings.store.parents if each.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        return [wrong("disk", f"{folder} cannot be written", f"chown or chmod it for {_user()}")]
    kind = file_system(folder.resolve(), mounts)
    if kind is not None and _FAR_AWAY.fullmatch(kind):
        how = "a disk of this machine, with --store; for several hosts a server: docs/scaling.md"
        text = f"the store's folder {folder} is on {kind}: SQLite's log must not be shared"
        return [wrong("disk", text, how)]
    free = disk_usage(folder).free
    text = f"{free / _GB:,.1f} GB free where the store is"
    if free < NO_ROOM:
        return [wrong("disk", text, "make room, or `runner prune` what is no longer needed")]
    if free < LITTLE_ROOM:
        return [doubtful("disk", text, "100,000 answers take about 0.6 GB: make room")]
    return [fine("disk", text if kind is None else f"{text}, on {kind}")]


def file_system(folder: Path, mounts: Path) -> str | None:
    """The kind of file system that *folder*, absolute and without links, is on; None where nobody
    can tell. Later mounts cover earlier ones (proc_mounts(5))."""
    best, kind = Path("/"), None
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        _device, place, its_kind, *_ = [*line.split(" "), "", "", ""]
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place))
        if folder.is_relative_to(point) and point.is_relative_to(best):
            best, kind = point, its_kind
    return kind


def _user() -> str:
    return f"user {os.geteuid()}"
