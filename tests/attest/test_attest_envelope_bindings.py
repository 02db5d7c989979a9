"""What envelopes are bound to: the body, the nonce, their start, the secret; and kept ones.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from envelope_edits import Node, edited, ended
from envelope_node import BOOT_NONCE, NONCE, SECRET, SnpNode, TpmNode, raw
from envelope_wire import as_json

from aoshell.attest.envelope.activation import wrap_secret
from aoshell.attest.envelope.ids import canonical_payload, stable_id
from aoshell.attest.evidence import (
    Activation,
    Collateral,
    Evidence,
    RawResponse,
    load_evidence,
    save_evidence,
)
from aoshell.attest.verify import verify_evidence
from aoshell.errors import AoError
from aoshell.protocol.structured import Atom
from aoshell.protocol.wallet import Wallet

OTHER = "O" * 42 + "A"  # an id

# --- the body, the nonce, the pair


def test_a_body_edited_before_it_was_signed(measured_node: Node) -> None:
    def other(envelope: Any, _node: Any) -> Any:
        system = envelope["body"]["system"] | {"schema": "another"}
        return envelope | {"body": envelope["body"] | {"system": system}}

    ended(measured_node.but(message=other).verify(), "BODY_ID_MISMATCH")


def test_numbers_of_19_digits_and_keys_of_the_codec(measured_node: Node) -> None:
    """A node's evidence has both, and its body may."""
    number = 2315977366801874944
    assert measured_node.body["system"]["tpm"] == {"firmware-version-u64": number, "signature": "s"}
    node = measured_node.but(configuration={"n": 2**64 - 1, "least": -(2**63), "signature": "x"})
    assert node.verify().verdict == "PASS"
    one_more = measured_node.but(configuration={"n": number + 1})
    assert stable_id(one_more.body) != stable_id(
        measured_node.but(configuration={"n": number}).body
    )


def test_numbers_beyond_64_bits(measured_node: Node) -> None:
    def larger(envelope: Any, _node: Any) -> Any:
        system = envelope["body"]["system"] | {"n": "N"}
        return envelope | {"body": envelope["body"] | {"system": system}}

    node = measured_node.but(message=larger, send=as_json)
    headers, body = node.measured()
    whole = body.replace(b'"N"', str(2**64).encode())
    exchange = measured_node.exchange(fresh=RawResponse(tuple(headers), whole))
    assert measured_node.verify(exchange=exchange).verdict != "PASS"


def test_atoms_have_the_id_of_their_text() -> None:
    atoms = {"a": True, "b": None, "c": [False, Atom("x"), 1, 1.5], "d": {"e": Atom("y")}}
    texts = {"a": "true", "b": "null", "c": ["false", "x", 1, 1.5], "d": {"e": "y"}}
    assert canonical_payload(atoms) == texts  # type: ignore[arg-type]
    assert stable_id(atoms) == stable_id(texts)  # type: ignore[arg-type]
    noted = texts | {"commitments": {"x": {}}, "d": {"e": "y", "ao-types": "?"}}
    assert stable_id(noted) == stable_id(texts)  # type: ignore[arg-type]
    for other in ({"a": True}, texts | {"a": 1}, texts | {"c": {"1": "false"}}):
        assert stable_id(other) != stable_id(texts)  # type: ignore[arg-type]


def test_a_body_whose_keys_differ_in_case_only(measured_node: Node, attacker: Wallet) -> None:
    """Two readers could take different ones; the id could be that of either."""

    def doubled(envelope: Any, _node: Any) -> Any:
        node = {"Address": envelope["body"]["node"]["address"], **envelope["body"]["node"]}
        return envelope | {"body": envelope["body"] | {"node": node}}

    with pytest.raises(AoError):
        stable_id(doubled({"body": measured_node.body}, None)["body"])
    made = measured_node.but(send=as_json)
    headers, body = made.measured()
    whole = json.loads(body)
    whole["body"]["node"]["Address"] = attacker.address
    answer = RawResponse(tuple(headers), json.dumps(whole).encode())
    verdict = measured_node.verify(exchange=measured_node.exchange(fresh=answer))
    assert verdict.verdict != "PASS"


