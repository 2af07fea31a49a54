"""The command line: arguments in, exit code out.

    entry ── parse ──▶ session (options, voice, settings) ──▶ commands/NAME.py ──▶ exit code
      └── every error ends here, masked; `bugs` keeps what nobody foresaw

    tree ......... all commands as data: helps, examples, exit codes
    commands/ .... the arguments of each       actions/ ... what each does, once it is called
    shared ....... options of every command    verbs ...... options that some of them share
    voice ........ stdout has the answer, stderr everything else
    select ....... which run RUN or JOB means  selecting .. which tasks --state, --where … mean
    kinds ........ durations, shares, dollars  moments .... --since and --until
    stopping ..... Ctrl-C and SIGTERM: politely once, at once the second time

`--help` and completion import nothing heavy: what needs the store, the API or rich stands in
``actions`` and is imported when a command is called (held by tests/cli/test_start.py).
"""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (default: the process's own) and return its exit code."""
    from runner.cli.entry import start

    return int(start(argv))
