"""Signatures that came with a request: what they cover of it, and the message inside it."""

from __future__ import annotations

import base64

import pytest

from aoshell.protocol.commitment import (
    CURRENT,
    EDGE,
    RSA,
    Profile,
    make_commitment,
    signature_base,
)
from aoshell.protocol.digest import content_digest
from aoshell.protocol.encoding import ProtocolError, b64url
from aoshell.protocol.httpsig import (
    SignatureStatus,
    check,
    check_map,
    check_received,
    decode,
    receive,
)
from aoshell.protocol.nested import carry
from aoshell.protocol.rebuild import unsigned
from aoshell.protocol.signing import commit, lift
from aoshell.protocol.structured import to_tabm
from aoshell.protocol.wallet import Wallet

Sent = tuple[dict[str, str], bytes]

AT = {"@method": "POST", "@path": "/x/schedule", "@query": "?a=1"}


def signed_request(wallet: Wallet, components: tuple[str, ...], shown: str = "@path") -> Sent:
    """A request as ao-core-libs labels it, its signature over these components."""
    body = b"1+1"
    fields = {"action": "Eval", "content-digest": content_digest(body)} | AT
    listed = " ".join(f'"{name}"' for name in components)
    keyid = b64url(wallet.owner)
    parameters = f'({listed});alg="rsa-pss-sha512";keyid="{keyid}"'
    lines = [f'"{shown if name == "@path" else name}": {fields[name]}' for name in components]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    signature = base64.b64encode(wallet.sign(base.encode(), "sha512")).decode()
    headers = {
        "action": "Eval",
        "content-digest": fields["content-digest"],
        "inline-body-key": "data",
        "signature": f"http-sig-0123456789abcdef=:{signature}:",
        "signature-input": f"http-sig-0123456789abcdef={parameters}",
    }
    return headers, body


@pytest.mark.parametrize("shown", ["@path", "path"], ids=["RFC 9421", "hbsig"])
def test_what_the_signer_saw_of_the_request_is_checked(wallet: Wallet, shown: str) -> None:
    components = ("@method", "@path", "@query", "action", "content-digest")
    headers, body = signed_request(wallet, components, shown)
    checked = check_received(receive(headers, body, AT))
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    # It is of the request, not of the message.
    assert checked.verified == {"action": "Eval", "body": "1+1"}
    for name, other in (("@path", "/y/schedule"), ("@method", "GET"), ("@query", "?")):
        elsewhere = check_received(receive(headers, body, AT | {name: other}))
        assert elsewhere.outcome is SignatureStatus.BAD
    assert check(headers, body).outcome is SignatureStatus.BAD  # nobody says what it was


def test_a_header_cannot_stand_for_the_path(wallet: Wallet) -> None:
    headers, body = signed_request(wallet, ("@path", "action"))
    checked = check_received(receive(headers | {"path": "/y"}, body, AT))
    assert checked.outcome is SignatureStatus.VERIFIED
    assert checked.verified == {"action": "Eval"}


def test_data_beside_its_digest_in_a_part() -> None:
    """As hbsig writes it: the data among the header lines, and no body."""
    digest = content_digest(b"1+1")
    part = f"action: Eval\r\ncontent-digest: {digest}\r\ncontent-disposition: inline\r\ndata: 1+1"
    body = f"--b\r\n{part}\r\n--b--".encode()
    headers = {"content-type": 'multipart/form-data; boundary="b"'}
    assert decode(headers, body) == {"body": {"action": "Eval", "data": "1+1"}}
    with pytest.raises(ProtocolError):
        decode(headers, body.replace(b"data: 1+1", b"data: 1+2"))
    with pytest.raises(ProtocolError, match="the body is not the one"):  # nor is there another one
        decode(headers, body.replace(b"data: 1+1", b"data: 1+1\r\n\r\nprinted"))


def test_a_value_cannot_bring_the_line_of_the_path_along() -> None:
    fields = {"@path": "/x", "a": 'v\n"path": /y'}
    one = make_commitment(b"s" * 512, CURRENT, alg=RSA, keyid="k", components=("@path", "a"))
    assert b'"path": /y' in signature_base(one, fields)  # there it is a value and no line
    with pytest.raises(ProtocolError, match="a value with a line break could be two"):
        signature_base(one, fields, path_as_key=True)
    fields["a"] = "v\nw"
    assert b'"path": /x\n"a": v\nw\n' in signature_base(one, fields, path_as_key=True)


@pytest.mark.parametrize("profile", [EDGE, CURRENT])
@pytest.mark.parametrize("bundle", [False, True])
def test_a_signed_map_is_a_message_of_its_own(
    wallet: Wallet, profile: Profile, bundle: bool
) -> None:
    inner = to_tabm({"data": "two\nlines", "n": 7, "list": ["a", {"b": "c"}], "A" * 43: "id"})
    commitments = commit(wallet, inner, bundle=bundle, profile=profile)
    carried = carry(inner, commitments, lambda keys: unsigned(keys, profile).id)
    own = check_map(carried, profile)
    assert own.outcome is SignatureStatus.VERIFIED, own.failure
    headers, body = lift(carried, own.commitments)
    checked = check(headers, body)
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert [one.id for one in checked.commitments] == [one.id for one in own.commitments]
    assert checked.verified == own.verified
