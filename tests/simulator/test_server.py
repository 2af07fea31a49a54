"""The contract of API.md over real HTTP on loopback, and connections that break on purpose."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from runner.errors import WrongInput
from runner.simulator.account import Account
from runner.simulator.faults import Fault
from runner.simulator.journal import open_account
from runner.simulator.scenario import Scenario
from runner.simulator.server import SimulatorServer, serve
from tests.simulator.helpers import (
    AT_ONCE,
    AUTHORIZATION,
    CLAUDE,
    ManualClock,
    new_account,
    question,
)
from tests.support.waiting import until

POST = f"{CLAUDE}/task_post"


class Client:
    """Asks a server as a program would; no redirects, no retries."""

    def __init__(self, server: SimulatorServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.account: Account = server.account
        self._session = session

    async def ask(
        self, method: str, path: str, *, body: object = None, data: bytes | None = None
    ) -> tuple[int, Any, Any]:
        """HTTP status, headers and the body: JSON if it is, else bytes."""
        sent = json.dumps(body).encode() if body is not None else data
        async with self._session.request(
            method, self.server.url + path, data=sent, allow_redirects=False
        ) as response:
            raw = await response.read()
            try:
                return response.status, response.headers, json.loads(raw)
            except ValueError:
                return response.status, response.headers, raw

    async def post(self, *questions: dict[str, Any]) -> Any:
        _, _, told = await self.ask("POST", POST, body=list(questions))
        return told

    async def arm(self, **order: Any) -> None:
        status, _, told = await self.ask("POST", "/simulator/control", body={"arm": [order]})
        assert status == 200, told

    @property
    def created(self) -> int:
        return self.account.ledger.totals.created


@asynccontextmanager
async def talking_to(account: Account) -> AsyncIterator[Client]:
    headers = {"Authorization": AUTHORIZATION}
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        serve(account) as server,
        aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
    ):
        yield Client(server, session)


@pytest.fixture
async def client(account: Account) -> AsyncIterator[Client]:
    async with talking_to(account) as made:
        yield made


async def test_a_task_goes_through_its_whole_life_over_http(
    client: Client, clock: ManualClock
) -> None:
    """Posted, listed, fetched: the shapes of the documentation."""
    status, headers, told = await client.ask("POST", POST, body=[question("é日本")])
    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert list(told) == [
        "version",
        "status_code",
        "status_message",
        "time",
        "cost",
        "tasks_count",
        "tasks_error",
        "tasks",
    ]
    (outcome,) = told["tasks"]
    assert list(outcome) == [
        "id",
        "status_code",
        "status_message",
        "time",
        "cost",
        "result_count",
        "path",
        "data",
        "result",
    ]
    assert outcome["path"] == POST.strip("/").split("/")
    clock.advance(timedelta(seconds=10))
    _, _, ready = await client.ask("GET", f"{CLAUDE}/tasks_ready")
    (row,) = ready["tasks"][0]["result"]
    assert (row["id"], row["tag"]) == (outcome["id"], "é日本")
    _, _, done = await client.ask("GET", row["endpoint"])
    assert done["tasks"][0]["data"]["tag"] == "é日本"
    assert done["tasks"][0]["result"][0]["datetime"] == "2026-11-20 10:00:10 +00:00"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 40502),
        (b"  ", 40502),
        (b"[]", 40502),
        (b"{", 40503),
        (b"{}", 40503),
        (b"\xff\xfe", 40503),
        (b"[" * 100_000, 40503),
    ],
)
async def test_a_body_that_is_no_list_of_tasks_is_refused(
    client: Client, data: bytes, code: int
) -> None:
    """Always an array (API.md §1); an error of the whole call, not of HTTP."""
    status, _, told = await client.ask("POST", POST, data=data)
    assert (status, told["status_code"], told["tasks"]) == (200, code, None)


async def test_perplexity_has_no_standard_method(client: Client) -> None:
    """HTTP 404 in the API's envelope."""
    path = "/v3/ai_optimization/perplexity/llm_responses/task_post"
    status, _, told = await client.ask("POST", path, body=[question()])
    assert (status, told["status_code"]) == (404, 40400)


async def test_the_date_header_is_the_simulated_time(client: Client, clock: ManualClock) -> None:
    """Clients measure settling and the 72 hours by it."""
    clock.advance(timedelta(days=2))
    _, headers, _ = await client.ask("GET", f"{CLAUDE}/models")
    assert parsedate_to_datetime(headers["Date"]) == clock.now()


async def test_rate_headers_travel(client: Client) -> None:
    """On every reply of the API."""
    _, headers, _ = await client.ask("GET", f"{CLAUDE}/task_get/x")
    assert headers["X-RateLimit-Limit"] == "2000"
    assert headers["X-RateLimit-Remaining"] == "1999"


async def test_a_lost_reply_was_accepted(client: Client) -> None:
    """The case that the whole product is about: no reply, and the task is paid."""
    await client.arm(fault="drop_after", call="task_post")
    with pytest.raises(aiohttp.ClientError):
        await client.post(question("lost"))
    assert client.created == 1
    await client.post(question("next"))
    assert client.created == 2


