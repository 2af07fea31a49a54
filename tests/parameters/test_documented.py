"""The table of parameters against a second writing of API.md §2, both ways."""

from itertools import product

import pytest

from runner.parameters import (
    TABLE,
    check_endpoint,
    check_request,
    default_method,
    fields,
    supports,
    warnings,
)
from runner.task import Endpoint, Gateway, Method, Provider
from tests.parameters.documented import (
    ALLOWED,
    EXAMPLES,
    FORBIDDEN,
    METHODS,
    MODELS,
    TAKEN,
    Combination,
    endpoints,
    turns,
)

Case = tuple[str, str, str, Combination]


def each(combinations: list[Combination]) -> list[Case]:
    return [
        (*endpoint, combination)
        for combination in combinations
        for endpoint in endpoints(combination.providers)
    ]


def at_fault(gateway: str, provider: str, method: str, combination: Combination) -> list[str]:
    """The fields that the check finds wrong."""
    request: dict[str, object] = {
        "user_prompt": "Why is the sky blue?",
        "model_name": combination.model or MODELS[provider],
        **combination.fields,
    }
    faults = check_request(
        provider, method, request, gateway=gateway, reasoning_model=combination.reasons
    )
    return [fault.field for fault in faults]


@pytest.mark.parametrize("case", each(ALLOWED), ids=str)
def test_what_the_documents_allow_passes(case: Case) -> None:
    """A check that is too strict keeps somebody from asking what they may ask."""
    assert at_fault(*case) == []


@pytest.mark.parametrize("case", each(FORBIDDEN), ids=str)
def test_what_the_documents_forbid_is_refused_at_its_field(case: Case) -> None:
    """One that is too lax posts tasks that come back refused, a batch at a time."""
    assert case[3].at in at_fault(*case)


@pytest.mark.parametrize(("gateway", "provider", "method"), list(endpoints()))
def test_a_provider_takes_the_fields_of_its_column_and_no_others(
    gateway: str, provider: str, method: str
) -> None:
    """An unknown field is 40506: every task that carries it is refused."""
    searches = "web_search" in TAKEN[provider].split()
    for name, value in EXAMPLES.items():
        needed = {"web_search": True} if searches and "web_search" in name else {}
        request = {"user_prompt": "Why?", "model_name": MODELS[provider], **needed, name: value}
        taken = name in TAKEN[provider].split()
        faults = check_request(provider, method, request, gateway=gateway)
        assert (faults == []) == taken, (name, faults)
        assert supports(provider, method, name, gateway=gateway) == taken


def test_the_table_has_the_documented_endpoints_and_no_others() -> None:
    """A call to an endpoint that is not there is a 404, and stops the engine."""
    documented = {
        Endpoint(gateway=Gateway(gateway), provider=Provider(provider), method=Method(method))
        for gateway, provider, method in endpoints()
    }
    assert set(TABLE) == documented
    for provider, method, gateway in product(Provider, Method, Gateway):
        usable = method in METHODS[gateway, provider]
        assert (check_endpoint(provider, method, gateway) is None) == usable


def test_only_standard_has_the_two_callbacks_and_nobody_can_set_them() -> None:
    """They exist in task_post only, and a person's own would take the answers away from us."""
    callbacks = {"postback_url", "pingback_url"}
    for gateway, provider, method in endpoints():
        known = {field.name: field for field in fields(provider, method, gateway=gateway)}
        assert (callbacks <= set(known)) == (method == "standard")
        assert callbacks.isdisjoint(known) == (method == "live")
        assert all(known[name].reserved for name in callbacks & set(known))
        assert not any(supports(provider, method, name, gateway=gateway) for name in callbacks)


def test_every_number_of_the_table_passes_at_its_bounds_and_fails_beyond() -> None:
    """The words of an error ("from 0 to 1.9") must be what the check really does."""
    for endpoint, accepted in TABLE.items():
        for field in accepted:
            if field.minimum is None or field.maximum is None:
                continue
            step = 1 if field.name == "max_output_tokens" else 0.001
            for value, fine in (
                (field.minimum, True),
                (field.maximum, True),
                (field.minimum - step, False),
                (field.maximum + step, False),
            ):
                faults = check_request(
                    endpoint.provider,
                    endpoint.method,
                    {"user_prompt": "Why?", "model_name": "sonar", field.name: value},
                    gateway=endpoint.gateway,
                )
                assert (faults == []) == fine, (endpoint, field.name, value)
                assert all(str(field.maximum) in fault.message for fault in faults)


def test_a_method_left_out_is_standard_where_there_is_that() -> None:
    """Standard is the cheaper one; Perplexity and AIsa have none."""
    for gateway, provider in METHODS:
        live = gateway == "aisa" or provider == "perplexity"
        expected = Method.LIVE if live else Method.STANDARD
        assert default_method(Provider(provider), Gateway(gateway)) is expected


def test_a_conversation_that_ends_with_the_person_gets_a_caution_from_perplexity() -> None:
    """Its roles must alternate, and the prompt that follows is the person's as well."""
    for count, cautioned in ((1, True), (2, False)):
        request = {"user_prompt": "Why?", "model_name": "sonar", "message_chain": turns(count)}
        assert bool(warnings("perplexity", "live", request)) == cautioned
