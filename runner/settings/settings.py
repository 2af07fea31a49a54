"""The settings of one start of runner: read once, checked at once, then only looked at."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self, TypeVar

from runner.errors import CredentialsRefused, WrongInput
from runner.settings.accounts import NamedAccount, beside_accounts, find_accounts, variables_of
from runner.settings.credentials import (
    SIMULATED_AISA_KEY,
    Credentials,
    Found,
    FoundKey,
    find_aisa_key,
    find_credentials,
    simulated,
    worth_hiding,
)
from runner.settings.endpoint import (
    AISA_URL,
    LIVE,
    Api,
    ApiKind,
    NotAnApi,
    aisa_at,
    api_at,
    api_named,
    speaks_clear_text,
)
from runner.settings.receiving import Receiving, find_receiving
from runner.settings.server import is_server, secrets_of, shown_address, side_name
from runner.settings.sources import NAMES, Given, Sources, Wrong, error_of, shown

CALLS_PER_MINUTE: Final = (1, 100_000)
"""Bounds of the account's own limit; documents say 2,000, and 10,000 since 2026-10 (API.md §3)."""

POST_TIMEOUT_SECONDS: Final = (0.01, 3600.0)
"""Bounds of how long a post may take in all; tests shrink it."""

SETTLE_SECONDS: Final = (0.01, 86_400.0)
"""Bounds of the wait before a doubtful post may be called absent; tests shrink it."""

_VARIABLES: Final = ("DATAFORSEO_LOGIN", "DATAFORSEO_PASSWORD", "DATAFORSEO_PASSWORD_FILE")

