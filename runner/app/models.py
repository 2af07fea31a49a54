"""Whether the models that a job asks can do what it asks of them, before a row of it is queued.

    new targets ─▶ lists of models ─▶ listed? by this method? with a search? ─▶ refused, all at once
                   (kept for a day)                                          └▶ cautions

Only what the API's list denies is refused; what it does not say passes (API.md §9). The lists are
a help: where they cannot be had that is said, and the API itself judges when the task is posted.
A target that the run has already is not looked at again, or a model that was taken off its list
would keep the answers of yesterday from being fetched. Models asked through another gateway are
not looked up: of AIsa's no list is documented for every provider (§12).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import anyio

from runner import parameters
from runner.api.models import listed_as, nearest_names, says_who_reasons
from runner.api.wire import Model
from runner.app.asking import kept_models, list_models
from runner.app.values import Reporter, RunOptions
from runner.clock import Clock
from runner.errors import RunnerError, TryLater
from runner.jobfile import Job, findings_about
from runner.jobfile.targets import complete_request
from runner.settings import ApiKind, Settings
from runner.store.protocol import TaskStore
from runner.store.values import Run
from runner.task import Gateway, Method, Provider, Target

PATIENCE_S: Final = 15.0
"""How long the lists are waited for, all together; a start does not hang on what is a help."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Something that the list of models has against a target."""

    key: str
    """The setting of the target that it is about."""
    message: str
    fatal: bool
    """Whether the API is sure to refuse, so that nothing should be queued."""


async def check_models(
    store: TaskStore,
    planned: Iterable[tuple[Job, Run, RunOptions]],
    reporter: Reporter,
    *,
    settings: Settings,
    clock: Clock,
) -> None:
    """Hold the new targets of each job against the lists of models: at most one call for each
    provider a day.

    Raises:
        WrongInput: a model does not exist or cannot do what is asked; nothing was queued.
    """
    new = []
    for job, run, options in planned:
        if options.key is None:
            targets = await store.new_targets(run.id, job.targets) if run.id else job.targets
            new.append((job, options, [target for target in targets if _is_listed(target)]))
    wanted = {target.endpoint.provider for _, _, targets in new for target in targets}
    lists = await _lists(sorted(wanted), reporter, settings=settings, clock=clock)
    lenient = settings.api.kind is ApiKind.SIM
    for job, options, targets in new:
        _judge(job, options, targets, lists, reporter, lenient=lenient)


def _is_listed(target: Target) -> bool:
    return target.endpoint.gateway is Gateway.DATAFORSEO


async def _lists(
    wanted: Sequence[Provider], reporter: Reporter, *, settings: Settings, clock: Clock
) -> Mapping[Provider, Sequence[Model]]:
    """The lists of *wanted* that can be had; which cannot is said."""
    if not wanted:
        return {}
    why = "the list is empty"
    try:
        try:
            with anyio.fail_after(PATIENCE_S):
                asked = await list_models(wanted, settings=settings, clock=clock, refresh=False)
        except TimeoutError as error:
            raise TryLater(f"no list within {PATIENCE_S:g} s") from error
    except RunnerError as error:
        why = error.what
        known = kept_models(settings=settings, clock=clock)
        asked = [known[provider] for provider in wanted if provider in known]
    lists = {each.provider: each.models for each in asked if each.models}
    if missing := [provider for provider in wanted if provider not in lists]:
        reporter.note(f"the models of {', '.join(missing)} could not be looked up: {why}")
    return lists


def _judge(
    job: Job,
    options: RunOptions,
    targets: Collection[Target],
    lists: Mapping[Provider, Sequence[Model]],
    reporter: Reporter,
    *,
    lenient: bool,
) -> None:
    findings = findings_about(job)
    for number, target in enumerate(job.targets):
        models = lists.get(target.endpoint.provider)
        if target not in targets or models is None:
            continue
        columns, trust_docs = job.input.parameters, options.trust_docs
        for objection in objections(
            target, models, columns=columns, trust_docs=trust_docs, lenient=lenient
        ):
            if objection.fatal:
                findings.add(_place(job, number, objection.key), objection.message)
            else:
                reporter.note(f"{target.name}: {objection.message}")
    if findings.any:
        findings.how = "see what there is: runner models   (--refresh asks anew)"
        raise findings.error()


def _place(job: Job, number: int, key: str) -> tuple[str | int, ...]:
    """Where *key* of a target is set: in its own table, or in the defaults for all."""
    own, shared = ("targets", number, key), ("request", key)
    known = job.positions
    in_defaults = known is not None and own not in known and shared in known
    return shared if in_defaults else own


