"""What came back from one HTTP request, before anybody has judged it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

import msgspec

from runner.api.errors import ApiError, Unreachable, Untrusted, about_code, about_http
from runner.api.jsontext import Unreadable
from runner.api.status import StatusClass, lookup
from runner.api.wire import Envelope, read_answers, read_envelope

READABLE_HTTP: Final = frozenset({200, 401, 402, 404})
"""The statuses that the API is documented to explain in its body (API.md §5)."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A complete reply, read to its last byte."""

    http_status: int
    body: bytes
    envelope: Envelope | None = None
    """None if the body is not in the API's form; ``fault`` then says why."""
    fault: str = ""
    server_date: datetime | None = None
    """The ``Date`` header, UTC."""
    wait_s: float | None = None
    """The ``Retry-After`` header, if it is a number of seconds."""

    def __repr__(self) -> str:
        return f"Reply({self.http_status}, {self.code or self.fault!r}, {len(self.body)} bytes)"

    @property
    def code(self) -> int | None:
        """The API's top-level status code."""
        return self.envelope.code if self.envelope else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoReply:
    """No complete reply came."""

    why: str
    may_have_left: bool
    """Whether a byte of the request may have reached the network."""
    untrusted: bool = False
    """It failed at securing the connection."""

    def complaint(self) -> Unreachable:
        """It as an error."""
        if self.untrusted:
            how = "check the clock, the certificates and the proxy of this machine"
            return Untrusted("the connection to the API cannot be secured", why=self.why, how=how)
        return Unreachable("no reply from the API", why=self.why)


def complaint(reply: Reply, *, bare_url: bool) -> ApiError | None:
    """What is wrong with *reply* as a whole; None if its tasks are worth reading.

    *bare_url*: as for ``about_code``.
    """
    envelope = reply.envelope
    if envelope is None or reply.http_status not in READABLE_HTTP:
        return about_http(reply.http_status, wait_s=reply.wait_s)
    status = lookup(envelope.code)
    fine = status.kind in {StatusClass.OK, StatusClass.CREATED}
    if reply.http_status == 200 and fine:
        return None
    if reply.http_status != 200 and (fine or status.kind is StatusClass.UNHEARD_OF):
        # HTTP says no, and the code gives no reason that we know.
        return about_http(reply.http_status, wait_s=reply.wait_s)
    return about_code(status, envelope.message, bare_url=bare_url, wait_s=reply.wait_s)


def complaint_inside(envelope: Envelope, *, bare_url: bool) -> ApiError | None:
    """What is wrong with a listing whose top level is in order; None if it can be read.

    No result at all (40102) is an empty list, and a missing code is none to complain about.
    """
    for entry in envelope.entries:
        status = lookup(entry.code)
        if entry.code in {None, 40102} or status.kind in {StatusClass.OK, StatusClass.CREATED}:
            continue
        return about_code(status, entry.message, bare_url=bare_url)
    return None


def number_in(header: str | None) -> int | None:
    """The whole number that *header* is; None for anything else, or none."""
    if header is None or len(header) > 9 or not (header.isascii() and header.isdecimal()):
        return None
    return int(header)


@lru_cache(maxsize=8)
def date_in(header: str | None) -> datetime | None:
    """The moment in a ``Date`` header, UTC; None if there is none that can be read."""
    # All replies of one second say the same.
    try:
        moment = parsedate_to_datetime(header or "")
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def reply_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    strict: bool = False,
    of_answers: bool = False,
) -> Reply:
    """A reply as it came; with *strict* damaged text is not mended (``read_envelope``).
    *of_answers*: its results can only be answers (``read_answers``).
    """
    envelope, fault = None, ""
    try:
        envelope = read_answers(body) if of_answers else read_envelope(body, mend=not strict)
    except Unreadable as error:
        fault = str(error)
    wait_s = number_in(headers.get("Retry-After"))
    return Reply(
        http_status=status,
        body=body,
        envelope=envelope,
        fault=fault,
        server_date=date_in(headers.get("Date")),
        wait_s=None if wait_s is None else float(min(wait_s, 3600)),
    )
