"""The engines of one start: one for each account, on one store, seen as one.

Each has its own client, pace and signals; what waits is taken by whichever has room for it. One
that was refused stops alone, and what is out at its account is left to a later start.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from runner.api.errors import ApiError
from runner.app.ending import reason_of
from runner.app.opening import OwnStore, reached_gateways, running_engine
from runner.clock import Clock
from runner.errors import RunnerError, gravest
from runner.lifecycle import State
from runner.pipeline.engine import Engine
from runner.settings import Settings
from runner.store.protocol import TaskStore
from runner.store.values import RunStatus
from runner.task import Gateway


class Engines:
    """All engines of a start; at least one."""

    def __init__(self, parts: Sequence[Engine]) -> None:
        self.parts = tuple(parts)

    @property
    def lead(self) -> Engine:
        """The one that does what is for the whole store."""
        return self.parts[0]

    @property
    def store(self) -> TaskStore:
        return self.lead.store

    @property
    def clock(self) -> Clock:
        return self.lead.clock

    @property
    def working(self) -> list[Engine]:
        """Those that were not stopped."""
        return [each for each in self.parts if not each.signals.stopping.is_set()]

    @property
    def able(self) -> list[Engine]:
        """Those of them that can be expected to get anything done now."""
        return [each for each in self.working if not stuck(each)]

    @property
    def over(self) -> bool:
        """Whether nothing can be done any more in this start."""
        return not self.working or any(each.signals.broken is not None for each in self.parts)

    @property
    def in_flight(self) -> int:
        """Posts and fetches under way, of those at work."""
        return sum(each.signals.in_flight for each in self.working)

    @property
    def calls(self) -> int:
        """Calls made in this start."""
        return sum(each.signals.calls for each in self.parts)

    @property
    def calls_per_minute(self) -> int:
        """What those at work may make together."""
        return sum(each.pacer.calls_per_minute for each in self.working or self.parts)

    @property
    def collected(self) -> bool:
        """Whether nothing was left to be asked for, at any account."""
        return all(each.signals.collected for each in self.working)

    @property
    def reconciled(self) -> bool:
        """Whether what is in doubt was looked for, in each account."""
        return all(each.signals.reconciled for each in self.working)

    @property
    def extras_found(self) -> bool:
        """Whether something paid twice was found and not asked for yet."""
        return any(each.signals.extras_found for each in self.working)

    async def out(self, status: RunStatus) -> bool:
        """Whether tasks of a run are out where somebody at work can ask for them.

        Raises:
            StoreUnwritable: the store cannot be read just now.
        """
        states = status.states
        if not (states[State.POSTING] or states[State.POSTED] or states[State.UNKNOWN]):
            return False
        if len(self.working) == len(self.parts):
            return True
        accounts = {each.account for each in self.working}
        accounts |= {lane.account for each in self.working for lane in each.live.values()}
        return any([await self.store.out_at(status.run.id, account) for account in accounts])

    def trouble(self) -> RunnerError | None:
        """What a person who watches should know, if anything is wrong with any of them."""
        for each in self.parts:
            signals = each.signals
            found = signals.fatal or signals.unwritable or signals.blocked or signals.unreachable
            if found := found or signals.unlisted:
                return found
        return None

    def note(self) -> str | None:
        """The same in words, with the account's name where there are several."""
        trouble = self.trouble()
        if trouble is None:
            return None
        whose = next(each for each in self.parts if trouble in _troubles(each))
        return f"{whose.name}: {trouble.what}" if whose.name else trouble.what

    def reason(self, status: RunStatus, *, limit: int | None = None) -> RunnerError | None:
        """What kept this start from going on with a run; of several the gravest."""
        found = []
        for each in self.parts:
            reason = reason_of(each.signals, status, limit=limit)
            if reason is not None:
                found.append(_with_name(each, reason))
        code = gravest(each.exit_code for each in found)
        return next((each for each in found if each.exit_code is code), None)

    def fatal(self) -> RunnerError | None:
        """Why one of them stopped, if any did."""
        stopped = (each for each in self.parts if each.signals.fatal is not None)
        return next((_with_name(e, f) for e in stopped if (f := e.signals.fatal)), None)

    def blocked(self) -> list[str]:
        """Which accounts of several post nothing for now, and why."""
        found = ((each.name, each.signals.blocked) for each in self.parts)
        return [f"account {name} posts nothing: {why.what}" for name, why in found if name and why]

    def forget_shortages(self, run: int) -> None:
        """The limits of *run* have changed: there may be room again."""
        for each in self.parts:
            each.signals.forget_shortages(run)

    def stop(self) -> None:
        """End the stages of all."""
        for each in self.parts:
            each.signals.stop()

    async def rest(self, seconds: float) -> None:
        """Sleep, but wake when the first of those at work is asked to stop."""
        for each in self.working[:1]:
            await each.rest(seconds)


def stuck(engine: Engine) -> bool:
    """Whether *engine* only waits for somebody to be there again, or for a listing."""
    signals = engine.signals
    return any((signals.unreachable, signals.unwritable, signals.unlisted))


def _troubles(engine: Engine) -> tuple[RunnerError | None, ...]:
    signals = engine.signals
    return (
        signals.fatal,
        signals.unwritable,
        signals.blocked,
        signals.unreachable,
        signals.unlisted,
    )


def _with_name(engine: Engine, error: RunnerError) -> RunnerError:
    """*error*, which is about one account, saying about which where there are several."""
    if engine.name is None or not isinstance(error, ApiError):
        return error
    whose = f"account {engine.name}"
    if not (error.where or "").startswith(whose):
        error.where = f"{whose}, {error.where}" if error.where else whose
    return error


@asynccontextmanager
async def running_engines(
    settings: Settings,
    own: OwnStore,
    *,
    clock: Clock,
    needs: Collection[Gateway] = (Gateway.DATAFORSEO,),
    welcome: Collection[Gateway] = (),
    listening: bool = False,
) -> AsyncIterator[Engines]:
    """An engine for each account of ``[accounts]``, or the only one; as ``running_engine``.

    AIsa, which has one key, is called by the first. Accounts that are only welcome are all there
    or none: what one of them has taken unknown to the store another would be asked, and paid for.

    Raises:
        CredentialsRefused: those of an account that is needed are missing.
        WrongInput: the store belongs to another account, or tasks are out at one that is not here.
    """
    each_account = settings.each_account()
    theirs = {Gateway.DATAFORSEO}.intersection(welcome)
    if len(each_account) > 1 and any(reached_gateways(one, (), theirs) for one in each_account):
        needs = {*needs, Gateway.DATAFORSEO}
    if Gateway.DATAFORSEO not in needs:
        each_account = each_account[:1]
    async with AsyncExitStack() as stack:
        opened: list[Engine] = []
        for number, one in enumerate(each_account):
            called = [set(g) - ({Gateway.AISA} if number else set()) for g in (needs, welcome)]
            engine = await stack.enter_async_context(
                running_engine(
                    one,
                    own,
                    clock=clock,
                    needs=called[0],
                    welcome=called[1],
                    listening=listening,
                )
            )
            opened.append(replace(engine, leads=number == 0))
        standard = frozenset(each.account for each in opened if each.standard)
        if standard:
            await own.store.check_accounts(str(Gateway.DATAFORSEO), standard)
        among = standard if len(opened) > 1 else frozenset[int]()
        yield Engines([replace(each, accounts=among) for each in opened])
