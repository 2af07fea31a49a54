"""The soak: ``python3 -m runner.dev soak --kills 200 --seed N``."""
