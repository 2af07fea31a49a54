"""All benchmarks, each line a ratio within one run: python3 -m runner.dev bench.

    --only NAME     one case, such as post; may be given again
    --quick         everything in a minute, on small numbers: shows that it works, little else
    --rounds N      turns that the sides of a case take (3); figures are medians
    --scale F       a share of the full numbers, such as 0.1
    --json          a document instead of a table

Nothing is judged: a missed goal is shown, and the exit code is 0 unless a case broke.
"""

import argparse
import json
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.measuring import Line, Place
from bench.peers.environment import CLIENT, NotInstalled, client_python
from bench.processes import ROOT, fast_server, measure_command

CASES: Final = {
    "load": "stages",
    "post": "stages",
    "collect": "stages",
    "receive": "receive",
    "run": "whole",
    "pace": "limits",
    "makespan": "limits",
    "spread": "limits",
    "claim": "depth",
    "claims": "claims",
    "restart": "depth",
    "export": "stages",
}
"""Each a function of that name in that module of ``bench.cases``."""


def say(text: str) -> None:
    """Progress, out of the way of the results."""
    print(text, file=sys.stderr, flush=True)


def measure_case(case: str, place: Place) -> tuple[list[Line], int]:
    """One case's lines, and the exit code of its process."""
    done = measure_command(
        [sys.executable, "-m", "bench.one", f"bench.cases.{CASES[case]}", case, place.told()],
        folder=place.folder.parent,
    )
    return [Line.read(json.loads(text)) for text in done.said.splitlines()], done.exit_code


def run(options: argparse.Namespace) -> tuple[list[Line], bool]:
    """Every case that is wanted; whether one broke."""
    python, why = None, ""
    try:
        python = client_python(ROOT)
    except NotInstalled as error:
        why = str(error)
        say(f"bench: without the official client: {why}")
    lines: list[Line] = []
    broke = False
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as name:
        scratch = Path(name)
        for case in options.only or CASES:
            began = time.monotonic()
            folder = scratch / "case"
            folder.mkdir()
            with fast_server(scratch) as url:
                place = Place(
                    folder=folder,
                    url=url,
                    rounds=options.rounds or (1 if options.quick else 3),
                    quick=options.quick,
                    scale=options.scale,
                    client=python,
                    client_why=why,
                )
                found, ended = measure_case(case, place)
                lines += found
                if not options.json:
                    for line in found:
                        print(line.text(), flush=True)
                if ended != 0:
                    broke = True
                    say(f"bench: {case} broke")
            shutil.rmtree(folder, ignore_errors=True)
            say(f"bench: {case} took {time.monotonic() - began:.0f} s")
    return lines, broke


def document(lines: Sequence[Line], options: argparse.Namespace) -> dict[str, object]:
    """What ``--json`` prints."""
    return {
        "schema": "runner.bench/1",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.machine()}",
        "client": CLIENT,
        "rounds": options.rounds or (1 if options.quick else 3),
        "quick": options.quick,
        "scale": options.scale,
        "lines": [line.document() for line in lines],
    }


def main() -> int:
    """Measure and print; 1 if a case broke."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(CASES), metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines, broke = run(options)
    if options.json:
        print(json.dumps(document(lines, options), ensure_ascii=False, indent=1))
    return 1 if broke else 0


if __name__ == "__main__":
    sys.exit(main())
