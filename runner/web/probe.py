"""Asks the public address who is there, the way the API's postbacks will come.

A receiver with our secret says 204 (``runner.web.receiver``); whoever else answers does not.
"""

from enum import StrEnum
from typing import Final

import aiohttp

PATIENCE_S: Final = 10.0
"""The API waits no longer either (API.md §6)."""

_BEHIND_A_PROXY: Final = frozenset({502, 503, 504})
"""A proxy is there, and nobody behind it."""


class Reached(StrEnum):
    """Who answered."""

    RECEIVER = "receiver"
    """One with our secret."""
    NOBODY = "nobody"
    STRANGER = "stranger"
    """A receiver with another secret, or another program."""
    NO_NAME = "no name"
    """The host's name leads nowhere."""
    NOT_TRUSTED = "not trusted"
    """Its certificate is not one that the API would take."""


async def probe(url: str) -> tuple[Reached, str]:
    """Who answers at *url*, and what was seen: ``HTTP 404``, or the kind of failure. Never raises
    for what the network does; nothing of *url*, which is signed, is in the text."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            seen = f"HTTP {response.status}"
    except aiohttp.ClientSSLError as error:
        return Reached.NOT_TRUSTED, type(error).__name__
    except aiohttp.ClientConnectorDNSError as error:
        return Reached.NO_NAME, type(error).__name__
    except TimeoutError:
        return Reached.NOBODY, f"no answer within {PATIENCE_S:.0f} s"
    except (aiohttp.ClientError, OSError) as error:
        return Reached.NOBODY, type(error).__name__
    if response.status == 204:
        return Reached.RECEIVER, seen
    return (Reached.NOBODY if response.status in _BEHIND_A_PROXY else Reached.STRANGER), seen
