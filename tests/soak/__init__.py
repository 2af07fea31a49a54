"""The soak: ``python3 -m runner.dev soak --kills 200``, or ``--workers 4 --tasks 20000``."""
