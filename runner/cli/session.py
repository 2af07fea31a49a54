"""One call of the command line: its options, its voice, its settings, its log."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from runner.cli.shared import Shared
from runner.cli.terminal import is_terminal, wants_colour
from runner.cli.voice import Voice, url_password
from runner.clock import Clock, SystemClock
from runner.errors import WrongInput

if TYPE_CHECKING:
    from runner.settings import Settings


class Session:
    """What a command gets, as click's ``obj``."""

    def __init__(self, *, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> None:
        self.shared = Shared()
        self.environ = environ
        self.voice = Voice(self.shared, stdout=stdout, stderr=stderr, environ=environ)
        self.clock: Clock = SystemClock()
        self.told_uncollected = False
        """Whether results that wait too long were spoken of already."""
        self.stopping = False
        """Whether somebody asked the work to stop, so that whoever interrupts it now means it."""
        self._settings: Settings | None = None
        self._logging = False

    def enter(self) -> None:
        """All options are read and the command begins: go where ``-C`` says.

        Raises:
            WrongInput: there is no such folder.
        """
        if self.shared.store:
            self.voice.secrets |= {url_password(self.shared.store)} - {""}
        folder = self.shared.folder
        if folder is not None:
            try:
                os.chdir(folder)
            except OSError as error:
                raise WrongInput(f"-C {folder}: {error.strerror}") from error

    def settings(self) -> "Settings":
        """What flags, environment and runner.toml say; read once, secrets known from then on.

        Raises:
            WrongInput: something in them is wrong.
        """
        if self._settings is None:
            from runner.settings import Settings

            self._settings = Settings.load(
                environ=self.environ,
                flags={"api": self.shared.api, "store": self.shared.store},
                workspace=Path.cwd(),
            )
            self.voice.secrets |= self._settings.secrets()
            for warning in self._settings.warnings:
                self.voice.warn(warning)
        return self._settings

    @property
    def known_settings(self) -> "Settings | None":
        """The settings, if the command came so far as to read them."""
        return self._settings

    def open_log(self) -> None:
        """Send what the stages say to stderr and to ``--log-file``.

        Stderr gets only what went wrong unless ``-v`` asks for more, and nothing with ``-q``; the
        file gets all of it.

        Raises:
            WrongInput: the log file cannot be opened.
        """
        from runner import logs

        logs.configure(
            stream=self.voice.log_stream,
            verbosity=self.shared.verbose or -1,
            format=self.shared.log_format,
            secrets=self.voice.secrets,
            log_file=self.shared.log_file,
            clock=self.clock,
            colour=wants_colour(self.voice.stderr, self.shared.color, self.environ),
        )
        self._logging = True

    def log(self, level: str, event: str, keys: Mapping[str, object], *, to_stderr: bool) -> None:
        """One event of the run itself: to ``--log-file``, and to stderr if *to_stderr*."""
        self.log_to_file(self.line(level, event, keys))
        if to_stderr:
            people = self.shared.log_format == "auto" and is_terminal(self.voice.stderr)
            self.voice.raw(self.line(level, event, keys, short=people))

    def line(
        self, level: str, event: str, keys: Mapping[str, object], *, short: bool = False
    ) -> str:
        """A log line; in JSON if ``--log-format`` says so, *short* for a terminal."""
        from runner.logs.lines import as_json, as_short_text, as_text

        text = as_short_text if short else as_text
        render = as_json if self.shared.log_format == "json" else text
        return self.voice.mask(render(self.clock.now(), level, event, keys))

    def log_to_file(self, line: str) -> None:
        """Append *line* to ``--log-file``, if there is one."""
        if self.shared.log_file is not None:
            from runner.logs.sinks import FileSink

            file = FileSink(self.shared.log_file)
            file.write(line)
            file.close()

    def close(self) -> None:
        """Close the log."""
        if self._logging:
            from runner import logs

            logs.close()
            self._logging = False
