"""Where settings come from: flag > environment > ``runner.toml`` > default; each with its origin.

    --store night.db                  "--store (flag)"
    RUNNER_STORE=night.db             "RUNNER_STORE (environment)"
    runner.toml: store = "night.db"   "runner.toml:3:1"

An empty environment variable counts as not set. A setting comes from a job file only where that
file's own reader says so; it is not read here.
"""

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Self

from runner.errors import Problem, WrongInput

FILE_NAME: Final = "runner.toml"
"""Marks the workspace: the nearest folder, from the start folder upwards, that has it."""


@dataclass(frozen=True, slots=True)
class Name:
    """One setting and the places that may give it."""

    key: str
    """In runner.toml and among the flags."""
    variables: tuple[str, ...] = ()
    """In the environment; the first one that is set counts."""
    flag: bool = False
    not_in_file: str = ""
    """Why runner.toml may not give it; empty if it may."""


NAMES: Final = (
    Name("api", flag=True, not_in_file="whom to call is said by --api or base_url"),
    Name("base_url", ("DATAFORSEO_BASE_URL",)),
    Name("login", ("DATAFORSEO_LOGIN", "DATAFORSEO_USERNAME")),
    Name(
        "password",
        ("DATAFORSEO_PASSWORD",),
        not_in_file="this file is copied and committed, and a password must not be; set "
        "DATAFORSEO_PASSWORD, or name a file with password_file",
    ),
    Name("password_file", ("DATAFORSEO_PASSWORD_FILE",)),
    Name("aisa_base_url", ("AISA_BASE_URL",)),
    Name(
        "aisa_api_key",
        ("AISA_API_KEY",),
        not_in_file="this file is copied and committed, and a key must not be; set AISA_API_KEY, "
        "or name a file with aisa_api_key_file",
    ),
    Name("aisa_api_key_file", ("AISA_API_KEY_FILE",)),
    Name("accounts"),
    Name("store", ("RUNNER_STORE",), flag=True),
    Name("calls_per_minute", ("RUNNER_CALLS_PER_MINUTE",), flag=True),
    Name("post_timeout_seconds", ("RUNNER_POST_TIMEOUT_SECONDS",), flag=True),
    Name("settle_seconds", ("RUNNER_SETTLE_SECONDS",), flag=True),
    Name(
        "allow_http",
        ("RUNNER_ALLOW_HTTP",),
        not_in_file="sending a password in clear is said for each machine, by RUNNER_ALLOW_HTTP",
    ),
    Name("public_url", ("RUNNER_PUBLIC_URL",)),
    Name(
        "secret",
        ("RUNNER_SECRET",),
        not_in_file="this file is copied and committed, and a secret must not be; set "
        "RUNNER_SECRET",
    ),
    Name(
        "secret_previous",
        ("RUNNER_SECRET_PREVIOUS",),
        not_in_file="this file is copied and committed, and a secret must not be; set "
        "RUNNER_SECRET_PREVIOUS",
    ),
    Name(
        "host_id",
        ("RUNNER_HOST_ID",),
        not_in_file="a copied file would carry it to another host; set RUNNER_HOST_ID",
    ),
)
_BY_KEY: Final = {name.key: name for name in NAMES}
_FILE_KEYS: Final = tuple(name.key for name in NAMES if not name.not_in_file)
_PREFIXES: Final = ("RUNNER_", "DATAFORSEO_", "AISA_")
_VARIABLES: Final = tuple(variable for name in NAMES for variable in name.variables)


