"""The lists of models: what is missing is unknown, and says nothing against a model."""

import json
from typing import Any

import pytest

from runner.api.wire import Model, model_rows, read_envelope


def listed(*rows: Any) -> list[Model]:
    """The models in a reply with these rows."""
    reply = {"status_code": 20000, "tasks": [{"status_code": 20000, "result": list(rows)}]}
    return model_rows(read_envelope(json.dumps(reply).encode()))


def test_a_model_has_what_the_api_says_of_it() -> None:
    """`task_post_supported` false means that a Standard task would fail and be refunded."""
    row = {
        "model_name": "o3-mini",
        "reasoning": True,
        "web_search_supported": False,
        "task_post_supported": False,
        "colour": "blue",
    }
    assert listed(row) == [Model(name="o3-mini", reasoning=True, web_search=False, standard=False)]


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_what_is_missing_or_odd_is_unknown(value: object) -> None:
    """Some lists lack `reasoning`; to call it a no would be an invention (API.md §9)."""
    unknown = Model(name="m", reasoning=None, web_search=None, standard=None)
    assert listed({"model_name": "m"}) == [unknown]
    assert listed({"model_name": "m", "reasoning": value}) == [unknown]


def test_a_name_is_fit_for_a_terminal_and_a_row_without_one_is_left_out() -> None:
    """It is printed as it comes."""
    rows = listed({"model_name": "a\x1b[31mb"}, {"model_name": None}, {}, "m", 3)
    assert [row.name for row in rows] == ["a [31mb"]


def test_no_models_are_no_fault() -> None:
    """null for an empty list is the API's habit."""
    assert model_rows(read_envelope(b'{"status_code": 20000, "tasks": [{"result": null}]}')) == []
