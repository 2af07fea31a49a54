"""``runner simulate``: serves a simulated account until somebody stops it."""

import asyncio
import ipaddress
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.cli.layout import pairs
from runner.cli.session import Session
from runner.errors import Exit
from runner.settings import AISA_PATH, is_loopback
from runner.simulator.account import Account
from runner.simulator.journal import open_account
from runner.simulator.readers import scenario_from_options, scenario_from_toml
from runner.simulator.scenario import Scenario
from runner.simulator.server import SimulatorServer, serve

if TYPE_CHECKING:
    from runner.cli.commands.simulate import SimulateOptions


def simulate(session: Session, given: "SimulateOptions") -> Exit:
    """Listen until SIGINT or SIGTERM.

    Raises:
        WrongInput: an option or the scenario is wrong, or the port cannot be had.
        TryLater: the account's file is open in another process.
    """
    if given["password"]:
        session.voice.secrets.add(given["password"])
    scenario = scenario_of(given)
    with open_account(given["account"], scenario=scenario) as account:
        asyncio.run(_until_stopped(session, account, given["host"], given["port"]))
    return Exit.DONE


def scenario_of(given: "SimulateOptions") -> Scenario:
    """What the scenario file says, changed by the flags.

    Raises:
        WrongInput: one of them cannot be read.
    """
    path = given["scenario"]
    scenario = scenario_from_options(
        scenario_from_toml(path) if path else None,
        latency=given["latency"],
        error_rate=given["error_rate"],
        lose_posts=given["lose_posts"],
        speed=given["speed"],
        seed=given["seed"],
    )
    if given["calls_per_minute"] is not None:
        scenario = replace(scenario, calls_per_minute=given["calls_per_minute"])
    if given["login"] is not None:
        scenario = replace(scenario, login=given["login"])
    if given["password"] is not None:
        scenario = replace(scenario, password=given["password"])
    return scenario


async def _until_stopped(session: Session, account: Account, host: str, port: int) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serve(account, host=host, port=port) as server:
        _tell(session, account, _url_from_here(server, host), server.port)
        if not is_loopback(host):
            session.voice.warn(
                f"whoever reaches port {server.port} of {host} can use this account and order "
                "faults in it; what is sent there is not encrypted"
            )
        await stopped.wait()


def _url_from_here(server: SimulatorServer, host: str) -> str:
    """The base URL, for this machine where *host* stands for all its addresses."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return server.url
    if not everywhere:
        return server.url
    return f"http://[::1]:{server.port}" if ":" in host else f"http://127.0.0.1:{server.port}"


def command_for(url: str) -> str:
    """A first run with it, whose answers get into no store and no folder of real ones."""
    return f"runner --api {url} --store simulated.db run demo -o simulated"


def _tell(session: Session, account: Account, url: str, port: int) -> None:
    scenario, voice = account.scenario, session.voice
    if voice.json:
        voice.document(
            {"schema": "runner.simulate/1", "url": url, "port": port, "seed": account.seed}
        )
    elif not voice.for_people:
        voice.answer(pairs("simulate.start", {"port": port, "seed": account.seed, "url": url}))
    else:
        parts = [f"simulated API on {url}", f"seed {account.seed}"]
        if scenario.error_rate:
            parts.append(f"{scenario.error_rate * 100:g} % errors")
        if scenario.speed != 1:
            parts.append(f"time runs {scenario.speed:g}×")
        parts.append(f"{scenario.calls_per_minute:,} calls/min")
        voice.answer(" · ".join(parts))
        login = scenario.login or "any"
        password = "…" if scenario.password else "any"
        voice.answer(
            f"use it with: DATAFORSEO_LOGIN={login} DATAFORSEO_PASSWORD={password} "
            f"{command_for(url)}\n"
            f'for gateway = "aisa" too: AISA_BASE_URL={url}{AISA_PATH} '
            f"AISA_API_KEY={'…' if scenario.aisa_key else 'sk-any'}\n"
            "Ctrl-C stops it"
        )
