"""What may be asked of each provider; the bounds are written out here a second time, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.parameters import (
    TABLE,
    Fault,
    Kind,
    check_endpoint,
    check_request,
    expensive,
    fields,
    supports,
    utf16_units,
    warnings,
)

OFFERED = ["chat_gpt", "claude", "gemini"]


def request_with(**changes: object) -> dict[str, object]:
    """A small sound request with *changes* on top."""
    return {"user_prompt": "Why is the sky blue?", "model_name": "some-model", **changes}


def faults(provider: str, reasoning: bool | None = None, /, **changes: object) -> list[Fault]:
    return check_request(provider, "standard", request_with(**changes), reasoning_model=reasoning)


def faulty(provider: str, reasoning: bool | None = None, /, **changes: object) -> set[str]:
    """The names of the fields found faulty."""
    return {fault.field for fault in faults(provider, reasoning, **changes)}


@pytest.mark.parametrize("provider", OFFERED)
def test_prompt_and_model_are_enough_and_both_are_needed(provider: str) -> None:
    """The smallest job must pass, and a row without a prompt must not be paid for."""
    assert faults(provider) == []
    missing = {fault.field for fault in check_request(provider, "standard", {})}
    assert missing == {"user_prompt", "model_name"}


@pytest.mark.parametrize("provider", OFFERED)
def test_a_prompt_of_500_characters_passes_and_one_of_501_does_not(provider: str) -> None:
    """The API's own limit; how it counts is unknown, so characters are counted as Python does."""
    assert faults(provider, user_prompt="é" * 500) == []
    (fault,) = faults(provider, user_prompt="é" * 501)
    assert (fault.field, "501" in fault.message, "500" in fault.message) == (
        "user_prompt",
        True,
        True,
    )
    assert "é" not in fault.message
    assert faulty(provider, system_message="x" * 501) == {"system_message"}


def test_a_text_within_the_limit_that_javascript_counts_over_it_only_gets_a_caution() -> None:
    """Refusing 251 emoji would be a guess about the API; saying nothing would be one too."""
    prompt = "😀" * 251
    assert faults("claude", user_prompt=prompt) == []
    (caution,) = warnings("claude", "standard", request_with(user_prompt=prompt))
    assert caution.field == "user_prompt"
    assert "502" in caution.message
    assert warnings("claude", "standard", request_with(user_prompt="😀" * 250)) == []
    assert warnings("claude", "standard", request_with(user_prompt="x" * 501)) == []


def test_a_long_message_of_the_chain_gets_the_same_caution() -> None:
    """Each message of the chain has the same limit and the same doubt."""
    chain = [{"role": "user", "message": "Hello"}, {"role": "ai", "message": "😀" * 300}]
    (caution,) = warnings("gemini", "standard", request_with(message_chain=chain))
    assert caution.field == "message_chain[1].message"


@given(st.text())
def test_utf16_units_are_what_the_codec_says(text: str) -> None:
    """The caution must count as the languages it speaks of do."""
    assert utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@pytest.mark.parametrize("empty", ["", "   ", "\n\t", "\u00a0", "\u200b\ufeff", "\x00"])
def test_a_prompt_that_shows_nothing_is_refused(empty: str) -> None:
    """An invisible prompt would be answered, and paid for, like any other."""
    assert faulty("chat_gpt", user_prompt=empty) == {"user_prompt"}


def test_half_a_character_is_refused_with_its_place() -> None:
    r"""JSON can spell a lone surrogate ("\ud83d"), but no request can carry it."""
    (fault,) = faults("gemini", user_prompt="ab\ud83dcd")
    assert "character 3" in fault.message


BOUNDS = [
    ("chat_gpt", "max_output_tokens", 16, 4096),
    ("claude", "max_output_tokens", 1, 4096),
    ("gemini", "max_output_tokens", 1, 4096),
    ("chat_gpt", "temperature", 0, 2),
    ("claude", "temperature", 0, 1),
    ("gemini", "temperature", 0, 2),
    ("chat_gpt", "top_p", 0, 1),
    ("claude", "top_p", 0, 1),
    ("gemini", "top_p", 0, 1),
]


