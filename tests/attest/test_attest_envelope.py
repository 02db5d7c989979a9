"""Envelopes of `~measurement@1.0`, whatever their device: form, signature, links and bindings.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from envelope_node import (
    BOOT_NONCE,
    NONCE,
    SnpNode,
    TpmNode,
    Wire,
    answered,
    as_json,
    raw,
    set_apart,
    sign,
    sign_in_memory_order,
    sign_tabm,
    wrapped,
)

from aoshell.attest.envelope import reading
from aoshell.attest.envelope.ids import canonical_payload, stable_id
from aoshell.attest.envelope.reading import Links, LinkSearch
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import (
    Collateral,
    Evidence,
    Exchange,
    RawResponse,
    load_evidence,
    save_evidence,
)
from aoshell.attest.kinds import Kind
from aoshell.attest.signed import verify_message
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.errors import AoError
from aoshell.protocol import httpsig
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.structured import LARGEST_READ, Atom, to_tabm
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

Node = SnpNode | TpmNode
UNSUPPORTED = "MEASUREMENT_DEVICE_UNSUPPORTED"
APART = [
    ("body",),
    ("body/system", "body/node", "body"),
    ("body/system/cpu/flags", "body/system/integrity"),  # lists, one of them empty
    ("secret-recipient/binding", "secret-recipient"),
    ("evidence",),
    ("body", "evidence", "secret-recipient"),
]


def ended(verdict: Verdict, error: str, status: str = "FAIL") -> None:
    assert (verdict.verdict, verdict.error) == (status, error), verdict.primary


def edited(**members: Any) -> Callable[[Any, Any], Any]:
    """A change of a map; None takes a key away."""

    def change(made: Any, _node: Any) -> Any:
        whole = made | members
        return {key: value for key, value in whole.items() if value is not None}

    return change


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
        hmac = httpsig.commit(wallet, tabm, profile=CURRENT)[1]
        fields, body = wire.encode(tabm, CURRENT)
        return [*fields.items(), *write_commitments([hmac]).items()], body or b""

    ended(measured_node.but(send=with_hmac).verify(), "HTTPSIG_KEY_SCHEME")


def test_two_keys_signed_it(measured_node: Node, other_wallet: Wallet) -> None:
    def twice(wallet: Wallet, message: Any) -> Wire:
        from aoshell.protocol import wire
        from aoshell.protocol.commitment import write_commitments

        tabm = to_tabm(message, LARGEST_READ)
        ones = [httpsig.commit(key, tabm, profile=CURRENT)[0] for key in (wallet, other_wallet)]
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


# --- links


@pytest.mark.parametrize("apart", APART)
def test_parts_may_come_as_links(measured_node: Node, apart: tuple[str, ...]) -> None:
    node = measured_node.but(apart=apart, stored={})
    exchange = node.exchange()
    assert exchange.links and node.verify(exchange=exchange).verdict == "PASS"
    ended(node.verify(exchange=replace(exchange, links={})), "LINK_UNAVAILABLE", "INCONCLUSIVE")


def test_lists_of_maps_may_come_as_links(tpm_node: TpmNode) -> None:
    for apart in (
        ("evidence/quote/pcr-selection",),
        ("evidence/runtime-event-log/2",),
        ("evidence/runtime-event-log/1", "evidence/runtime-event-log", "evidence"),
    ):
        node = tpm_node.but(apart=apart, stored={})
        exchange = node.exchange()
        assert node.verify(exchange=exchange).verdict == "PASS"
        missing = replace(exchange, links={})
        ended(node.verify(exchange=missing), "LINK_UNAVAILABLE", "INCONCLUSIVE")


def linked(node: Node, apart: str = "body/node") -> tuple[Node, Exchange, str]:
    made = node.but(apart=(apart,), stored={})
    exchange = made.exchange()
    (link,) = exchange.links
    return made, exchange, link


def test_a_link_answered_with_other_content(measured_node: Node, attacker: Wallet) -> None:
    node, exchange, link = linked(measured_node)
    due = to_tabm(node.body["node"], LARGEST_READ)
    others: list[Tabm] = [
        {},
        due | {"address": attacker.address},
        due | {"more": "x"},
        {"body": due},
        {key: value for key, value in due.items() if key != "port"},
    ]
    for other in others:
        for wallet in (node.wallet, attacker):
            answer = raw(answered(wallet, other))
            verdict = node.verify(exchange=replace(exchange, links={link: answer}))
            ended(verdict, "LINK_MISMATCH")
    garbage = RawResponse((("content-type", "multipart/form-data"),), b"\xff\0")
    ended(node.verify(exchange=replace(exchange, links={link: garbage})), "LINK_MISMATCH")


def test_an_id_that_only_part_of_an_answer_has(measured_node: Node, attacker: Wallet) -> None:
    """The answer has the due message, its HMAC with the due id, and more that another key signed.
    What the id does not stand for must not come out."""
    from aoshell.protocol import wire
    from aoshell.protocol.commitment import write_commitments

    node, exchange, link = linked(measured_node)
    due = to_tabm(node.body["node"], LARGEST_READ)
    hmac = httpsig.commit(node.wallet, due, profile=CURRENT)[1]
    assert hmac.id == link
    own = httpsig.commit(attacker, {"address": attacker.address}, profile=CURRENT)[0]
    more = httpsig.commit(attacker, {"load": "everything"}, profile=CURRENT)[0]
    for signed, extra in ((own, {}), (more, {"load": "everything"})):
        fields, body = wire.encode(due | extra, CURRENT)
        headers = [*fields.items(), *write_commitments([hmac, signed]).items()]
        answer = raw((headers, body or b""))
        try:
            found = Links({link: answer}).resolve({"node+link": link})
        except EvidenceError as error:
            assert error.error == "LINK_MISMATCH"
        else:
            assert found == {"node": node.body["node"]}
        verdict = node.verify(exchange=replace(exchange, links={link: answer}))
        assert verdict.verdict in ("PASS", "FAIL")
        if verdict.verdict == "FAIL":
            assert verdict.error == "LINK_MISMATCH"


def test_a_link_to_a_signed_message(measured_node: Node) -> None:
    """By the id of its signature; then it stands for what was signed, and for no more."""
    part = {"address": measured_node.wallet.address}
    tabm = to_tabm(part)
    commitment = httpsig.commit(measured_node.wallet, tabm, profile=CURRENT)[0]
    from aoshell.protocol import wire
    from aoshell.protocol.commitment import write_commitments

    fields, body = wire.encode(tabm | {"more": "x"}, CURRENT)
    headers = [*fields.items(), *write_commitments([commitment]).items()]
    links = Links({commitment.id: raw((headers, body or b""))})
    assert links.resolve({"node+link": commitment.id}) == {"node": part}


def test_a_key_and_a_link_of_one_name(measured_node: Node) -> None:
    node, exchange, link = linked(measured_node)
    links = Links(exchange.links)
    for message in ({"a": {}, "a+link": link}, {"a+link": link, "a": "x"}):
        with pytest.raises(EvidenceError) as raised:
            Links(exchange.links).resolve(message)  # type: ignore[arg-type]
        assert raised.value.error == "LINK_MISMATCH"
    for wrong in ("x", link + "=", 5, {}, None, "/../etc"):
        with pytest.raises(EvidenceError) as raised:
            links.resolve({"a+link": wrong})  # type: ignore[dict-item]
        assert raised.value.error == "LINK_MISMATCH"
    assert node.verify(exchange=exchange).verdict == "PASS"


def stored(wallet: Wallet, message: Any, links: dict[str, RawResponse]) -> str:
    """Puts a message, whose own links are text, where links lead to; returns its id."""
    found: dict[str, Wire] = {}
    set_apart({"x": message}, "x", wallet, found)
    ((id_, answer),) = found.items()
    links[id_] = raw(answer)
    return id_


def test_links_that_multiply(wallet: Wallet) -> None:
    """Each level links twice to the one below, 2¹² times in all; each counts each time."""
    for leaf in ({"text": "x" * 4000}, {f"k{number}": "v" for number in range(90)}):
        links: dict[str, RawResponse] = {}
        id_ = stored(wallet, leaf, links)
        for _ in range(reading.DEEPEST - 1):
            id_ = stored(wallet, {"a+link": id_, "b+link": id_}, links)
        with pytest.raises(EvidenceError) as raised:
            Links(links).resolve({"a+link": id_, "b+link": id_})
        assert raised.value.error == "ENVELOPE_LIMIT"


def test_a_long_text_behind_many_links(wallet: Wallet) -> None:
    """One answer of 1 MB, linked to a thousand times, would be hashed a thousand times."""
    links: dict[str, RawResponse] = {}
    id_ = stored(wallet, {"text": "x" * (1 << 20)}, links)
    with pytest.raises(EvidenceError) as raised:
        Links(links).resolve({f"k{number}+link": id_ for number in range(1000)})
    assert raised.value.error == "ENVELOPE_LIMIT"
    assert Links(links).resolve({f"k{number}+link": id_ for number in range(7)})


def test_links_nested_too_deep(wallet: Wallet) -> None:
    links: dict[str, RawResponse] = {}
    id_ = stored(wallet, {"a": "leaf"}, links)
    for _ in range(reading.DEEPEST - 1):
        id_ = stored(wallet, {"a+link": id_}, links)
    assert Links(links).resolve({"a+link": id_})
    id_ = stored(wallet, {"a+link": id_}, links)
    with pytest.raises(EvidenceError, match="nested deeper"):
        Links(links).resolve({"a+link": id_})


def test_links_in_circles_have_no_such_ids(wallet: Wallet) -> None:
    """A message cannot hold its own id. Who answers with one that links back has another id."""
    links: dict[str, RawResponse] = {}
    id_ = stored(wallet, {"a": "x"}, links)
    links[id_] = raw(answered(wallet, {"a+link": id_}))
    with pytest.raises(EvidenceError) as raised:
        Links(links).resolve({"a+link": id_})
    assert raised.value.error == "LINK_MISMATCH"


def test_too_many_links(measured_node: Node) -> None:
    def many(count: int) -> Callable[[Any, Any], Any]:
        links = [(f"l{at}+link", stable_id({"at": at})) for at in range(count)]
        maps = {f"m{at}": dict(links[at : at + 32]) for at in range(0, count, 32)}
        return lambda tabm, _node: tabm | {"evidence": maps}

    def exchange(count: int) -> Exchange:
        def send(wallet: Wallet, message: Any) -> Wire:
            return sign_tabm(wallet, many(count)(to_tabm(message, LARGEST_READ), None))

        return measured_node.exchange(fresh=raw(measured_node.but(send=send).measured()))

    few, over = exchange(reading.MOST_LINKS), exchange(reading.MOST_LINKS + 1)
    ended(measured_node.verify(exchange=few), "LINK_UNAVAILABLE", "INCONCLUSIVE")
    assert len(LinkSearch(few).wanted(few.links)) == reading.MOST_LINKS
    ended(measured_node.verify(exchange=over), "ENVELOPE_LIMIT")
    assert LinkSearch(over).wanted(over.links) == ()
    answers = {str(number): few.fresh for number in range(reading.MOST_LINKS + 1)}
    ended(measured_node.verify(exchange=replace(few, links=answers)), "ENVELOPE_LIMIT")


def test_too_many_bytes_behind_links(measured_node: Node) -> None:
    node, exchange, link = linked(measured_node)
    answers = {str(at): RawResponse((), b"x" * (3 << 20)) for at in range(3)}
    whole = replace(exchange, links=dict(exchange.links) | answers)
    ended(node.verify(exchange=whole), "ENVELOPE_LIMIT")
    headed = {str(at): RawResponse((("a", "x" * (200 << 10)),), b"") for at in range(50)}
    whole = replace(exchange, links=dict(exchange.links) | headed)
    ended(node.verify(exchange=whole), "ENVELOPE_LIMIT")
    assert link in exchange.links


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


def test_the_start_with_another_recipient(measured_node: Node) -> None:
    def renamed(recipient: Any, _node: Any) -> Any:
        return recipient | {"public-material": recipient["public-material"] | {"x": "y"}}

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
