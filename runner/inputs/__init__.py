"""Prompt sets as they lie on disk: a stream of rows, each with its exact place in its file.

    file, stdin ─▶ blocks ─▶ unpacked ─▶ UTF-8 ─▶ rows and rejects ─▶ chunks
      (origin)    (digest)   (gunzip)  (encoding)  (csv, jsonl, json)  (Table)

Everything here is synchronous and streams: memory does not grow with the file, nor with its longest
line. ``table.open_table`` is the way in; what a cell means is no business of this package.
"""
