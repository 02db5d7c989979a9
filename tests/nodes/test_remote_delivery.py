"""Whether the messages that a line sends on a HyperBEAM node arrive, and what is shown of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from eventually import until
from hyper_server import Reply, Request
from test_remote_hyperbeam import (
    EVAL,
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

from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.values import Event, Verify
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Tag

__all__ = ["home", "node_wallet", "profile", "server"]  # fixtures

NOBODY = "T" * 43
MOMENTARY = (500, [("details", "Lazy link")], b"")

november = pytest.mark.parametrize("november", [False, True], ids=["newest", "November 2025"])


def sends(*messages: dict[str, Any]) -> dict[str, Any]:
    """A result that puts these messages into the outbox, marked as aos marks them."""
    outbox = {
        f"m{number}": {"anchor": f"{number}", "action": "X", **message}
        for number, message in enumerate(messages, 1)
    }
    return {"output": {"data": ""}, "outbox": outbox}


class Chat:
    """Two processes, one of which sends what a test wants, and the notices about it."""

    def __init__(self, home: Home, node: HyperBeamNode, one: str, two: str) -> None:
        self.home, self.node, self.one, self.two = home, node, one, two
        self.events = node.subscribe()
        self.told: list[Event] = []

    async def send(self, *messages: dict[str, Any]) -> list[str]:
        """Evaluate a line that sends messages; the notices until all it caused is done."""
        self.home.server.evaluations["send"] = sends(*messages)
        item = await self.node.sign(self.home.wallet, self.one, EVAL, b"send")
        receipt = await self.node.send(self.one, item)
        await self.node.result(self.one, receipt.place)
        await self.node.settled(receipt.id)
        return self.texts()

    def texts(self) -> list[str]:
        while self.events.unread:
            self.told.append(self.events._queue.get_nowait()[0])  # type: ignore[arg-type]
        said = [one.detail for one in self.told if one.kind != "result"]
        worth = ("signs its answers", "does not sign its", "signed by")
        return [one for one in said if not any(each in one for each in worth)]

    def arrived(self, process: str) -> list[str]:
        """The data of the messages that a process got from another."""
        log = self.home.server.logs[process]
        return [str(one.keys["data"]) for one in log if "from-process" in one.keys]

    def pushes(self, process: str = "") -> int:
        return sum(f"{process or self.one}~process@1.0/push&" in each for each in self.asked)

    @property
    def asked(self) -> list[str]:
        return self.home.server.asked


async def chat(home: Home, node: HyperBeamNode, *, november: bool = False) -> Chat:
    if november:
        home.server.profile, home.server.november, home.server.sign_all = CURRENT, True, True
    one = await spawn(node, home)
    tags = (Tag("Name", "two"), Tag("Module", "M" * 43))
    two = await node.spawn(await node.sign(home.wallet, "", tags, b""))
    return Chat(home, node, one, two.id)


@november
@in_loop
async def test_what_nobody_can_take_is_told(home: Home, november: bool) -> None:
    async with up(home) as node:
        talk = await chat(home, node, november=november)
        said = await talk.send(
            {"target": NOBODY}, {"target": talk.two, "data": "hello"}, {"target": "token"}
        )
        assert said == [
            "slot 1: X to TTTTTTTT…: not delivered: no process with this id is on this node, and no"
            " wallet known here has it",
            "slot 1: X to token: not delivered: the target is no address (43 characters of"
            " base64url)",
        ]
        assert talk.arrived(talk.two) == ["hello"]


@november
@in_loop
async def test_what_goes_to_a_wallet_that_is_known_here_is_not_called_undelivered(
    home: Home, november: bool
) -> None:
    async with up(home) as node:
        talk = await chat(home, node, november=november)
        node.knows([NOBODY])
        assert await talk.send({"target": NOBODY}, {"target": home.wallet.address}) == []


@november
@in_loop
async def test_a_reply_arrives_and_so_does_what_stands_behind_it(
    home: Home, november: bool
) -> None:
    """A node of November 2025 fails at it, unless whole results are asked for."""
    async with up(home) as node:
        talk = await chat(home, node, november=november)
        pong = {"target": talk.one, "data": "pong"}
        home.server.evaluations["ping"] = sends(pong)
        ping = {"target": talk.two, "data": "ping"}
        assert await talk.send(ping, {"target": talk.two, "data": "last"}) == []
        assert talk.arrived(talk.two) == ["ping", "last"]
        assert talk.arrived(talk.one) == ["pong"]
        assert talk.pushes() == 1


@november
@in_loop
async def test_what_another_process_cannot_deliver_is_told(home: Home, november: bool) -> None:
    async with up(home) as node:
        talk = await chat(home, node, november=november)
        home.server.evaluations["ping"] = sends({"target": NOBODY}, {"target": home.wallet.address})
        (said,) = await talk.send({"target": talk.two, "data": "ping"})
        assert said.startswith(f"slot 1 of {talk.two[:8]}…: X to TTTTTTTT…: not delivered: no")


@in_loop
async def test_what_it_caused_in_other_processes_is_shown_before_it_has_settled(
    home: Home,
) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        home.server.evaluations["ping"] = {"output": {"data": "two got it"}, "outbox": {}}
        await talk.send({"target": talk.two, "data": "ping"})
        (shown,) = [one for one in talk.told if one.kind == "result"]
        assert shown.process == talk.two and shown.entry and shown.entry.result
        assert shown.entry.result.output == "two got it"
        assert shown.root == home.server.logs[talk.one][1].id


@in_loop
async def test_the_feed_has_told_what_came_back_before_it_has_settled(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        await node.watch(talk.one)
        home.server.evaluations["ping"] = sends({"target": talk.one, "data": "6*7"})
        await talk.send({"target": talk.two, "data": "ping"})
        results = [one.entry.result for one in talk.told if one.kind == "result" and one.entry]
        assert "42" in [one.output for one in results if one]


# The node fails -----------------------------------------------------------------------------------


def failing(reply: Reply, times: int) -> Callable[[Request, Reply], Reply]:
    """A fault of a push: the first ones fail after all has arrived."""
    left = [times]

    def fault(_: Request, usual: Reply) -> Reply:
        left[0] -= 1
        return reply if left[0] >= 0 else usual

    return fault


def before(home: Home, reply: Reply, times: int) -> None:
    """The first pushes fail before anything has arrived."""
    pushed, left = home.server.pushed, [times]

    def failed(process: str, slot: int, *, whole: bool) -> Reply:
        left[0] -= 1
        return reply if left[0] >= 0 else pushed(process, slot, whole=whole)

    home.server.pushed = failed  # type: ignore[method-assign]


@in_loop
async def test_a_push_of_which_nothing_arrived_is_told_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.delivering.AGAIN", (0.0, 0.0))
    async with up(home) as node:
        talk = await chat(home, node)
        before(home, MOMENTARY, 2)
        assert await talk.send({"target": talk.two, "data": "once"}, {"target": NOBODY}) != []
        assert talk.arrived(talk.two) == ["once"] and talk.pushes() == 3
        assert "not delivered: no process" in talk.texts()[0]


@in_loop
async def test_it_is_told_again_a_few_times_only(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.delivering.AGAIN", (0.0, 0.0))
    async with up(home) as node:
        talk = await chat(home, node)
        before(home, MOMENTARY, 99)
        (said,) = await talk.send({"target": talk.two, "data": "never"})
        assert talk.pushes() == 3 and talk.arrived(talk.two) == []
        assert f"X to {talk.two[:8]}…: not delivered: " in said and "500" in said


@pytest.mark.parametrize("reply", [MOMENTARY, (500, [], b"badmatch"), (400, [], b"no")])
@in_loop
async def test_what_arrived_is_neither_called_lost_nor_delivered_twice(
    home: Home, reply: Reply
) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        home.server.faults["push&slot"] = failing(reply, 1)
        assert await talk.send({"target": talk.two, "data": "here"}) == []
        assert talk.arrived(talk.two) == ["here"] and talk.pushes() == 1


@in_loop
async def test_a_failure_half_way_names_what_is_missing(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        deliver = home.server.deliver

        def stops(process: str, key: str, message: dict[str, Any]) -> dict[str, Any]:
            return deliver(process, key, message) if key == "m1" else {}

        home.server.deliver = stops  # type: ignore[method-assign]
        home.server.faults["push&slot"] = failing(MOMENTARY, 1)
        messages = [{"target": talk.two, "data": data} for data in ("first", "second")]
        (said,) = await talk.send(*messages)
        assert said.startswith(f"slot 1: X to {talk.two[:8]}…: not delivered: ")
        assert talk.arrived(talk.two) == ["first"] and talk.pushes() == 1


@in_loop
async def test_where_it_failed_further_on_it_is_told_to_go_on_there(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        home.server.evaluations["ping"] = sends({"target": talk.one, "data": "pong"})
        deliver = home.server.deliver
        broken = [True]

        def stops(process: str, key: str, message: dict[str, Any]) -> dict[str, Any]:
            if broken[0] and process == talk.two:
                return {}
            return deliver(process, key, message)

        def fault(_: Request, usual: Reply) -> Reply:
            was, broken[0] = broken[0], False
            return (500, [], b"badmatch") if was else usual

        home.server.deliver = stops  # type: ignore[method-assign]
        home.server.faults["push&slot"] = fault
        assert await talk.send({"target": talk.two, "data": "ping"}) == []
        assert talk.arrived(talk.two) == ["ping"] and talk.arrived(talk.one) == ["pong"]
        assert talk.pushes() == 1 and talk.pushes(talk.two) == 1


@in_loop
async def test_an_error_of_the_target_is_no_word_on_whether_the_message_arrived(
    home: Home,
) -> None:
    """The error looks the same if a message was not scheduled and if it was not computed."""
    async with up(home) as node:
        talk = await chat(home, node)
        deliver = home.server.deliver

        def failed(process: str, key: str, message: dict[str, Any]) -> dict[str, Any]:
            if message["data"] == "arrives":
                deliver(process, key, message)
            return {"response": "error", "target": message["target"], "reason": "broken there"}

        home.server.deliver = failed  # type: ignore[method-assign]
        messages = [{"target": talk.two, "data": data} for data in ("arrives", "does not")]
        (said,) = await talk.send(*messages)
        assert said == f"slot 1: X to {talk.two[:8]}…: not delivered: broken there"


@in_loop
async def test_what_cannot_be_told_from_others_is_not_known(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        home.server.faults["push&slot"] = failing((500, [], b"badmatch"), 1)
        (said,) = await talk.send({"target": talk.two, "data": "x", "anchor": ""})
        assert f"X to {talk.two[:8]}…: it is not known whether it arrived: " in said


@in_loop
async def test_a_node_that_did_not_answer_itself_may_go_on(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        before(home, (502, [], b"away"), 1)
        (said,) = await talk.send(
            {"target": talk.two, "data": "x"}, {"target": home.wallet.address}
        )
        assert "slot 1: it is not known what became of its messages" in said
        assert "not delivered" not in said and talk.pushes() == 1


@in_loop
async def test_what_nobody_signed_is_not_known_where_answers_are_verified(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node, november=True)
        node.verify = Verify.ON
        unsigned = home.server.unsigned({"body": "9"})
        home.server.faults["slot/current"] = lambda *_: unsigned
        (said,) = await talk.send({"target": talk.two})
        assert "it is not known whether it arrived" in said


@in_loop
async def test_a_new_process_that_nobody_makes_is_told_at_once(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        said = await talk.send({"type": "Process", "action": "", "data": "1"})
        assert len(said) == 1 and said[0].startswith("slot 1 asks for a new process, and gets none")
        assert ".spawn MODULE" in said[0] and talk.pushes() == 0


# Waiting ------------------------------------------------------------------------------------------


async def begun(talk: Chat) -> None:
    """Until the node was told to deliver."""
    await until(talk.pushes)


async def sent(talk: Chat) -> str:
    talk.home.server.evaluations["send"] = sends({"target": talk.two, "data": "x"})
    item = await talk.node.sign(talk.home.wallet, talk.one, EVAL, b"send")
    receipt = await talk.node.send(talk.one, item)
    await talk.node.result(talk.one, receipt.place)
    return receipt.id


@in_loop
async def test_giving_up_the_wait_ends_the_delivery(home: Home) -> None:
    async with up(home) as node:
        talk = await chat(home, node)
        home.server.silent = "push&slot"
        waiting = asyncio.create_task(node.settled(await sent(talk)))
        await begun(talk)
        assert node.stage and (node.stage.name, node.stage.note) == ("push", "messages of slot 1")
        waiting.cancel()
        await asyncio.wait({waiting})
        assert await node.finish() == ""


@in_loop
async def test_the_end_says_what_it_does_not_wait_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.delivering.ENDING", 0.05)
    async with up(home) as node:
        talk = await chat(home, node)
        home.server.silent = "push&slot"
        await sent(talk)
        assert (await node.finish()).startswith(
            "the messages of slot 1 are not delivered after 0.05 s"
        )


@in_loop
async def test_a_line_that_sends_nothing_has_settled_with_its_result(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "1+1")
        receipt = await node.send(process, await node.sign(home.wallet, process, EVAL, b"2+2"))
        await node.result(process, receipt.place)
        home.server.asked.clear()
        await node.settled(receipt.id)
        assert not any("push" in line for line in home.server.asked)
