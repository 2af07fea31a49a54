"""One case in a process of its own: python3 -m bench.one MODULE FUNCTION PLACE.

Linux counts what a parent had in memory towards its children's peak, so whoever starts the measured
processes has to be small: nothing of `runner` is imported here, except by the cases that measure
inside the process. Prints each line as JSON.
"""

import importlib
import json
import sys

from bench.measuring import Place


def main(module: str, function: str, told: str) -> None:
    """Measure and print."""
    out = sys.stdout
    # Whatever else is said in this process must not stand between the lines.
    sys.stdout = sys.stderr
    case = getattr(importlib.import_module(module), function)
    for line in case(Place.heard(told)):
        print(json.dumps(line.document()), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
