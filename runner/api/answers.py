"""The answer in one element of ``result`` (API.md §4).

    result ── model_name, …_tokens, web_search, money_spent, datetime, fan_out_queries
           └─ items[] ── type, sections[] ── text, annotations[]

Nearly every answer is of this form and is decoded into ``TypedResult``, at a third of the cost of
dicts; what is not is read field by field. Both ways lead to the same answer.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from runner.answer import Answer, Citation
from runner.api.fields import count_of, flag_of, list_of, moment_of, money_of, plain, text_of
from runner.api.jsontext import Unreadable


class _Section(msgspec.Struct):
    text: str | None = None
    annotations: list[dict[str, Any]] | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    sections: list[_Section] | None = None


class TypedResult(msgspec.Struct):
    """An answer whose every field that we name is of its documented type."""

    items: list[_Item]
    model_name: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    web_search: bool | None = None
    # A number keeps its digits only where the type leaves it open.
    money_spent: Any = None
    datetime: str | None = None
    fan_out_queries: list[str] | None = None


def answer_of(result: object) -> Answer:
    """The answer in one decoded element of ``result``.

    Sections are fragments cut at citations: their texts are joined as they stand (API.md §4).
    A price that is missing, negative or no number reads as 0; ``states_price`` tells.

    Raises:
        Unreadable: no object, or one without a list of items.
    """
    if isinstance(result, TypedResult):
        return _typed_answer(result)
    if not isinstance(result, dict):
        raise Unreadable("the result is no object")
    if not isinstance(result.get("items"), list):
        raise Unreadable("the result has no list of items")
    messages = list(_sections(result, "message"))
    reasoning = [text for section in _sections(result, "reasoning") if (text := _section(section))]
    queries = result.get("fan_out_queries")
    return Answer(
        text="".join(_section(section) for section in messages),
        reasoning="\n\n".join(reasoning) or None,
        model_name=text_of(result.get("model_name")),
        input_tokens=count_of(result.get("input_tokens")),
        output_tokens=count_of(result.get("output_tokens")),
        reasoning_tokens=count_of(result.get("reasoning_tokens")),
        web_search=flag_of(result.get("web_search")),
        money_spent_nanousd=money_of(result.get("money_spent")) or 0,
        answered_at=moment_of(result.get("datetime")),
        citations=tuple(
            _citation(note)
            for section in messages
            for note in list_of(section.get("annotations"))
            if isinstance(note, dict)
        ),
        fan_out_queries=(
            tuple(query for query in queries if isinstance(query, str))
            if isinstance(queries, list)
            else None
        ),
    )


def states_price(result: object) -> bool:
    """Whether one decoded element of ``result`` says what the model charged."""
    if isinstance(result, TypedResult):
        return money_of(result.money_spent) is not None
    return isinstance(result, dict) and money_of(result.get("money_spent")) is not None


def _typed_answer(result: TypedResult) -> Answer:
    texts, reasoning, citations = [], [], []
    for item in result.items:
        if item.type == "message":
            for section in item.sections or ():
                texts.append(section.text or "")
                citations += [_citation(note) for note in section.annotations or ()]
        elif item.type == "reasoning":
            reasoning += [section.text for section in item.sections or () if section.text]
    queries = result.fan_out_queries
    return Answer(
        text="".join(texts),
        reasoning="\n\n".join(reasoning) or None,
        model_name=result.model_name,
        input_tokens=count_of(result.input_tokens),
        output_tokens=count_of(result.output_tokens),
        reasoning_tokens=count_of(result.reasoning_tokens),
        web_search=result.web_search,
        money_spent_nanousd=money_of(result.money_spent) or 0,
        answered_at=moment_of(result.datetime),
        citations=tuple(citations),
        fan_out_queries=None if queries is None else tuple(queries),
    )


def _sections(result: Mapping[str, object], kind: str) -> Iterator[Mapping[str, object]]:
    """The sections of all items of one type, in order. Other types are for later versions."""
    for item in list_of(result.get("items")):
        if isinstance(item, dict) and item.get("type") == kind:
            for section in list_of(item.get("sections")):
                if isinstance(section, dict):
                    yield section


def _section(section: Mapping[str, object]) -> str:
    return text_of(section.get("text")) or ""


_USUAL: Final = frozenset({"url", "title"})
_NAMED: Final = frozenset({"url", "title", "text", "start_index", "end_index"})


def _citation(note: Mapping[str, object]) -> Citation:
    if note.keys() == _USUAL:
        # Nearly all have just these two.
        return Citation(url=text_of(note["url"]), title=text_of(note["title"]))
    return Citation(
        url=text_of(note.get("url")),
        title=text_of(note.get("title")),
        text=text_of(note.get("text")),
        start_index=count_of(note.get("start_index")),
        end_index=count_of(note.get("end_index")),
        extra={k: plain(note[k]) for k in note if k not in _NAMED},
    )