async def test_a_lost_request_was_not_accepted(client: Client) -> None:
    """Looks the same from outside."""
    await client.arm(fault="drop_before", call="task_post")
    with pytest.raises(aiohttp.ClientError):
        await client.post(question("lost"))
    assert client.created == 0


@pytest.mark.parametrize(
    ("fault", "status", "created"),
    [
        ("http_500_before", 500, 0),
        ("http_500_after", 500, 1),
        ("http_429", 429, 0),
        ("redirect", 307, 0),
        ("html", 200, 1),
        ("garbage_body", 200, 1),
        ("rate_limited", 200, 0),
        ("payment_required", 402, 0),
        ("unauthorized", 401, 0),
        ("refused_call", 200, 0),
        ("accepted_twice", 200, 2),
    ],
)
async def test_a_fault_strikes_where_it_says(
    client: Client, fault: str, status: int, created: int
) -> None:
    """Before the account changes, or after: the ledger knows, the client does not."""
    await client.arm(fault=fault)
    seen, _, _ = await client.ask("POST", POST, body=[question("struck")])
    assert (seen, client.created) == (status, created)
    assert (await client.post(question("next")))["tasks"][0]["status_code"] == 20100


async def test_a_redirect_leads_back_here(client: Client) -> None:
    """A client that follows it posts twice over."""
    await client.arm(fault="redirect")
    _, headers, _ = await client.ask("POST", POST, body=[question()])
    assert headers["Location"] == client.server.url + POST


@pytest.mark.parametrize("fault", ["html", "garbage_body"])
async def test_a_spoiled_body_is_no_json(client: Client, fault: str) -> None:
    """HTTP 200 says nothing."""
    await client.arm(fault=fault)
    _, _, told = await client.ask("POST", POST, body=[question()])
    assert isinstance(told, bytes)


async def test_a_body_can_break_off(client: Client) -> None:
    """Half a reply is no reply, though the tasks in it exist."""
    await client.arm(fault="cut_body")
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.post(question())
    assert client.created == 1


