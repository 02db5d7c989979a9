""".why and .handlers at a real node: what a user types, what comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typed_session import SGR, Body, Typed, run

from aoshell.errors import AoError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Result, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.shell.help.explaining import read_facts
from aoshell.shell.outcome import CommandOutput, LineFailure

HANDLERS = """
Handlers.add("Skipped", { Action = "Other" }, function() end)
Handlers.add("Both", function(msg) return msg.Action == "Twice" and "continue" or "skip" end,
  function() Seen = (Seen or 0) + 1 end)
Handlers.add("Twice", "Twice", function() Seen = (Seen or 0) + 1 end)
Handlers.add("Bad", "Bad", function() error("on purpose") end)
Handlers.add("Ask", "Ask", function(msg) Receive({ Action = "Never" }) end)
"""


@pytest.fixture
def typing(tmp_path: Path, wallet: Wallet) -> Callable[[Body], None]:
    return lambda body: run(tmp_path / "state", wallet, body)


async def why_last(typed: Typed) -> CommandOutput:
    """Of the newest slot."""
    slots = await typed.session.node.slots(typed.session.attached.id)
    return await typed.reply(f".why {slots - 1}")


async def hits(typed: Typed) -> dict[str, int]:
    found: Any = (await typed.reply(".handlers")).value
    return {one["name"]: one["hits"] for one in found}


def test_which_handlers_were_asked_and_what_they_answered(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        await typed(HANDLERS)
        await typed('Send({ Target = ao.id, Action = "Twice" })')
        said = (await why_last(typed)).text
        lines = [" ".join(line.split()) for line in said.splitlines()]
        assert "Skipped { Action = Other } false: Action is Twice, not Other" in lines
        assert any(
            line.startswith('Both function [string "aos"]:3 continue: ran') for line in lines
        )
        assert "continue: ran, and others after it" in said
        assert next(line for line in said.splitlines() if line.startswith("Twice")).endswith("ran")
        assert "Bad" not in said  # it stands behind the one that stopped the message
        assert await typed.value("Seen") == "2"  # asking ran them once more, and kept nothing

    typing(body)


def test_the_error_of_a_handler_is_shown_once(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        await typed(HANDLERS)
        typed.front.said.clear()
        await typed('Send({ Target = ao.id, Action = "Bad" })')
        said = SGR.sub("", "\n".join(typed.front.said))
        reason = '[string "aos"]:6: on purpose'
        assert said.startswith(f"slot 3 failed: Error handling message with Action = Bad\n{reason}")
        assert said.count("on purpose") == 1
        assert "error:" not in said and "stack traceback:" in said

    typing(body)


def test_what_fell_into_the_inbox_what_failed_what_waits(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        await typed(HANDLERS)
        await typed('Send({ Target = ao.id, Action = "Unheard" })')
        reply = await why_last(typed)
        assert "no handler stopped it: it is in the Inbox" in reply.text
        value: Any = reply.value
        assert value["inbox"] is True
        assert value["asked"][0]["name"] == "_eval"
        assert value["asked"][-1]["name"] == "_default"
        await typed('Send({ Target = ao.id, Action = "Bad" })')
        said = (await why_last(typed)).text
        assert "Bad failed: " in said and "on purpose" in said
        await typed('Send({ Target = ao.id, Action = "Ask" })')
        assert "Ask waits for another message" in (await why_last(typed)).text
        await typed('Handlers.prepend("Broken", function() return nil + 1 end, print)')
        await typed('Send({ Target = ao.id, Action = "X" })')
        said = (await why_last(typed)).text
        assert "it raised an error" in said and "the pattern of Broken failed" in said

    typing(body)


def test_why_a_message_was_not_trusted(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        wallet = await typed.session.wallet()
        desk = typed.session.attached.id
        await typed("ao.authorities = {}")
        # Its definition's authority comes back, so a stranger is needed: a forged From-Process.
        forged = tags_of([("Data-Protocol", "ao"), ("Type", "Message"), ("From-Process", "F" * 43)])
        item = DataItem.sign(wallet, target=desk, tags=forged, data=b"")
        receipt = await typed.session.node.send(desk, item)
        await typed.session.node.settled(item.id)
        for name in (str(receipt.slot), item.id):
            reply = await typed.reply(f".why {name}")
            value: Any = reply.value
            assert value["refused"] == "trust" and value["asked"] == []
            assert (value["from"], value["owner"]) == ("F" * 43, wallet.address)
            assert "no handler was asked" in reply.text
            assert wallet.address in reply.text and "F" * 43 in reply.text
            authority = (await typed.session.node.info()).address
            assert f"neither is among ao.authorities: {authority}" in reply.text

    typing(body)


LOOP = 'Handlers.add("Loop", "Loop", function() while true do end end)'


def test_a_message_that_a_limit_stopped_is_not_computed_again(
    typing: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(typed: Typed) -> None:
        await typed(LOOP)
        await typed(".limits seconds 0.2")
        await typed('Send({ Target = ao.id, Action = "Loop" })')
        asked: list[object] = []
        workbench = typed.session.node.local.workbench  # type: ignore[union-attr]
        monkeypatch.setattr(type(workbench), "at", lambda *given: asked.append(given))
        slot = await typed.session.node.slots(typed.session.attached.id) - 1
        said = await typed.error(f".why {slot}")
        assert "(time): which handlers the message asked is not known" in said
        assert f".log {slot} shows the message" in said
        await typed(".spawn aos as other")
        await typed(".attach other")
        assert f".log desk@{slot} shows the message" in await typed.error(f".why desk@{slot}")
        assert not asked

    typing(body)


def test_a_message_that_was_stopped_while_it_waited_never_ran(
    typing: Callable[[Body], None],
) -> None:
    async def body(typed: Typed) -> None:
        desk, node = typed.session.attached.id, typed.node
        wallet = await typed.session.wallet()
        named = tags_of([("Data-Protocol", "ao"), ("Type", "Message"), ("Action", "Eval")])
        items = [DataItem.sign(wallet, desk, named, b"while true do end") for _ in range(2)]
        first, second = [await node.send(desk, item) for item in items]
        for line in (second, first):
            await node.cancel(desk, line.slot)
        reply = await typed.reply(f".why {second.slot}")
        assert f"slot {second.slot}: Eval from" in reply.text
        assert reply.text.endswith("\nit never ran: stopped by the user while it waited")
        value: Any = reply.value
        assert (value["asked"], value["ran"], value["error"]) == ([], False, "stopped by the user")
        said = await typed.error(f".why {first.slot}")
        assert "stopped by the user (time): which handlers the message asked is not known" in said

    typing(body)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("time", "asked again, the message was stopped (time): which handlers it asked is not"),
        ("error", "the environment of this process does not report which handlers were asked (er"),
        ("ok", "the environment of this process does not report which handlers were asked"),
    ],
)
def test_what_is_said_where_nothing_is_reported(outcome: str, said: str) -> None:
    found = Result("p", 3, 0, outcome, "", "", "", (), (), False, False, 0.0, 0)
    with pytest.raises(AoError, match="log desk@3 shows the message") as error:
        read_facts(found, "desk@3")
    assert said in error.value.what


def test_arguments_of_why(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        for line, part in ((".why 0", "definition"), (".why 99", "has no slot 99")):
            outcome = await typed(line)
            assert isinstance(outcome, LineFailure) and part in str(outcome.error), line

    typing(body)


def test_time_is_that_of_the_message(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        code = """Handlers.add("Now", "Now", function(msg)
          assert(msg.Timestamp == os.time() and not msg["Read-Only"] and not msg.Tags["Asked-Why"])
          Slot, Nonce = msg.Nonce, msg["Block-Height"]
          error(os.time()) end)"""
        await typed(code)
        await typed('Send({ Target = ao.id, Action = "Now" })')
        message = (await typed.session.node.schedule(typed.session.attached.id, 0, 99))[-1]
        assert message.assignment is not None
        assert str(message.assignment.timestamp) in (await why_last(typed)).text

    typing(body)


def test_hits_count_runs_that_lasted(typing: Callable[[Body], None]) -> None:
    async def first(typed: Typed) -> None:
        await typed(HANDLERS)
        for action in ("Twice", "Twice", "Bad", "Other", "None"):
            await typed(f'Send({{ Target = ao.id, Action = "{action}" }})')
        found = await hits(typed)
        assert (found["Twice"], found["Both"], found["Skipped"]) == (2, 2, 1)
        assert found["Bad"] == 0 and found["_default"] >= 1  # what failed is undone
        before = found["_eval"]
        assert (await hits(typed))["_eval"] == before
        table = (await typed.reply(".handlers")).table
        assert table is not None and table.columns == ("NAME", "PATTERN", "HITS", "LEFT")
        await typed('Handlers.add("Twice", "Twice", print) Handlers.once("Rare", "Rare", print)')
        assert (await hits(typed))["Twice"] == 2  # another function, the same handler
        rows: Any = (await typed.reply(".handlers")).value
        assert next(row["maxRuns"] for row in rows if row["name"] == "Rare") == "1"
        await typed('Handlers.remove("Twice") Handlers.add("Twice", "Twice", print)')
        assert (await hits(typed))["Twice"] == 0
        counted.update(await hits(typed))
        await typed.checkpoint()

    async def second(typed: Typed) -> None:
        assert await hits(typed) == counted
        await typed('Send({ Target = ao.id, Action = "Twice" })')
        assert (await hits(typed))["Twice"] == 1
        assert await typed.node.verify_log(typed.session.attached.id) == []

    counted: dict[str, int] = {}
    typing(first)
    typing(second)


def test_tags_by_the_names_that_they_were_sent_with(typing: Callable[[Body], None]) -> None:
    """Two processes of the same code: one as aos 2.0.6 is, one as aos 2.0.1 was."""
    asks = (
        'Handlers.add("Ask", { FQDN = "_" }, function(msg) Got = msg.Tags.FQDN:lower() end) '
        'Handlers.add("Use", "Use", function(msg) return msg.Tags.UserName:lower() end)'
    )
    send = 'Send({ Target = ao.id, Action = "Use", FQDN = "A", UserName = "B" })'

    async def body(typed: Typed) -> None:
        await typed(asks)
        await typed(send)
        said = (await why_last(typed)).text
        for name, form in (("FQDN", "Fqdn"), ("UserName", "Username")):
            assert f"→ the tag {name} came, and handlers find it as {form}; in a process" in said
        made = await typed.reply(".spawn aos as old --tags as-sent")
        await typed(".attach old")
        await typed(asks)
        await typed(send)
        said = (await why_last(typed)).text
        assert "find it as" not in said and await typed.value("Got") == "a"
        table = (await typed.reply(".ps")).table
        assert table is not None and "TAGS" in table.columns
        (old,) = [row for row in (await typed.reply(".ps")).value if row["name"] == "old"]
        assert old["tags_as_sent"] and old["id"] == made.value["id"]
        await typed(".fork old as twin")
        await typed(".attach twin")
        assert [row["tags_as_sent"] for row in (await typed.reply(".ps")).value] == [
            True, True, False,
        ]  # fmt: skip

    typing(body)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (".spawn aos@2.0.9 as old", "no module aos@2.0.9 is known"),
        (".spawn aos@2.0.1 as old", "no module 'Do_Uc2Sju_ffp6Ev0AnLVdPtot15rvMjP-a9VVaA5fM'"),
    ],
)
def test_modules_of_aos_have_names(typing: Callable[[Body], None], line: str, said: str) -> None:
    async def body(typed: Typed) -> None:
        found = await typed(line)
        assert isinstance(found, LineFailure) and said in found.error.what

    typing(body)


def test_what_needs_sqlite_is_told_where_it_is(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        found: Any = await typed("local db = require('lsqlite3')")
        assert "aos-sqlite@2.0.6" in found.hint

    typing(body)
