"""Envelopes of `~measurement@1.0`, whatever their device: form and signature.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from envelope_edits import Node, edited, ended
from envelope_node import BOOT_NONCE, NONCE, Wire, raw
from envelope_wire import as_json, set_apart, sign, sign_in_memory_order, wrapped

from aoshell.attest.envelope import reading
from aoshell.attest.evidence import (
    RawResponse,
)
from aoshell.attest.kinds import Kind
from aoshell.attest.signed import verify_message
from aoshell.protocol import signing
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.structured import LARGEST_READ, to_tabm
from aoshell.protocol.wallet import Wallet

UNSUPPORTED = "MEASUREMENT_DEVICE_UNSUPPORTED"


def test_an_envelope_passes(measured_node: Node) -> None:
    verdict = measured_node.verify()
    assert (verdict.verdict, verdict.freshness) == ("PASS", "nonce")
    assert verdict.kind.value in ("snp", "tpm")
    assert verdict.address == measured_node.wallet.address
    members = verdict.as_json()
    assert (members["kind"], members["freshness"]) == (verdict.kind.value, "nonce")


@pytest.mark.parametrize("send", [sign, wrapped, as_json])
def test_the_forms_that_nodes_send(measured_node: Node, send: Any) -> None:
    """As the answer, as the `body` of one that nobody signed, and as JSON."""
    assert measured_node.but(send=send).verify().verdict == "PASS"


def test_the_body_of_a_signed_answer(measured_node: Node) -> None:
    def around(wallet: Wallet, message: Any) -> Wire:
        return sign(wallet, {"body": message, "status": 200})

    assert measured_node.but(send=around).verify().verdict == "PASS"


def test_the_recipient_may_be_signed_as_well(measured_node: Node) -> None:
    assert measured_node.but(signs_recipient=True).verify().verdict == "PASS"


def test_an_envelope_is_unwrapped_once(measured_node: Node) -> None:
    inner = measured_node.envelope()
    for outer in ({"body": {"body": inner, "status": 200}, "status": 200}, {"x": inner}):
        exchange = measured_node.exchange(fresh=raw(sign(measured_node.wallet, outer)))
        verdict = measured_node.verify(exchange=exchange)
        assert (verdict.verdict, verdict.kind, verdict.error) == (
            *("FAIL", Kind.UNKNOWN),
            "ENVELOPE_SHAPE",
        )


def test_a_body_named_as_an_envelope_stays_a_body(measured_node: Node) -> None:
    """An envelope in the body of an envelope is what it says there, not the envelope."""
    inner = measured_node.envelope()
    around = edited(body=inner)
    ended(measured_node.but(message=around).verify(), "ADDRESS_MISMATCH")


@pytest.mark.parametrize(
    ("change", "error", "status"),
    [
        (edited(version="2.0"), "ENVELOPE_VERSION", "FAIL"),
        (edited(version=1), "ENVELOPE_SHAPE", "FAIL"),
        (edited(version=None), "ENVELOPE_SHAPE", "FAIL"),
        (edited(type="lapee-evidence"), "ENVELOPE_SHAPE", "FAIL"),
        (edited(type=None), "ENVELOPE_SHAPE", "FAIL"),
        (edited(body="text"), "ENVELOPE_SHAPE", "FAIL"),
        (edited(body=["a"]), "ENVELOPE_SHAPE", "FAIL"),
        (edited(evidence=None), "ENVELOPE_SHAPE", "FAIL"),
        (edited(**{"secret-recipient": 5}), "ENVELOPE_SHAPE", "FAIL"),
        (edited(**{"issued-at-unix": "now"}), "ENVELOPE_SHAPE", "FAIL"),
        (edited(**{"issued-at-unix": True}), "ENVELOPE_SHAPE", "FAIL"),
        (edited(**{"measurement-device": None}), "ENVELOPE_SHAPE", "FAIL"),
        (edited(**{"measurement-device": "snp-mock@1.0"}), "MEASUREMENT_DEVICE_MOCK", "FAIL"),
        *(
            (edited(**{"measurement-device": name}), UNSUPPORTED, "INCONCLUSIVE")
            for name in ("andee@1.0", "handee@1.0", "tdx@1.0", "SNP@1.0", "snp@1.0 ")
        ),
        (edited(**{"lapee-attestation-version": "0.4"}), "ENVELOPE_VERSION", "FAIL"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("send", [sign, as_json])
def test_form(measured_node: Node, send: Any, change: Any, error: str, status: str) -> None:
    node = measured_node.but(message=change, send=send)
    ended(node.verify(exchange=measured_node.exchange(fresh=raw(node.measured()))), error, status)


def test_the_envelope_of_the_start_has_the_same_form(measured_node: Node) -> None:
    older = measured_node.but(message=edited(version="0.9"))
    exchange = measured_node.exchange(boot=raw(older.measured(BOOT_NONCE)))
    ended(measured_node.verify(exchange=exchange), "ENVELOPE_VERSION")


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"body": 5}', b"\0\xff", b'{"a":1,"a":2}'])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_what_is_no_envelope(measured_node: Node, data: bytes, kind: str) -> None:
    answer = RawResponse((("content-type", kind),) if kind else (), data)
    verdict = measured_node.verify(exchange=measured_node.exchange(fresh=answer))
    assert (verdict.verdict, verdict.kind) == ("FAIL", Kind.UNKNOWN)


# --- the signature


def test_every_key_must_be_signed(measured_node: Node) -> None:
    envelope = measured_node.envelope()
    for left in reading.KEYS:
        part = {key: value for key, value in envelope.items() if key != left}
        headers, body = sign(measured_node.wallet, part)
        tabm = to_tabm({left: envelope[left]}, LARGEST_READ)
        if isinstance(envelope[left], dict):
            # Linked to from a header that the signature leaves out.
            stored: dict[str, Wire] = {}
            tabm = set_apart(tabm, left, measured_node.wallet, stored)
        more = [(key, str(value)) for key, value in tabm.items() if key != "ao-types"]
        types = dict(headers).get("ao-types", "")
        if left == "issued-at-unix":
            types = ", ".join(filter(None, (types, 'issued-at-unix="integer"')))
        whole = [(k, v) for k, v in headers if k != "ao-types"] + more + [("ao-types", types)]
        verdict = measured_node.verify(
            exchange=measured_node.exchange(fresh=RawResponse(tuple(whole), body))
        )
        assert verdict.verdict == "FAIL", left
        assert verdict.error in ("HTTPSIG_COVERAGE", "HTTPSIG_INVALID"), left


def test_nobody_signed_it(measured_node: Node) -> None:
    def unsigned(_wallet: Wallet, message: Any) -> Wire:
        headers, body = sign(_wallet, message)
        return [one for one in headers if not one[0].startswith("signature")], body

    ended(measured_node.but(send=unsigned).verify(), "HTTPSIG_KEY_SCHEME")


def test_an_hmac_is_no_signature(measured_node: Node) -> None:
    def with_hmac(wallet: Wallet, message: Any) -> Wire:
        from aoshell.protocol import wire
        from aoshell.protocol.commitment import write_commitments

        tabm = to_tabm(message, LARGEST_READ)
        hmac = signing.commit(wallet, tabm, profile=CURRENT)[1]
        fields, body = wire.encode(tabm, CURRENT)
        return [*fields.items(), *write_commitments([hmac]).items()], body or b""

    ended(measured_node.but(send=with_hmac).verify(), "HTTPSIG_KEY_SCHEME")


def test_two_keys_signed_it(measured_node: Node, other_wallet: Wallet) -> None:
    def twice(wallet: Wallet, message: Any) -> Wire:
        from aoshell.protocol import wire
        from aoshell.protocol.commitment import write_commitments

        tabm = to_tabm(message, LARGEST_READ)
        ones = [signing.commit(key, tabm, profile=CURRENT)[0] for key in (wallet, other_wallet)]
        fields, body = wire.encode(tabm, CURRENT)
        return [*fields.items(), *write_commitments(ones).items()], body or b""

    ended(measured_node.but(send=twice).verify(), "HTTPSIG_INVALID")


@pytest.mark.parametrize("send", [sign, wrapped, as_json])
def test_signed_again_by_another_node(measured_node: Node, attacker: Wallet, send: Any) -> None:
    node = measured_node.but(send=send, signer=attacker, prover=attacker)
    ended(node.verify(), "ADDRESS_MISMATCH")


def test_another_nodes_body_under_the_own_address(measured_node: Node, attacker: Wallet) -> None:
    """The body of the measured node with the address of who signs: it has another id."""

    def taken(envelope: Any, _node: Any) -> Any:
        body = envelope["body"]
        moved = body | {"node": body["node"] | {"address": attacker.address}}
        return envelope | {"body": moved}

    node = measured_node.but(message=taken, signer=attacker, prover=attacker)
    ended(node.verify(), "BODY_ID_MISMATCH")


def test_a_body_without_an_address(measured_node: Node) -> None:
    def nameless(envelope: Any, _node: Any) -> Any:
        return envelope | {"body": {"system": envelope["body"]["system"]}}

    ended(measured_node.but(message=nameless).verify(), "ADDRESS_MISMATCH")


@pytest.mark.parametrize("count", [33, 60])
def test_large_configurations(measured_node: Node, count: int) -> None:
    """The ids of large maps depend on the order of their keys, which is that of the node's memory.
    Nodes send them in it. Where the order is lost, it is unknown, not false, what was signed or
    measured."""
    many = {f"key-{number:02}": number for number in range(count)}
    node = measured_node.but(configuration=many)
    assert node.but(send=sign_in_memory_order).verify().verdict == "PASS"
    ended(node.verify(), "HTTPSIG_UNCHECKABLE", "INCONCLUSIVE")
    ended(node.but(send=as_json).verify(), "BODY_UNBOUND", "INCONCLUSIVE")


def flips(length: int, step: int) -> range:
    return range(0, 8 * length, step)


def test_no_flipped_bit_of_the_answer_passes(measured_node: Node) -> None:
    """Unless the message is the same all the same, as where a header's name changes its case."""
    exchange = measured_node.exchange()
    fresh = exchange.fresh
    text = "\0".join("\1".join(pair) for pair in fresh.headers).encode("utf-8", "surrogateescape")
    whole, due = text + b"\2" + fresh.body, verify_message(fresh, reading.TYPE).message
    for bit in flips(len(whole), len(whole) // 16 * 8 + 5):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        head, _, body = bytes(flipped).partition(b"\2")
        lines = head.decode("utf-8", "surrogateescape").split("\0")
        headers = tuple(tuple(one.partition("\1")[::2]) for one in lines)
        answer = RawResponse(headers, body)  # type: ignore[arg-type]
        verdict = measured_node.verify(exchange=replace(exchange, fresh=answer))
        if verdict.verdict == "PASS":
            assert verify_message(answer, reading.TYPE).message == due, bit


def test_no_flipped_bit_in_the_evidence_passes(measured_node: Node) -> None:
    """Of each binary value, signed by the node itself after the flip."""
    exchange = measured_node.exchange()
    for path in binary_values(measured_node.made_evidence(NONCE)):
        node = measured_node.but(evidence_=flipped_at(path))
        fresh = raw(node.measured())
        assert measured_node.verify(exchange=replace(exchange, fresh=fresh)).verdict != "PASS", path


_NEVER_USED = {"report", "tcg-event-log-source-path"}


def binary_values(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return [path] if isinstance(value, str) and len(value) > 40 else []
    return [
        found
        for key, inner in items
        if key not in _NEVER_USED
        for found in binary_values(inner, (*path, key))
    ]


def flipped_at(path: tuple[Any, ...]) -> Callable[[Any, Any], Any]:
    """Changes one character in the middle of a text."""

    def change(value: Any, _node: Any, path: tuple[Any, ...] = path) -> Any:
        if path:
            copy = dict(value) if isinstance(value, dict) else list(value)
            copy[path[0]] = change(value[path[0]], _node, path[1:])  # type: ignore[index]
            return copy
        place = len(value) // 2
        other = "A" if value[place] != "A" else "B"
        return value[:place] + other + value[place + 1 :]

    return change
