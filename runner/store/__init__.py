"""The queue: the only place with SQL."""
