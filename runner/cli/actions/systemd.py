"""A word to systemd: that the daemon is ready, or stopping (sd_notify(3))."""

import contextlib
import socket
from collections.abc import Mapping


def notify(message: str, environ: Mapping[str, str]) -> None:
    """Send *message*, such as ``READY=1``, where ``NOTIFY_SOCKET`` says; nowhere without it."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # A name that begins with @ is one of the abstract namespace.
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        to.sendto(message.encode(), address)
