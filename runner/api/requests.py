"""The bodies of calls: what is posted, listed and sent once more (API.md §2, §6, §7). Pure."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from runner.rows import Attempt

MAX_BATCH: Final = 100
"""Tasks in one task_post (API.md §3)."""

MAX_TAG: Final = 255
"""Characters of a tag (API.md §2)."""


def encode_post(
    attempts: Sequence[Attempt], *, postback_url: Callable[[str], str] | None = None
) -> bytes:
    """The body of a task_post: each attempt's object as it stands, with its tag put in, and where
    its answer is to be delivered: what *postback_url* says of the tag.

    Field values are copied byte for byte, so a number goes out exactly as it was written.

    Raises:
        ValueError: no attempts or more than 100, a tag twice, too long, or already in a body, or
            a body that is no JSON object.
    """
    if not 1 <= len(attempts) <= MAX_BATCH:
        raise ValueError(f"a call takes 1 to {MAX_BATCH} tasks, not {len(attempts)}")
    if len({attempt.tag for attempt in attempts}) < len(attempts):
        raise ValueError("two tasks of one call have the same tag")
    tagged = [_tagged(attempt) for attempt in attempts]
    if postback_url is not None:
        for attempt, fields in zip(attempts, tagged, strict=True):
            fields["postback_url"] = postback_url(attempt.tag)
    return msgspec.json.encode(tagged)


_Fields = dict[str, msgspec.Raw]
_fields: Final = msgspec.json.Decoder(_Fields)


def _tagged(attempt: Attempt) -> dict[str, msgspec.Raw | str]:
    try:
        fields = _fields.decode(attempt.body)
    except ValueError:
        raise ValueError(f"the request of task {attempt.task} is no JSON object") from None
    if "tag" in fields:
        raise ValueError(f"the request of task {attempt.task} has a tag of its own")
    if not 1 <= len(attempt.tag) <= MAX_TAG:
        raise ValueError(f"the tag of task {attempt.task} is not 1 to {MAX_TAG} characters long")
    return {**fields, "tag": attempt.tag}


def encode_listing(start: datetime, end: datetime, *, offset: int, limit: int) -> bytes:
    """The body of an ``id_list`` for tasks posted from *start* to *end*, with their parameters."""
    window = {
        "datetime_from": f"{start.astimezone(UTC):%Y-%m-%d %H:%M:%S} +00:00",
        "datetime_to": f"{end.astimezone(UTC):%Y-%m-%d %H:%M:%S} +00:00",
        "limit": limit,
        "offset": offset,
        "sort": "asc",
        "include_metadata": True,
    }
    return msgspec.json.encode([window])


def encode_resend(ids: Sequence[str]) -> bytes:
    """The body of a ``webhook_resend``.

    Raises:
        ValueError: no ids or more than 100.
    """
    if not 1 <= len(ids) <= MAX_BATCH:
        raise ValueError(f"a call takes 1 to {MAX_BATCH} ids, not {len(ids)}")
    return msgspec.json.encode([{"id": each} for each in ids])
