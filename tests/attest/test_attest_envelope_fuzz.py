"""Whatever comes as an envelope: a verdict comes out, never an exception, and never PASS."""

from __future__ import annotations

import json
from typing import Any

import pytest
from amd import check_form
from der_writer import NOW
from envelope_edits import Node
from envelope_node import NONCE, POLICY, raw
from envelope_wire import as_json, sign
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoshell.attest.envelope.activation import make_activation
from aoshell.attest.envelope.reading import LinkSearch, read_info
from aoshell.attest.envelope.snp import find_report
from aoshell.attest.evidence import (
    Activation,
    Collateral,
    Evidence,
    Exchange,
    RawResponse,
    load_evidence,
    save_evidence,
)
from aoshell.attest.policy import Policy
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.errors import AoError

QUICK = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64) + 1, 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.sampled_from(["A" * 43, "A" * 64, "", "\x00", "x+link"]),
)
KEYS = st.text("abcdefgh-", min_size=1, max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=8,
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("content-type", "type", "version", "measurement-device", "body+link"),
                *("ao-types", "signature", "signature-input", "content-digest", "x"),
            ]
        ),
        st.one_of(
            st.sampled_from(["application/json", "lapee-measurement", "snp@1.0", "tpm@2.0a"]),
            st.text(st.characters(max_codepoint=255), max_size=30),
        ),
    ),
    max_size=6,
)


def verdict_of(exchange: Exchange) -> Verdict:
    # All that looks at an exchange besides the checks, too.
    LinkSearch(exchange).wanted(exchange.links)
    make_activation(exchange)
    find_report(exchange)
    read_info(exchange.fresh)
    verdict = verify_evidence(Evidence(exchange=exchange), Collateral(), POLICY, NOW)
    check_form(verdict)
    return verdict


@given(headers=HEADERS, body=st.binary(max_size=200))
@QUICK
def test_any_answer(headers: list[tuple[str, str]], body: bytes) -> None:
    answer = RawResponse(tuple(headers), body)
    assert verdict_of(Exchange(answer, answer, NONCE)).verdict != "PASS"


@given(value=VALUES)
@QUICK
def test_any_json(value: Any) -> None:
    answer = RawResponse((("content-type", "application/json"),), json.dumps(value).encode())
    assert verdict_of(Exchange(answer, None, NONCE)).verdict != "PASS"


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict):
        return [path]
    inner = [found for key, one in value.items() for found in paths_of(one, (*path, key))]
    return [path, *inner] if path else inner


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    return {**value, path[0]: put(value[path[0]], path[1:], new)} if path else new


@given(data=st.data())
@QUICK
def test_any_value_anywhere_signed_by_the_node(measured_node: Node, data: st.DataObject) -> None:
    """What is not used may be anything: then the verdict stays."""
    envelope = measured_node.envelope()
    path = data.draw(st.sampled_from(paths_of(envelope)))
    changed = put(envelope, path, data.draw(VALUES))
    send = data.draw(st.sampled_from([sign, as_json]))
    try:
        fresh = raw(send(measured_node.wallet, changed))
    except AoError:
        return  # no node could send it
    exchange = measured_node.exchange(fresh=fresh)
    LinkSearch(exchange).wanted(exchange.links), make_activation(exchange), find_report(exchange)
    measured_node.verify(exchange=exchange)
    boot = measured_node.exchange(boot=fresh)
    measured_node.verify(exchange=boot)


@given(body=st.binary(max_size=60), credential=st.dictionaries(KEYS, st.text(max_size=9)))
@QUICK
def test_any_answer_to_a_secret(
    measured_node: Node, body: bytes, credential: dict[str, str]
) -> None:
    for answer in (
        RawResponse((), body),
        RawResponse((("content-type", "application/json"),), body),
    ):
        sent = Activation(b"s" * 32, credential, answer)
        assert measured_node.verify(exchange=measured_node.exchange(activation=sent)).errors


@pytest.mark.parametrize("credential", [{"priv": "x"}, {"a": "\ud800"}, {"ao-types": "?"}, {}])
def test_kept_credentials_that_cannot_be_encoded(
    measured_node: Node, credential: dict[str, str]
) -> None:
    sent = measured_node.activation()
    kept = Activation(sent.secret, credential, sent.answer)
    verdict = measured_node.verify(exchange=measured_node.exchange(activation=kept))
    assert verdict.error in ("ACTIVATION_SHAPE", "ACTIVATION_PROOF")


@given(data=st.data())
@QUICK
def test_any_kept_exchange(measured_node: Node, data: st.DataObject) -> None:
    saved = json.loads(save_evidence(Evidence(exchange=measured_node.exchange()), Collateral()))
    path = data.draw(st.sampled_from(paths_of(saved)))
    changed = json.dumps(put(saved, path, data.draw(VALUES))).encode()
    loaded = load_evidence(changed)
    verdict = verify_evidence(loaded, Collateral(), Policy(), NOW)
    check_form(verdict)
    assert verdict.verdict != "PASS"


def test_deep_nesting() -> None:
    for depth in (60, 70, 3000):
        path = "/".join(["a"] * depth)
        part = f'--x\r\ncontent-disposition: form-data;name="{path}"\r\n\r\nv\r\n--x--'
        kind = (("content-type", 'multipart/form-data; boundary="x"'),)
        assert verdict_of(Exchange(RawResponse(kind, part.encode()))).verdict == "FAIL"
        deep = ('{"body":' * depth + "1" + "}" * depth).encode()
        kind = (("content-type", "application/json"),)
        assert verdict_of(Exchange(RawResponse(kind, deep))).verdict == "FAIL"
