"""``runner account``: what is in it, what we hold of it, how fast it may be used."""

from typing import TYPE_CHECKING, Final

from runner import app
from runner.cli.layout import amount, pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, MoneyStopped
from runner.money import exact, nanos, short

if TYPE_CHECKING:
    from runner.cli.commands.account import AccountOptions
    from runner.clock import Clock
    from runner.settings import Settings


_AISA: Final = {"balance": None, "task_price": None, "calls_per_minute": None}
"""AIsa has no call that tells; its replies name a rate, which is kept to (API.md §12)."""


def account(session: Session, given: "AccountOptions") -> Exit:
    """Tell the balance; code 4 if it is below ``--min``.

    Raises:
        RunnerError: as ``app.read_account`` does.
    """
    settings, voice = session.settings(), session.voice
    session.open_log()
    least = None if given["min"] is None else nanos(given["min"])
    found = run_async(lambda: _read(settings, session.clock))
    low = False
    for name, account in found:
        if (why := _low(name, account.stated.balance_nanousd, least)) is not None:
            voice.error(why, Exit.MONEY)
            low = True
    code = Exit.MONEY if low else Exit.DONE
    if voice.json:
        each = [_document(name, account) for name, account in found]
        voice.document(
            {
                "schema": "runner.account/1",
                "api": str(settings.api),
                **({"accounts": each} if settings.accounts else each[0]),
                "aisa": _AISA if settings.found_aisa.key else None,
                "exit": int(code),
            }
        )
        return code
    for name, account in found:
        if voice.for_people:
            voice.answer((f"{name}: " if name else "") + _words(account))
        else:
            voice.answer(pairs("account", ({"name": name} if name else {}) | _keys(account)))
    if voice.for_people and settings.found_aisa.key:
        voice.answer("aisa: balance, price and limits unknown; it states them nowhere")
    return code


async def _read(settings: "Settings", clock: "Clock") -> list[tuple[str | None, app.Account]]:
    """Each account with its name; None for the only one."""
    return [
        (one.account, await app.read_account(settings=one, clock=clock))
        for one in settings.each_account()
    ]


def _document(name: str | None, found: app.Account) -> dict[str, object]:
    balance, price = found.stated.balance_nanousd, found.stated.task_price_nanousd
    stated = found.stated.calls_per_minute
    document: dict[str, object] = {
        "login": found.stated.login,
        "balance": None if balance is None else exact(balance),
        "held": exact(found.held_nanousd),
        "task_price": None if price is None else exact(price),
        "calls_per_minute": {"stated": stated, "used_at_most": found.calls_per_minute},
    }
    return {"name": name, **document} if name else document


def _words(found: app.Account) -> str:
    balance, stated = found.stated.balance_nanousd, found.stated.calls_per_minute
    text = f"balance {'unknown' if balance is None else short(balance)}"
    text += f" · held by us {short(found.held_nanousd)}"
    text += f" · {'unknown' if stated is None else f'{stated:,}'} calls/min stated, "
    return f"{text}at most {found.calls_per_minute:,} used"


def _keys(found: app.Account) -> dict[str, object]:
    balance, stated = found.stated.balance_nanousd, found.stated.calls_per_minute
    return {
        "balance": "unknown" if balance is None else amount(balance),
        "held": amount(found.held_nanousd),
        "calls_per_minute": "unknown" if stated is None else stated,
        "used_at_most": found.calls_per_minute,
    }


def _low(name: str | None, balance: int | None, least: int | None) -> MoneyStopped | None:
    """Why the balance is not enough. One that the API does not state is none."""
    if least is None or (balance is not None and balance >= least):
        return None
    said = "unknown" if balance is None else short(balance)
    whose = f"the balance of {name}" if name else "the balance"
    return MoneyStopped(
        f"{whose} is {said}, and should be {short(least)} at least",
        how="top it up at the API's dashboard",
    )