def test_nonces(measured_node: Node) -> None:
    exchange = measured_node.exchange()
    ended(measured_node.verify(exchange=replace(exchange, nonce=b"n" * 32)), "NONCE_MISMATCH")
    ended(measured_node.verify(exchange=replace(exchange, nonce=NONCE[:31])), "NONCE_MISMATCH")
    unknown = measured_node.verify(exchange=replace(exchange, nonce=b""))
    ended(unknown, "NONCE_MISSING", "INCONCLUSIVE")
    assert unknown.freshness == "unknown"
    # All else is checked without it.
    assert unknown.errors == ("NONCE_MISSING",)


def test_boot_and_fresh_swapped(measured_node: Node) -> None:
    exchange = measured_node.exchange()
    assert exchange.boot
    swapped = replace(exchange, boot=exchange.fresh, fresh=exchange.boot)
    ended(measured_node.verify(exchange=swapped), "NONCE_MISMATCH")


def test_the_nonces_of_both_exchanged(measured_node: Node) -> None:
    """The evidence of the start under the nonce of the fresh one, signed by the node."""
    device = {"snp@1.0": lambda: snp_with_nonce, "tpm@2.0a": lambda: tpm_with_nonce}
    node = measured_node.but(evidence_=device[measured_node.device]())
    exchange = measured_node.exchange(fresh=raw(node.measured(BOOT_NONCE)))
    verdict = measured_node.verify(exchange=exchange)
    assert verdict.verdict == "FAIL"
    assert verdict.error in ("REPORT_DATA_MISMATCH", "QUOTE_NONCE")
    assert verdict.freshness == "unknown"


def snp_with_nonce(evidence: Any, _node: Any) -> Any:
    from aoshell.protocol.encoding import b64url

    return evidence | {"nonce": b64url(NONCE)}


def tpm_with_nonce(evidence: Any, _node: Any) -> Any:
    from aoshell.protocol.encoding import b64url

    return evidence | {"quote": evidence["quote"] | {"nonce": b64url(NONCE)}}


def test_a_nonce_of_65_bytes(measured_node: Node) -> None:
    nonce = bytes(range(65))
    exchange = measured_node.exchange(fresh=raw(measured_node.measured(nonce)), nonce=nonce)
    ended(measured_node.verify(exchange=exchange), "ENVELOPE_SHAPE")
    short = nonce[:64]
    fresh = raw(measured_node.measured(short))
    exchange = measured_node.exchange(fresh=fresh, nonce=short, boot=None)
    assert measured_node.verify(exchange=exchange).verdict == "PASS"


@pytest.mark.parametrize("what", ["signer", "body", "device"])
def test_the_envelope_of_another_nodes_start(
    measured_node: Node, what: str, attacker: Wallet
) -> None:
    others: dict[str, tuple[Node, str]] = {
        "signer": (measured_node.but(signer=attacker), "PAIR_SIGNER"),
        "body": (measured_node.but(configuration={"port": 1}), "PAIR_BODY"),
        "device": (
            measured_node.but(message=edited(**other_device(measured_node))),
            "PAIR_DEVICE",
        ),
    }
    other, error = others[what]
    exchange = measured_node.exchange(boot=raw(other.measured(BOOT_NONCE)))
    ended(measured_node.verify(exchange=exchange), error)


def other_device(node: Node) -> dict[str, str]:
    others = {"snp@1.0": "tpm@2.0a", "tpm@2.0a": "snp@1.0"}
    return {"measurement-device": others[node.device]}


@pytest.mark.parametrize("what", ["public-material", "binding", "key-id"])
def test_the_start_with_another_recipient(measured_node: Node, what: str) -> None:
    def renamed(recipient: Any, _node: Any) -> Any:
        was = recipient[what]
        return recipient | {what: was | {"x": "y"} if isinstance(was, dict) else OTHER}

    other = measured_node.but(recipient_=renamed)
    exchange = measured_node.exchange(boot=raw(other.measured(BOOT_NONCE)))
    ended(measured_node.verify(exchange=exchange), "PAIR_RECIPIENT")


def test_an_envelope_alone_has_no_pair(measured_node: Node) -> None:
    verdict = measured_node.verify(exchange=measured_node.exchange(boot=None))
    assert verdict.verdict == "PASS" and verdict.check("pair").status.value == "SKIPPED"


