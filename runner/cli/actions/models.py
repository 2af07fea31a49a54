"""``runner models``: what the account can ask."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from runner import app
from runner.api.wire import Model
from runner.cli.layout import tab_separated, table
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.clock import to_text
from runner.errors import Exit
from runner.task import Provider

if TYPE_CHECKING:
    from runner.cli.commands.models import ModelsOptions

_HEAD: Final = ("PROVIDER", "MODEL", "REASONING", "WEB SEARCH", "STANDARD")
_WORDS: Final = {True: "yes", False: "no", None: "unknown"}


def models(session: Session, given: "ModelsOptions") -> Exit:
    """List the models of one provider, or of all.

    Raises:
        RunnerError: as ``app.list_models`` does.
    """
    providers = [Provider(given["provider"])] if given["provider"] else list(Provider)
    settings = session.settings()
    session.open_log()
    lists = run_async(
        lambda: app.list_models(
            providers, settings=settings, clock=session.clock, refresh=given["refresh"]
        )
    )
    if given["matching"]:
        lists = [_matching(each, given["matching"]) for each in lists]
    voice = session.voice
    if voice.json:
        voice.document(_document(lists))
        return Exit.DONE
    rows = [
        [each.provider, model.name, *(_WORDS[flag] for flag in _flags(model))]
        for each in lists
        for model in each.models
    ]
    if voice.for_people:
        voice.answer(table(_HEAD, rows, right=frozenset(), width=voice.width))
    else:
        for row in rows:
            voice.answer(tab_separated(row))
    return Exit.DONE


def _matching(listed: app.ModelList, text: str) -> app.ModelList:
    folded = text.lower()
    models = tuple(model for model in listed.models if folded in model.name.lower())
    return replace(listed, models=models)


def _flags(model: Model) -> tuple[bool | None, ...]:
    return model.reasoning, model.web_search, model.standard


def _document(lists: list[app.ModelList]) -> dict[str, object]:
    """``runner.models/1``; null is for what the API does not say."""
    return {
        "schema": "runner.models/1",
        "models": [
            {
                "provider": each.provider,
                "model": model.name,
                "reasoning": model.reasoning,
                "web_search": model.web_search,
                "standard": model.standard,
                "asked_at": to_text(each.asked_at),
            }
            for each in lists
            for model in each.models
        ],
    }
