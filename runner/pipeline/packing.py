"""How the API's replies are kept: to the byte, but for signatures of ours, and compressed."""

import zlib
from typing import Final

from runner.postbacks import without_signatures

_SMALL_REPLY: Final = 8 * 1024


def packed(reply: bytes) -> bytes:
    """*reply* as it is kept: zlib's format, which any zlib unpacks. It may repeat the address that
    the task was posted with; a signature is nothing to keep."""
    reply = without_signatures(reply)
    # Most replies are small, and for a small one most of the time goes into clearing zlib's window.
    # All at once, and in the loop's thread: in each step of zlib Python's lock is let go. The
    # database's thread can use that, and would have to wait to get it back.
    return zlib.compress(reply, 3, wbits=13 if len(reply) <= _SMALL_REPLY else zlib.MAX_WBITS)
