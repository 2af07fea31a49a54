"""Which host it is: enough to notice a copied store, and no more than that."""

from pathlib import Path

from runner.app.hosts import host_of
from runner.settings import Settings


def settings(folder: Path, **environ: str) -> Settings:
    return Settings.load(environ=environ, flags={}, workspace=folder)


def test_a_host_is_known_by_its_machine_id_unless_it_is_named(tmp_path: Path) -> None:
    """Containers of one image, or disks that move between machines, are named by hand."""
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    places = (tmp_path / "none", machine)
    by_machine = host_of(settings(tmp_path), places)
    named = host_of(settings(tmp_path, RUNNER_HOST_ID="night-1"), places)
    assert by_machine is not None
    assert named is not None
    assert named != by_machine
    assert named == host_of(settings(tmp_path, RUNNER_HOST_ID="night-1"), ())
    assert "0123456789abcdef" not in by_machine


def test_where_nothing_says_which_host_it_is_nothing_is_checked(tmp_path: Path) -> None:
    """An image with an empty machine id must not look like another host at each start."""
    empty, odd = tmp_path / "empty", tmp_path / "odd"
    empty.write_text("\n")
    odd.write_bytes(b"\xff\xfe")
    assert host_of(settings(tmp_path), (empty, odd, tmp_path)) is None
