"""Which host this is, as far as that can be told, so that a copied store is noticed."""

import hashlib
from pathlib import Path
from typing import Final

from runner.settings import Settings

_MACHINE_IDS: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def host_of(settings: Settings, places: tuple[Path, ...] = _MACHINE_IDS) -> str | None:
    """A digest of the host's name for itself (``RUNNER_HOST_ID``), else of its machine id.

    None where there is neither: then nothing is checked. The machine id itself is not for others'
    eyes (machine-id(5)), so only the digest is kept.
    """
    name = settings.host_id
    for place in places if name is None else ():
        try:
            name = place.read_text(encoding="ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            continue
        if name is not None:
            break
    if name is None:
        return None
    return hashlib.sha256(f"runner:{name}".encode(errors="surrogateescape")).hexdigest()[:32]
