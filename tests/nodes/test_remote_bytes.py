"""Results that JSON cannot hold: a process may put bytes into them that are not UTF-8.

Nodes of September and November 2025 answer 500 where such a result is asked for as JSON, and give
it as parts of a body.
"""

from __future__ import annotations

import pytest
from hyper_server import Reply, Request
from rsa_keys import wallet
from test_remote_hyperbeam import (
    Home,
    evaluate,
    home,
    in_loop,
    node_wallet,
    profile,
    server,
    spawn,
    up,
)

from aoshell.errors import AoError
from aoshell.nodes.remote.hyperbeam.fates import is_same
from aoshell.nodes.remote.hyperbeam.results import to_result
from aoshell.nodes.values import Verify
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Message, Outgoing, Tag

__all__ = ["home", "node_wallet", "profile", "server", "wallet"]  # fixtures

# As OTP's json fails at a byte, and at a text that ends within a character.
REASONS = ["{invalid_byte,255}", "unexpected_end"]


class Unfit:
    """A fault: the answer cannot be given as JSON.

    Attributes:
        asked: the `accept` of each request.
    """

    def __init__(self, reason: str) -> None:
        self.asked: list[str] = []
        self._reason = reason

    def __call__(self, request: Request, reply: Reply) -> Reply:
        self.asked.append(request.header("accept"))
        if self.asked[-1] != "application/json":
            return reply
        fields = [("details", self._reason), ("codec-device", "json@1.0")]
        body = b'{"details":"%s"}' % self._reason.encode()
        return 500, [*fields, ("content-type", "application/json")], body


@pytest.mark.parametrize("reason", REASONS)
@in_loop
async def test_the_other_form_of_a_result_is_asked_for_once(home: Home, reason: str) -> None:
    home.server.profile = CURRENT
    async with up(home) as node:
        process = await spawn(node, home)
        unfit = home.server.faults["GET .*/compute"] = Unfit(reason)
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        assert unfit.asked == ["application/json", "*/*"]


@in_loop
async def test_the_other_form_of_an_evaluation_is_asked_for_once(home: Home) -> None:
    home.server.profile = CURRENT
    async with up(home) as node:
        process = await spawn(node, home)
        unfit = home.server.faults["POST .*/compute"] = Unfit(REASONS[0])
        sent = Message("", "", "", process, (Tag("Action", "Eval"),), b"1+1")
        assert (await node.dryrun(process, sent)).output == "2"
        assert unfit.asked == ["application/json", "*/*"]


@in_loop
async def test_another_failure_is_told_at_once(home: Home) -> None:
    home.server.profile = CURRENT
    async with up(home) as node:
        process = await spawn(node, home)
        failing = home.server.faults["GET .*/compute"] = Unfit("{badarg,1}")
        with pytest.raises(AoError, match="500"):
            await evaluate(node, home, process, "1+1")
        assert failing.asked == ["application/json"]


def test_bytes_stay_what_they_are() -> None:
    sent = {"target": "t", "data": "\udcff", "action": "\udcfe"}
    said = {"output": {"data": "a\udcffb", "prompt": "\udcc3"}, "outbox": {"1": sent}}
    result = to_result("p", 1, said, "node")
    assert (result.output, result.prompt) == ("a\udcffb", "\udcc3")
    assert [(one.data, one.tags) for one in result.messages] == [
        (b"\xff", (Tag("action", "\udcfe"),))
    ]


def test_half_a_pair_is_no_byte() -> None:
    assert to_result("p", 1, {"output": {"data": "a\ud800b"}}, "node").output == "a\ufffdb"


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@pytest.mark.parametrize("at", [{1}, {5}, {2, 3}, {1, 2, 3, 4, 5}])
@in_loop
async def test_a_log_is_read_past_messages_that_json_cannot_hold(
    home: Home, level: Verify, at: set[int]
) -> None:
    """As a node of September 2025 lists it; anybody can send such a message."""
    home.server.profile, home.server.sign_all = CURRENT, True
    async with up(home) as node:
        node.verify = level
        process = await spawn(node, home)
        data = [b"x\xff%d" % slot if slot in at else b"1+%d" % slot for slot in range(1, 6)]
        sent = [await node.sign(home.wallet, process, (Tag("Action", "Raw"),), one) for one in data]
        for one in sent:
            await node.send(process, one)
        found = await node.schedule(process, 1, 5)
        assert [one.data for one in found] == data
        assert [one.id for one in found] == [one.id for one in sent]
        assert {one.owner for one in found} == {home.wallet.address}
        assert [one.tag("Action") for one in found] == ["Raw"] * 5
        assert [one.assignment.slot for one in found if one.assignment] == list(range(1, 6))


@in_loop
async def test_an_assignment_of_another_process_is_refused(home: Home) -> None:
    home.server.profile, home.server.sign_all = CURRENT, True
    async with up(home) as node:
        process, other = await spawn(node, home), await spawn(node, home)
        for one in (process, other):
            await node.send(one, await node.sign(home.wallet, one, (), b"\xff"))
        home.server.faults["assignments/1"] = lambda *_: home.server.placed(other, 1)
        with pytest.raises(AoError, match="refused"):
            await node.schedule(process, 1, 1)


@pytest.mark.parametrize(
    ("data", "listed", "same"),
    [(b"\xff", b"", True), (b"x", b"", False), (b"\xff", b"\xfe", False), (b"", b"", True)],
)
def test_a_log_that_leaves_out_what_is_no_text(data: bytes, listed: bytes, same: bool) -> None:
    """As a node of November 2025 lists it."""
    process = "P" * 43
    sent = Outgoing("T" * 43, (Tag("reference", "7"),), data, "", False)
    found = Message("M" * 43, "N" * 43, process, "T" * 43, sent.tags, listed)
    assert is_same(sent, found, process) is same
