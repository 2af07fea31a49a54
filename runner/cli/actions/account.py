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


_AISA: Final = {"balance": None, "task_price": None, "calls_per_minute": None}
"""AIsa has no call that tells; its replies name a rate, which is kept to (API.md §12)."""


def account(session: Session, given: "AccountOptions") -> Exit:
    """Tell the balance; code 4 if it is below ``--min``.

    Raises:
        RunnerError: as ``app.read_account`` does.
    """
    settings, voice = session.settings(), session.voice
    session.open_log()
    found = run_async(lambda: app.read_account(settings=settings, clock=session.clock))
    balance, stated = found.stated.balance_nanousd, found.stated.calls_per_minute
    low = _low(balance, None if given["min"] is None else nanos(given["min"]))
    if low is not None:
        voice.error(low, Exit.MONEY)
    if voice.json:
        price = found.stated.task_price_nanousd
        voice.document(
            {
                "schema": "runner.account/1",
                "api": str(settings.api),
                "login": found.stated.login,
                "balance": None if balance is None else exact(balance),
                "held": exact(found.held_nanousd),
                "task_price": None if price is None else exact(price),
                "calls_per_minute": {"stated": stated, "used_at_most": found.calls_per_minute},
                "aisa": _AISA if settings.found_aisa.key else None,
                "exit": int(Exit.MONEY if low else Exit.DONE),
            }
        )
    elif voice.for_people:
        text = f"balance {'unknown' if balance is None else short(balance)}"
        text += f" · held by us {short(found.held_nanousd)}"
        text += f" · {'unknown' if stated is None else f'{stated:,}'} calls/min stated, "
        voice.answer(f"{text}at most {found.calls_per_minute:,} used")
        if settings.found_aisa.key:
            voice.answer("aisa: balance, price and limits unknown; it states them nowhere")
    else:
        keys: dict[str, object] = {
            "balance": "unknown" if balance is None else amount(balance),
            "held": amount(found.held_nanousd),
            "calls_per_minute": "unknown" if stated is None else stated,
            "used_at_most": found.calls_per_minute,
        }
        voice.answer(pairs("account", keys))
    return Exit.MONEY if low else Exit.DONE


def _low(balance: int | None, least: int | None) -> MoneyStopped | None:
    """Why the balance is not enough. One that the API does not state is none."""
    if least is None or (balance is not None and balance >= least):
        return None
    said = "unknown" if balance is None else short(balance)
    return MoneyStopped(
        f"the balance is {said}, and should be {short(least)} at least",
        how="top it up at the API's dashboard",
    )
