"""content-digest: what is written, which forms are read, and what is refused."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.protocol.digest import check_digest, content_digest, read_digests
from aoshell.protocol.encoding import ProtocolError

# RFC 9530, appendix B.1, the example's body being {"hello": "world"} and a line feed.
EXAMPLE = b'{"hello": "world"}\n'
SHA_256 = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
SHA_512 = (
    "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCs"
    "yRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:"
)


def test_the_example_of_the_rfc() -> None:
    assert content_digest(EXAMPLE) == SHA_256
    for value in (SHA_256, SHA_512, f"{SHA_256}, {SHA_512}", f"{SHA_512},{SHA_256}"):
        check_digest(value, EXAMPLE)


@given(st.binary())
def test_what_is_written_is_read_in_both_alphabets(body: bytes) -> None:
    raw = hashlib.sha256(body).digest()
    check_digest(content_digest(body), body)
    check_digest(f"sha-256=:{base64.urlsafe_b64encode(raw).decode()}:", body)
    check_digest(f"sha-256=:{base64.urlsafe_b64encode(raw).decode().rstrip('=')}:", body)
    with pytest.raises(ProtocolError, match="not the one"):
        check_digest(content_digest(body), body + b"\0")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("", "no dictionary"),
        ("sha-256", "no dictionary"),
        ("sha-256=:AA==:x", "no dictionary"),
        ("sha-256=:A:", "no base64"),
        ("sha-256=:AB==:", "no base64"),
        ("md5=:AA==:", "neither"),
        (f"{SHA_256}, {SHA_256}", "twice"),
        (f"{SHA_256}, sha-512=:AA==:", "not the one"),
        (SHA_256.replace("RK", "Rk"), "not the one"),
    ],
)
def test_others_are_refused(value: str, what: str) -> None:
    with pytest.raises(ProtocolError, match=what) as caught:
        check_digest(value, EXAMPLE)
    assert caught.value.place == "header content-digest"


@given(st.text())
def test_no_text_raises_anything_else(value: str) -> None:
    try:
        read_digests(value)
    except ProtocolError as error:
        assert 0 <= error.position <= len(value)
