"""A tag leads back to exactly one attempt of one task, and nothing else is taken for one."""

import hashlib
import string
from base64 import b32encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.task import (
    Endpoint,
    Gateway,
    Method,
    Provider,
    Tag,
    TaskId,
    identity_digest,
    short_digest,
)

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
TAGS = st.builds(
    Tag,
    install=st.text(BASE32, min_size=8, max_size=8),
    run=st.text(BASE32, min_size=8, max_size=8),
    task=st.integers(1, 10**18 - 1).map(TaskId),
    digest=st.text(BASE32, min_size=26, max_size=26),
    attempt=st.integers(1, 10**8 - 1),
)
KEYS = st.binary(min_size=16, max_size=16)
IDENTITIES = st.tuples(KEYS, st.text(max_size=12), st.integers(1, 99), st.integers(1, 99))
SAMPLE = Tag("abcdefgh", "ijklmnop", TaskId(42), "q" * 26, 3)


@given(TAGS)
def test_a_tag_survives_the_way_to_the_api_and_back(tag: Tag) -> None:
    """F44: it is all that a listing of the account tells us."""
    text = str(tag)
    assert Tag.parse(text) == tag
    assert len(text) <= 255
    assert set(text) <= set(BASE32 + string.digits + ".")


@given(TAGS, TAGS)
def test_different_attempts_have_different_tags(one: Tag, two: Tag) -> None:
    """Two attempts under one tag could not be told apart in the listing, nor on the bill."""
    assert (str(one) == str(two)) == (one == two)


@given(TAGS, st.data())
def test_an_altered_tag_is_not_ours(tag: Tag, data: st.DataObject) -> None:
    """A tag that was cut or changed on the way must not point to another task."""
    text = str(tag)
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(st.sampled_from([*BASE32, *string.digits, ".", ""]))
    altered = text[:at] + put + text[at + 1 :]
    assume(altered != text)
    # Four check characters of 32: one alteration in a million passes the check.
    found = Tag.parse(altered)
    assert found is None or str(found) == altered != text


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        b"bytes",
        "",
        "hello",
        str(SAMPLE)[:-1],
        str(SAMPLE) + "a",
        str(SAMPLE) + ".a",
        str(SAMPLE).upper(),
        " " + str(SAMPLE),
        str(SAMPLE).replace("42", "042"),
        str(SAMPLE).replace("42", "٤٢"),
        str(SAMPLE).replace("42", "-2"),
        str(SAMPLE).replace("42", "9" * 30),
        str(SAMPLE).replace("abcdefgh", "abc1efgh"),
        "a." * 128,
    ],
)
def test_a_text_of_another_program_is_no_tag(text: object) -> None:
    """Accounts are shared: other programs put what they like into the field."""
    assert Tag.parse(text) is None


@given(st.text(max_size=300))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    """The ready list is read to its end whatever stands in it."""
    found = Tag.parse(text)
    assert found is None or str(found) == text


@given(IDENTITIES, IDENTITIES)
def test_a_digest_is_that_of_the_tasks_identity(
    one: tuple[bytes, str, int, int], two: tuple[bytes, str, int, int]
) -> None:
    """Row, target, sample and turn name a task; no two of them run into each other."""
    assert (identity_digest(*one) == identity_digest(*two)) == (one == two)
    assert len(identity_digest(*one)) == 26
    assert set(identity_digest(*one)) <= set(BASE32)


def test_digests_stay_what_they_were() -> None:
    """A store is rebuilt from tags that an older version of the program has sent."""
    assert identity_digest(bytes(16), "claude", 1, 1) == "eb2uyiaxsnhoc6ny4yaqmcntu6"
    assert short_digest(b"runner", 8) == "4wd6mnac"
    assert str(SAMPLE) == "abcdefgh.ijklmnop.42.qqqqqqqqqqqqqqqqqqqqqqqqqq.3.5di3"


@given(st.binary(max_size=80), st.integers(1, 50))
def test_a_digest_is_the_standard_librarys_base32(data: bytes, length: int) -> None:
    """Tags written before the program had its own base32 must be found by it."""
    digest = hashlib.blake2b(data, digest_size=32).digest()
    assert short_digest(data, length) == b32encode(digest).decode().lower()[:length]


@pytest.mark.parametrize("gateway", Gateway)
@pytest.mark.parametrize("provider", Provider)
@pytest.mark.parametrize("method", Method)
def test_an_endpoint_survives_storing(gateway: Gateway, provider: Provider, method: Method) -> None:
    """Whose endpoint a task goes to is read back from the store at every batch."""
    endpoint = Endpoint(gateway=gateway, provider=provider, method=method)
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize("text", ["", "dataforseo/claude", "dataforseo/claude/fast", "a/b/c/d"])
def test_what_is_no_endpoint_is_an_error(text: str) -> None:
    """A store that was edited by hand must not send tasks to somewhere else."""
    with pytest.raises(ValueError, match=r".+"):
        Endpoint.parse(text)