@pytest.mark.parametrize(("provider", "field", "low", "high"), BOUNDS)
def test_a_number_passes_up_to_its_bounds_and_not_beyond(
    provider: str, field: str, low: int, high: int
) -> None:
    """The table of API.md §2, written out a second time."""
    step = 1 if field == "max_output_tokens" else 0.001
    assert faults(provider, **{field: low}) == []
    assert faults(provider, **{field: high}) == []
    assert faulty(provider, **{field: low - step}) == {field}
    (fault,) = faults(provider, **{field: high + step})
    assert f"from {low} to {high}" in fault.message
    assert str(high + step) in fault.message


@pytest.mark.parametrize("wrong", [True, "0.5", math.nan, math.inf, -math.inf, None, [0.5]])
def test_what_is_not_a_plain_number_is_no_temperature(wrong: object) -> None:
    """Python takes True for 1, and NaN passes every comparison that is written carelessly."""
    assert faulty("gemini", temperature=wrong) == {"temperature"}


@pytest.mark.parametrize("wrong", [True, 100.0, "100", None])
def test_what_is_not_a_whole_number_is_no_token_count(wrong: object) -> None:
    """A field that the API types as integer gets an integer."""
    assert faulty("gemini", max_output_tokens=wrong) == {"max_output_tokens"}


def test_a_number_of_thousands_of_digits_is_refused_and_not_printed() -> None:
    """Python refuses to print one, and an error about an error would be a crash."""
    (fault,) = faults("gemini", max_output_tokens=10**5000)
    assert "a number of over 30 digits" in fault.message
    assert faulty("gemini", temperature=-(10**400)) == {"temperature"}


@pytest.mark.parametrize("wrong", [1, 0, "true", None])
def test_only_true_and_false_switch_web_search(wrong: object) -> None:
    """The text "false" is true to Python, and web search is what costs most."""
    assert faulty("claude", web_search=wrong) == {"web_search"}


def test_temperature_and_top_p_exclude_each_other_on_chat_gpt_and_claude_only() -> None:
    """The vendor's own Gemini example sends both."""
    both: dict[str, object] = {"temperature": 0.3, "top_p": 0.5}
    assert faulty("chat_gpt", **both) == {"top_p"}
    assert faulty("claude", **both) == {"top_p"}
    assert faulty("gemini", **both) == set()


def test_claude_reasons_only_with_room_and_without_the_excluded_fields() -> None:
    """Each of the four demands of use_reasoning is told, not only the first."""
    assert faulty("claude", use_reasoning=True, max_output_tokens=1025) == set()
    assert faulty("claude", use_reasoning=True) == set()
    assert faulty(
        "claude",
        use_reasoning=True,
        max_output_tokens=1024,
        temperature=0.5,
        top_p=0.5,
        web_search=True,
        force_web_search=True,
    ) == {"max_output_tokens", "temperature", "top_p", "force_web_search"}
    assert faulty("claude", use_reasoning=False, max_output_tokens=1, temperature=0.5) == set()


def test_gemini_reasons_with_1024_tokens_and_not_with_1023() -> None:
    """One token less than Claude needs."""
    assert faulty("gemini", use_reasoning=True, max_output_tokens=1024, temperature=1) == set()
    assert faulty("gemini", use_reasoning=True, max_output_tokens=1023) == {"max_output_tokens"}


def test_a_known_reasoning_model_of_chat_gpt_gets_stricter_limits() -> None:
    """Whether a model reasons is the models list's word; without it nothing is refused for it."""
    few: dict[str, object] = {"max_output_tokens": 1023, "temperature": 1}
    assert faulty("chat_gpt", True, **few) == {"max_output_tokens", "temperature"}
    assert faulty("chat_gpt", None, **few) == set()
    assert faulty("chat_gpt", False, **few) == set()
    assert faulty("chat_gpt", True, max_output_tokens=1024) == set()
    search: dict[str, object] = {"web_search": True, "force_web_search": True}
    assert faulty("chat_gpt", True, **search) == {"force_web_search"}


@pytest.mark.parametrize("provider", ["chat_gpt", "claude"])
def test_the_details_of_a_search_need_the_search(provider: str) -> None:
    """A country without web search is a mistake in the job, whatever the API makes of it."""
    details: dict[str, object] = {
        "force_web_search": True,
        "web_search_country_iso_code": "DE",
        "web_search_city": "Berlin",
    }
    assert faulty(provider, web_search=True, **details) == set()
    assert faulty(provider, **details) == set(details)
    assert faulty(provider, web_search=False, **details) == set(details)
    assert faulty(provider, force_web_search=False) == set()


