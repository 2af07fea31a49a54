"""The account's listing: rows are read field by field, and a window is asked as documented."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import stamina

from runner.api.client import LlmResponses
from runner.api.errors import ApiError, ProtocolFault
from runner.api.requests import encode_listing
from runner.api.wire import listed_rows, read_envelope
from runner.parameters import TABLE, request_digest
from tests.api.loopback import Server, http, serving

START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
END = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)

ROW = {
    "id": "11210200-0696-0613-1000-29a9acb77e9c",
    "url": "https://api.dataforseo.com/v3/ai_optimization/claude/llm_responses/task_post",
    "datetime_posted": "2026-11-21 02:00:05 +00:00",
    "datetime_done": None,
    "status": "Task In Progress.",
    "cost": 0.0102,
    "metadata": {"user_prompt": "Why?", "tag": "t1"},
}


@pytest.fixture(autouse=True)
def _no_waits() -> Iterator[None]:
    """Retries happen, without the waits between them."""
    with stamina.set_testing(True, attempts=3):
        yield


@asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[LlmResponses]:
    async with LlmResponses(base_url=server.url, login="me", password="secret") as client:
        yield client


def body(*rows: object) -> bytes:
    task = {"id": "x", "status_code": 20000, "status_message": "Ok.", "result": list(rows)}
    return json.dumps({"status_code": 20000, "status_message": "Ok.", "tasks": [task]}).encode()


def test_a_window_is_asked_in_utc_with_whole_seconds_and_the_parameters() -> None:
    """The field names and the form of times are the documented ones (API.md §7)."""
    (window,) = json.loads(encode_listing(START, END, offset=1000, limit=1000))
    assert window == {
        "datetime_from": "2026-11-21 02:00:00 +00:00",
        "datetime_to": "2026-11-21 03:00:00 +00:00",
        "limit": 1000,
        "offset": 1000,
        "sort": "asc",
        "include_metadata": True,
    }


def test_a_row_is_read_with_all_it_says() -> None:
    """The tag is what a lost task is found by, the cost what is booked for it."""
    (row,) = listed_rows(read_envelope(body(ROW)))
    assert (row.tag, row.prompt, row.described) == ("t1", "Why?", True)
    assert (row.cost_nanousd, row.status) == (10_200_000, "Task In Progress.")
    assert row.posted_at == datetime(2026, 11, 21, 2, 0, 5, tzinfo=UTC)
    assert row.url == ROW["url"]
    assert row.request == request_digest({"user_prompt": "Why?"})


@pytest.mark.parametrize("field", sorted({f.name for fields in TABLE.values() for f in fields}))
@pytest.mark.parametrize("value", [[], {}, True, 10**400, 1e308, "\x00", [{"role": {}}]])
def test_odd_parameters_cost_no_row(field: str, value: object) -> None:
    """The listing is whole or none: one row that cannot be read would hold up all that post."""
    (row,) = listed_rows(read_envelope(body(ROW | {"metadata": {"tag": "t1", field: value}})))
    assert row.id == ROW["id"]


@pytest.mark.parametrize("metadata", [None, {}, [], "text", 7])
def test_a_row_without_its_post_says_so(metadata: object) -> None:
    """Such a row may be any task: it must not read as one without a tag."""
    (row,) = listed_rows(read_envelope(body(ROW | {"metadata": metadata})))
    assert (row.described, row.tag, row.prompt) == (False, None, None)


@pytest.mark.parametrize("field", [name for name in ROW if name != "id"])
@pytest.mark.parametrize("value", [None, [], {}, True, -1, 1e308, "\x00"])
def test_odd_fields_cost_no_row(field: str, value: object) -> None:
    """A row that is left out is a task that looks absent."""
    (row,) = listed_rows(read_envelope(body(ROW | {field: value})))
    assert row.id == ROW["id"]


@pytest.mark.parametrize("row", [None, 7, [], {}, ROW | {"id": None}, ROW | {"id": "a b"}])
async def test_a_row_without_an_id_makes_the_whole_listing_unusable(row: object) -> None:
    """What cannot be read may be the one task that is looked for."""
    reply = http(body(ROW, row))
    async with serving(reply, reply, reply) as server, client_of(server) as client:
        with pytest.raises(ProtocolFault):
            await client.id_list(START, END)


async def test_the_listing_is_asked_for_by_post_and_may_be_asked_again() -> None:
    """It is free, so a hiccup is met with another try."""
    async with serving(http(b"", 500), http(body(ROW))) as server, client_of(server) as client:
        (row,) = await client.id_list(START, END, offset=0, limit=10)
    assert row.id == ROW["id"]
    assert len(server.requests) == 2
    head, _, sent = server.requests[1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v3/ai_optimization/id_list HTTP/1.1\r\n")
    assert sent == encode_listing(START, END, offset=0, limit=10)


async def test_a_listing_that_the_api_does_not_have_is_an_error_and_no_empty_list() -> None:
    """An empty list would be taken for proof of absence."""
    code = {"status_code": 40400, "status_message": "Not Found.", "tasks": []}
    reply = http(json.dumps(code).encode(), 404)
    async with serving(reply, reply, reply) as server, client_of(server) as client:
        with pytest.raises(ApiError):
            await client.id_list(START, END)


@pytest.mark.parametrize(
    ("end", "live"), [("live", True), ("live/", True), ("task_post", False), (None, False)]
)
def test_a_row_of_a_live_call_is_told_by_its_address(end: str | None, live: bool) -> None:
    """It may stand among the others (API.md §7), and must not be adopted: nothing is to fetch."""
    url = end and f"https://api.dataforseo.com/v3/ai_optimization/claude/llm_responses/{end}"
    body = {
        "status_code": 20000,
        "tasks": [{"status_code": 20000, "result": [{**ROW, "url": url}]}],
    }
    (row,) = listed_rows(read_envelope(json.dumps(body).encode()))
    assert row.live == live
