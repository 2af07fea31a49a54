"""Lets aioresponses 0.7.9 work with aiohttp 3.14 (aioresponses issues 289 and 292).

Two things changed under it: ``ClientResponse`` wants a ``stream_writer``, and a body over the
stream's limit pauses the parser of its protocol, of which a mocked answer has none. Both are
filled in only where they are missing, so a release that brings its own is left alone.
"""

import inspect
from typing import Any
from unittest.mock import Mock

import aioresponses.core
from aiohttp import ClientResponse, StreamReader


class _Response(ClientResponse):
    """A response that was never requested over a wire."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


class _IdleParser:
    """Has parsed everything already."""

    def pause_reading(self) -> None:
        """There is nothing to hold back."""

    def feed_data(self, data: bytes) -> tuple[list[object], bool, bytes]:
        return [], False, data


def bridge() -> None:
    """Fit aioresponses to the installed aiohttp; does nothing where they fit already."""
    if "stream_writer" not in inspect.signature(ClientResponse.__init__).parameters:
        return
    core: Any = aioresponses.core
    make_reader = core.stream_reader_factory

    def reader_with_a_parser(loop: Any = None) -> StreamReader:
        reader: StreamReader = make_reader(loop)
        protocol: Any = reader._protocol
        if protocol._parser is None:
            protocol._parser = _IdleParser()
        return reader

    # A response class of the caller's own choice is built as it is.
    core.ClientResponse = _Response
    core.stream_reader_factory = reader_with_a_parser
