"""``[accounts]`` of runner.toml: several logins at DataForSEO, each under a name.

    [accounts.agency]                 # letters, digits, - and _
    login = "…"                       # or login_env = "VARIABLE", or DATAFORSEO_LOGIN_AGENCY
    password_env = "VARIABLE"         # or password_file, or DATAFORSEO_PASSWORD_AGENCY (_FILE)
    base_url = "https://…"            # default: that of all
    calls_per_minute = 2000           # default: that of all

What the environment says of an account goes before the file, as everywhere. A password never
stands in the file.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from runner.settings.credentials import Credentials, Found, login_fault, read_secret, worth_hiding
from runner.settings.endpoint import Api, NotAnApi, api_at
from runner.settings.sources import FILE_NAME, Given, Sources, Wrong, shown

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_KEYS: Final = ("login", "login_env", "password_env", "password_file", "base_url")
_ALL_KEYS: Final = (*_KEYS, "calls_per_minute")
_NO_PASSWORD: Final = (
    "password may not stand here: this file is copied and committed, and a password must not be; "
    "name a variable with password_env, or a file with password_file"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAccount:
    """One entry of ``[accounts]``."""

    name: str
    found: Found = field(repr=False)
    api: Api | None = None
    """Its own base URL, if it has one."""
    calls_per_minute: int | None = None
    origin: str = FILE_NAME
    """Where it stands."""

    def secrets(self) -> set[str]:
        """What no log, error or page may show."""
        login, password = self.found.login or "", self.found.password
        if password:
            return Credentials(login, password).secrets()
        return {login} if worth_hiding(login) else set()


def variables_of(name: str) -> tuple[str, str, str]:
    """The variables for login, password and password file of the account *name*."""
    suffix = name.upper().replace("-", "_")
    password = f"DATAFORSEO_PASSWORD_{suffix}"
    return f"DATAFORSEO_LOGIN_{suffix}", password, f"{password}_FILE"


def find_accounts(
    sources: Sources, *, api: Api, allow_http: bool, whole: Callable[[object], int]
) -> tuple[tuple[NamedAccount, ...], list[Wrong]]:
    """The accounts in the order of the file, and every mistake in what is said of them.

    *api*: whom those call that name no base URL; *whole* reads a number of calls, and raises
    ``ValueError`` with what it must be.
    """
    given = sources.find("accounts")
    if given is None:
        return (), []
    if not isinstance(given.value, Mapping) or not given.value:
        return (), [given.wrong("accounts must be tables: [accounts.NAME], one for each login")]
    wrong: list[Wrong] = []
    accounts: list[NamedAccount] = []
    for name, table in given.value.items():
        entry = _Entry(sources, given, str(name), table, wrong)
        if entry.is_sound():
            accounts.append(entry.account(allow_http=allow_http, whole=whole))
    _refuse_alike(accounts, api, given, wrong)
    return tuple(accounts), wrong


def beside_accounts(sources: Sources) -> list[str]:
    """What is given for one login and means nothing where ``[accounts]`` names several."""
    return [
        f"{given.variable or f'{key} ({given.origin})'} is not used: the accounts of [accounts] "
        "have logins and passwords of their own"
        for key in ("login", "password", "password_file")
        if (given := sources.find(key)) is not None
    ]


class _Entry:
    """One table as it stands in the file."""

    def __init__(
        self, sources: Sources, given: Given, name: str, table: object, wrong: list[Wrong]
    ) -> None:
        self._sources = sources
        self._given = given
        self._name = name
        self._table: Mapping[str, object] = table if isinstance(table, Mapping) else {}
        self._wrong = wrong
        self._is_table = isinstance(table, Mapping)

    def _at(self, *key: str) -> Given:
        """The value under *key*, with its place; of no key, the table itself."""
        value = self._table[key[0]] if key else None
        place = self._sources.place_of("accounts", self._name, *key)
        if place is None:
            return Given(value, self._given.origin, self._given.place)
        return Given(value, f"{FILE_NAME}:{place[1]}:{place[2]}", place)

    def _refuse(self, given: Given, message: str) -> None:
        self._wrong.append(given.wrong(f"account {shown(self._name)[1:-1]}: {message}"))

    def is_sound(self) -> bool:
        """Whether its name and keys may be; what may not is noted."""
        before = len(self._wrong)
        if not _NAME.fullmatch(self._name):
            self._refuse(self._at(), "a name has letters, digits, - and _, at most 32")
        if not self._is_table:
            self._refuse(self._at(), f"must be a table: [accounts.{shown(self._name)[1:-1]}]")
        for key in self._table:
            if key == "password":
                self._refuse(self._at(key), _NO_PASSWORD)
            elif key not in _ALL_KEYS:
                near = get_close_matches(key, _ALL_KEYS, n=1, cutoff=0.6)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_ALL_KEYS)}"
                self._refuse(self._at(key), f"{shown(key)[1:-1]}: unknown setting; {hint}")
            elif key in _KEYS and not (isinstance(self._table[key], str) and self._table[key]):
                self._refuse(self._at(key), f"{key} must be a text")
        for one, other in (("login", "login_env"), ("password_env", "password_file")):
            if one in self._table and other in self._table:
                self._refuse(self._at(other), f"{one} and {other} are both given; leave one out")
        return len(self._wrong) == before

    def account(self, *, allow_http: bool, whole: Callable[[object], int]) -> NamedAccount:
        """The account; what cannot be used of its credentials only a call minds."""
        api, calls = None, None
        if "base_url" in self._table:
            try:
                api = api_at(str(self._table["base_url"]).strip(), allow_http=allow_http)
            except NotAnApi as bad:
                for reason in bad.args:
                    self._refuse(self._at("base_url"), f"base_url {reason}")
        if "calls_per_minute" in self._table:
            try:
                calls = whole(self._table["calls_per_minute"])
            except ValueError as bad:
                self._refuse(self._at("calls_per_minute"), f"calls_per_minute {bad}")
        return NamedAccount(
            name=self._name,
            found=self._found(),
            api=api,
            calls_per_minute=calls,
            origin=self._at().origin,
        )

    def _found(self) -> Found:
        faults: list[str] = []
        warnings: list[str] = []
        login_variable, variable, _ = variables_of(self._name)
        login = self._said("login", "login_env", (login_variable,))
        if login is None:
            named = self._table.get("login_env", login_variable)
            faults.append(f"there is no login of account {self._name}: {named} is not set")
        elif fault := login_fault(login.value):
            faults.append(f"the login from {login.origin} {fault}")
        direct = self._said(None, "password_env", (variable,))
        file = self._said("password_file", None, (f"{variable}_FILE",))
        if direct is not None and direct.variable == variable and file and not file.variable:
            file = None
        elif file is not None and file.variable and direct and direct.variable != variable:
            direct = None
        named = str(self._table.get("password_env", variable))
        password = read_secret(
            "password",
            named,
            direct,
            file,
            self._sources,
            faults,
            warnings,
            whose=f" of account {self._name}",
        )
        return Found(
            login.value if login and isinstance(login.value, str) else None,
            password,
            tuple(faults),
            tuple(warnings),
        )

    def _said(
        self, key: str | None, env_key: str | None, variables: tuple[str, ...]
    ) -> Given | None:
        """From the environment, else from the variable that the file names, else from the file."""
        if env_key in self._table:
            variables = (*variables, str(self._table[str(env_key)]))
        for variable in variables:
            if value := self._sources.environ.get(variable):
                return Given(value, f"{variable} (environment)", variable=variable)
        return self._at(key) if key is not None and key in self._table else None


def _refuse_alike(accounts: list[NamedAccount], api: Api, given: Given, wrong: list[Wrong]) -> None:
    """Two names for one login would wait for, and bill, each other's tasks."""
    logins: dict[tuple[str, str | None], str] = {}
    suffixes: dict[str, str] = {}
    for account in accounts:
        (variable, *_) = variables_of(account.name)
        if (first := suffixes.setdefault(variable, account.name)) != account.name:
            wrong.append(
                given.wrong(
                    f"accounts {first} and {account.name} would share {variable}; rename one"
                )
            )
        if account.found.login is None:
            continue
        key = (account.found.login, (account.api or api).base_url)
        if (first := logins.setdefault(key, account.name)) != account.name:
            wrong.append(
                given.wrong(
                    f"accounts {first} and {account.name} have the same login and base URL; "
                    "one account needs one name"
                )
            )
