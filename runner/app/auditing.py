"""The day's audit on a person's word, beside an engine that may be at work."""

from collections.abc import Sequence
from dataclasses import fields

from runner.app.opening import engine_beside
from runner.app.stopping import store_may_be_full
from runner.clock import Clock
from runner.errors import TryLater
from runner.pipeline.audit import audit
from runner.pipeline.extras import fetch_extras
from runner.settings import Settings
from runner.store.auditing import Audit


async def audit_now(*, settings: Settings, clock: Clock) -> Audit:
    """Compare the account's listing with the store now, and fetch what was paid twice; of several
    accounts each one's, and their sums are told.

    The engine's lock is not needed: what is booked here are short transactions, and the calls are
    free and counted in the store with the engine's own. The store must exist.

    Raises:
        TryLater: the listing cannot be had now, or the store cannot be written.
        ApiError: login refused, or no reply; its exit code says what it means.
        CredentialsRefused: login or password is missing.
        WrongInput: the store belongs to another account.
    """
    with store_may_be_full(settings):
        made = [await _audit_one(one, clock) for one in settings.each_account()]
    return together(made)


async def _audit_one(settings: Settings, clock: Clock) -> Audit:
    async with engine_beside(settings, clock=clock) as engine:
        # Its Date is the end of the window.
        await engine.api.user_data()
        made = await audit(engine, patient=False)
        if engine.signals.fatal is not None:
            raise engine.signals.fatal
        if made is None:
            whose = (
                f"the listing of account {engine.name}" if engine.name else "the account's listing"
            )
            raise TryLater(
                f"{whose} cannot be had now, so nothing was compared",
                how="try again later; runs compare once a day by themselves",
            )
        while await fetch_extras(engine):
            pass
        return made


def together(audits: Sequence[Audit]) -> Audit:
    """Several accounts' comparisons as one."""
    sums = {
        each.name: sum(getattr(audit, each.name) for audit in audits)
        for each in fields(Audit)
        if each.name not in ("start", "end", "whole")
    }
    return Audit(
        start=min(audit.start for audit in audits),
        end=max(audit.end for audit in audits),
        whole=all(audit.whole for audit in audits),
        **sums,
    )
