"""Signing and verifying HTTP messages: round trips, tampering, and whatever else may come in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.protocol import signing, wire
from aoshell.protocol.commitment import (
    CURRENT,
    EDGE,
    HMAC,
    INPUT,
    RSA,
    SIGNATURE,
    Profile,
    write_commitments,
)
from aoshell.protocol.digest import content_digest
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import (
    SignatureError,
    SignatureStatus,
    UncheckableError,
    check,
    decode,
    verify,
)
from aoshell.protocol.message import text
from aoshell.protocol.nested import carry
from aoshell.protocol.rebuild import unsigned
from aoshell.protocol.signing import commit, request, sign, unsigned_id
from aoshell.protocol.structured import Atom, to_tabm
from aoshell.protocol.wallet import Wallet

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
PROFILES = st.sampled_from([EDGE, CURRENT])

PRINTABLE = st.text(max_size=10).filter(
    lambda value: not re.search(r"[\0-\x1f\x7f]", value) and value == value.strip(" \t")
)
LINES = PRINTABLE | st.just(text(b"\xff\xfe"))
LEAVES = (
    LINES
    | st.booleans()
    | st.none()
    | st.integers(-(10**15) + 1, 10**15 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(Atom("ok"))
)
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True).filter(
    lambda key: key not in ("priv", "content-type") and key not in wire.TRANSPORT
)
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.builds(
    lambda message, bodies: message | bodies,
    st.dictionaries(NAMES | st.sampled_from(["status", "path", "method"]), NESTED, max_size=5),
    st.fixed_dictionaries({}, optional={"data": st.binary(max_size=30).map(text)}),
)


@SLOW
@given(MESSAGES, st.booleans(), PROFILES)
def test_what_is_signed_verifies(
    wallet: Wallet, message: dict[str, Any], bundle: bool, profile: Profile
) -> None:
    headers, body = sign(wallet, message, bundle=bundle, profile=profile)
    checked = check(headers, body)
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert checked.verified == checked.message == message == decode(headers, body)
    assert checked.committers == (wallet.address,)
    by_alg = {one.alg: one for one in verify(headers, body)}
    assert set(by_alg[RSA].committed) == set(by_alg[HMAC].committed)
    if not bundle:
        assert by_alg[HMAC].id == unsigned_id(message, profile)


def test_a_request_is_signed_and_so_is_its_message(wallet: Wallet) -> None:
    message: Any = {"Action": "Eval", "data": "x\r\n=1", "random-seed": 7, "tags": ["a", {"b": 1}]}
    sent = request(wallet, "/~scheduler@1.0/schedule", message)
    checked = check(sent.headers, sent.body)
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    lower = {key.lower(): value for key, value in message.items()}
    assert checked.verified == {"method": "POST", "path": "/~scheduler@1.0/schedule", "body": lower}
    assert checked.message["accept-bundle"] is True
    assert f"body/commitments/{sent.id}".encode() in sent.body
    assert len(sent.id) == 43


def test_a_request_may_have_no_message(wallet: Wallet) -> None:
    sent = request(wallet, "/~process@1.0/push&slot=2")
    assert (sent.body, sent.id) == (b"", "")
    assert check(sent.headers, sent.body).verified["path"] == "/~process@1.0/push&slot=2"


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({"k": "a\nb"}, "line breaks"),
        ({"k": " a"}, "spaces at an edge"),
        ({"k": {"l": "a\r\nb"}}, "line break"),
        ({"a b": "x"}, "cannot be the name of a header"),
        ({"host": "x"}, "a header of HTTP itself"),
        ({"m": {"signature": "x"}}, "belongs to the codec"),
        ({"ao-body-key": "x"}, "belongs to the codec"),
        ({"m+link": "x"}, "belongs to the codec"),
        ({"content-type": "text/plain", "m": {"a": "b"}}, "no place for content-type"),
    ],
)
def test_what_cannot_be_sent_is_refused(wallet: Wallet, message: Any, what: str) -> None:
    with pytest.raises(AoError, match=what) as caught:
        sign(wallet, message)
    assert caught.value.stage == "message"


@pytest.fixture(scope="module", params=["plain", "bundled", "request"])
def signed(request: pytest.FixtureRequest, wallet: Wallet) -> tuple[list[tuple[str, str]], bytes]:
    message: Any = {"action": "Eval", "n": 5, "m": {"a": "b", "l": [1, "x"]}, "data": "return 1"}
    if request.param == "request":
        sent = signing.request(wallet, "/push", message)
        return sent.headers, sent.body
    return sign(wallet, message, bundle=request.param == "bundled")


@SLOW
@given(st.data(), st.sampled_from([1, 32, 128]))
def test_one_changed_byte_is_seen(
    signed: tuple[list[tuple[str, str]], bytes], data: st.DataObject, bit: int
) -> None:
    headers, body = signed
    covered = {name for one in verify(headers, body) for name in one.components or ()}
    covered |= {SIGNATURE, INPUT, "content-digest"}
    fields = {name: value.encode("utf-8", "surrogateescape") for name, value in headers}
    name = data.draw(st.sampled_from(sorted(covered & fields.keys())))
    at = data.draw(st.integers(0, len(fields[name]) - 1))
    changed = flip(fields[name], at, bit)
    assert check(headers, body).outcome is SignatureStatus.VERIFIED
    outcome = check({**dict(headers), name: text(changed)}, body).outcome
    assert outcome not in (SignatureStatus.VERIFIED, SignatureStatus.UNSIGNED), (name, at)
    at = data.draw(st.integers(0, len(body) - 1))
    assert check(headers, flip(body, at, bit)).outcome is SignatureStatus.BAD
    # The digest only repeats what is signed anyway: without it, nothing else may come out.
    bare = [(name, value) for name, value in headers if name != "content-digest"]
    believed = check(bare, flip(body, at, bit))
    assert (
        believed.outcome is not SignatureStatus.VERIFIED
        or believed.verified == check(*signed).verified
    )


def flip(value: bytes, at: int, bit: int) -> bytes:
    return value[:at] + bytes([value[at] ^ bit]) + value[at + 1 :]


def test_the_wrong_signature_shows_what_should_be_signed(wallet: Wallet) -> None:
    headers, body = sign(wallet, {"a": "1"})
    with pytest.raises(SignatureError, match=wallet.address) as caught:
        verify(dict(headers) | {"a": "2"}, body)
    error = caught.value
    assert error.base.startswith(b'"a": 2\n"@signature-params": ("a");alg="')
    assert error.commitment.committer == wallet.address
    assert error.place == "header signature"


def test_nobody_signed(wallet: Wallet) -> None:
    headers, body = sign(wallet, {"a": "1", "data": "x"})
    unsigned = [pair for pair in headers if pair[0] not in (SIGNATURE, INPUT)]
    checked = check(unsigned, body)
    assert (checked.outcome, checked.commitments) == (SignatureStatus.UNSIGNED, ())
    assert (checked.message, checked.verified) == ({"a": "1", "data": "x"}, {})
    assert verify(unsigned, body) == ()


def test_an_hmac_is_no_signature(wallet: Wallet) -> None:
    headers, body = sign(wallet, {"a": "1"})
    hmac = {name: only(value, HMAC, headers) for name, value in headers if name.startswith("sig")}
    checked = check({"a": "1"} | hmac, body)
    assert (checked.outcome, checked.verified) == (SignatureStatus.UNSIGNED, {})
    assert [one.alg for one in checked.commitments] == [HMAC]
    assert check({"a": "2"} | hmac, body).outcome is SignatureStatus.BAD


def test_what_an_hmac_covers_alone_is_not_verified(wallet: Wallet) -> None:
    """Its key is public: anybody can make one that fits, over more than was signed."""
    signer, _ = commit(wallet, to_tabm({"a": "1"}))
    _, whole = commit(wallet, to_tabm({"a": "1", "b": "evil"}))
    fields = {"a": "1", "b": "evil"} | write_commitments((signer, whole))
    checked = check(fields, b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert [one.committed for one in checked.commitments] == [("a",), ("a", "b")]
    assert checked.verified == {"a": "1"}
    assert checked.message == {"a": "1", "b": "evil"}


def test_ids_of_maps_that_an_hmac_covers_alone_are_not_verified(wallet: Wallet) -> None:
    sent = request(wallet, "/push", {"action": "Eval"})
    assert check(sent.headers, sent.body).ids == {"body": {sent.id}}
    signer, _ = commit(wallet, to_tabm({"method": "POST"}))
    own = {SIGNATURE: only(dict(sent.headers)[SIGNATURE], HMAC, sent.headers)}
    own[INPUT] = only(dict(sent.headers)[INPUT], HMAC, sent.headers)
    kept = {name: f"{value}, {own[name]}" for name, value in write_commitments((signer,)).items()}
    checked = check(dict(sent.headers) | kept, sent.body)
    assert (checked.outcome, checked.ids) == (SignatureStatus.VERIFIED, {})
    assert checked.verified == {"method": "POST"}


def only(value: str, alg: str, headers: list[tuple[str, str]]) -> str:
    """Of a field with two members the one under the label of that algorithm."""
    members = dict(member.split("=", 1) for member in value.split(", "))
    inputs = dict(member.split("=", 1) for member in dict(headers)[INPUT].split(", "))
    return next(f"{label}={members[label]}" for label in members if alg in inputs[label])


def test_what_nobody_signed_is_not_verified(wallet: Wallet) -> None:
    headers, body = sign(wallet, {"a": "1", "m": {"b": "2"}})
    extra = [*headers, ("x", "evil"), ("ao-types", 'a="integer"'), ("Date", "now")]
    checked = check(extra, body)
    assert checked.outcome is SignatureStatus.VERIFIED
    assert checked.verified == {"a": "1", "m": {"b": "2"}}
    assert checked.message == {"a": 1, "m": {"b": "2"}, "x": "evil"}


def test_an_unsigned_header_cannot_rename_the_body(wallet: Wallet) -> None:
    headers, body = sign(wallet, {"body": "x", "a": "1"})
    failure = check([*headers, ("ao-body-key", "evil")], body).failure
    assert "decides how the body is read, but is not signed" in str(failure)
    headers, body = sign(wallet, {"m": {"b": "2"}}, bundle=True)
    renamed = [*headers, ("ao-body-key", "evil")]
    assert check(renamed, body).outcome is SignatureStatus.BAD


def test_a_link_cannot_be_filled_with_something_else(wallet: Wallet) -> None:
    headers, body = sign(wallet, {"m": {"b": "2"}})
    link = unsigned_id({"b": "2"})
    evil = body.replace(b"b: 2", b"b: 3")
    fields = dict(headers) | {"content-digest": content_digest(evil)}
    assert check(fields, evil).outcome is SignatureStatus.BAD
    assert check(fields | {"m+link": link}, evil).outcome is SignatureStatus.BAD


def test_a_value_cannot_pass_for_two_keys(wallet: Wallet) -> None:
    checked = check(*sign(wallet, {"m": {"a": "x\ny", "b": "z"}}))
    assert checked.verified == {"m": {"a": "x\ny", "b": "z"}}
    for message in ({"a": 'x\n"b": y', "b": "z"}, {"a": "x", "b": 'y\n"b": z'}):
        for make in (lambda m: unsigned_id(m), lambda m: sign(wallet, {"m": m})):
            with pytest.raises(AoError, match="nobody can say which") as caught:
                make(message)
            assert caught.value.stage == "message"


def test_extra_keys_in_a_signed_map_are_left_out(wallet: Wallet) -> None:
    sent = request(wallet, "/push", {"action": "Eval", "data": "x"})
    body = sent.body.replace(b"action: Eval\r\n", b"action: Eval\r\nadmin: yes\r\n")
    fields = dict(sent.headers) | {"content-digest": content_digest(body)}
    checked = check(fields, body)
    assert checked.outcome is SignatureStatus.VERIFIED
    assert checked.message["body"] == {"action": "Eval", "admin": "yes", "data": "x"}
    assert checked.verified["body"] == {"action": "Eval", "data": "x"}


def test_a_changed_map_is_not_saved_by_its_commitments(wallet: Wallet) -> None:
    sent = request(wallet, "/push", {"action": "Eval", "data": "x"})
    body = sent.body.replace(b"action: Eval", b"action: Evil")
    fields = dict(sent.headers) | {"content-digest": content_digest(body)}
    failure = check(fields, body).failure
    assert isinstance(failure, SignatureError)
    assert failure.place == "part body"
    assert b'"action": Evil\n' in failure.base


def test_another_key_is_another_committer(wallet: Wallet, other_wallet: Wallet) -> None:
    other = other_wallet
    headers, body = sign(other, {"a": "1"})
    assert check(headers, body).committers == (other.address,) != (wallet.address,)
    swapped = [
        (name, value.replace(EDGE.keyid(other.owner), EDGE.keyid(wallet.owner)))
        for name, value in headers
    ]
    assert check(swapped, body).outcome is SignatureStatus.BAD


@pytest.mark.parametrize(
    ("alg", "keyid"),
    [("ecdsa-p256-sha256", "x"), (HMAC, "secret:x"), (RSA, "x:y"), (RSA, "")],
)
def test_other_signatures_are_uncheckable(alg: str, keyid: str) -> None:
    fields = {
        "a": "1",
        SIGNATURE: "sig-x=:AAAA:",
        INPUT: f'sig-x=("a");alg="{alg}";keyid="{keyid}"',
    }
    assert check(fields, b"").outcome is SignatureStatus.UNCHECKABLE
    with pytest.raises(UncheckableError):
        verify(fields, b"")


@pytest.mark.parametrize(
    ("signature", "signature_input", "what"),
    [
        ("sig-x=:AAAA:", "", "in one of the two only"),
        ("sig-x=:AAAA:", 'sig-y=("a");alg="x"', "in one of the two only"),
        ("sig-x=:AAAA:", 'sig-x=("a");alg="x", sig-y=("a");alg="x"', "'sig-y' is in one of"),
        ("sig-x=:AAAA:, sig-y=:AAAA:", 'sig-x=("a");alg="x"', "'sig-y' is in one of"),
        ("", "", "0 signatures"),
        ("sig-x=:AAAA:", 'sig-x=("a")', "no algorithm"),
        ("sig-x=1", 'sig-x=("a");alg="x"', "is no signature"),
        ("sig-x=:AAAA:", 'sig-x="a";alg="x"', "is no signature"),
        ("sig-x=:AAAA:", 'sig-x=("a";sf);alg="x"', "with parameters, or twice"),
        ("sig-x=:AAAA:", 'sig-x=("a" "a");alg="x"', "with parameters, or twice"),
        ("sig-x=:AAAA:", 'sig-x=("a" b);alg="x"', "with parameters, or twice"),
        ("sig-x=:AAAA:", 'sig-x=("a");alg="x";created="5"', "has another type"),
        ("sig-x=:AAAB:", 'sig-x=("b");alg="hmac-sha256";keyid="ao"', "covers 'b', which is not"),
        ("sig-x=:AB==:", 'sig-x=("a");alg="x"', "stray bits"),
        ("sig-x=:AAAA:, sig-x=:AAAA:", 'sig-x=("a");alg="x"', "occurs twice"),
        ("(" * 100_000, 'sig-x=("a");alg="x"', "no structured dictionary"),
        ("a" * 2_000_000, 'sig-x=("a");alg="x"', "more than 1048576 bytes"),
    ],
)
def test_malformed_signatures(signature: str, signature_input: str, what: str) -> None:
    fields = {"a": "1", SIGNATURE: signature, INPUT: signature_input}
    with pytest.raises(ProtocolError, match=what) as caught:
        verify(fields, b"")
    assert caught.value.place
    assert check(fields, b"").outcome is SignatureStatus.BAD


@pytest.mark.parametrize(
    ("label", "parameters", "why"),
    [
        ("sig-x", ';alg="hmac-sha256";keyid="ao";new=5', "parameter 'new' is not known"),
        ("comm-x", ';alg="hmac-sha256";keyid="ao";new', "parameter 'new' is not known"),
        ("comm-x", ';alg="hmac-sha256";keyid="ao";id="other"', "'other' does not follow"),
        ("other", ';alg="hmac-sha256";keyid="ao"', "no version known here"),
    ],
)
def test_what_nobody_here_knows_makes_a_signature_uncheckable_not_bad(
    label: str, parameters: str, why: str
) -> None:
    fields = {"a": "1", SIGNATURE: f"{label}=:AAAA:", INPUT: f'{label}=("a"){parameters}'}
    checked = check(fields, b"")
    assert (checked.outcome, checked.verified) == (SignatureStatus.UNCHECKABLE, {})
    assert checked.message == {"a": "1"} and why in str(checked.failure)


def test_a_bad_signature_beside_an_uncheckable_one_is_bad() -> None:
    bad = 'sig-x=("a");alg="hmac-sha256";keyid="ao"'
    fields = {
        "a": "1",
        SIGNATURE: "other=:AAAA:, sig-x=:AAAA:",
        INPUT: f'other=("a");alg="x", {bad}',
    }
    assert check(fields, b"").outcome is SignatureStatus.BAD


def test_many_signatures_are_refused() -> None:
    fields = {
        SIGNATURE: ", ".join(f"sig-{n}=:AAAA:" for n in range(65)),
        INPUT: ", ".join(f'sig-{n}=();alg="x"' for n in range(65)),
    }
    with pytest.raises(ProtocolError, match="65 signatures"):
        verify(fields, b"")


def test_many_components_take_linear_time() -> None:
    names = " ".join(f'"a{number}"' for number in range(50_000))
    fields = {SIGNATURE: "sig-x=:AAAA:", INPUT: f'sig-x=({names});alg="{HMAC}";keyid="ao"'}
    with pytest.raises(ProtocolError, match="covers 'a0'"):
        verify(fields, b"")


JUNK = st.text(max_size=40) | st.binary(max_size=40).map(text)
FIELDS = st.sampled_from(
    ["a", SIGNATURE, INPUT, "content-digest", "content-type", "ao-types", "ao-ids", "ao-body-key"]
)


@given(st.lists(st.tuples(FIELDS | JUNK, JUNK)), st.binary(max_size=60))
def test_nothing_else_is_raised_by_junk(headers: list[tuple[str, str]], body: bytes) -> None:
    assert harmless(headers, body)


def harmless(headers: list[tuple[str, str]], body: bytes) -> bool:
    for function in (verify, decode):
        try:
            function(headers, body)
        except ProtocolError as error:
            assert error.position >= 0 and str(error)
    return check(headers, body).outcome is not SignatureStatus.VERIFIED


EXCHANGES = ("schedule-get", "compute-slot", "push-slot", "aoconnect-spawn-ans104", "slot-current")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(EXCHANGES), st.data())
def test_nothing_else_is_raised_by_changed_messages(
    shared: Path, name: str, data: st.DataObject
) -> None:
    half = json.loads((shared / "vectors/hyperbeam" / f"{name}.json").read_bytes())["response"]
    headers = [(name, value) for name, value in half["headers"]]
    body = half["body_text"].encode()
    at = data.draw(st.integers(0, len(headers) - 1))
    key, value = headers[at]
    cut = data.draw(st.integers(0, len(value)))
    headers[at] = (key, value[:cut] + data.draw(JUNK) + value[cut + data.draw(st.integers(0, 3)) :])
    cut = data.draw(st.integers(0, len(body)))
    body = (
        body[:cut] + data.draw(st.binary(max_size=9)) + body[cut + data.draw(st.integers(0, 9)) :]
    )
    harmless(headers, body)
    bare = [(key, value) for key, value in headers if key != "content-digest"]
    harmless(bare, body)


def test_nested_commitments_are_checked_once_each(wallet: Wallet) -> None:
    """Two commitments at each of 20 levels: a million checks, were none remembered."""
    tabm = to_tabm({"data": "x"})
    for _ in range(20):
        commitments = signing.commit(wallet, tabm)
        tabm = {"m": carry(tabm, commitments, lambda keys: unsigned(keys).id)}
    fields, body = wire.encode(tabm)
    signatures = signing.commit(wallet, tabm)
    checked = check(fields | write_commitments(signatures), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED


def test_importing_costs_little() -> None:
    code = (
        "import sys, aoshell.protocol.httpsig, aoshell.protocol.signing; "
        "print([m for m in ('cryptography', 'http_sf', 'asyncio') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("body", [{}, [], {"a": "b"}])
def test_data_beside_a_body_of_maps_is_refused(wallet: Wallet, body: object) -> None:
    with pytest.raises(AoError, match="cannot be a map"):
        signing.sign(wallet, {"data": "x", "body": body})  # type: ignore[dict-item]
