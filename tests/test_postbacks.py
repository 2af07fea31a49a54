"""Addresses for deliveries, and the signatures that tell them from anybody else's."""

from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from runner.postbacks import PostbackAddress, is_signed, signature, without_signatures

SECRET = "a secret of some length"
TAG = "abcdefgh.ijklmnop.17.abcdefghijklmnopqrstuvwxyz.1.k3fa"


def test_an_address_leaves_id_and_tag_to_the_api_and_is_signed_for_one_tag() -> None:
    """The API signs nothing: that it knows the address is all there is to go by."""
    url = PostbackAddress("https://runner.example.com/hooks", SECRET).url_for(TAG)
    parts = urlsplit(url)
    assert parts.path == "/hooks/postback/$id"
    query = parse_qs(parts.query)
    assert query["tag"] == ["$tag"]
    assert is_signed([SECRET], TAG, query["sig"][0])
    assert not is_signed([SECRET], TAG.replace(".17.", ".18."), query["sig"][0])


@given(st.text(), st.text())
def test_nothing_but_the_signature_is_one(tag: str, given: str) -> None:
    """F71: whatever is sent in its place, strange characters included, is refused, not a crash."""
    assert not is_signed([SECRET], tag, given)
    assert is_signed(["another", SECRET], tag, signature(SECRET, tag))
    assert not is_signed([], tag, signature(SECRET, tag))


def test_a_secret_shows_in_no_repr() -> None:
    """An address stands in the engine, and engines are printed when something goes wrong."""
    assert SECRET not in repr(PostbackAddress("https://x", SECRET))


@given(st.sampled_from([b"&sig=", b"\\u0026sig=", b"%26sig%3D", b"&sig\\u003d", b"?sig="]))
def test_a_signature_is_taken_out_however_its_address_was_escaped(before: bytes) -> None:
    """Replies repeat the address that a task was posted with, and are kept for years."""
    sig = signature(SECRET, TAG).encode()
    kept = without_signatures(b'{"postback_url":"https://x/$id' + before + sig + b'","a":1}')
    assert sig not in kept
    assert kept.endswith(before + b'***","a":1}')


def test_what_only_looks_a_little_like_one_is_left_as_it_is() -> None:
    """Answers are kept to the byte."""
    text = b"sig=abc design=" + b"a" * 40 + b" sig=" + b"A" * 32
    assert without_signatures(text) == text
