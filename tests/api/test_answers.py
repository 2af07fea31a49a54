"""The quick way through a reply and the patient one: two readings that must never differ."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.api.answers import TypedResult, answer_of, states_price
from runner.api.jsontext import Unreadable
from runner.api.wire import Envelope, read_answers, read_envelope
from tests.api.replies import sample

numbers = st.one_of(
    st.integers(-1, 2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0123, 12.0, -0.5, 1e300, 5e-324, 0]),
)
odd = st.one_of(
    st.none(), st.booleans(), numbers, st.text(max_size=6), st.just([]), st.just({}), st.just([[]])
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """*usual*, and now and then something else."""
    return st.one_of(usual, usual, usual, odd)


words = st.one_of(st.none(), st.text(max_size=12))
counts = st.one_of(st.none(), numbers)
notes = st.dictionaries(
    st.sampled_from(["url", "title", "text", "start_index", "end_index", "rank", "more"]),
    mostly(st.one_of(words, numbers)),
    max_size=5,
)
sections = st.fixed_dictionaries(
    {},
    optional={
        "type": mostly(words),
        "text": mostly(words),
        "annotations": mostly(st.lists(mostly(notes), max_size=2)),
    },
)
items = st.fixed_dictionaries(
    {},
    optional={
        "type": mostly(st.sampled_from(["message", "reasoning", "chart"])),
        "sections": mostly(st.lists(mostly(sections), max_size=3)),
    },
)
results = st.fixed_dictionaries(
    {"items": mostly(st.lists(mostly(items), max_size=3))},
    optional={
        "model_name": mostly(words),
        "input_tokens": mostly(counts),
        "output_tokens": mostly(counts),
        "reasoning_tokens": mostly(counts),
        "web_search": mostly(st.booleans()),
        "money_spent": mostly(numbers),
        "datetime": mostly(st.sampled_from(["2026-01-02 03:04:05 +00:00", "2026-13-02", "soon"])),
        "fan_out_queries": mostly(st.lists(mostly(words), max_size=2)),
        "unheard_of": odd,
    },
)
tasks = st.fixed_dictionaries(
    {"status_code": mostly(st.sampled_from([20000, 40601, 40501, 20000.0]))},
    optional={
        "id": mostly(words),
        "status_message": mostly(words),
        "cost": mostly(numbers),
        "path": mostly(st.lists(mostly(words), max_size=3)),
        "data": mostly(st.fixed_dictionaries({}, optional={"tag": mostly(words)})),
        "result": mostly(st.lists(mostly(results), max_size=2)),
    },
)
replies = st.fixed_dictionaries(
    {"status_code": mostly(st.sampled_from([20000, 40402, 99999]))},
    optional={
        "status_message": mostly(words),
        "cost": mostly(numbers),
        "tasks": mostly(st.lists(mostly(tasks), max_size=2)),
    },
)


def told(envelope: Envelope) -> object:
    """All that is ever asked of an *envelope*."""
    entries = [
        (
            (each.id, each.code, each.message, each.cost_nanousd, each.asked_id, each.tag),
            [_read(result) for result in each.result],
        )
        for each in envelope.entries
    ]
    return envelope.code, envelope.message, envelope.cost_nanousd, entries


def _read(result: object) -> object:
    try:
        return answer_of(result), states_price(result)
    except Unreadable as error:
        return str(error)


def both(body: bytes) -> tuple[object, object]:
    """What each way makes of *body*."""
    return _told_by(body, quick=True), _told_by(body, quick=False)


def _told_by(body: bytes, *, quick: bool) -> object:
    try:
        return told(read_answers(body) if quick else read_envelope(body, mend=True))
    except Unreadable:
        return "unreadable"


@given(reply=replies)
def test_both_ways_read_the_same_from_any_reply(reply: Any) -> None:
    """An answer must not depend on whether some other field of its reply was odd."""
    quick, patient = both(json.dumps(reply).encode())
    assert quick == patient


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Yes", b"Yes \\ud83c"),
        (b"Yes", b"Yes \xff"),
        (b'"cost": 0', b'"cost": NaN'),
        (b'"cost": 0', b'"cost": "0.5"'),
        (b'"cost": 0', b'"cost": 1e999999999'),
        (b'"cost": 0', b'"unheard_of": ' + b"[" * 90 + b"]" * 90),
        (b'"cost": 0', b'"unheard_of": ' + b"[" * 5_000 + b"]" * 5_000),
        (b"20000", b"20000.0"),
        (b"20000", b"true"),
        (b"{", b"\xef\xbb\xbf{"),
        (b"}", b""),
    ],
)
def test_both_ways_read_the_same_from_damaged_text(old: bytes, new: bytes) -> None:
    """What the quick way cannot read is left to the patient one, which mends what it can."""
    whole = {"status_code": 20000, "cost": 0, "tasks": [{"status_code": 20000, "id": "Yes"}]}
    quick, patient = both(json.dumps(whole).encode().replace(old, new, 1))
    assert quick == patient


def test_the_vendors_examples_go_the_quick_way() -> None:
    """Else each answer would be read twice, and the patience be paid for."""
    for name in ("task_get.response.claude.done", "task_get.response.gemini.done"):
        (entry,) = read_answers(sample(name)).entries
        assert isinstance(entry.result[0], TypedResult), name
