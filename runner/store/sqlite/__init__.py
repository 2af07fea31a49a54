"""The store on one SQLite file: each module holds the verbs of one part of a task's life."""