@pytest.mark.parametrize(("fault", "created"), [("stall_before", 0), ("stall_after", 1)])
async def test_a_stalled_reply_never_comes(client: Client, fault: str, created: int) -> None:
    """Only a timeout of the client's own ends this."""
    await client.arm(fault=fault, seconds=30)
    asking = asyncio.create_task(client.post(question()))
    await until(lambda: client.account.faults.struck.get(Fault(fault)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asking, 0.2)
    assert client.created == created


async def test_a_slow_reply_is_right_in_the_end(client: Client) -> None:
    """Late is not lost."""
    await client.arm(fault="slow", seconds=0.05)
    told = await client.post(question())
    assert told["tasks"][0]["status_code"] == 20100


async def test_the_end_of_the_server_does_not_wait_for_a_stall(clock: ManualClock) -> None:
    """A run that is stopped must not hang on its own simulator."""
    async with asyncio.timeout(30):
        async with talking_to(new_account(clock)) as client:
            await client.arm(fault="stall_after", seconds=60)
            asking = asyncio.create_task(client.post(question()))
            await until(lambda: client.created)
        with pytest.raises((aiohttp.ClientError, RuntimeError)):
            await asking


async def tags_after(client: Client, fault: str) -> list[str | None]:
    await client.arm(fault=fault)
    told = await client.post(*(question(f"t{number}") for number in range(4)))
    return [each["data"].get("tag") for each in told["tasks"]]


async def test_tags_can_be_doubled_foreign_or_missing(client: Client) -> None:
    """Nothing may be attached to the wrong task, so each of these leaves somebody in doubt."""
    assert await tags_after(client, "tag_doubled") == ["t0", "t0", "t2", "t3"]
    assert await tags_after(client, "tag_foreign") == ["someone-else:000001", "t1", "t2", "t3"]
    assert await tags_after(client, "tag_missing") == [None, "t1", "t2", "t3"]
    assert await tags_after(client, "task_missing") == ["t1", "t2", "t3"]
    shuffled = await tags_after(client, "shuffled")
    assert shuffled != ["t0", "t1", "t2", "t3"]
    assert sorted(str(tag) for tag in shuffled) == ["t0", "t1", "t2", "t3"]
    assert client.created == 20


async def test_single_tasks_can_be_made_to_fail(client: Client, clock: ManualClock) -> None:
    """By their prompt, so that a test knows which."""
    await client.arm(fault="task_fails", code=40101, match="Miele")
    await client.arm(fault="task_stuck", match="Bosch", skip=1)
    await client.arm(fault="task_refused", code=50000, match="Neff")
    prompts = ["Bosch", "Bosch again", "Miele", "Neff", "Siemens"]
    told = await client.post(*(question(text, user_prompt=text) for text in prompts))
    assert [each["status_code"] for each in told["tasks"]] == [20100, 20100, 20100, 50000, 20100]
    clock.advance(timedelta(seconds=10))
    codes = {
        line.prompt: line.code for line in client.account.ledger.entries(client.account.now_ms())
    }
    assert codes == {"Bosch": 20000, "Bosch again": None, "Miele": 40101, "Siemens": 20000}


async def test_faults_strike_only_the_calls_they_are_for(client: Client) -> None:
    """An order for posts must not be used up by polls."""
    await client.arm(fault="http_500_before", call="task_post", times=2, skip=1)
    statuses = []
    for _ in range(4):
        await client.ask("GET", f"{CLAUDE}/task_get/x")
        status, _, _ = await client.ask("POST", POST, body=[question()])
        statuses.append(status)
    assert statuses == [200, 500, 500, 200]


async def test_rates_strike_by_chance(client: Client) -> None:
    """A rate of 1 is every call, of 0 none; the counts are told."""
    setting = {"set": {"faults": {"task_get": {"http_500_before": 1}, "html": 0}}}
    _, _, told = await client.ask("POST", "/simulator/control", body=setting)
    assert told["faults_struck"] == {}
    assert (await client.ask("GET", f"{CLAUDE}/task_get/x"))[0] == 500
    assert (await client.ask("GET", f"{CLAUDE}/models"))[0] == 200
    _, _, told = await client.ask("GET", "/simulator/ledger")
    assert told["faults_struck"] == {"http_500_before": 1}


async def test_the_ledger_is_told_in_nanodollars(client: Client) -> None:
    """Integers only: tests compare to the nano-dollar."""
    await client.post(question("a"), question("a"), question("b"))
    _, _, told = await client.ask("GET", "/simulator/ledger")
    assert told["created"] == 3
    assert told["taken_nanousd"] == 30_600_000
    assert told["balance_nanousd"] == told["deposited_nanousd"] - 30_600_000
    assert told["duplicate_tags"] == 1
    assert told["calls"]["task_post"] == 1
    assert told["largest_minute"] == 1
    _, _, page = await client.ask("GET", "/simulator/ledger/tasks?offset=1&limit=1")
    assert page["total"] == 3
    assert [(row["tag"], row["taken_nanousd"]) for row in page["tasks"]] == [("a", 10_200_000)]
    status, _, _ = await client.ask("GET", "/simulator/ledger/tasks?limit=all")
    assert status == 400


@pytest.mark.parametrize(
    "message",
    [
        [],
        {"amr": []},
        {"arm": [{"fault": "nothing"}]},
        {"arm": [7]},
        {"set": {"error_rate": 7}, "arm": [{"fault": "html"}]},
        {"deposit_usd": "x", "arm": [{"fault": "html"}]},
        {"advance_s": -1, "arm": [{"fault": "html"}]},
        {"advance_s": 5, "arm": [{"fault": "html"}]},
    ],
)
async def test_a_wrong_control_message_changes_nothing(client: Client, message: object) -> None:
    """A mistyped order must fail the test that gave it."""
    before = client.account.scenario
    status, _, told = await client.ask("POST", "/simulator/control", body=message)
    assert status == 400
    assert told["error"]
    assert client.account.scenario is before
    assert not client.account.faults.ordered


async def test_money_time_and_orders_can_be_changed_from_outside() -> None:
    """A run in another process is tested with a moved clock, too."""
    account = open_account(scenario=Scenario(latency=AT_ONCE, stuck_rate=1.0))
    async with talking_to(account) as client:
        told = await client.post(question())
        path = f"{CLAUDE}/task_get/{told['tasks'][0]['id']}"
        body = {"advance_s": 72 * 3600, "deposit_usd": "0.5", "arm": {"fault": "html"}}
        before = account.ledger.deposited
        _, _, oracle = await client.ask("POST", "/simulator/control", body=body)
        assert oracle["deposited_nanousd"] == before + 500_000_000
        assert oracle["faults_ordered"] == {"html": 1}
        await client.ask("POST", "/simulator/control", body={"disarm": True})
        _, _, done = await client.ask("GET", path)
        assert done["tasks"][0]["status_code"] == 40103


async def test_a_port_that_is_taken_is_named(client: Client) -> None:
    """Exit 2 and another port to try."""
    with pytest.raises(WrongInput, match=str(client.server.port)):
        await serve(client.account, port=client.server.port).start()


async def test_a_journal_that_fails_answers_500(tmp_path: Path, clock: ManualClock) -> None:
    """The account is closed under the server's feet: nothing is promised that is not kept."""
    account = open_account(tmp_path / "account.jsonl", clock=clock)
    async with talking_to(account) as client:
        account.close()
        status, _, told = await client.ask("POST", POST, body=[question()])
        assert (status, told["status_code"], client.created) == (500, 50000, 0)


async def test_replies_can_take_their_time(clock: ManualClock) -> None:
    """Real round trips are not instant."""
    async with talking_to(new_account(clock, reply_delay_s=0.05)) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.post(question()), 0.01)
        assert (await client.post(question()))["status_code"] == 20000
