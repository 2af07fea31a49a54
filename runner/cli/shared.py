"""Options of every command. They may stand before or after its name; what comes later wins."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click

Colour = Literal["auto", "always", "never"]
ProgressMode = Literal["auto", "bar", "lines", "none"]
LogFormat = Literal["auto", "text", "json"]


@dataclass(slots=True)
class Shared:
    """What the shared options say; filled while the command line is parsed."""

    folder: Path | None = None
    api: str | None = None
    store: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: int = 0
    color: Colour = "auto"
    progress: ProgressMode = "auto"
    log_format: LogFormat = "auto"
    log_file: Path | None = None
    no_input: bool = False
    yes: bool = False
    debug: bool = False


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(ctx.obj.shared, name, value)

    return note


def _count(ctx: click.Context, _parameter: click.Parameter, value: int) -> None:
    if value:
        ctx.obj.shared.verbose += value


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from runner import __version__

        click.echo(f"runner {__version__}")
        ctx.exit()


def _option(*names: str, to: str, help: str, **more: Any) -> click.Option:
    return click.Option(
        [*names, f"shared_{to}"], expose_value=False, callback=_set(to), help=help, **more
    )


def shared_options(*, hidden: bool = False) -> list[click.Option]:
    """New options, to be added to a command; *hidden* leaves them out of its help."""
    options = _options()
    for option in options:
        option.hidden = hidden
    return options


def _options() -> list[click.Option]:
    return [
        _option(
            "-C",
            to="folder",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="As if started in DIR.",
        ),
        _option(
            "--api",
            to="api",
            metavar="live|sandbox|sim|URL",
            help="Whom to call; sim and sandbox cost nothing.",
        ),
        _option(
            "--store",
            to="store",
            metavar="PLACE",
            help="The queue: a file, by default runner.db, or postgresql://…",
        ),
        _option("--json", to="json", is_flag=True, help="Answer in JSON, on stdout."),
        _option(
            "-q",
            "--quiet",
            to="quiet",
            is_flag=True,
            help="Print nothing for exit codes 0, 3 and 75, else only the error.",
        ),
        click.Option(
            ["-v", "--verbose", "shared_verbose"],
            count=True,
            expose_value=False,
            callback=_count,
            help="Say why things happen; -vv each call too.",
        ),
        _option(
            "--color",
            to="color",
            type=click.Choice(["auto", "always", "never"]),
            help="Colours; NO_COLOR and FORCE_COLOR count too.",
        ),
        _option(
            "--progress",
            to="progress",
            type=click.Choice(["auto", "bar", "lines", "none"]),
            help="Bars on a terminal, else a line a minute.",
        ),
        _option(
            "--log-format",
            to="log_format",
            type=click.Choice(["auto", "text", "json"]),
            help="How log lines look.",
        ),
        _option(
            "--log-file",
            to="log_file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Append the log to FILE too.",
        ),
        _option("--no-input", to="no_input", is_flag=True, help="Never ask anything."),
        _option("-y", "--yes", to="yes", is_flag=True, help="Answer questions with yes."),
        _option("--debug", to="debug", is_flag=True, help="Show tracebacks."),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version.",
        ),
    ]


NAMES: Final = tuple(
    "/".join(option.opts) for option in shared_options() if option.name != "version"
)
"""As helps name them: ``-q/--quiet``."""