def test_claude_searches_in_36_countries_and_chat_gpt_states_no_list() -> None:
    """Only Claude's list is printed; for ChatGPT the shape is all that can be checked."""
    country = next(f for f in fields("claude", "standard") if f.kind is Kind.COUNTRY)
    assert len(country.choices) == len(set(country.choices)) == 36
    for code in country.choices:
        assert faults("claude", web_search=True, web_search_country_iso_code=code) == []
    (fault,) = faults("claude", web_search=True, web_search_country_iso_code="UA")
    assert '"UA"' in fault.message
    assert "ZA" in fault.allowed
    assert faults("chat_gpt", web_search=True, web_search_country_iso_code="UA") == []


@pytest.mark.parametrize("provider", ["chat_gpt", "claude"])
def test_a_lower_case_country_is_refused_with_the_right_spelling(provider: str) -> None:
    """The commonest slip deserves its answer."""
    (fault,) = faults(provider, web_search=True, web_search_country_iso_code="de")
    assert "did you mean DE?" in fault.message
    for wrong in ["DEU", "D", "", "D1", "ÄÖ"]:
        assert faulty(provider, web_search=True, web_search_country_iso_code=wrong) == {
            "web_search_country_iso_code"
        }


@pytest.mark.parametrize(
    ("model", "placeable"),
    [
        ("o3-mini", False),
        ("o3-mini-2025-01-31", False),
        ("o1-pro", False),
        ("o1", False),
        ("o1-2024-12-17", False),
        ("o4-mini", True),
        ("o1-mini", True),
        ("gpt-4o", True),
    ],
)
def test_three_models_of_chat_gpt_cannot_be_given_a_place(model: str, placeable: bool) -> None:
    """Under their base names and their dated ones, and no other model with them."""
    found = faulty("chat_gpt", model_name=model, web_search=True, web_search_country_iso_code="DE")
    assert found == (set() if placeable else {"web_search_country_iso_code"})


def test_a_chain_of_ten_passes_and_one_of_eleven_does_not() -> None:
    """And a message in it has the prompt's own limit."""
    said = {"role": "user", "message": "x" * 500}
    answer = {"role": "ai", "message": "Hello!"}
    assert faults("claude", message_chain=[said, answer] * 5) == []
    assert faults("claude", message_chain=(said,)) == []
    assert faulty("claude", message_chain=[said] * 11) == {"message_chain"}
    long = {"role": "user", "message": "x" * 501}
    assert faulty("claude", message_chain=[answer, long]) == {"message_chain[1].message"}


@pytest.mark.parametrize(
    ("chain", "field"),
    [
        ([], "message_chain"),
        ("Hello", "message_chain"),
        ({"role": "user", "message": "Hi"}, "message_chain"),
        (["Hello"], "message_chain[0]"),
        ([{"role": "user"}], "message_chain[0]"),
        ([{"message": "Hi"}], "message_chain[0]"),
        ([{"role": "user", "message": "Hi", "name": "Ann"}], "message_chain[0]"),
        ([{"role": "user", "message": " "}], "message_chain[0].message"),
        ([{"role": "user", "message": 7}], "message_chain[0].message"),
        ([{"role": ["user"], "message": "Hi"}], "message_chain[0].role"),
        ([{"role": "User", "message": "Hi"}], "message_chain[0].role"),
    ],
)
def test_a_malformed_chain_is_refused_at_its_place(chain: object, field: str) -> None:
    """A JSONL row may hold anything; the error must say which object of it is wrong."""
    assert faulty("gemini", message_chain=chain) == {field}


def test_another_apis_role_is_answered_with_ours() -> None:
    """Most conversations that people have stored say "assistant"."""
    (fault,) = faults("claude", message_chain=[{"role": "assistant", "message": "Hi"}])
    assert 'did you mean "ai"?' in fault.message


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("temprature", "temperature"),
        ("max_tokens", "max_output_tokens"),
        ("prompt", "user_prompt"),
        ("model", "model_name"),
        ("system", "system_message"),
        ("country", "web_search_country_iso_code"),
        ("Web-Search", "web_search"),
    ],
)
def test_a_misspelt_field_is_answered_with_the_nearest(wrong: str, meant: str) -> None:
    """An unknown field is an error at the API, and would be one for each task of the run."""
    (fault,) = faults("claude", **{wrong: 1})
    assert fault.field == wrong
    assert f"did you mean {meant}?" in fault.message