def test_evidence_of_the_other_device(snp_node: SnpNode, tpm_node: TpmNode) -> None:
    nodes: list[tuple[Node, Node]] = [(snp_node, tpm_node), (tpm_node, snp_node)]
    for node, other in nodes:
        theirs = other.made_evidence(NONCE)
        ended(node.but(evidence_=lambda *_, found=theirs: found).verify(), "ENVELOPE_SHAPE")
        named = node.but(message=edited(**{"measurement-device": other.device}))
        exchange = node.exchange(fresh=raw(named.measured()))
        assert node.verify(exchange=exchange).verdict == "FAIL"
        recipient = node.but(message=edited(**{"secret-recipient": other.recipient}))
        verdict = node.verify(exchange=node.exchange(fresh=raw(recipient.measured())))
        assert verdict.verdict == "FAIL"
        method = node.but(recipient_=edited(method=other.recipient["method"]))
        ended(method.verify(exchange=node.exchange(fresh=raw(method.measured()))), "ENVELOPE_SHAPE")


# --- files


def test_a_kept_exchange_of_snp(snp_node: SnpNode) -> None:
    evidence = Evidence(exchange=snp_node.exchange(), origin="https://node.example", taken=1)
    kept = load_evidence(save_evidence(evidence, Collateral()))
    assert kept.exchange and not kept.exchange.asked_now
    verdict = snp_node.sample().verify(evidence=kept, policy=snp_policy())
    assert (verdict.verdict, verdict.freshness) == ("PASS", "kept")
    assert verdict.check("activation").status.value == "SKIPPED"


def snp_policy() -> Any:
    from envelope_node import POLICY

    return POLICY


def test_a_kept_exchange_of_a_tpm_ties_no_keys(tpm_node: TpmNode) -> None:
    """Whoever keeps it knows the secret, so he could have made the answer."""
    evidence = Evidence(exchange=tpm_node.exchange())
    kept = load_evidence(save_evidence(evidence, Collateral()))
    assert kept.exchange and kept.exchange.activation
    verdict = tpm_node.verify(exchange=kept.exchange)
    ended(verdict, "AK_UNBOUND", "INCONCLUSIVE")
    assert verdict.freshness == "kept"


def test_a_kept_exchange_with_links(measured_node: Node) -> None:
    node = measured_node.but(apart=("body/system", "body"), stored={})
    evidence = Evidence(exchange=node.exchange())
    kept = load_evidence(save_evidence(evidence, Collateral())).exchange
    assert kept and kept.links == evidence.exchange.links  # type: ignore[union-attr]
    assert node.verify(exchange=replace(kept, asked_now=True)).verdict == "PASS"


def test_an_envelope_in_a_file(measured_node: Node) -> None:
    _, body = measured_node.but(send=as_json).measured()
    loaded = load_evidence(body)
    assert loaded.exchange
    verdict = measured_node.verify(exchange=loaded.exchange)
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "NONCE_MISSING")
    named = measured_node.verify(exchange=replace(loaded.exchange, nonce=NONCE))
    assert named.verdict == ("PASS" if measured_node.device == "snp@1.0" else "INCONCLUSIVE")
    assert named.error in ("", "AK_UNBOUND")


@pytest.mark.parametrize("wish", ["measurement", "report_data"])
def test_a_wish_that_the_evidence_cannot_meet(measured_node: Node, wish: str) -> None:
    """No PASS may leave out what was asked for: a TPM has neither."""
    sizes = {"measurement": 48, "report_data": 64}
    verdict = measured_node.verify(**{wish: b"\1" * sizes[wish]})
    assert verdict.verdict == "FAIL"


def test_json_that_cannot_be_checked_is_inconclusive(measured_node: Node) -> None:
    headers, body = measured_node.but(send=as_json).measured()
    whole = json.loads(body)
    whole["body"]["system"]["cpu"]["mhz"] = 1.5
    answer = RawResponse(tuple(headers), json.dumps(whole).encode())
    verdict = measured_node.verify(exchange=measured_node.exchange(fresh=answer))
    ended(verdict, "HTTPSIG_UNCHECKABLE", "INCONCLUSIVE")


