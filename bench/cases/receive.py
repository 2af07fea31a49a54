"""Postbacks taken in: durable before the 200, beside the same server answering only."""

import json
import statistics
import sys
from collections.abc import Iterable
from typing import Final

from bench.measuring import Line, Place, Sample, Side, peak_mb, seconds, take_turns
from bench.processes import measure_command, receiver

CONNECTIONS: Final = 32


def receive(place: Place) -> Iterable[Line]:
    """Gzipped answers of 4 KB over 32 connections."""
    number = place.many(30_000, 2_000)
    slowest: list[float] = []

    def side(how: str) -> Side:
        def deliver() -> Sample:
            for path in place.folder.glob("inbox.db*"):
                path.unlink()
            with receiver(place.folder, how) as url:
                arguments = ["bench.delivering", url, str(number), str(CONNECTIONS)]
                done = measure_command([sys.executable, "-m", *arguments], folder=place.folder)
            said = json.loads(done.said)
            assert said["answered"] == number, said
            assert not said["refused"], said
            if how == "durable":
                slowest.append(said["p99_ms"])
            return Sample(said["seconds"], done.cpu_s, done.peak_mb)

        return deliver

    found = take_turns({how: side(how) for how in ("durable", "answers")}, place.rounds)
    rate = number / seconds(found["durable"])
    yield Line(
        case="receive",
        what="postbacks/s stored before the 200, × the same server answering only",
        ratio=seconds(found["answers"]) / seconds(found["durable"]),
        goal="≥ 0.4",
        figures={
            "postbacks": number,
            "postbacks/s": rate,
            "answering only /s": number / seconds(found["answers"]),
            "p99 ms": statistics.median(slowest),
            "sender's MB": peak_mb(found["durable"]),
        },
        note=f"{CONNECTIONS} connections, answers of 4 KB; the sender shares the machine",
    )
    yield Line(
        case="receive.p99",
        what="ms in which 99 of 100 postbacks had their 200",
        ratio=statistics.median(slowest),
        goal="≤ 25",
    )
