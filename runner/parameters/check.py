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
from runner.task import Endpoint, Gateway, Method, Provider

_FIELDS = {
    endpoint: {field.name: field for field in accepted} for endpoint, accepted in TABLE.items()
}
_USABLE = {
    endpoint: tuple(field.name for field in accepted if not field.reserved)
    for endpoint, accepted in TABLE.items()
}
_EVERY_NAME = tuple(dict.fromkeys(name for names in _USABLE.values() for name in names))
_RESERVED = frozenset(
    field.name for accepted in TABLE.values() for field in accepted if field.reserved
)


def check_endpoint(provider: str, method: str, gateway: str = Gateway.DATAFORSEO) -> Fault | None:
    """Why requests of *method* cannot be put to *provider* through *gateway*; None if they can.

    The texts are what a person wrote: an unknown one is answered with the nearest known.
    """
    for name, word, known in (
        ("provider", provider, tuple(Provider)),
        ("method", method, tuple(Method)),
        ("gateway", gateway, tuple(Gateway)),
    ):
        if word not in known:
            allowed = ", ".join(known)
            hint = did_you_mean(word, known)
            return Fault(
                name, f"{shown(word)} is unknown{hint}; it must be one of {allowed}", allowed
            )
    if _endpoint(provider, method, gateway) in TABLE:
        return None
    through = [endpoint for endpoint in TABLE if endpoint.gateway == gateway]
    methods = ", ".join(e.method for e in through if e.provider == provider)
    if methods:
        whose = provider if gateway == Gateway.DATAFORSEO else f"{gateway} with {provider}"
        return Fault("method", f"{shown(method)} is not for {whose}; it must be {methods}", methods)
    gateways = ", ".join(dict.fromkeys(e.gateway for e in TABLE if e.provider == provider))
    return Fault("gateway", f"{shown(gateway)} has no {provider}; it must be {gateways}", gateways)


def fields(provider: str, method: str, *, gateway: str = Gateway.DATAFORSEO) -> tuple[Field, ...]:
    """Every field of the endpoint, reserved ones at the end, in the order of API.md §2.

    Raises:
        WrongInput: there is no such endpoint.
    """
    return TABLE[_require_endpoint(provider, method, gateway)]


def supports(provider: str, method: str, field: str, *, gateway: str = Gateway.DATAFORSEO) -> bool:
    """Whether a job may give *field* to this endpoint; False for reserved and unknown ones.

    Raises:
        WrongInput: there is no such endpoint.
    """
    return field in _USABLE[_require_endpoint(provider, method, gateway)]


def _endpoint(provider: str, method: str, gateway: str) -> Endpoint:
    return Endpoint(gateway=Gateway(gateway), provider=Provider(provider), method=Method(method))


def _require_endpoint(provider: str, method: str, gateway: str) -> Endpoint:
    fault = check_endpoint(provider, method, gateway)
    if fault:
        raise WrongInput(str(fault))
    return _endpoint(provider, method, gateway)


def check_request(
    provider: str,
    method: str,
    request: Mapping[str, object],
    *,
    gateway: str = Gateway.DATAFORSEO,
    reasoning_model: bool | None = None,
) -> list[Fault]:
    """Every reason why the API would refuse *request*, all at once; empty if there is none.

    *request* uses the API's field names, its values JSON's types; it is complete (prompt and model
    are in it) and carries no tag. A value of None is a fault: whether the API takes null for
    absent is not known (API.md §2). *reasoning_model* is what the models list says of the model;
    None where that is not known, and then nothing is refused for it.
    """
    unusable = check_endpoint(provider, method, gateway)
    if unusable:
        return [unusable]
    endpoint = _endpoint(provider, method, gateway)
    known = _FIELDS[endpoint]
    faults = [
        Fault(field.name, f"is missing; it must be {field.allowed}", field.allowed)
        for field in known.values()
        if field.required and field.name not in request
    ]
    sound: dict[str, object] = {}
    for name, value in request.items():
        field = known.get(name)
        if name in _RESERVED:
            faults.append(Fault(name, "is set by runner itself; leave it out", "nothing"))
        elif field is None:
            faults.append(_unknown(endpoint, name))
        elif wrong := check_value(field, value):
            faults += wrong
        else:
            sound[name] = value
    for rule in RULES[endpoint.provider]:
        faults += rule(sound, reasoning_model)
    return faults


def _unknown(endpoint: Endpoint, name: str) -> Fault:
    usable = _USABLE[endpoint]
    allowed = ", ".join(usable)
    if name in _EVERY_NAME:
        message = f"does not exist for {endpoint.provider}; leave it out (known there: {allowed})"
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
    gateway: str = Gateway.DATAFORSEO,
    reasoning_model: bool | None = None,
) -> list[Caution]:
    """What the API may refuse or ignore in a request without faults, because sources differ.

    Empty for an endpoint that is not available.
    """
    if check_endpoint(provider, method, gateway):
        return []
    known = _FIELDS[_endpoint(provider, method, gateway)]
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
