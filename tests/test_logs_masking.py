"""The masker: a planted secret is never in the output, in whatever form it was put in."""

import base64
import json
import os
import re
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.logs import Masker


def test_a_word_too_short_to_be_a_secret_is_left_alone() -> None:
    """With the password "p" masked in each word no log could be read, and everybody could guess."""
    assert Masker(["p", "pw", "abc", ""]).mask("a p in pw and abc") == "a p in pw and abc"
    assert Masker(["abcd"]).mask("abcde") == "***e"


secrets = st.text(min_size=4, max_size=24).filter(lambda text: text.strip())
"""Any text can be a password, even one with quotes, spaces, emoji or a line end in it."""


def forms_of(secret: str) -> list[str]:
    """How a secret leaves by accident; written with the library's own encoders."""
    data = secret.encode()
    standard, urlsafe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    return [
        secret,
        standard,
        urlsafe,
        standard.rstrip("="),
        quote(standard, safe=""),
        quote(secret),
        quote(secret, safe=""),
        quote(secret, safe="").lower() if secret.isascii() and secret.islower() else secret,
        quote_plus(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ]


@given(secrets, st.data())
def test_a_planted_secret_is_masked_in_every_form(secret: str, data: st.DataObject) -> None:
    """Plain, base64, percent-quoted, escaped: whatever text stands around it."""
    masker = Masker([secret])
    form = data.draw(st.sampled_from(forms_of(secret)))
    before, after = data.draw(st.text(max_size=12)), data.draw(st.text(max_size=12))
    masked = masker.mask(f"{before}{form}{after}")
    assert form not in masked
    assert secret not in masked
    assert masker.mask(masked) == masked


@given(secrets, st.binary(max_size=9), st.binary(max_size=9), st.booleans())
def test_a_secret_inside_something_in_base64_is_masked(
    secret: str, before: bytes, after: bytes, urlsafe: bool
) -> None:
    """`Basic` headers hold the login before it; three alignments, two alphabets."""
    # One that the header's own words hold is masked in these, too.
    assume(secret not in "Authorization: Basic ")
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    whole = encode(before + secret.encode() + after).decode()
    masked = Masker([secret]).mask(f"Authorization: Basic {whole}")
    assert whole not in masked
    left = re.split(r"\*\*\*|###|•••|§§§", masked.removeprefix("Authorization: Basic "))
    longest = max(len(part) for part in left)
    assert longest <= len(encode(max(before, after, key=len))) + 4


@given(st.lists(secrets, min_size=1, max_size=4), st.text(max_size=60), st.data())
def test_no_secret_is_left_where_several_meet(
    planted: list[str], text: str, data: st.DataObject
) -> None:
    """One secret may hold another, overlap it, or look like the mask itself."""
    order = data.draw(st.lists(st.sampled_from([*planted, "*", "***", text]), max_size=6))
    masked = Masker(planted).mask("".join(order))
    assert not any(secret in masked for secret in planted)


@pytest.mark.parametrize("secret", ["ked]xyz", "****", "#***", "***#•§¤¦"])
def test_the_mask_and_its_neighbours_cannot_spell_the_secret(secret: str) -> None:
    """Masking "**" + secret with "***" would write some secrets anew."""
    masker = Masker([secret])
    for text in [secret, secret * 2, f"{secret}{secret[-1]}", f"{secret[0]}{secret}", "***" * 3]:
        assert secret not in masker.mask(text)


def test_a_secret_from_an_environment_that_is_not_utf8_is_masked() -> None:
    """Its bytes arrive as surrogates; base64 is made of the bytes."""
    secret = os.fsdecode(b"caf\xe9-secret") if sys.getfilesystemencoding() == "utf-8" else "x" * 8
    masker = Masker([secret])
    encoded = base64.b64encode(os.fsencode(f"me:{secret}")).decode()
    assert secret not in masker.mask(f"<{secret}>")
    assert encoded not in masker.mask(encoded)
