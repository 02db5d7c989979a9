"""Signed answers, judged by the check that other nodes' answers pass."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoshell.nodes.remote.http.answer import Response as Answer
from aoshell.nodes.remote.hyperbeam.generation import LATER, generation_of
from aoshell.nodes.remote.hyperbeam.signed import examine
from aoshell.protocol.httpsig import Checked, SignatureStatus
from aoshell.protocol.message import text
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Response
from aoshell.serve.hyper.answers import LARGEST_FIELDS, NOT_FOUND, RESULT, Codec, write_answer

SLOW = settings(max_examples=30, suppress_health_check=list(HealthCheck))


def checked(response: Response) -> Checked:
    """An answer as our client reads it."""
    headers = [(name, text(value.encode("latin-1"))) for name, value in response.headers]
    return examine(Answer("", response.status, tuple(headers), response.body))


def said(value: object, codec: Codec, key: Wallet, status: int = 200) -> dict[str, Any]:
    """The content of an answer, after a check of its signature."""
    response = write_answer(value, codec, key, status)
    found = checked(response)
    assert found.outcome is SignatureStatus.VERIFIED, found.failure
    assert found.committers == (key.address,)
    assert found.verified["status"] == status == response.status
    return {name: one for name, one in found.verified.items() if name != "status"}


CODECS = pytest.mark.parametrize("codec", list(Codec))
VALUES: list[Any] = [
    {},
    {"a": "1", "n": 5, "f": 1.5, "t": True, "none": None},
    {"data": "2", "output": {"data": "2", "prompt": "aos> "}, "outbox": {}},
    {"list": [1, "two", {"three": [3]}], "empty": []},
    {"body": {"tags": [{"name": "A", "value": "b"}]}, "slot": 3},
    {"error": "\n\nerror:\n boom\r\nmore"},
    {"prompt": "aos> "},
    {"edges": "  both  "},
    {"long": "x" * 5000, "text": "ü\N{SNOWMAN}"},
    {"many": {f"key-{n}": {"of": n, "x" * n: "y"} for n in range(1, 41)}},
    {"keys with spaces": 1, "Case": {"Case": 2, "case": 3}},
    {"0x" + "A" * 41: "id", "/": "slash", '"': "quote", "deep": {"/": "slash"}},
    {"big": 2**63 - 1, "negative": -7},
    {f"k{n}": "v" * 100 for n in range(100)},
]


@CODECS
@pytest.mark.parametrize("value", VALUES)
def test_a_message_is_what_it_was(codec: Codec, value: dict[str, Any], wallet: Wallet) -> None:
    found = said(value, codec, wallet)
    lower = {key.lower() if len(key) != 43 else key: one for key, one in value.items()}
    assert found in (value, lower)


@CODECS
@pytest.mark.parametrize("value", ["", "text", "two\nlines", 7, True, [1, [2]], [], "<b>"])
def test_what_is_no_map_is_under_a_key(codec: Codec, value: object, wallet: Wallet) -> None:
    assert said(value, codec, wallet) == {RESULT: "body", "body": value}


@CODECS
@pytest.mark.parametrize("name", ["status", "Status"])
def test_a_message_keeps_its_own_status(codec: Codec, name: str, wallet: Wallet) -> None:
    response = write_answer({name: "Active", "data": "x"}, codec, wallet)
    found = checked(response)
    assert found.outcome is SignatureStatus.VERIFIED, found.failure
    own = {key.lower(): one for key, one in found.verified.items()}
    assert (response.status, own["status"], own["data"]) == (200, "Active", "x")


@CODECS
def test_an_error_says_its_status(codec: Codec, wallet: Wallet) -> None:
    assert said({"status": "Active", "body": "x"}, codec, wallet, 404) == {"body": "x"}


def test_what_is_not_there_is_an_atom(wallet: Wallet) -> None:
    response = write_answer({RESULT: "body", "body": NOT_FOUND}, Codec.HTTPSIG, wallet, 404)
    assert (response.status, response.body) == (404, b"not_found")
    assert ("ao-types", 'body="atom", status="integer"') in response.headers


def test_the_forms_are_those_of_nodes_of_september_2025(wallet: Wallet) -> None:
    response = write_answer({"output": {"data": "2"}, "slot": 1}, Codec.HTTPSIG, wallet)
    headers = dict(response.headers)
    assert headers["signature-input"].startswith("comm-")
    assert 'keyid="publickey:' in headers["signature-input"]
    assert '("ao-types" "output+link" "slot" "status")' in headers["signature-input"]
    assert headers["ao-types"] == 'slot="integer", status="integer"'
    assert headers["content-type"].startswith("multipart/form-data; boundary=")
    assert generation_of(checked(response)) is LATER


def test_what_headers_cannot_carry_comes_as_json(wallet: Wallet) -> None:
    for value in ({"error": "two\nlines"}, {"a b": 1}, {"k": "v", "K": "V"}, {"signature": "x"}):
        response = write_answer(value, Codec.HTTPSIG, wallet)
        assert ("codec-device", "json@1.0") in response.headers, value
    many = {f"k{n}": "v" * 100 for n in range(LARGEST_FIELDS // 100)}
    response = write_answer(many, Codec.HTTPSIG, wallet)
    assert sum(len(n) + len(v) for n, v in response.headers) < 1000


def test_no_browser_takes_an_answer_for_a_page(wallet: Wallet) -> None:
    for value in ("<script>", {"body": "<script>"}, {"a": {"b": "<script>"}}):
        headers = dict(write_answer(value, Codec.HTTPSIG, wallet).headers)
        assert headers["content-security-policy"] == "sandbox"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"].startswith(("text/plain", "multipart/"))
        headers = dict(write_answer(value, Codec.JSON, wallet).headers)
        assert headers["content-security-policy"] == "sandbox"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"] == "application/json"


def test_json_holds_no_bytes_that_are_no_text(wallet: Wallet) -> None:
    response = write_answer({"data": text(b"\xff")}, Codec.JSON, wallet)
    assert json.loads(response.body)["data"] == "\ufffd"
    assert said({"data": text(b"\xff")}, Codec.HTTPSIG, wallet) == {"data": text(b"\xff")}


TEXTS = st.text(max_size=12)
LEAVES = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none()
KEYS = st.text("abcXYZ-_ /0éß", min_size=1, max_size=6) | st.just("status")
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@SLOW
@given(st.dictionaries(KEYS, TREES, max_size=5), st.sampled_from(list(Codec)))
def test_whatever_a_process_shows_is_signed(
    wallet: Wallet, value: dict[str, Any], codec: Codec
) -> None:
    assert checked(write_answer(value, codec, wallet)).outcome is SignatureStatus.VERIFIED
