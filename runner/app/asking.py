"""What the API says of itself: its models, and the account."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from runner.api.wire import AccountData, Model
from runner.app.opening import free_calls
from runner.clock import Clock, from_ms, to_ms
from runner.settings import Settings
from runner.store.opening import open_store_to_look
from runner.task import Provider

log = structlog.get_logger()

KEPT_FOR: Final = timedelta(days=1)
"""Model lists rotate; a day old is fresh enough (API.md §9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """The models of one provider."""

    provider: Provider
    models: tuple[Model, ...]
    asked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account as the API states it, and what we have out there."""

    stated: AccountData
    held_nanousd: int
    """May still be charged for tasks of this store, or come back."""
    calls_per_minute: int
    """What we use at most."""


async def list_models(
    providers: Iterable[Provider], *, settings: Settings, clock: Clock, refresh: bool
) -> list[ModelList]:
    """The models of each of *providers*: asked for now, or within the last day unless *refresh*.

    Raises:
        ApiError: the call failed; its exit code says what it means.
        CredentialsRefused: login or password is missing.
    """
    wanted = list(providers)
    cache = _Cache(settings)
    known = {} if refresh else cache.read(clock.now())
    if missing := [provider for provider in wanted if provider not in known]:
        # To the millisecond, as it is kept.
        now = from_ms(to_ms(clock.now()))
        try:
            async with free_calls(settings, clock=clock, counted=False) as api:
                for provider in missing:
                    models = tuple(await api.models(provider))
                    known[provider] = ModelList(provider=provider, models=models, asked_at=now)
        finally:
            # What came before a failure is kept, and so is what another process asked meanwhile.
            cache.write(cache.read(now) | known)
    return [known[provider] for provider in wanted]


def kept_models(*, settings: Settings, clock: Clock) -> dict[Provider, ModelList]:
    """The lists that were asked for within the last day; nothing is asked for."""
    return _Cache(settings).read(clock.now())


class _Cache:
    """The lists in a file beside the store: what they say is the API's word, not our state."""

    def __init__(self, settings: Settings) -> None:
        store = settings.store
        self._path = store.with_name(f"{store.stem}.models.json")
        self._api = str(settings.api)

    def read(self, now: datetime) -> dict[Provider, ModelList]:
        """What is fresh; nothing if the file is missing, damaged, or of another API."""
        try:
            kept = json.loads(self._path.read_bytes())
            if kept["api"] != self._api:
                return {}
            lists = [_unpacked(each) for each in kept["lists"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        # A time to come is one that a clock set back has left behind.
        fresh = [each for each in lists if timedelta(0) <= now - each.asked_at < KEPT_FOR]
        return {each.provider: each for each in fresh}

    def write(self, lists: dict[Provider, ModelList]) -> None:
        """Keep *lists*; without it they are asked for again."""
        kept = {
            "api": self._api,
            "lists": [
                {
                    "provider": each.provider,
                    "asked_at_ms": to_ms(each.asked_at),
                    "models": [asdict(model) for model in each.models],
                }
                for each in lists.values()
            ],
        }
        new: Path = self._path.with_name(f"{self._path.name}.new")
        try:
            new.write_text(json.dumps(kept), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            log.info("models.not_kept", error=error.strerror)


def _unpacked(kept: dict[str, object]) -> ModelList:
    models, asked_at = kept["models"], kept["asked_at_ms"]
    if not isinstance(models, list) or not isinstance(asked_at, int):
        raise TypeError("not a list of models")
    return ModelList(
        provider=Provider(str(kept["provider"])),
        models=tuple(Model(**model) for model in models),
        asked_at=from_ms(asked_at),
    )


async def read_account(*, settings: Settings, clock: Clock) -> Account:
    """Ask for the balance and limits of the account that *settings* are for: one free call.

    Raises:
        ApiError: the call failed; its exit code says what it means.
        CredentialsRefused: login or password is missing.
    """
    async with free_calls(settings, clock=clock) as api:
        stated = await api.user_data()
    held = 0
    if settings.has_store:
        async with open_store_to_look(settings.place, clock=clock) as store:
            named = {name: account for account, name in (await store.account_names()).items()}
            # Nothing was ever posted with an account that the store does not know.
            if settings.account is None or settings.account in named:
                held = (await store.spent(account=named.get(settings.account or ""))).held
    limits = [settings.calls_per_minute, *filter(None, [stated.calls_per_minute])]
    return Account(stated=stated, held_nanousd=held, calls_per_minute=min(limits))
