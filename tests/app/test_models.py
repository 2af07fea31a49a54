"""Whether a model exists and can do what is asked is known before a row is queued."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.api.wire import Model
from runner.app import Loaded, RunOptions, StopSwitch, load_job
from runner.app.models import Objection, objections
from runner.errors import Exit, WrongInput
from runner.jobfile import Job, Overrides
from runner.jobfile import load_job as read_job
from runner.settings import Settings
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.task import Endpoint, Gateway, Method, Provider, Target
from tests.app.place import Place, placed

CHAT = """
[[targets]]
provider = "chat_gpt"
model = "gpt-4o-mini"
"""


def job_of(place: Place, targets: str, name: str = "sky") -> Job:
    (place.folder / "q.csv").write_text("prompt\nWhy?\nHow?\n")
    text = f'name = "{name}"\n[input]\nfile = "q.csv"\n{targets.strip()}\n'
    (place.folder / f"{name}.toml").write_text(text)
    return read_job(str(place.folder / f"{name}.toml"), workspace=place.folder)


async def load(place: Place, job: Job, settings: Settings | None = None, **options: Any) -> Loaded:
    return await load_job(
        job,
        RunOptions(**options),
        settings=settings or place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        stop=StopSwitch(),
    )


async def refusal(place: Place, job: Job, **options: Any) -> list[str]:
    """What is said about each target that is refused; nothing was queued."""
    with pytest.raises(WrongInput) as refused:
        await load(place, job, **options)
    assert refused.value.exit_code is Exit.WRONG_INPUT
    assert place.sql("SELECT count(*) FROM tasks") == [(0,)]
    assert place.sql("SELECT count(*) FROM runs") == [(0,)]
    return [str(problem).rpartition("/")[2] for problem in refused.value.problems]


def looked_up(place: Place) -> int:
    return place.account.calls.counts[CallKind.MODELS]


async def test_a_misspelt_model_is_refused_with_the_nearest_names(place: Place) -> None:
    """Each of a million tasks would come back refused, and the night would be over."""
    job = job_of(place, CHAT.replace("gpt-4o-mini", "gpt-4o-mni"))
    (said,) = await refusal(place, job)
    assert said.startswith('sky.toml:6:1: targets[0].model: chat_gpt lists no model "gpt-4o-mni"')
    assert "the nearest are gpt-4o-mini" in said
    assert place.posts() == 0


async def test_all_targets_are_looked_at_and_all_that_is_wrong_is_told(place: Place) -> None:
    """One mistake a start is a long evening."""
    text = """
[request]
web_search = true
[[targets]]
provider = "claude"
model = "claude-sonnet-5-0"
[[targets]]
provider = "chat_gpt"
model = "gpt-4.1-nano"
[[targets]]
provider = "chat_gpt"
model = "o4-mini"
temperature = 0.5
max_output_tokens = 1000
"""
    said = await refusal(place, job_of(place, text))
    assert [each.split(": ")[:2] for each in said] == [
        ["sky.toml:5:1", "request.web_search"],
        ["sky.toml:8:1", "targets[0].model"],
        ["sky.toml:15:1", "targets[2].temperature"],
        ["sky.toml:16:1", "targets[2].max_output_tokens"],
    ]
    assert "gpt-4.1-nano cannot search the web; leave it out, or ask gpt-" in said[0]


async def test_a_run_refuses_as_well_and_posts_nothing(place: Place) -> None:
    """`run` is what cron starts."""
    with pytest.raises(WrongInput):
        await place.start(job_of(place, CHAT.replace("gpt-4o-mini", "gpt-9")))
    assert place.posts() == 0


async def test_several_targets_of_a_provider_cost_one_call_a_day(place: Place) -> None:
    """The lists rotate by the week; a call at each start would be somebody's limit."""
    second = CHAT.replace("gpt-4o-mini", "gpt-4.1")
    await load(place, job_of(place, CHAT + second))
    await load(place, job_of(place, CHAT + second, name="other"))
    assert looked_up(place) == 1
    place.clock.advance(timedelta(hours=25))
    await load(place, job_of(place, CHAT, name="third"))
    assert looked_up(place) == 2


