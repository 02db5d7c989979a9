"""`sandbox.packing`: ids of messages are hashes of its bytes, so they are those of `json`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.sandbox import frames
from aoshell.sandbox.packing import pack_list, unpack

TEXTS = st.text(st.characters(max_codepoint=255))
WHOLE = st.integers(-(1 << 63), (1 << 64) - 1)
LISTS = st.recursive(
    st.lists(TEXTS | WHOLE | st.booleans() | st.none(), max_size=8),
    lambda inner: st.lists(inner | TEXTS, max_size=4),
    max_leaves=12,
)


def packed_by_json(value: list[Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("latin-1")


@given(LISTS)
def test_it_gives_the_bytes_of_json(value: list[Any]) -> None:
    packed = pack_list(value)
    assert packed == packed_by_json(value) == frames.pack_list(value)
    assert unpack(packed) == frames.unpack(packed) == value


def test_every_character_and_every_pair_of_them() -> None:
    characters = [chr(code) for code in range(256)]
    value = [one + other for one in characters for other in characters]
    assert pack_list(value) == packed_by_json(value)
    for one in characters:
        assert pack_list([one]) == packed_by_json([one])
        assert unpack(pack_list([one])) == [one]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_fraction_comes_back(value: float) -> None:
    assert unpack(pack_list([value])) == [value]


@pytest.mark.parametrize("packed", [b"[NaN]", b"[1", b'["\n"]', b'["\xe4\n"]', b"[\xe4]", b""])
def test_what_is_no_json_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(packed)
