"""Answers in the shape that the API's examples show, the same ones for the same (seed, task id).

    items:  reasoning [summary_text …]     with use_reasoning or a reasoning model
            message   [text]               "I'll search for …", now and then, with web_search
            message   [text, text, …]      cut at citations: join without a separator

Source: API.md §4, examples/*.json. ``bill_for`` says what an answer costs without writing
it, so that a post is cheap; the text is written when it is fetched.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final

from runner.simulator.calls import Json
from runner.simulator.catalogue import Model, find_model, thinks_always
from runner.simulator.envelope import usd
from runner.simulator.phrases import (
    BRANDS,
    CLAIMS,
    CLOSINGS,
    FILLERS,
    HEADINGS,
    OPENINGS,
    QUERIES,
    SEARCHING,
    SOURCES,
    THOUGHTS,
)
from runner.task import Provider

SEARCH_FEE: Final = 10_000_000
"""Nano-dollars for one web search, near the providers' list price."""

TOKENS_PER_CLAIM: Final = 50

_NAMES: Final = re.compile(r"(?<![.?!]\s)(?<!^)\b[A-Z][\w&'-]*\w(?:\s[A-Z][\w&'-]*\w)*")


@dataclass(frozen=True, slots=True)
class Bill:
    """What an answer took."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int | None
    """None: the model does not reason here."""
    searched: bool
    money_spent: int
    """Nano-dollars, whole hundreds: prices have seven decimals."""


def bill_for(seed: int, task_id: str, provider: Provider, request: Json) -> Bill:
    """What the answer to *request* will take, without writing it."""
    return _bill(_rng(seed, task_id), _model(provider, request), provider, request)


def result_for(
    seed: int,
    task_id: str,
    provider: Provider,
    request: Json,
    *,
    answered_at: datetime,
    money_spent: int,
) -> Json:
    """``result[0]`` of a finished task; *money_spent* is what the ledger holds, nano-dollars."""
    rng = _rng(seed, task_id)
    model = _model(provider, request)
    bill = _bill(rng, model, provider, request)
    writer = _Writer(rng, provider, request["user_prompt"], answered_at)
    result: Json = {
        "model_name": model.dated,
        "input_tokens": bill.input_tokens,
        "output_tokens": bill.output_tokens,
    }
    # The vendor's Claude example lacks the field, its Gemini example has it.
    if bill.reasoning_tokens is not None or provider is not Provider.CLAUDE:
        result["reasoning_tokens"] = bill.reasoning_tokens
    result |= {
        "web_search": bill.searched,
        "money_spent": usd(money_spent),
        "datetime": api_time(answered_at),
        "items": writer.items(bill),
    }
    if bill.searched or provider is not Provider.CLAUDE:
        result["fan_out_queries"] = writer.queries() if bill.searched else None
    return result


def api_time(moment: datetime) -> str:
    """The API's way to write a moment in UTC: ``2025-07-24 19:39:46 +00:00``."""
    return f"{moment:%Y-%m-%d %H:%M:%S} +00:00"


def _rng(seed: int, task_id: str) -> Random:
    digest = hashlib.blake2b(f"{seed}/{task_id}".encode(), digest_size=8).digest()
    return Random(int.from_bytes(digest))


def _model(provider: Provider, request: Json) -> Model:
    name = request["model_name"]
    model = find_model(provider, name, listed_only=False)
    return model or Model(name, name, False, True, 2000, 8000)


