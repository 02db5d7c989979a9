"""Results that JSON cannot hold: a process may put bytes into them that are no UTF-8.

Nodes of September and November 2025 answer 500 where such a result is asked for as JSON, and give
it as parts of a body.
"""

from __future__ import annotations

import pytest
from hyper_server import Reply, Request
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
from aoshell.nodes.remote.hyperbeam.results import to_result
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Message, Tag

__all__ = ["home", "node_wallet", "profile", "server"]  # fixtures

# As OTP's json fails at a byte, and at a text that ends within a character.
REASONS = ["{invalid_byte,255}", "unexpected_end"]


class Unfit:
    """A fault: what is asked for is not to be had as JSON.

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