def test_an_unknown_field_like_no_other_is_answered_with_all_known() -> None:
    """Nothing near is no reason to leave somebody without an answer."""
    (fault,) = faults("gemini", zzz=1)
    assert "known are" in fault.message
    assert "user_prompt" in fault.message
    assert "tag" not in fault.allowed.split(", ")


def test_a_field_that_only_others_have_is_called_so() -> None:
    """force_web_search is no misspelling on Gemini: it does not exist there."""
    (fault,) = faults("gemini", web_search=True, force_web_search=True)
    assert "does not exist for gemini" in fault.message
    assert faulty("chat_gpt", use_reasoning=True) == {"use_reasoning"}


@pytest.mark.parametrize("reserved", ["tag", "postback_url", "pingback_url"])
def test_what_runner_sets_itself_cannot_be_given(reserved: str) -> None:
    """A tag of the user's own would make a lost task unrecognisable."""
    for provider in OFFERED:
        (fault,) = faults(provider, **{reserved: "mine"})
        assert "runner itself" in fault.message
        assert not supports(provider, "standard", reserved)


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "gpt\n4", "gpt-4 ", "\x1b[31m", 4, None])
def test_what_is_no_name_is_no_model(name: object) -> None:
    """Lists of models come from the API; what no list can hold is refused before."""
    assert faulty("chat_gpt", model_name=name) == {"model_name"}


def test_every_fault_is_told_at_once() -> None:
    """One run of `check` shows all there is to mend."""
    found = check_request(
        "claude",
        "standard",
        {"user_prompt": "x" * 501, "temperature": 2, "top_k": 5, "web_search_city": "Berlin"},
    )
    assert {fault.field for fault in found} == {
        "model_name",
        "user_prompt",
        "temperature",
        "top_k",
        "web_search_city",
    }


@given(
    st.dictionaries(st.text(max_size=20), st.text() | st.lists(st.text())),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_no_fault_can_spoil_the_line_it_is_printed_on(
    names: dict[str, object], value: object
) -> None:
    """Values come from files: a terminal escape in one must not reach the terminal."""
    asked: dict[str, object] = {field.name: value for field in fields("claude", "standard")}
    for fault in check_request("claude", "standard", {**names, **asked}):
        assert str(fault).isprintable()
        assert len(str(fault)) < 1000


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("chatgpt", ["did you mean chat_gpt?"]),
        ("mistral", ["chat_gpt, claude, gemini, perplexity"]),
    ],
)
def test_a_provider_that_cannot_be_asked_gets_a_clear_word(provider: str, words: list[str]) -> None:
    """A misspelt provider is answered with the nearest, another's with all that there are."""
    (fault,) = check_request(provider, "standard", request_with())
    assert fault.field == "provider"
    assert all(word in fault.message for word in words)
    with pytest.raises(WrongInput, match="provider"):
        fields(provider, "standard")
    with pytest.raises(WrongInput, match="provider"):
        supports(provider, "standard", "web_search")


@pytest.mark.parametrize(
    ("provider", "method", "gateway", "field", "word"),
    [
        ("claude", "standart", "dataforseo", "method", "did you mean standard?"),
        ("claude", "live", "aiza", "gateway", "did you mean aisa?"),
        ("perplexity", "standard", "dataforseo", "method", "not for perplexity; it must be live"),
        ("gemini", "standard", "aisa", "method", "not for aisa with gemini; it must be live"),
        ("perplexity", "live", "aisa", "gateway", "no perplexity; it must be dataforseo"),
    ],
)
def test_what_cannot_be_asked_so_is_answered_with_what_can(
    provider: str, method: str, gateway: str, field: str, word: str
) -> None:
    """Perplexity by Standard is a 404 for every call, and AIsa keeps no answers to fetch."""
    fault = check_endpoint(provider, method, gateway)
    assert fault is not None
    assert (fault.field, word in fault.message) == (field, True)


