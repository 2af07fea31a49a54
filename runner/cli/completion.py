"""What the shell offers at TAB: commands, options, choices, jobs, runs.

    shell script ── _RUNNER_COMPLETE=bash_complete ──▶ entry ──▶ complete ──▶ a line for each offer

The script calls `runner` itself at every TAB, so this imports nothing heavy and reads the store
with one short query. Whatever goes wrong is silent: nobody asked for an error in mid-word.
"""

import contextlib
import copy
import io
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from runner.cli.catalogue import BY_NAME, TOPICS
from runner.cli.session import Session
from runner.cli.tree import COMPLETION_VARIABLE
from runner.errors import Exit, WrongInput

if TYPE_CHECKING:
    from runner.settings import Settings

_PLAIN: Final = re.compile(r"\w[\w.@~+-]*")
"""Words that no shell breaks, expands or takes for options once they stand on its command line."""

_BASH: Final = """\
# Completion for runner in bash:  source <(runner completion bash)
%(complete_func)s() {
    local line typed kept type value
    line=${COMP_LINE:0:COMP_POINT}
    typed=${line##*[[:space:]]}
    # Bash breaks words at signs such as @, which names of runs have, and replaces only the last
    # part ($2); so what stands before it must not be repeated.
    kept=${typed%%"$2"}
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("${value#"$kept"}") ;;
        esac
    done < <(env COMP_LINE="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """As click's, with names that have an ``@`` in them, and with older versions of bash."""

    source_template: ClassVar[str] = _BASH

    def source(self) -> str:
        # Click would start a bash to ask for its version; the script copes with all of them.
        return ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        session: Session = self.ctx_args["obj"]
        line = session.environ["COMP_LINE"]
        _program, *words = split_arg_string(line)
        if not words or line[-1].isspace():
            return words, ""
        return words[:-1], words[-1]


SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": _Bash,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


def script(tree: click.Command, shell: str) -> str:
    """The script that *shell* has to read once in each of its starts."""
    return SHELLS[shell](tree, {}, "runner", COMPLETION_VARIABLE).source()


def complete(tree: click.Command, session: Session, instruction: str) -> Exit:
    """Answer the shell's script, whose *instruction* is such as ``bash_complete``.

    Raises:
        WrongInput: *instruction* is none; the variable was set by mistake.
    """
    shell, _, wanted = instruction.partition("_")
    if shell not in SHELLS or wanted != "complete":
        raise WrongInput(
            f"{COMPLETION_VARIABLE} is set, though no shell is asking",
            how=f"unset {COMPLETION_VARIABLE}",
        )
    context: MutableMapping[str, Any] = {"obj": session}
    asked = SHELLS[shell](taught(tree), context, "runner", COMPLETION_VARIABLE)
    lines = ""
    # What --version and the like print while the line is parsed is no offer.
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        lines = asked.complete()
    if lines:
        session.voice.stdout.write(f"{lines}\n")
        session.voice.stdout.flush()
    return Exit.DONE


def taught(command: click.Command) -> click.Command:
    """A copy of *command* whose parameters know what to offer, those left out of helps too."""
    command = copy.copy(command)
    command.params = [_taught_parameter(parameter) for parameter in command.params]
    return command


def _taught_parameter(parameter: click.Parameter) -> click.Parameter:
    parameter = copy.copy(parameter)
    if isinstance(parameter, click.Option):
        parameter.hidden = False
    if isinstance(parameter.type, click.types.StringParamType):
        parameter.type = _Offering()
    return parameter


class _Offering(click.types.StringParamType):
    """A text, with offers by what the help calls it: ``[RUN|JOB]``, ``FILE``, ``live|sim|URL``."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        words = re.findall(r"[A-Za-z]+", param.metavar or str(param.name).upper())
        # Where a shell is offered files as well, it takes them only if nothing else fits.
        files = [CompletionItem(incomplete, type="dir")] if "DIR" in words else []
        if {"FILE", "JOB"} & set(words):
            files = [CompletionItem(incomplete, type="file")]
        session = ctx.find_object(Session)
        if session is None or "/" in incomplete:
            return files
        offers: dict[str, None] = {}
        for word in words:
            offers.update(dict.fromkeys(_offers(word, session, incomplete)))
        fitting = (name for name in offers if name.startswith(incomplete))
        return [*files, *(CompletionItem(name) for name in fitting if _PLAIN.fullmatch(name))]


def _offers(word: str, session: Session, incomplete: str) -> Iterator[str]:
    """What a parameter may be, by one *word* of how its help calls it."""
    if word == "RUN":
        yield from _runs(session, by_number=bool(re.fullmatch(r"r[0-9]+", incomplete)))
    elif word == "JOB":
        yield from _jobs(session)
    elif word == "COMMAND":
        yield from BY_NAME
    elif word == "TOPIC":
        yield from TOPICS
    elif word.islower():
        yield word


def _jobs(session: Session) -> list[str]:
    from runner.resources import shipped_jobs

    own = (_workspace(session) / "jobs").glob("*.toml")
    return sorted({path.stem for path in (*own, *shipped_jobs())})


def _runs(session: Session, *, by_number: bool) -> list[str]:
    with contextlib.suppress(Exception):
        from runner.store.sqlite.names import run_names

        runs = run_names(_settings(session).store)
        return [run.number if by_number else run.name for run in runs]
    return []


def _workspace(session: Session) -> Path:
    try:
        return _settings(session).workspace
    except WrongInput:
        return _folder(session)


def _settings(session: Session) -> "Settings":
    from runner.settings import Settings

    # A password is not needed here, and reading it may take long, or ask for a finger.
    secret = ("DATAFORSEO_PASSWORD", "AISA_API_KEY")
    environ = {k: v for k, v in session.environ.items() if not k.startswith(secret)}
    flags = {"api": session.shared.api, "store": session.shared.store}
    return Settings.load(environ=environ, flags=flags, workspace=_folder(session))


def _folder(session: Session) -> Path:
    """Where ``-C`` leads; the shell has not expanded a tilde in it yet."""
    return Path.cwd() / (session.shared.folder or Path()).expanduser()