def test_the_oldest_envelope_is_named() -> None:
    data = json.dumps({"lapee-attestation-version": "0.4", "tpm-quote": {}}).encode()
    verdict = verify_evidence(load_evidence(data), Collateral(), snp_policy(), 0)
    ended(verdict, "ENVELOPE_VERSION")


# --- the secret


def test_a_secret_that_was_not_opened(measured_node: Node) -> None:
    due = {"snp@1.0": "ACTIVATION_UNAVAILABLE", "tpm@2.0a": "AK_UNBOUND"}[measured_node.device]
    sent = measured_node.activation()
    refused = replace(sent, answer=None, unanswered="it does not open secrets")
    exchange = measured_node.exchange(activation=refused)
    ended(measured_node.verify(exchange=exchange), due, "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (edited(type="another"), "ACTIVATION_SHAPE"),
        (edited(**{"issued-at-unix": "now"}), "ACTIVATION_SHAPE"),
        (edited(**{"issued-at-unix": 1}), "ACTIVATION_PROOF"),
        (edited(**{"proof-alg": "none"}), "ACTIVATION_SHAPE"),
        (edited(**{"credential-secret-sha256": "x"}), "ACTIVATION_PROOF"),
        (edited(**{"credential-secret-proof": "x"}), "ACTIVATION_PROOF"),
        (edited(**{"credential-secret-proof": ""}), "ACTIVATION_PROOF"),
    ],
)
def test_answers_to_a_secret(measured_node: Node, change: Any, error: str) -> None:
    ended(measured_node.but(proof=change).verify(), error)


def test_an_answer_without_a_proof(measured_node: Node) -> None:
    verdict = measured_node.but(proof=edited(**{"credential-secret-proof": None})).verify()
    assert verdict.error in ("ACTIVATION_SHAPE", "ACTIVATION_PROOF")


def test_the_right_proof_signed_by_another(measured_node: Node, attacker: Wallet) -> None:
    ended(measured_node.but(prover=attacker).verify(), "ACTIVATION_SIGNER")


def test_the_answer_to_another_secret(measured_node: Node) -> None:
    sent, other = measured_node.activation(), measured_node.activation()
    for wrong in (
        replace(sent, answer=other.answer),  # of the same secret, wrapped again
        replace(sent, secret=b"t" * 32),
        replace(sent, credential=other.credential),
    ):
        exchange = measured_node.exchange(activation=wrong)
        ended(measured_node.verify(exchange=exchange), "ACTIVATION_PROOF")


def test_a_secret_for_another_key_than_the_one_in_the_report(snp_node: SnpNode) -> None:
    """The node opened it, and that says nothing of the key that the report names."""
    public = snp_node.key.public_key().public_bytes_raw()
    credential = wrap_secret(SECRET, public, OTHER)
    sent = Activation(SECRET, credential, raw(snp_node.opened(credential)))
    ended(snp_node.verify(exchange=snp_node.exchange(activation=sent)), "ACTIVATION_SHAPE")


def test_an_unsigned_answer_to_a_secret(measured_node: Node) -> None:
    sent = measured_node.activation()
    assert sent.answer
    for answer in (
        RawResponse((), b""),
        RawResponse((("content-type", "application/json"),), b"{}"),
        RawResponse(tuple(h for h in sent.answer.headers if h[0] != "content-digest"), b"x"),
    ):
        exchange = measured_node.exchange(activation=replace(sent, answer=answer))
        ended(measured_node.verify(exchange=exchange), "ACTIVATION_SHAPE")


def test_an_answer_to_a_secret_that_cannot_be_checked(measured_node: Node) -> None:
    due = {"snp@1.0": "ACTIVATION_UNAVAILABLE", "tpm@2.0a": "AK_UNBOUND"}[measured_node.device]
    sent = measured_node.activation()
    made = measured_node.open_secret(sent.credential)
    headers, body = as_json(measured_node.wallet, made)
    whole = json.loads(body) | {"issued-at-unix": 1}
    answer = RawResponse(tuple(headers), json.dumps(whole).encode())
    exchange = measured_node.exchange(activation=replace(sent, answer=answer))
    ended(measured_node.verify(exchange=exchange), due, "INCONCLUSIVE")