def objections(
    target: Target,
    models: Sequence[Model],
    *,
    columns: Collection[str] = (),
    trust_docs: bool = False,
    lenient: bool = False,
) -> list[Objection]:
    """What *models*, the list of the target's provider, has against *target*.

    *columns*: those of the input whose cells override parameters. *trust_docs*: where list and
    pages contradict each other, believe the pages. *lenient*: a model that is not listed is only
    noted, as the simulator answers for others too.
    """
    model = listed_as(target.model, models)
    if model is None:
        return [_not_listed(target, models, fatal=not lenient)]
    found = [
        *_by_method(target, model, models, trust_docs=trust_docs),
        *_with_search(target, model, models),
        *_with_reasoning(target, model, models),
        *_with_cells(target, model, models, columns),
    ]
    return list(found)


def _not_listed(target: Target, models: Sequence[Model], *, fatal: bool) -> Objection:
    near = nearest_names(target.model, models)
    hint = f"; the nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}" if near else ""
    shown = parameters.shown(target.model)
    return Objection("model", f"{target.endpoint.provider} lists no model {shown}{hint}", fatal)


def _by_method(
    target: Target, model: Model, models: Sequence[Model], *, trust_docs: bool
) -> Iterator[Objection]:
    if target.endpoint.method is not Method.STANDARD or model.standard is not False:
        return
    denied = f"the list of models says that {target.model} cannot be asked by the Standard method"
    if target.endpoint.provider is not Provider.GEMINI:
        able = _able([each for each in models if each.standard], target)
        yield Objection("model", f'{denied}; set method = "live"{able}', fatal=True)
    elif trust_docs:
        yield Objection("model", f"{denied}; the pages say that it can, and are trusted", False)
    else:
        # API.md §9: the example list denies it for all of Gemini, the pages of task_post do not.
        yield Objection(
            "model",
            f"{denied}, and the API's pages say that Gemini's can; "
            'set method = "live", or try it with --trust-docs',
            fatal=True,
        )


def _with_search(target: Target, model: Model, models: Sequence[Model]) -> Iterator[Objection]:
    if model.web_search is False and target.parameters.get("web_search") is True:
        able = _able([each for each in models if each.web_search], target)
        message = f"the list of models says that {target.model} cannot search the web"
        yield Objection("web_search", f"{message}; leave it out{able}", fatal=True)


def _able(models: Sequence[Model], target: Target) -> str:
    near = nearest_names(target.model, models)
    return f", or ask {' or '.join(near)}" if near else ""


def _with_reasoning(target: Target, model: Model, models: Sequence[Model]) -> Iterator[Objection]:
    if target.parameters.get("use_reasoning") is True and model.reasoning is False:
        message = f"the list of models says that {target.model} cannot reason"
        yield Objection("use_reasoning", f"use_reasoning: {message}", fatal=False)
    if model.reasoning is not True:
        return
    endpoint, request = target.endpoint, complete_request(target, {})
    sure = endpoint.provider is not Provider.CHAT_GPT or says_who_reasons(models)
    for fault in parameters.check_request(
        endpoint.provider,
        endpoint.method,
        request,
        gateway=endpoint.gateway,
        reasoning_model=True,
    ):
        if sure:
            yield Objection(fault.field, fault.message, fatal=True)
        else:
            doubt = "the list calls every model a reasoning one"
            yield Objection(fault.field, f"{fault} ({doubt}, so this is no refusal)", False)
    if sure:
        for caution in parameters.warnings(
            endpoint.provider,
            endpoint.method,
            request,
            gateway=endpoint.gateway,
            reasoning_model=True,
        ):
            if caution not in _unconditional(target, request):
                yield Objection(caution.field, str(caution), fatal=False)


def _with_cells(
    target: Target, model: Model, models: Sequence[Model], columns: Collection[str]
) -> Iterator[Objection]:
    """Rows are checked without the list: what it denies may still stand in one of them."""
    denied = set()
    if model.web_search is False:
        denied.add("web_search")
    reasons = model.reasoning is True and says_who_reasons(models)
    if target.endpoint.provider is Provider.CHAT_GPT and reasons:
        denied |= {"temperature", "force_web_search"}
    for column in sorted(denied.intersection(columns)):
        message = f"rows with a value in the column {column} may be refused: {target.model}"
        why = "cannot search the web" if column == "web_search" else "is a reasoning model"
        yield Objection(column, f"{message} {why}", fatal=False)


def _unconditional(target: Target, request: Mapping[str, object]) -> list[parameters.Caution]:
    """The cautions that were told when the job was loaded."""
    endpoint = target.endpoint
    return parameters.warnings(
        endpoint.provider, endpoint.method, request, gateway=endpoint.gateway
    )
