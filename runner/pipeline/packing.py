"""How the API's replies are kept: to the byte, but for signatures of ours, and compressed."""

import zlib
from typing import Final

from runner.postbacks import without_signatures

_SMALL_REPLY: Final = 8 * 1024


def packed(reply: bytes) -> bytes:
    """*reply* as it is kept: zlib's format, which any zlib unpacks. It may repeat the address that
    the task was posted with; a signature is nothing to keep."""
    reply = without_signatures(reply)
    # Most replies are small, and most of the time for a small one goes into clearing zlib's
    # buffers: small buffers take a third of the time and lose a twentieth of the gain.
    small = len(reply) <= _SMALL_REPLY
    packer = zlib.compressobj(3, wbits=13 if small else zlib.MAX_WBITS, memLevel=6 if small else 8)
    return packer.compress(reply) + packer.flush()
