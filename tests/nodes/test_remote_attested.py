"""Answers of a node whose key was attested: which count, and how they are bound to requests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from test_remote_vectors import Replay, replay, replied

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.hyperbeam import signed as room
from aoshell.nodes.remote.hyperbeam.binding import PROCESS, SLOT, Asked
from aoshell.nodes.remote.hyperbeam.trust import Trust
from aoshell.nodes.values import Pin, Verify
from aoshell.protocol import httpsig, signing, wire
from aoshell.protocol.commitment import write_commitments
from aoshell.protocol.structured import to_tabm
from aoshell.protocol.wallet import Wallet

__all__ = ["replay"]  # a fixture

NODE = "pH0bzhB45TmbnN2NsVqjbjPYT6KS_N3JFtswz0ElmKc"
LATER = int(time.time()) + 3600


@dataclass
class Told:
    said: list[str] = field(default_factory=list)

    def trust(self, address: str, until: int = LATER) -> Trust:
        trust = Trust("node", self.said.append)
        trust.level, trust.pin = Verify.ATTESTED, Pin(address, until)
        return trust


def signed(wallet: Wallet, message: dict[str, Any]) -> Response:
    headers, body = signing.sign(wallet, message)
    return Response("", 200, tuple(headers), body)


def test_what_a_real_node_signed_is_taken(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, also answers whose headers lost a space on the way."""
    spaces = []
    found_again = room._with_space

    def noted(answer: Response, failure: Any) -> Any:
        spaces.append(answer)
        return found_again(answer, failure)

    monkeypatch.setattr(room, "_with_space", noted)
    taken = 0
    for exchange in replay.recorded.values():
        status, headers, body = replied(exchange)
        answer = Response("", status, tuple(headers), body)
        trust = Told().trust(NODE)
        assert trust.read(answer, "test")
        assert trust.state == "attested (bound to requests by nothing)"
        with pytest.raises(AoError, match="not by the attested key"):
            Told().trust("A" * 43).read(answer, "test")
        taken += 1
    assert taken > 15 and spaces


def test_a_lost_space_is_looked_for_without_reading_the_answer_again(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    check = httpsig.check

    def counted(headers: Any, body: bytes, *, shallow: bool) -> Any:
        read.append(headers)
        return check(headers, body, shallow=shallow)

    monkeypatch.setattr(httpsig, "check", counted)
    told = {"prompt": "sim> ", "output": "x", "key": "v", "last": "w", "body": "b"}
    headers, body = signed_beside(wallet, told)
    assert room.examine(Response("", 200, headers, body)).verified["prompt"] == "sim> "
    assert len(read) == 2
    read.clear()
    changed = tuple((name, "no" if name == "key" else value) for name, value in headers)
    assert room.examine(Response("", 200, changed, body)).outcome is httpsig.SignatureStatus.BAD
    assert len(read) == 1


def signed_beside(wallet: Wallet, message: dict[str, Any]) -> tuple[Any, bytes]:
    """Headers and body of a signed message, as HTTP leaves them: without spaces at their ends."""
    tabm = to_tabm(message)
    fields, body = wire.encode(tabm)
    signatures = write_commitments(signing.commit(wallet, tabm))
    pairs = (*fields.items(), *signatures.items())
    return tuple((name, value.strip(" ")) for name, value in pairs), body or b""


@pytest.mark.parametrize(
    ("fields", "words", "state"),
    [
        ({PROCESS: "p", SLOT: 4}, "it names the process and the slot that was", "process, slot"),
        ({PROCESS: "p"}, "it names the process that was asked for, and could be an old", "process"),
        ({}, "nothing in it names the request", "nothing"),
    ],
)
def test_binding_is_named_once_for_each_kind(
    wallet: Wallet, fields: dict[str, str | int], words: str, state: str
) -> None:
    told = Told()
    trust = told.trust(wallet.address)
    answer = signed(wallet, {"process": "p", "slot": 4, "status": 200})
    for _ in range(2):
        assert trust.read(answer, "compute", Asked("", fields))["slot"] == 4
    assert len(told.said) == 1 and words in told.said[0]
    assert trust.state == f"attested (bound to requests by {state})"
    trust.read(answer, "now", Asked("", fields))
    assert len(told.said) == 2


@pytest.mark.parametrize("level", Verify)
def test_what_is_not_signed_is_not_used(wallet: Wallet, level: Verify) -> None:
    headers = (*signed(wallet, {"a": "1"}).headers, ("output", "unsigned"))
    answer = Response("", 200, headers, b"")
    trust = Told().trust(wallet.address)
    trust.level, trust.address = level, wallet.address
    assert trust.read(answer, "compute") == {"a": "1"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda h: [one for one in h if "signature" not in one[0]], "does not sign"),
        (lambda h: [(n, "2" if n == "a" else v) for n, v in h], "is refused"),
        (lambda h: [(n, v) for n, v in h if n != "signature"], "is refused"),
    ],
)
def test_what_is_refused(wallet: Wallet, change: Any, why: str) -> None:
    headers = tuple(change(signed(wallet, {"a": "1"}).headers))
    with pytest.raises(AoError, match=why) as raised:
        Told().trust(wallet.address).read(Response("", 200, headers, b""), "compute")
    assert raised.value.stage == "verify" and raised.value.hint


def test_json_counts_where_its_bytes_are_signed(wallet: Wallet) -> None:
    text = '{"slot": 4}'
    whole = signed(wallet, {"body": text, "content-type": "application/json"})
    assert Told().trust(wallet.address).json(whole, "schedule") == {"slot": 4}
    beside = Response("", 200, signed(wallet, {"a": "1"}).headers, text.encode())
    with pytest.raises(AoError, match="does not sign this answer"):
        Told().trust(wallet.address).json(beside, "schedule")


@pytest.mark.parametrize("ago", [1, 1_000_000])
def test_a_pin_ends(wallet: Wallet, ago: int) -> None:
    until = int(time.time()) - ago
    trust = Told().trust(wallet.address, until)
    with pytest.raises(AoError, match="too long ago") as raised:
        trust.read(signed(wallet, {"a": "1"}), "compute")
    assert ".attest" in raised.value.hint
    trust.pin = None
    with pytest.raises(AoError, match="is not attested"):
        trust.pinned()
    trust.level = Verify.ON
    assert trust.pinned() is None