def test_defaults_for_all_targets_can_be_asked_for_one_by_one() -> None:
    """`[request]` defaults are left out, and said, where a provider has no such field."""
    assert supports("gemini", "standard", "web_search")
    assert not supports("gemini", "standard", "force_web_search")
    assert not supports("chat_gpt", "standard", "use_reasoning")
    assert not supports("chat_gpt", "standard", "no_such_field")


def test_only_a_true_switch_makes_a_request_expensive() -> None:
    """Five cents are reserved for these, nothing for the rest: a budget depends on it."""
    assert not expensive(request_with(web_search=False, use_reasoning=False))
    assert expensive(request_with(web_search=True))
    assert expensive(request_with(use_reasoning=True))
    assert expensive(request_with(), reasoning_model=True)


def test_doubts_between_the_sources_become_cautions_and_no_faults() -> None:
    """Where vendor texts differ, the job goes on and the person knows."""
    city: dict[str, object] = {"web_search": True, "web_search_city": "Berlin"}
    pro: dict[str, object] = {"model_name": "gemini-2.5-pro", "max_output_tokens": 200}
    assert faulty("claude", **city) == faulty("gemini", **pro) == set()
    assert [c.field for c in warnings("claude", "standard", request_with(**city))] == [
        "web_search_city"
    ]
    assert [c.field for c in warnings("gemini", "standard", request_with(**pro))] == [
        "max_output_tokens"
    ]
    flash = request_with(model_name="gemini-2.5-flash", max_output_tokens=200)
    assert warnings("gemini", "standard", flash) == []


def test_every_row_of_the_table_names_its_source() -> None:
    """A rule without a source cannot be checked again when the API changes."""
    for endpoint, accepted in TABLE.items():
        names = [field.name for field in accepted]
        assert len(names) == len(set(names)), endpoint
        assert all(field.source.startswith("API.md §") and field.allowed for field in accepted)


def documented(provider: str, request: dict[str, object]) -> bool:
    """The table of API.md §2 for a few fields, restated as one condition."""
    prompt, tokens = request["user_prompt"], request["max_output_tokens"]
    temperature = request.get("temperature")
    reasons = request.get("use_reasoning", False)
    searches = request.get("web_search", False)
    least = {"chat_gpt": 16, "claude": 1025 if reasons else 1, "gemini": 1024 if reasons else 1}
    assert isinstance(prompt, str)
    assert isinstance(tokens, int)
    fine: object = 1 <= len(prompt) <= 500 and least[provider] <= tokens <= 4096
    if isinstance(temperature, int | float):
        fine = fine and 0 <= temperature <= (1 if provider == "claude" else 2)
    if provider != "gemini":
        fine = fine and not ("temperature" in request and "top_p" in request)
        fine = fine and (searches or not request.get("force_web_search", False))
    if provider == "claude" and reasons:
        fine = fine and not {"temperature", "top_p"} & set(request)
        fine = fine and not request.get("force_web_search", False)
    return bool(fine)


@st.composite
def near_the_edges(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    """A provider and a request whose values crowd around the documented bounds."""
    provider = draw(st.sampled_from(OFFERED))
    number = st.sampled_from([-0.1, 0, 0.5, 1, 1.0, 1.1, 2, 2.1])
    tokens = st.sampled_from([0, 1, 15, 16, 1023, 1024, 1025, 4096, 4097])
    optional = {
        "temperature": number,
        "top_p": st.sampled_from([0, 0.5, 1]),
        "web_search": st.booleans(),
    }
    if provider != "gemini":
        optional["force_web_search"] = st.booleans()
    if provider != "chat_gpt":
        optional["use_reasoning"] = st.booleans()
    required: dict[str, st.SearchStrategy[object]] = {
        "user_prompt": st.sampled_from([0, 1, 499, 500, 501]).map(lambda n: "x" * n),
        "model_name": st.just("some-model"),
        "max_output_tokens": tokens,
    }
    return provider, draw(st.fixed_dictionaries(required, optional=optional))


@given(near_the_edges())
def test_a_request_passes_exactly_when_the_documents_allow_it(
    drawn: tuple[str, dict[str, object]],
) -> None:
    """One too lax costs money, one too strict keeps somebody from asking."""
    provider, request = drawn
    assert (check_request(provider, "standard", request) == []) == documented(provider, request)