@dataclass(frozen=True, slots=True)
class Given:
    """A value as a person wrote it, and where."""

    value: object = field(repr=False)
    origin: str
    place: tuple[str, int, int] | None = None
    """Path, line and column, if it stands in runner.toml."""
    variable: str | None = None
    """The environment variable, if it came from one."""
    by_flag: bool = False

    def wrong(self, message: str) -> "Wrong":
        """*message* tied to where the value was given."""
        return Wrong(self.origin, message, place=self.place, variable=self.variable)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake in the settings."""

    origin: str
    message: str
    place: tuple[str, int, int] | None = None
    variable: str | None = None

    def problem(self) -> Problem | None:
        """With file, line and column; None if it does not stand in a file."""
        return Problem(*self.place, self.message) if self.place else None


def error_of(wrong: Sequence[Wrong]) -> WrongInput:
    """One error that names every mistake, each once: those in the file with their places."""
    problems = [problem for each in wrong if (problem := each.problem())]
    others = [each for each in wrong if each.place is None]
    unset = " ".join(dict.fromkeys(each.variable for each in others if each.variable))
    where = why = None
    if len(wrong) == len(others) == 1:
        what, where = others[0].message, others[0].origin
    elif not others:
        what = f"{len(wrong)} {'mistake' if len(wrong) == 1 else 'mistakes'} in {FILE_NAME}"
    else:
        what = f"{len(wrong)} settings are wrong"
        why = "\n  ".join(f"{each.origin}: {each.message}" for each in others)
    return WrongInput(
        what,
        problems=sorted(problems, key=lambda each: (each.path, each.line, each.column)),
        where=where,
        why=why,
        how=f"correct or unset {unset}" if unset else None,
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """All that was given, and what was wrong with the places themselves."""

    folder: Path
    """The start folder, absolute."""
    workspace: Path
    """The folder of the nearest runner.toml; the start folder if there is none."""
    environ: Mapping[str, str] = field(repr=False)
    flags: Mapping[str, object] = field(repr=False)
    file: Mapping[str, Given] = field(repr=False)
    wrong: tuple[Wrong, ...]
    places: Mapping[tuple[str, ...], tuple[int, int]] = field(default_factory=dict, repr=False)
    """Line and column of each key of runner.toml, those in tables too."""

    @classmethod
    def read(cls, *, environ: Mapping[str, str], flags: Mapping[str, object], folder: Path) -> Self:
        """Look for runner.toml from *folder* upwards and read it.

        Raises:
            ValueError: *flags* has a name that is no setting with a flag: a bug of the caller.
        """
        for flag in flags:
            if flag not in _BY_KEY or not _BY_KEY[flag].flag:
                raise ValueError(f"no setting with a flag: {flag}")
        start = folder.absolute()
        workspace = _workspace(start)
        given: dict[str, Given] = {}
        wrong: list[Wrong] = []
        places: dict[tuple[str, ...], tuple[int, int]] = {}
        if workspace is not None:
            given, wrong, places = _read_file(workspace / FILE_NAME)
        return cls(start, workspace or start, environ, flags, given, tuple(wrong), places)

    def find(self, key: str) -> Given | None:
        """The value of *key* from the place that counts most; None if nobody gave one."""
        name = _BY_KEY[key]
        if self.flags.get(key) is not None:
            return Given(self.flags[key], f"--{key.replace('_', '-')} (flag)", by_flag=True)
        for variable in name.variables:
            if self.environ.get(variable):
                return Given(self.environ[variable], f"{variable} (environment)", variable=variable)
        return self.file.get(key)

    def place_of(self, *key: str) -> tuple[str, int, int] | None:
        """Path, line and column of a key of runner.toml; None if it is written otherwise than one
        a line under its header."""
        place = self.places.get(key)
        return None if place is None else (str(self.workspace / FILE_NAME), *place)

    def base_of(self, given: Given) -> Path:
        """What a relative path is relative to: the folder of the file it stands in, if any."""
        return self.workspace if given.place else self.folder

    def expand(self, given: Given) -> Path | None:
        """The absolute path that *given* names, ``~`` included; None if it is not a path."""
        text = given.value
        if not isinstance(text, str | Path) or "\x00" in str(text) or not str(text).strip():
            return None
        home = self.environ.get("HOME")
        if home and (str(text) == "~" or str(text).startswith("~/")):
            text = home + str(text)[1:]
        return self.base_of(given) / text

    def misspelt(self, others: Collection[str] = ()) -> list[str]:
        """A sentence for each variable that looks like one of ours but is not, nor one of the
        *others* that are used."""
        ours = (name for name in self.environ if name.startswith(_PREFIXES))
        sentences = []
        for name in sorted(set(ours) - set(_VARIABLES) - set(others)):
            # Near only: CI systems set RUNNER_ variables of their own.
            near = get_close_matches(name, _VARIABLES, n=1, cutoff=0.87)
            if near and name.isprintable():
                sentences.append(f"{name} is not a setting; did you mean {near[0]}?")
        return sentences


def shown(value: object) -> str:
    """*value* as an error may print it: short and on one line."""
    if isinstance(value, str):
        cut = "".join(c if c.isprintable() else "?" for c in value[:40])
        return f'"{cut}{"…" if len(value) > 40 else ""}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 100:
        return "a number of over 30 digits"
    if isinstance(value, int | float):
        return str(value)
    return f"a value of type {type(value).__name__}"


def _workspace(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        try:
            if (folder / FILE_NAME).is_file():
                return folder
        except OSError:
            continue  # a parent that we may not look into cannot be our workspace
    return None


_Places = dict[tuple[str, ...], tuple[int, int]]


def _read_file(path: Path) -> tuple[dict[str, Given], list[Wrong], _Places]:
    label = FILE_NAME
    try:
        text = path.read_bytes().decode("utf-8-sig")
        values = tomllib.loads(text)
    except OSError as error:
        return {}, [Wrong(str(path), f"{label} cannot be read: {error.strerror or error}")], {}
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return {}, [_wrong_at(path, (line, 1), "is not UTF-8")], {}
    except tomllib.TOMLDecodeError as error:
        place, message = _toml_error(str(error), text)
        return {}, [_wrong_at(path, place, message)], {}
    places = _places(text)
    given: dict[str, Given] = {}
    wrong: list[Wrong] = []
    for key, value in values.items():
        line, column = places.get((key,), (1, 1))
        refused = _refused_in_file(key)
        if refused:
            wrong.append(_wrong_at(path, (line, column), refused))
        else:
            given[key] = Given(value, f"{label}:{line}:{column}", (str(path), line, column))
    return given, wrong, places


def _wrong_at(path: Path, place: tuple[int, int], message: str) -> Wrong:
    line, column = place
    return Wrong(f"{FILE_NAME}:{line}:{column}", message, place=(str(path), line, column))


def _refused_in_file(key: str) -> str:
    """Why runner.toml may not have *key*; empty if it may."""
    if key in _FILE_KEYS:
        return ""
    plain = key.lower().replace("-", "_").removeprefix("dataforseo_").removeprefix("runner_")
    if plain in _BY_KEY and _BY_KEY[plain].not_in_file:
        return f"{plain} may not stand here: {_BY_KEY[plain].not_in_file}"
    near = get_close_matches(plain, _FILE_KEYS, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_FILE_KEYS)}"
    return f"{shown(key)[1:-1]}: unknown setting; {hint}"


_TOML_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_KEY_ON_LINE: Final = re.compile(r"""\s*\[{0,2}\s*["']?([^\s"'=.\[\]]+)["']?\s*[=.\]]""")
_HEADER: Final = re.compile(r"\s*\[{1,2}([^\[\]]+)\]")


def _toml_error(text: str, source: str) -> tuple[tuple[int, int], str]:
    found = _TOML_PLACE.search(text)
    message = f"is not valid TOML: {_TOML_PLACE.sub('', text)}"
    if found and found[1]:
        return (int(found[1]), int(found[2])), message
    return (source.count("\n") + 1, 1), message


def _places(text: str) -> _Places:
    """Line and column, from 1, of each key at the start of a line; the first one counts."""
    places: _Places = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        found = _KEY_ON_LINE.match(line)
        if found is None:
            continue
        place = (number, found.start(1) + 1)
        header = _HEADER.match(line)
        if header is None:
            places.setdefault((*table, found[1]), place)
        else:
            table = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            for depth in range(1, len(table) + 1):
                places.setdefault(table[:depth], place)
    return places
