"""From the process's arguments to its exit code; every error ends here."""

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

import click

from runner.cli import bugs
from runner.cli.session import Session
from runner.cli.shared import shared_options
from runner.cli.stopping import AT_ONCE, GO_ON, Stopped
from runner.cli.tree import COMPLETION_VARIABLE, Tree, short_tree
from runner.errors import Exit, RunnerError, WrongInput, gravest


def start(
    argv: Sequence[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> Exit:
    """Run one command line; never raises what a person could have caused."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    session = Session(
        # Either is None where the caller has closed it.
        stdout=stdout or sys.stdout or io.StringIO(),
        stderr=stderr or sys.stderr or io.StringIO(),
        environ=os.environ if environ is None else environ,
    )
    try:
        code = _ended(session, arguments)
        if session.known_settings is not None:
            from runner.cli.actions.uncollected import tell_uncollected

            tell_uncollected(session, code)
        return code
    finally:
        session.close()
        if session.voice.deaf:
            session.voice.hush()


def _ended(session: Session, argv: list[str]) -> Exit:
    try:
        return _called(session, argv)
    except BrokenPipeError:
        # The reader, such as `head`, has all that it wanted.
        session.voice.hush()
        return Exit.DONE
    except KeyboardInterrupt:
        return _told(session, _stopped(session), Exit.INTERRUPTED)
    except Stopped as stopped:
        return _told(session, _stopped(session), stopped.code)
    except click.ClickException as error:
        session.shared.json = session.shared.json or "--json" in argv
        return _told(session, _usage(error), Exit.WRONG_INPUT)
    except RunnerError as error:
        return _failed(session, error, argv)
    except BaseExceptionGroup as group:
        known = list(_leaves(group))
        errors = [error for error in known if isinstance(error, RunnerError)]
        if len(errors) < len(known):
            return _unforeseen(session, group, argv)
        code = gravest(error.exit_code for error in errors)
        return _failed(session, next(e for e in errors if e.exit_code is code), argv)
    except Exception as error:
        return _unforeseen(session, error, argv)


def _called(session: Session, argv: list[str]) -> Exit:
    """Parse and run. The value of a command is its exit code; help and version give 0."""
    # Not click's own main(): it ends the process itself when a pipe is closed.
    if instruction := session.environ.get(COMPLETION_VARIABLE):
        from runner.cli.completion import complete

        return complete(runner, session, instruction)
    try:
        with runner.make_context("runner", argv, obj=session) as ctx:
            ended = runner.invoke(ctx)
    except click.exceptions.Exit as done:
        ended = done.exit_code
    return Exit(ended)


def _stopped(session: Session) -> RunnerError:
    return RunnerError(AT_ONCE, how=GO_ON) if session.stopping else RunnerError("stopped")


def _failed(session: Session, error: RunnerError, argv: list[str]) -> Exit:
    if session.shared.debug:
        session.voice.raw(bugs.trace(error))
    if error.exit_code is Exit.BUG:
        report = bugs.report(session, error, argv)
        why = "\n".join(filter(None, (error.why, report.why)))
        error = bugs.Bug(error.what, where=error.where, why=why, how=error.how)
    return _told(session, error, error.exit_code)


def _unforeseen(session: Session, error: BaseException, argv: list[str]) -> Exit:
    if session.shared.debug:
        session.voice.raw(bugs.trace(error))
    return _told(session, bugs.report(session, error, argv), Exit.BUG)


def _told(session: Session, error: RunnerError, code: Exit) -> Exit:
    session.voice.error(error, code)
    session.voice.event("error", session.voice.error_document(error, code))
    return code


def _usage(error: click.ClickException) -> WrongInput:
    """A mistake on the command line, in our own words."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else "runner"
    how = "runner help" if path == "runner" else f"{path} --help"
    if isinstance(error, click.NoSuchOption):
        near = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return WrongInput(f"{path} has no option {error.option_name}{near}", how=how)
    text = error.format_message().rstrip(".")
    return WrongInput(text[:1].lower() + text[1:], how=how)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


@click.group(
    cls=Tree,
    invoke_without_command=True,
    params=list(shared_options()),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.pass_context
def runner(ctx: click.Context) -> Exit | None:
    """An async batch runner for prompts."""
    if ctx.invoked_subcommand is None:
        click.echo(short_tree(), file=ctx.obj.voice.stdout)
        return Exit.DONE
    return None
