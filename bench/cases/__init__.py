"""The cases: each makes one or more lines."""