_ON: Final = ("1", "true", "yes", "on")
_OFF: Final = ("0", "false", "no", "off")
_LONGEST_HOST_ID: Final = 255

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for this start. A secret shows in no repr."""

    workspace: Path
    """The folder of the nearest runner.toml, else the start folder. Absolute."""
    store: Path
    """The store's file, absolute. A rehearsal (sim, sandbox) has one of its own. For a store on a
    server a name beside which the files of this host's processes stand; it is no file itself."""
    server: str | None = field(default=None, repr=False)
    """The connection URI of a store on PostgreSQL, password and all."""
    api: Api = LIVE
    aisa_base_url: str | None = None
    """AIsa's base URL, with ``/apis/v1``; None where none is known (``aisa``)."""
    calls_per_minute: int = 2000
    """The most calls a minute, all kinds together; headers can only lower it."""
    post_timeout_seconds: float = 60.0
    settle_seconds: float = 900.0
    allow_http: bool = False
    host_id: str | None = None
    """What this host calls itself, for the check that a store was not copied; None: not said."""
    warnings: tuple[str, ...] = ()
    """What a person should hear once, though nothing is refused for it."""
    receiving: Receiving = field(default_factory=Receiving)
    """Where the API delivers answers by itself, if anywhere."""
    found: Found = field(default_factory=Found, repr=False)
    found_aisa: FoundKey = field(default_factory=FoundKey, repr=False)
    accounts: tuple[NamedAccount, ...] = ()
    """Those of ``[accounts]``; none where there is one login."""
    account: str | None = None
    """Which of them these settings are for (``each_account``); None: all, or the only one."""
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}")

    @classmethod
    def load(
        cls, *, environ: Mapping[str, str], flags: Mapping[str, object], workspace: Path
    ) -> Self:
        """Read flags, *environ* and the runner.toml found from the folder *workspace* upwards.

        A flag that is None was not given. Missing credentials are no mistake here: only a command
        that calls the API needs them (``credentials``).

        Raises:
            WrongInput: one or more settings are wrong; all of them are named.
            ValueError: *flags* has a name that is no setting with a flag: a bug of the caller.
        """
        sources = Sources.read(environ=environ, flags=flags, folder=workspace)
        reader = _Reader(sources)
        allow_http = reader.get("allow_http", _switch, default=False)
        api = reader.api(allow_http=allow_http)
        aisa = reader.aisa(api, allow_http=allow_http)
        server, store = reader.server_and_store(api)
        calls = reader.get("calls_per_minute", _whole(CALLS_PER_MINUTE), default=2000)
        timeout = reader.get("post_timeout_seconds", _seconds(POST_TIMEOUT_SECONDS), default=60.0)
        settle = reader.get("settle_seconds", _seconds(SETTLE_SECONDS), default=900.0)
        host_id = reader.get("host_id", _host_id, default=None)
        receiving, wrong = find_receiving(sources)
        reader.add_wrong(wrong)
        accounts, wrong = find_accounts(
            sources, api=api, allow_http=allow_http, whole=_whole(CALLS_PER_MINUTE)
        )
        reader.add_wrong(wrong)
        reader.raise_if_wrong()
        found = find_credentials(sources)
        found_aisa = find_aisa_key(sources)
        for key in (
            *("login", "password", "password_file", "aisa_api_key", "aisa_api_key_file"),
            *("public_url", "secret", "secret_previous", "accounts"),
        ):
            reader.note_origin(key)
        warnings = [
            *sources.misspelt([each for a in accounts for each in variables_of(a.name)]),
            *(beside_accounts(sources) if accounts else found.warnings),
            *(each for account in accounts for each in account.found.warnings),
            *found_aisa.warnings,
            *receiving.warnings,
        ]
        if aisa and speaks_clear_text(Api(ApiKind.URL, aisa)):
            warnings.append(f"{aisa} is not encrypted: the AIsa key travels in clear")
        if speaks_clear_text(api):
            warnings.append(f"{api.base_url} is not encrypted: login and password travel in clear")
        return cls(
            workspace=sources.workspace,
            store=store,
            server=server,
            api=api,
            aisa_base_url=aisa,
            calls_per_minute=calls,
            post_timeout_seconds=timeout,
            settle_seconds=settle,
            allow_http=allow_http,
            host_id=host_id,
            receiving=receiving,
            warnings=tuple(warnings),
            found=found,
            found_aisa=found_aisa,
            accounts=accounts,
            origins=reader.origins,
        )

    def each_account(self) -> tuple[Self, ...]:
        """These settings as they hold for each account at DataForSEO, in the order of the file."""
        if not self.accounts or self.account is not None:
            return (self,)
        # What a flag says it says of all of them.
        own_urls, own_pace = (
            not self.origin(key).endswith("(flag)") for key in ("api", "calls_per_minute")
        )
        return tuple(
            replace(
                self,
                account=each.name,
                found=each.found,
                api=(each.api if own_urls else None) or self.api,
                calls_per_minute=(each.calls_per_minute if own_pace else None)
                or self.calls_per_minute,
            )
            for each in self.accounts
        )

    @property
    def place(self) -> Path | str:
        """Where to open the store."""
        return self.server or self.store

    @property
    def store_name(self) -> str:
        """Where the store is, for people."""
        return shown_address(self.server) if self.server else str(self.store)

    @property
    def has_store(self) -> bool:
        """Whether there is a store, as far as can be seen without opening it."""
        return self.server is not None or self.store.exists()

    def origin(self, name: str) -> str:
        """Where the value of *name* comes from, such as ``runner.toml:3:1`` or ``default``.

        Raises:
            KeyError: no such setting.
        """
        if name not in {known.key for known in NAMES}:
            raise KeyError(name)
        return self.origins.get(name, "default")

    def of_account(self, name: str | None) -> Self:
        """The same for the account *name* alone; as they are where there is none of that name."""
        return next((each for each in self.each_account() if each.account == name), self)

    def credentials(self) -> Credentials:
        """Login and password for the API that is called; made-up ones for the simulator inside.

        Raises:
            CredentialsRefused: one is missing or cannot be used; the message names the variables.
        """
        if self.accounts and self.account is None:
            return self.each_account()[0].credentials()
        if self.api.kind is ApiKind.SIM:
            return simulated(self.account)
        login, password = self.found.login, self.found.password
        if self.found.faults or login is None or password is None:
            variable, _, file = variables_of(self.account) if self.account else _VARIABLES
            raise CredentialsRefused(
                "the API cannot be called without login and password",
                where="the settings; nothing was sent",
                why="; ".join(self.found.faults) or "neither was given",
                how=f"export {variable}=… {file}=…",
            )
        return Credentials(login, password)

    def aisa(self) -> tuple[str | None, str]:
        """AIsa's base URL and key; no URL and a made-up key for the simulator inside, whose port
        only the one who starts it knows.

        Raises:
            CredentialsRefused: the key is missing or cannot be used.
            WrongInput: a rehearsal would call, and pay, the real AIsa.
        """
        if self.api.kind is ApiKind.SIM:
            return None, SIMULATED_AISA_KEY
        if self.aisa_base_url is None:
            raise WrongInput(
                f"--api {self.api} says nothing about AIsa, which has no free sandbox",
                why="its real address is called only together with the real API, --api live",
                how='set AISA_BASE_URL, or leave out the targets with gateway = "aisa"',
            )
        key = self.found_aisa.key
        if self.found_aisa.faults or not key:
            raise CredentialsRefused(
                "AIsa cannot be called without its key",
                where="the settings; nothing was sent",
                why="; ".join(self.found_aisa.faults) or "none was given",
                how="export AISA_API_KEY_FILE=…",
            )
        return self.aisa_base_url, key

    def secrets(self) -> frozenset[str]:
        """Every text that no output may show, for the log's masker; usable or not."""
        hidden = secrets_of(self.server) if self.server else frozenset()
        login, password = self.found.login or "", self.found.password
        others = self.found_aisa.secrets() | self.receiving.secrets()
        others = others.union(*(each.secrets() for each in self.accounts))
        if not password:
            return hidden | frozenset(others | ({login} if worth_hiding(login) else set()))
        return hidden | frozenset(others | Credentials(login, password).secrets())


_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "calls_per_minute": CALLS_PER_MINUTE,
    "post_timeout_seconds": POST_TIMEOUT_SECONDS,
    "settle_seconds": SETTLE_SECONDS,
}


