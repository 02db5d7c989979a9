"""Parts of envelopes that come as links: by their ids, under bounds.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from envelope_edits import Node, ended
from envelope_node import TpmNode, Wire, raw
from envelope_wire import answered, set_apart, sign_tabm

from aoshell.attest.envelope import reading
from aoshell.attest.envelope.ids import stable_id
from aoshell.attest.envelope.reading import Links, LinkSearch
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import (
    Exchange,
    RawResponse,
)
from aoshell.protocol import signing
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.structured import LARGEST_READ, to_tabm
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

APART = [
    ("body",),
    ("body/system", "body/node", "body"),
    ("body/system/cpu/flags", "body/system/integrity"),  # lists, one of them empty
    ("secret-recipient/binding", "secret-recipient"),
    ("evidence",),
    ("body", "evidence", "secret-recipient"),
]


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
    hmac = signing.commit(node.wallet, due, profile=CURRENT)[1]
    assert hmac.id == link
    own = signing.commit(attacker, {"address": attacker.address}, profile=CURRENT)[0]
    more = signing.commit(attacker, {"load": "everything"}, profile=CURRENT)[0]
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
    commitment = signing.commit(measured_node.wallet, tabm, profile=CURRENT)[0]
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
