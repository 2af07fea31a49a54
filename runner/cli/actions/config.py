"""``runner config``: what holds here, and who says so."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner import windows
from runner.api.requests import MAX_BATCH
from runner.cli.layout import span
from runner.cli.session import Session
from runner.errors import Exit, WrongInput
from runner.logs import printable
from runner.pacing import LIMITS_PER_KIND, Kind
from runner.settings import FILE_NAME
from runner.settings.endpoint import ApiKind
from runner.settings.sources import Sources

if TYPE_CHECKING:
    from runner.settings import Settings

HIDDEN: Final = "********"
_THE_API: Final = "the API"
_SECRETS: Final = frozenset({"login", "password", "aisa_api_key", "secret", "secret_previous"})


@dataclass(frozen=True, slots=True)
class Row:
    """One value and who says so."""

    name: str
    value: object
    """None: not set."""
    origin: str

    @property
    def text(self) -> str:
        """As `config show` prints it."""
        match self.value:
            case None:
                return "(not set)"
            case bool():
                return "true" if self.value else "false"
            case float():
                return f"{self.value:g}"
            case _:
                return printable(str(self.value))


def show(session: Session, *, origin: bool) -> Exit:
    """Print every setting that holds, and the limits that hold always.

    Raises:
        WrongInput: a setting is wrong.
    """
    settings, voice = session.settings(), session.voice
    sources = Sources.read(environ=session.environ, flags={}, folder=Path.cwd())
    rows, limits = list(settings_of(settings, sources)), list(limits_of())
    if voice.json:
        voice.document(
            {
                "schema": "runner.config/1",
                "settings": [_as_json(row) for row in rows],
                "limits": [_as_json(row) for row in limits],
            }
        )
    else:
        voice.answer(_lines(rows, limits, origin=origin))
    for one in settings.each_account() if settings.api.kind is not ApiKind.SIM else ():
        for fault in one.found.faults:
            voice.note(f"the API cannot be called yet: {fault}")
    return Exit.DONE


def path(session: Session, origin: bool) -> Exit:
    """Print where runner.toml is, or would be.

    Raises:
        WrongInput: a setting is wrong, or *origin* was asked for.
    """
    if origin:
        raise WrongInput("--origin goes with config show", how="runner config show --origin")
    settings, voice = session.settings(), session.voice
    file = settings.workspace / FILE_NAME
    if voice.json:
        voice.document(
            {
                "schema": "runner.config_path/1",
                "path": str(file),
                "exists": file.is_file(),
                "workspace": str(settings.workspace),
            }
        )
    else:
        voice.answer(str(file))
    if not file.is_file():
        voice.note("there is no such file yet; runner init makes one")
    return Exit.DONE


def settings_of(settings: "Settings", sources: Sources) -> Iterator[Row]:
    """Every setting, with its value as it holds."""
    api = settings.origins.get("api") or settings.origin("base_url")
    yield Row("workspace", settings.workspace, _workspace_origin(settings))
    yield Row("api", str(settings.api.kind), api)
    yield Row("base_url", settings.api.base_url, api)
    for name in ("login", "password"):
        yield _secret(settings, name)
    yield _path(settings, sources, "password_file")
    names = ", ".join(each.name for each in settings.accounts)
    yield Row("accounts", names or None, settings.origin("accounts"))
    for one in settings.each_account() if settings.accounts else ():
        yield from _account(one)
    yield Row("aisa_base_url", settings.aisa_base_url, settings.origin("aisa_base_url"))
    yield _aisa_key(settings)
    yield _path(settings, sources, "aisa_api_key_file")
    for name in (
        "store",
        "calls_per_minute",
        "post_timeout_seconds",
        "settle_seconds",
        "allow_http",
        "host_id",
    ):
        value = settings.store_name if name == "store" else getattr(settings, name)
        yield Row(name, value, settings.origin(name))
    receiving = settings.receiving
    yield Row("public_url", receiving.public_url, settings.origin("public_url"))
    for name in ("secret", "secret_previous"):
        there = HIDDEN if getattr(receiving, name) else None
        yield Row(name, there, settings.origin(name))


def limits_of() -> Iterator[Row]:
    """What no setting changes."""
    yield Row("tasks_per_post", MAX_BATCH, _THE_API)
    for kind, name in (
        (Kind.TASKS_READY, "ready_lists_per_minute"),
        (Kind.ID_LIST, "listings_per_minute"),
        (Kind.USER_DATA, "account_calls_per_minute"),
    ):
        yield Row(name, LIMITS_PER_KIND[kind], _THE_API)
    yield Row("time_to_answer", span(windows.COMPLETION_WINDOW.total_seconds()), _THE_API)
    yield Row("answers_kept", span(windows.RESULT_WINDOW.total_seconds()), _THE_API)


def _workspace_origin(settings: "Settings") -> str:
    found = (settings.workspace / FILE_NAME).is_file()
    return f"the nearest {FILE_NAME}" if found else f"the current folder: no {FILE_NAME}"


def _path(settings: "Settings", sources: Sources, name: str) -> Row:
    file = sources.find(name)
    return Row(name, file and sources.expand(file), settings.origin(name))


def _account(settings: "Settings") -> Iterator[Row]:
    """What holds for one of several accounts; of its secrets whether they are there."""
    name = f"accounts.{settings.account}"
    origin = next(each.origin for each in settings.accounts if each.name == settings.account)
    yield Row(f"{name}.base_url", settings.api.base_url, origin)
    for secret in ("login", "password"):
        there = HIDDEN if getattr(settings.found, secret) else None
        yield Row(f"{name}.{secret}", there, origin)
    yield Row(f"{name}.calls_per_minute", settings.calls_per_minute, origin)


def _aisa_key(settings: "Settings") -> Row:
    """Whether AIsa's key is there and where from; never what it is."""
    if settings.api.kind is ApiKind.SIM:
        return Row("aisa_api_key", None, "not needed for the simulator")
    key = settings.found_aisa.key
    name = "aisa_api_key" if "aisa_api_key" in settings.origins else "aisa_api_key_file"
    origin = settings.origin(name)
    if key is None and origin == "default":
        origin = "nowhere"
    return Row("aisa_api_key", HIDDEN if key else None, origin)


def _secret(settings: "Settings", name: str) -> Row:
    """Whether it is there and where from; never what it is."""
    if settings.api.kind is ApiKind.SIM:
        return Row(name, None, "not needed for the simulator")
    value = getattr(settings.found, name)
    origin = settings.origin(name)
    if name == "password" and name not in settings.origins:
        origin = settings.origin("password_file")
    if value is None and origin == "default":
        origin = "nowhere"
    return Row(name, HIDDEN if value else None, origin)


def _as_json(row: Row) -> dict[str, object]:
    plain = row.value is None or isinstance(row.value, bool | int | float)
    return {
        "name": row.name,
        "value": row.value if plain else str(row.value),
        "origin": row.origin,
        "secret": row.name.rpartition(".")[2] in _SECRETS,
    }


def _lines(rows: list[Row], limits: list[Row], *, origin: bool) -> str:
    name_width = max(len(row.name) for row in (*rows, *limits))
    text_width = max(len(row.text) for row in (*rows, *limits))
    lines = []
    for number, row in enumerate((*rows, *limits)):
        if number == len(rows):
            lines += ["", "# limits that always hold"]
        line = f"{row.name:<{name_width}} = {row.text}"
        if origin:
            line = f"{row.name:<{name_width}} = {row.text:<{text_width}}  ({row.origin})"
        lines.append(line)
    return "\n".join(lines)
