"""The targets of a job: defaults merged in, requests checked, names told apart."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from runner import parameters
from runner.jobfile.findings import Findings, of_targets
from runner.jobfile.positions import Path
from runner.jobfile.schema import RequestTable, TargetTable
from runner.task import Endpoint, Gateway, Target

_ANY_PROMPT: Final = "?"
"""Stands in for the prompt where the rest of a request is checked."""

_STEP: Final = re.compile(r"[^.\[\]]+")


def build_targets(
    tables: Mapping[int, TargetTable], defaults: RequestTable, findings: Findings
) -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """The targets, and notes on what a person should know of them.

    *tables* are those that could be read, by their number in the file. A target's settings must be
    right by themselves, whatever a row's parameter columns add later: a row may leave those empty.
    """
    shared = defaults.request()
    endpoints = {number: _endpoint(table) for number, table in tables.items()}
    built = {
        number: _build(table, endpoints[number], shared)
        for number, table in tables.items()
        if _can_be_asked(number, endpoints[number], findings)
    }
    _check_names(built, findings)
    for number, target in built.items():
        _check_account(number, target, findings)
    _check_requests(built, tables, shared, findings)
    targets = tuple(built.values())
    return targets, (*left_out(targets, "[request]", shared), *_cautions(targets))


def complete_request(target: Target, given: Mapping[str, object]) -> dict[str, object]:
    """A whole request for a check: model, some prompt, the target's fields, then *given*.

    Fields of *given* that the target's provider does not have are left out.
    """
    return {"model_name": target.model, "user_prompt": _ANY_PROMPT, **merged(target, given)}


def merged(target: Target, given: Mapping[str, object]) -> dict[str, object]:
    """The request fields of *target* with those of *given* that its provider has."""
    supported = {field: value for field, value in given.items() if has(target.endpoint, field)}
    return {**target.parameters, **supported}


def has(endpoint: Endpoint, field: str) -> bool:
    """Whether a request to *endpoint* may have *field*."""
    return parameters.supports(endpoint.provider, endpoint.method, field, gateway=endpoint.gateway)


def faults_of(endpoint: Endpoint, request: Mapping[str, object]) -> list[parameters.Fault]:
    """Every reason why *endpoint* would refuse *request*."""
    return parameters.check_request(
        endpoint.provider, endpoint.method, request, gateway=endpoint.gateway
    )


def _endpoint(table: TargetTable) -> Endpoint:
    method = table.method or parameters.default_method(table.provider, table.gateway)
    return Endpoint(gateway=table.gateway, provider=table.provider, method=method)


def _can_be_asked(number: int, endpoint: Endpoint, findings: Findings) -> bool:
    fault = parameters.check_endpoint(endpoint.provider, endpoint.method, endpoint.gateway)
    if fault is not None:
        findings.add(("targets", number, fault.field), fault.message)
    return fault is None


def _check_account(number: int, target: Target, findings: Findings) -> None:
    if target.account is not None and target.endpoint.gateway is not Gateway.DATAFORSEO:
        findings.add(
            ("targets", number, "account"),
            f"{target.endpoint.gateway} has one key and no accounts; leave account out",
        )


def _build(table: TargetTable, endpoint: Endpoint, shared: Mapping[str, object]) -> Target:
    defaults = {field: value for field, value in shared.items() if has(endpoint, field)}
    return Target(
        name=table.name
        or f"{endpoint.provider}/{table.model}/{endpoint.method}/{endpoint.gateway}",
        endpoint=endpoint,
        model=table.model,
        parameters=defaults | table.request(),
        account=table.account,
    )


def _check_names(targets: Mapping[int, Target], findings: Findings) -> None:
    first: dict[str, int] = {}
    for number, target in targets.items():
        earlier = first.setdefault(target.name, number)
        if earlier != number:
            findings.add(
                ("targets", number, "name"),
                f'"{target.name}" is targets[{earlier}] already; two alike need names',
            )


def _check_requests(
    targets: Mapping[int, Target],
    tables: Mapping[int, TargetTable],
    shared: Mapping[str, object],
    findings: Findings,
) -> None:
    of_defaults: dict[tuple[Path, str], list[str]] = {}
    for number, target in targets.items():
        own = tables[number].request()
        for fault in faults_of(target.endpoint, complete_request(target, {})):
            path = _path(fault.field)
            if path == ("model_name",):
                findings.add(("targets", number, "model"), fault.message)
            elif path[0] in shared and path[0] not in own:
                key: Path = ("request", *path)
                of_defaults.setdefault((key, fault.message), []).append(target.name)
            else:
                findings.add(("targets", number, *path), fault.message)
    for (key, message), names in of_defaults.items():
        findings.add(key, message + of_targets(names, len(targets)))


def _path(field: str) -> Path:
    """``message_chain[2].message`` as the way to it."""
    return tuple(int(step) if step.isdecimal() else step for step in _STEP.findall(field))


def left_out(targets: Iterable[Target], origin: str, fields: Iterable[str]) -> list[str]:
    """Notes on which of *fields* do not reach which target, as its provider has none such."""
    return [
        f"{origin} {field} is left out for {target.name}: "
        f"{target.endpoint.provider} has no such field"
        for field in fields
        for target in targets
        if not has(target.endpoint, field)
    ]


def _cautions(targets: Sequence[Target]) -> list[str]:
    return [
        f"{target.name}: {caution}"
        for target in targets
        for caution in parameters.warnings(
            target.endpoint.provider,
            target.endpoint.method,
            complete_request(target, {}),
            gateway=target.endpoint.gateway,
        )
    ]