class _Bad(ValueError):
    """A value that a setting cannot take; the message says what it can."""


class _Reader:
    """Takes values from the sources and keeps every mistake and every origin."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.origins: dict[str, str] = {}
        self._wrong: list[Wrong] = list(sources.wrong)

    def add_wrong(self, wrong: Sequence[Wrong]) -> None:
        """Mistakes that were found elsewhere, to be told with the others."""
        self._wrong += wrong

    def note_origin(self, key: str) -> Given | None:
        """The value of *key*; its origin is kept."""
        given = self.sources.find(key)
        if given:
            self.origins[key] = given.origin
        return given

    def get(self, key: str, parse: Callable[[object], T], *, default: T) -> T:
        """The value of *key* as *parse* reads it; *default* if there is none or it is wrong."""
        given = self.note_origin(key)
        if given is None:
            return default
        try:
            return parse(given.value)
        except _Bad as bad:
            self._wrong.append(given.wrong(f"{key} {bad}"))
            return default

    def api(self, *, allow_http: bool) -> Api:
        """Whom to call: ``--api`` before the base URL of environment or file."""
        for key, parse in (("api", api_named), ("base_url", api_at)):
            given = self.note_origin(key)
            if given is None:
                continue
            try:
                return parse(_text(given.value), allow_http=allow_http)
            except (_Bad, NotAnApi) as bad:
                self._wrong += [given.wrong(f"{key} {reason}") for reason in bad.args]
                return LIVE
        return LIVE

    def aisa(self, api: Api, *, allow_http: bool) -> str | None:
        """AIsa's base URL: the one given, else its own beside the real API, else none."""
        given = self.note_origin("aisa_base_url")
        if given is None:
            return AISA_URL if api.kind is ApiKind.LIVE else None
        try:
            return aisa_at(_text(given.value), allow_http=allow_http)
        except (_Bad, NotAnApi) as bad:
            self._wrong += [given.wrong(f"aisa_base_url {reason}") for reason in bad.args]
            return None

    def server_and_store(self, api: Api) -> tuple[str | None, Path]:
        """The store's server, if it is on one, and its file.

        A rehearsal has a file of its own unless a flag names another place.
        """
        given = self.note_origin("store")
        path = self.sources.workspace / "runner.db"
        rehearsal = api.kind in (ApiKind.SIM, ApiKind.SANDBOX) and not (given and given.by_flag)
        if given is not None and is_server(given.value):
            if not rehearsal:
                dsn = str(given.value).strip()
                return dsn, self.sources.workspace / side_name(dsn)
        elif given is not None:
            try:
                path = _store_path(self.sources, given)
            except _Bad as bad:
                self._wrong.append(given.wrong(f"store {bad}"))
        if not rehearsal:
            return None, path
        if given:
            self.origins["store"] = f"{given.origin}, apart for {api.kind}"
        return None, path.with_name(f"{path.stem}-{api.kind}{path.suffix}")

    def raise_if_wrong(self) -> None:
        """Raise one error that names every mistake, if there is any."""
        if self._wrong:
            raise error_of(self._wrong)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Bad(f"must be a text, got {shown(value)}")
    return value.strip()


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = _text(value).lower()
    if word not in (*_ON, *_OFF):
        raise _Bad(f"must be 1 or 0, got {shown(value)}")
    return word in _ON


def _host_id(value: object) -> str:
    text = _text(value)
    if not text.isprintable() or not 0 < len(text) <= _LONGEST_HOST_ID:
        raise _Bad(f"must be 1 to {_LONGEST_HOST_ID} printable characters")
    return text


def _whole(bounds: tuple[int, int]) -> Callable[[object], int]:
    low, high = bounds

    def parse(value: object) -> int:
        number = value
        # Longer digits are out of range anyway, and int() refuses thousands of them.
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()):
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise _Bad(f"must be a whole number from {low} to {high}, got {shown(value)}")
        return number

    return parse


def _seconds(bounds: tuple[float, float]) -> Callable[[object], float]:
    low, high = bounds

    def parse(value: object) -> float:
        number = value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", value.strip()):
            number = float(value)
        # NaN fails both comparisons; an int too long for a float can be compared with one.
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or not low <= number <= high
        ):
            raise _Bad(f"must be seconds from {low:g} to {high:g}, got {shown(value)}")
        return float(number)

    return parse


def _store_path(sources: Sources, given: Given) -> Path:
    text = str(given.value) if isinstance(given.value, str | Path) else ""
    # A URL is never repeated: it may hold a password.
    if "://" in text or text.startswith(("file:", ":")):
        raise _Bad("must be the path of a file or postgresql://…, not a URL or a special name")
    path = sources.expand(given)
    if path is None:
        raise _Bad("must be the path of a file")
    try:
        folder = text.endswith("/") or path.is_dir()
    except OSError as error:
        raise _Bad(f"cannot be looked at: {error.strerror or 'no access'}") from error
    if folder:
        raise _Bad(f"is a folder, {shown(text)}; it must be the path of a file")
    return path