def _bill(rng: Random, model: Model, provider: Provider, request: Json) -> Bill:
    # Sonar models search unasked (API.md §2).
    searched = bool(request.get("web_search")) or provider is Provider.PERPLEXITY
    thinks = (
        bool(request.get("use_reasoning"))
        or thinks_always(provider, model.name)
        or (provider in (Provider.CHAT_GPT, Provider.PERPLEXITY) and model.reasoning)
    )
    asked = sum(len(str(request.get(name) or "")) for name in ("user_prompt", "system_message"))
    asked += sum(len(turn["message"]) for turn in request.get("message_chain") or ())
    input_tokens = 8 + asked // 4 + (rng.randint(4_000, 18_000) if searched else 0)
    output_tokens = rng.randint(90, 420) + (rng.randint(150, 600) if searched else 0)
    if not searched and not thinks:
        # A soft limit otherwise: search and reasoning may exceed it (API.md §2).
        output_tokens = min(output_tokens, request.get("max_output_tokens") or 2048)
    reasoning = rng.randint(64, 900) if thinks else None
    spent = input_tokens * model.input_price
    spent += (output_tokens + (reasoning or 0)) * model.output_price
    spent += SEARCH_FEE * rng.randint(1, 2) if searched else 0
    return Bill(input_tokens, output_tokens, reasoning, searched, max(spent // 100 * 100, 100))


class _Writer:
    """Writes one answer: sentences that name what the prompt names."""

    def __init__(self, rng: Random, provider: Provider, prompt: str, answered_at: datetime) -> None:
        self._rng = rng
        self._provider = provider
        names = list(dict.fromkeys(_NAMES.findall(prompt)))[:4]
        self._names = names if len(names) > 1 else [*names, *rng.sample(BRANDS, 2 - len(names))]
        topic = " ".join(prompt.split())[:90].rstrip(" .?!")
        self._words: dict[str, object] = {"topic": topic, "year": answered_at.year}

    def items(self, bill: Bill) -> list[Json]:
        items = [] if bill.reasoning_tokens is None else [self._reasoning()]
        if bill.searched and self._rng.random() < 0.4:
            items.append(_message([_section(self._say(SEARCHING), None)]))
        claims = max(1, min(bill.output_tokens // TOKENS_PER_CLAIM, 12))
        if bill.searched:
            items.append(_message(self._cited(claims)))
        else:
            items.append(_message([_section(self._plain(claims), None)]))
        return items

    def queries(self) -> list[str]:
        return [self._fill(query) for query in self._rng.sample(QUERIES, self._rng.randint(2, 5))]

    def _reasoning(self) -> Json:
        thoughts = self._rng.sample(THOUGHTS, self._rng.randint(1, len(THOUGHTS)))
        sections = [{"type": "summary_text", "text": self._fill(text)} for text in thoughts]
        return {"type": "reasoning", "sections": sections}

    def _plain(self, claims: int) -> str:
        parts = [self._say(OPENINGS), "\n\n"]
        for number in range(claims):
            if number % 6 == 0:
                parts.append(f"## {self._rng.choice(HEADINGS)}\n\n")
            parts.append(f"- {self._say(CLAIMS)}.\n")
            if number % 6 == 5:
                parts.append(f"\n{self._say(FILLERS)}\n\n")
        return "".join([*parts, "\n", self._say(CLOSINGS)])

    def _cited(self, claims: int) -> list[Json]:
        """Sections that change between plain text and a cited claim, as in the vendor's example."""
        sections = [
            _section(f"{self._say(OPENINGS)}\n\n## {self._rng.choice(HEADINGS)}\n\n- ", None)
        ]
        length = len(sections[0]["text"])
        for number in range(claims):
            claim = self._say(CLAIMS)
            found = [] if self._rng.random() < 0.05 else [self._annotation(claim, length)]
            joint = f".\n\n{self._say(FILLERS)}\n\n- " if number % 5 == 4 else ".\n- "
            last = number == claims - 1
            after = f".\n\n{self._say(CLOSINGS)}" if last else joint
            sections += [_section(claim, found), _section(after, None)]
            length += len(claim) + len(after)
        return sections

    def _annotation(self, claim: str, start: int) -> Json:
        title, host, path = self._rng.choice(SOURCES)
        url = f"https://{host}/{path}/{self._rng.randint(100, 99_999)}"
        annotation: Json = {"title": self._fill(title), "url": url}
        if self._provider is Provider.GEMINI:
            token = f"{self._rng.getrandbits(96):024x}"
            annotation["url"] = f"https://vertex-redirect.example/grounding-api-redirect/{token}=="
            annotation["direct_url"] = url
            annotation["title"] = host
        if self._provider is not Provider.CLAUDE:
            annotation |= {"start_index": start, "end_index": start + len(claim), "text": claim}
        return annotation

    def _say(self, phrases: tuple[str, ...]) -> str:
        return self._fill(self._rng.choice(phrases))

    def _fill(self, phrase: str) -> str:
        rng = self._rng
        first = rng.randrange(len(self._names))
        second = (first + 1) % len(self._names)
        return phrase.format(
            brand=self._names[first],
            rival=self._names[second],
            number=2 + int(rng.random() * 40),
            percent=50 + int(rng.random() * 49),
            price=f"{10 + rng.random() * 900:.2f}",
            **self._words,
        )


def _section(text: str, annotations: list[Json] | None) -> dict[str, Any]:
    return {"type": "text", "text": text, "annotations": annotations}


def _message(sections: list[Json]) -> Json:
    return {"type": "message", "sections": sections}
