"""Keys of documents as keys of a NATS bucket: other clients take them, and no two are the same."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.kv import VALID_KEY_RE

from holdfast.core.errors import StoreError, StoreUnavailableError
from holdfast.stores.nats_keys import MAX_KEY_BYTES, decode, encode

TOKENS = st.sampled_from(["run", ":", ".", "=", "=3A", "=2E", "-", "_", "/", "%41", "ü", "\n", "*", ">", " ", "$KV"])
KEYS = st.one_of(st.text(min_size=1, max_size=40), st.lists(TOKENS, min_size=1, max_size=12).map("".join))


@given(KEYS)
def test_a_key_comes_back_as_it_was(key: str) -> None:
    assert decode(encode(key)) == key


@given(KEYS)
def test_every_client_of_nats_takes_it(key: str) -> None:
    encoded = encode(key)

    assert VALID_KEY_RE.fullmatch(encoded)
    assert not encoded.startswith(".")
    assert not encoded.endswith(".")
    assert ".." not in encoded


@given(KEYS, KEYS)
def test_two_keys_stay_two(one: str, other: str) -> None:
    assert (encode(one) == encode(other)) == (one == other)


@given(st.one_of(KEYS, st.from_regex(VALID_KEY_RE, fullmatch=True)))
def test_what_is_decoded_is_encoded_so(encoded: str) -> None:
    key = decode(encoded)

    assert key is None or encode(key) == encoded


@pytest.mark.parametrize(
    ("key", "encoded"),
    [
        ("order-1", "order-1"),
        ("a.b/c_D", "a.b/c_D"),
        ("run:order-1", "run=3Aorder-1"),
        ("page:a.b:3", "page=3Aa.b=3A3"),
        (".", "=2E"),
        (".a.", "=2Ea=2E"),
        ("a..b", "a=2E=2Eb"),
        ("a:.b", "a=3A.b"),
        ("a=3A", "a=3D3A"),
        ("ü", "=C3=BC"),
    ],
)
def test_this_is_how_keys_look(key: str, encoded: str) -> None:
    assert encode(key) == encoded
    assert decode(encoded) == key


@pytest.mark.parametrize("foreign", ["a:b", "a..b", "=3a", "=41", "=C3", "=", "a=", ".a", "a%41", "a%3A=3A"])
def test_what_encode_never_gives_is_no_key_of_ours(foreign: str) -> None:
    assert decode(foreign) is None


@pytest.mark.parametrize("key", ["", "k" * (MAX_KEY_BYTES + 1), ":" * (MAX_KEY_BYTES // 3 + 1)])
def test_keys_that_would_end_the_connection_are_refused(key: str) -> None:
    with pytest.raises(StoreError, match=re.escape(f"1 to {MAX_KEY_BYTES} bytes")) as refused:
        encode(key)

    assert not isinstance(refused.value, StoreUnavailableError)