async def test_a_target_that_the_run_has_is_not_looked_at_again(tmp_path: Path) -> None:
    """A model taken off its list must not keep yesterday's answers from being fetched."""
    async with placed(tmp_path) as place:
        await load(place, job_of(place, CHAT))
        path = place.folder / "runner.models.json"
        path.write_text(path.read_text().replace("gpt-4o-mini", "gone"))
        loaded = await load(place, job_of(place, CHAT))
        assert loaded.status.tasks == 2
        changed = job_of(place, CHAT + "web_search = true")
        with pytest.raises(WrongInput):
            await load(place, changed)


async def test_lists_that_cannot_be_had_are_a_warning(place: Place) -> None:
    """A help that is down must not keep the night's work from being done."""
    place.strike(Fault.REFUSED_CALL, CallKind.MODELS, times=9, code=40400)
    summary = await place.start(job_of(place, CHAT.replace("gpt-4o-mini", "gpt-9-turbo")))
    assert any("models of chat_gpt could not be looked up" in n for n in place.reporter.notes)
    assert summary.status.tasks == 2
    assert len(place.created()) == 2


async def test_an_empty_list_refuses_nobody(place: Place) -> None:
    """It says more about the API's evening than about the models."""
    await load(place, job_of(place, CHAT, name="first"))
    path = place.folder / "runner.models.json"
    kept = json.loads(path.read_text())
    kept["lists"][0]["models"] = []
    path.write_text(json.dumps(kept))
    loaded = await load(place, job_of(place, CHAT))
    assert loaded.status.tasks == 2
    assert place.reporter.notes[-1].endswith("could not be looked up: the list is empty")


async def test_what_came_before_a_failure_is_used(tmp_path: Path) -> None:
    """One provider whose list is broken must not leave the others unchecked."""
    gemini = CHAT.replace("chat_gpt", "gemini").replace("gpt-4o-mini", "gemini-9")
    async with placed(tmp_path) as place:
        place.strike(Fault.REFUSED_CALL, CallKind.MODELS, times=9, skip=1, code=40400)
        wrong = CHAT.replace("gpt-4o-mini", "gpt-9")
        with pytest.raises(WrongInput, match="1 mistake"):
            await load(place, job_of(place, wrong + gemini))
        assert "the models of gemini could not" in place.reporter.notes[-1]


async def test_without_credentials_prompts_can_be_loaded_all_the_same(place: Place) -> None:
    """Loading sends nothing, so it needs no password; that nothing was looked up is said."""
    loaded = await load(place, job_of(place, CHAT), place.settings(DATAFORSEO_PASSWORD=""))
    assert loaded.status.tasks == 2
    assert "could not be looked up" in place.reporter.notes[-1]


async def test_a_rehearsal_may_ask_tomorrows_model(place: Place) -> None:
    """The simulator's list is an example; it answers for models that it does not list."""
    job = job_of(place, CHAT.replace("gpt-4o-mini", "gpt-6-mini"))
    rehearsal = Settings.load(environ={}, flags={"api": "sim"}, workspace=place.folder)
    loaded = await load(place, job, rehearsal)
    assert loaded.status.tasks == 2
    assert 'chat_gpt lists no model "gpt-6-mini"' in place.reporter.notes[-1]


async def test_a_gemini_model_that_list_and_pages_disagree_about_waits_for_a_word(
    tmp_path: Path,
) -> None:
    """API.md §9: the vendor's own example list says no for all, its pages say yes."""
    flash = '[[targets]]\nprovider = "gemini"\nmodel = "gemini-2.5-flash"\n'
    async with placed(tmp_path, not_postable=frozenset({"gemini-2.5-flash"})) as place:
        (said,) = await refusal(place, job_of(place, flash))
        assert "--trust-docs" in said
        loaded = await load(place, job_of(place, flash), trust_docs=True)
        assert loaded.status.tasks == 2
        assert "the pages say that it can" in place.reporter.notes[-1]


async def test_a_data_file_is_told_which_flag_is_wrong(place: Place) -> None:
    """There is no line of a job file to point at."""
    (place.folder / "q.csv").write_text("prompt\nWhy?\n")
    job = read_job(
        str(place.folder / "q.csv"),
        workspace=place.folder,
        overrides=Overrides(provider="claude", model="claude-sonet-4-0"),
    )
    with pytest.raises(WrongInput, match=r"--model: claude lists no model.*claude-sonnet-4-0"):
        await load(place, job)


