"""The questions asked of the table."""

from collections.abc import Iterator, Mapping

from runner.errors import WrongInput
from runner.parameters.rules import RULES, cautions
from runner.parameters.table import TABLE, TEXT_LIMIT, Field, Kind
from runner.parameters.values import (
    Caution,
    Fault,
    check_value,
    did_you_mean,
    long_in_utf16,
    shown,
)
from runner.task import Method, Provider

_FIELDS = {
    endpoint: {field.name: field for field in accepted} for endpoint, accepted in TABLE.items()
}
_USABLE = {
    endpoint: tuple(field.name for field in accepted if not field.reserved)
    for endpoint, accepted in TABLE.items()
}
_EVERY_NAME = tuple(dict.fromkeys(name for names in _USABLE.values() for name in names))


def check_endpoint(provider: str, method: str) -> Fault | None:
    """Why requests of *method* cannot be put to *provider*; None if they can.

    The texts are what a person wrote: an unknown one is answered with the nearest known.
    """
    providers = tuple(dict.fromkeys(known for known, _ in TABLE))
    allowed = ", ".join(providers)
    if provider not in tuple(Provider):
        hint = did_you_mean(provider, providers)
        return Fault(
            "provider", f"{shown(provider)} is unknown{hint}; it must be one of {allowed}", allowed
        )
    if provider == Provider.PERPLEXITY:
        return Fault(
            "provider",
            "perplexity is Live only, and the Live method is not available yet; "
            f"it must be one of {allowed}",
            allowed,
        )
    if method not in tuple(Method):
        methods = tuple(dict.fromkeys(known for _, known in TABLE))
        return Fault(
            "method",
            f"{shown(method)} is unknown{did_you_mean(method, methods)}; "
            f"it must be {', '.join(methods)}",
            ", ".join(methods),
        )
    if (provider, method) not in _FIELDS:
        return Fault(
            "method",
            f"{method} is not available yet for {provider}; it must be standard",
            "standard",
        )
    return None


def fields(provider: str, method: str) -> tuple[Field, ...]:
    """Every field of the endpoint, reserved ones at the end, in the order of API.md §2.

    Raises:
        WrongInput: no such provider or method, or not available yet.
    """
    _require_endpoint(provider, method)
    return tuple(_fields_of(provider, method).values())


def supports(provider: str, method: str, field: str) -> bool:
    """Whether a job may give *field* to this endpoint; False for reserved and unknown ones.

    Raises:
        WrongInput: no such provider or method, or not available yet.
    """
    _require_endpoint(provider, method)
    known = _fields_of(provider, method).get(field)
    return known is not None and not known.reserved


def _fields_of(provider: str, method: str) -> dict[str, Field]:
    return _FIELDS[Provider(provider), Method(method)]


def _require_endpoint(provider: str, method: str) -> None:
    fault = check_endpoint(provider, method)
    if fault:
        raise WrongInput(str(fault))


def check_request(
    provider: str,
    method: str,
    request: Mapping[str, object],
    *,
    reasoning_model: bool | None = None,
) -> list[Fault]:
    """Every reason why the API would refuse *request*, all at once; empty if there is none.

    *request* uses the API's field names, its values JSON's types; it is complete (prompt and model
    are in it) and carries no tag. A value of None is a fault: whether the API takes null for
    absent is not known (API.md §2). *reasoning_model* is what the models list says of the model;
    None where that is not known, and then nothing is refused for it.
    """
    unusable = check_endpoint(provider, method)
    if unusable:
        return [unusable]
    known = _fields_of(provider, method)
    faults = [
        Fault(field.name, f"is missing; it must be {field.allowed}", field.allowed)
        for field in known.values()
        if field.required and field.name not in request
    ]
    sound: dict[str, object] = {}
    for name, value in request.items():
        field = known.get(name)
        if field is None:
            faults.append(_unknown(provider, method, name))
        elif field.reserved:
            faults.append(Fault(name, "is set by runner itself; leave it out", "nothing"))
        elif wrong := check_value(field, value):
            faults += wrong
        else:
            sound[name] = value
    for rule in RULES[Provider(provider), Method(method)]:
        faults += rule(sound, reasoning_model)
    return faults


def _unknown(provider: str, method: str, name: str) -> Fault:
    usable = _USABLE[Provider(provider), Method(method)]
    allowed = ", ".join(usable)
    if name in _EVERY_NAME:
        message = f"does not exist for {provider}; leave it out (known there: {allowed})"
        return Fault(name, message, allowed)
    # A name that cannot be printed as it is would spoil the line it is reported on.
    plain = name.strip() and name.isprintable() and len(name) <= 60
    printable = name if plain else shown(name)
    hint = did_you_mean(name, usable)
    return Fault(printable, f"unknown field{hint or f'; known are {allowed}'}", allowed)


def warnings(
    provider: str,
    method: str,
    request: Mapping[str, object],
    *,
    reasoning_model: bool | None = None,
) -> list[Caution]:
    """What the API may refuse or ignore in a request without faults, because sources differ.

    Empty for an endpoint that is not available.
    """
    if check_endpoint(provider, method):
        return []
    known = _fields_of(provider, method)
    found = [
        caution
        for name, value in request.items()
        if name in known
        for caution in _text_cautions(known[name], value)
    ]
    return [*found, *cautions(Provider(provider), request, reasoning_model)]


def _text_cautions(field: Field, value: object) -> Iterator[Caution]:
    if field.kind is Kind.TEXT:
        yield from long_in_utf16(field.name, value, TEXT_LIMIT)
    elif field.kind is Kind.CHAIN and isinstance(value, list | tuple):
        for index, item in enumerate(value[: field.max_length]):
            if isinstance(item, Mapping):
                name = f"{field.name}[{index}].message"
                yield from long_in_utf16(name, item.get("message"), TEXT_LIMIT)


def expensive(request: Mapping[str, object], *, reasoning_model: bool | None = None) -> bool:
    """Whether an answer can cost well over its advance: web search or reasoning (DESIGN.md §5)."""
    switches = ("web_search", "force_web_search", "use_reasoning")
    return reasoning_model is True or any(request.get(name) is True for name in switches)
