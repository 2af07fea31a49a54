"""Replies for tests: the samples, and small ones put together on the spot."""

import json
from pathlib import Path
from typing import Any

from runner.api.jsontext import Unreadable
from runner.api.replies import Reply
from runner.api.wire import read_envelope

SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name: str) -> bytes:
    """The bytes of ``tests/samples/NAME.json``."""
    return (SAMPLES / f"{name}.json").read_bytes()


def envelope(*tasks: Any, code: int = 20000, **fields: Any) -> bytes:
    """A reply of the API's with these *tasks*."""
    top = {"version": "0.1", "status_code": code, "status_message": "words of the API"}
    return json.dumps({**top, "cost": 0, "tasks": list(tasks) or None, **fields}).encode()


def entry(tag: str | None, code: int = 20100, id: str | None = "id-1", **fields: Any) -> Any:
    """One element of ``tasks``."""
    data = {"api": "ai_optimization"} if tag is None else {"api": "ai_optimization", "tag": tag}
    task = {"id": id, "status_code": code, "status_message": "its words", "data": data}
    return {**task, "result": None, **fields}


def reply(body: bytes, http_status: int = 200, *, mend: bool = False) -> Reply:
    """*body* as the client would hand it on."""
    try:
        read = read_envelope(body, mend=mend)
    except Unreadable as error:
        return Reply(http_status=http_status, body=body, fault=str(error))
    return Reply(http_status=http_status, body=body, envelope=read)
