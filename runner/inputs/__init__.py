"""Prompt sets as they lie on disk: a stream of rows, each with its exact place in the file.

    Source ─▶ blocks ─▶ UTF-8 blocks ─▶ lines ─▶ rows and rejects ─▶ chunks
    (bytes, digest)     (encoding)     (cap)    (csv, jsonl)        (Table)

Everything here is synchronous and streams: memory does not grow with the file, nor with its longest
line. ``table.open_table`` is the way in; what a cell means is no business of this package.
"""