def target(
    provider: Provider,
    model: str,
    method: Method = Method.STANDARD,
    gateway: Gateway = Gateway.DATAFORSEO,
    **parameters: object,
) -> Target:
    endpoint = Endpoint(gateway=gateway, provider=provider, method=method)
    return Target(name="t", endpoint=endpoint, model=model, parameters=parameters)


def model(
    name: str,
    *,
    reasoning: bool | None = None,
    web_search: bool | None = None,
    standard: bool | None = None,
) -> Model:
    return Model(name=name, reasoning=reasoning, web_search=web_search, standard=standard)


def keys(found: Sequence[Objection], *, fatal: bool) -> list[str]:
    return [each.key for each in found if each.fatal is fatal]


def test_what_a_list_does_not_say_is_no_objection() -> None:
    """Every flag may be missing (API.md §9), and unknown is not no."""
    asked = target(
        Provider.CLAUDE, "m", web_search=True, use_reasoning=True, max_output_tokens=2000
    )
    assert objections(asked, [model("m")]) == []
    silent = target(Provider.CHAT_GPT, "m", temperature=0.5, max_output_tokens=16)
    assert objections(silent, [model("m"), model("n")]) == []


def test_a_model_without_standard_is_refused_by_that_method_only() -> None:
    """The way out is named: the other method, or a model like it."""
    listed = [model("gpt-5", standard=False), model("gpt-5-mini", standard=True)]
    (found,) = objections(target(Provider.CHAT_GPT, "gpt-5"), listed)
    assert (found.key, found.fatal) == ("model", True)
    assert 'set method = "live", or ask gpt-5-mini' in found.message
    assert objections(target(Provider.CHAT_GPT, "gpt-5", Method.LIVE), listed) == []


def test_a_search_is_refused_only_where_it_is_asked_for() -> None:
    """`web_search = false` asks for nothing."""
    listed = [model("m", web_search=False), model("n", web_search=True)]
    for asked, wrong in ((True, ["web_search"]), (False, [])):
        found = objections(target(Provider.GEMINI, "m", web_search=asked), listed)
        assert keys(found, fatal=True) == wrong
    assert objections(target(Provider.GEMINI, "m"), listed) == []


def test_the_limits_of_reasoning_models_hold_where_the_list_can_be_believed() -> None:
    """A list that calls gpt-4o a reasoning model, too, would take everybody's temperature away."""
    asked = target(Provider.CHAT_GPT, "o", temperature=0.5, max_output_tokens=100)
    told_apart = [model("o", reasoning=True), model("g", reasoning=False)]
    assert keys(objections(asked, told_apart), fatal=True) == ["temperature", "max_output_tokens"]
    all_alike = [model("o", reasoning=True), model("g", reasoning=True)]
    found = objections(asked, all_alike)
    assert keys(found, fatal=True) == []
    assert keys(found, fatal=False) == ["temperature", "max_output_tokens"]


def test_columns_that_a_model_cannot_have_are_told_of() -> None:
    """A row is checked by itself, before anybody knows what the list says of its model."""
    columns = ["temperature", "web_search", "max_output_tokens"]
    listed = [model("o", reasoning=True, web_search=False), model("g", reasoning=False)]
    found = objections(target(Provider.CHAT_GPT, "o"), listed, columns=columns)
    assert (keys(found, fatal=True), keys(found, fatal=False)) == (
        [],
        ["temperature", "web_search"],
    )
    assert objections(target(Provider.CHAT_GPT, "g"), listed, columns=columns) == []
    assert objections(target(Provider.CHAT_GPT, "o"), listed, columns=["top_p"]) == []


def test_doubts_about_reasoning_are_told_and_refuse_nothing() -> None:
    """Whether use_reasoning is an error for a model that cannot is stated nowhere."""
    listed = [model("m", reasoning=False), model("o", reasoning=True)]
    found = objections(target(Provider.CLAUDE, "m", use_reasoning=True), listed)
    assert (keys(found, fatal=True), keys(found, fatal=False)) == ([], ["use_reasoning"])
    found = objections(target(Provider.CHAT_GPT, "o", top_p=0.5), listed)
    assert (keys(found, fatal=True), keys(found, fatal=False)) == ([], ["top_p"])
