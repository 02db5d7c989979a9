"""`.as` and `.send`: several people at one process."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from shell_fake import FakeNode
from shell_remote import FakeRemote
from shell_typing import Front, Typing, Use

from aoshell.errors import UsageError
from aoshell.home.folders import Settings
from aoshell.protocol.wallet import Wallet
from aoshell.shell.commands.identities import split_message
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import Start, close_session, open_session

TOKEN = Path(__file__).resolve().parents[2] / "examples" / "token.lua"


@pytest.fixture
def alice(other_wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> Wallet:
    """What the next new identity gets: to make a key takes a second."""
    monkeypatch.setattr(Wallet, "generate", staticmethod(lambda: other_wallet))
    return other_wallet


def test_somebody_else_signs(typing: Use, tmp_path: Path, alice: Wallet, wallet: Wallet) -> None:
    async def body(typed: Typing) -> None:
        session = typed.session
        assert await typed.value(".as") == [
            {"name": "me", "address": wallet.address, "current": True}
        ]
        assert session.identity == ""
        made = await typed.value(".as alice")
        assert made == {"name": "alice", "address": alice.address, "new": True}
        file = tmp_path / "identities" / "alice.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert Wallet.from_jwk(json.loads(file.read_text())).address == alice.address
        assert (session.identity, session.prompt[:7]) == ("alice", "[alice]")
        assert (await typed.value(".as alice"))["new"] is False
        rows = (await typed.seen(".as")).split("\n")
        assert [row[:8].split() for row in rows[1:3]] == [["me"], [">", "alice"]]
        mine = await typed.value(".spawn aos as hers")
        assert mine["name"] == "hers"
        await typed(".attach hers")
        assert await typed.value("Owner") == alice.address
        assert "signing as me" in await typed.text(".as me")
        assert ".as alice signs as its owner" in await typed.error("1 + 1")
        assert session.prompt[0] != "[" and not session.identity

    typing(body)


def test_lines_of_somebody_else_are_messages(typing: Use, alice: Wallet) -> None:
    async def body(typed: Typing) -> None:
        await typed(".as alice")
        seen = await typed.seen("1 + 1")
        assert "alice is not the owner" in seen and "New Message From" in seen
        found = await typed.json("1 + 1")
        assert (found["ok"], found["outcome"]) == (False, "unevaluated")
        assert "alice is not the owner" in found["error"]
        assert "its Owner is not who signed it" in (await typed.json(".result"))["error"]
        await typed(".as me")
        assert await typed.value("Inbox[#Inbox].From") == alice.address
        assert "alice" in await typed.seen(".messages")
        assert "alice" in await typed.seen(".inbox")

    typing(body)


def test_a_token_among_people(typing: Use, alice: Wallet) -> None:
    async def body(typed: Typing) -> None:
        await typed(f".load {TOKEN}")
        await typed("Balances[Owner] = 100")
        await typed(".as alice")
        refused = await typed.seen(".send desk Action=Transfer Quantity=5 Recipient=@me")
        assert refused.split("\n")[1:4] == [
            f"→ to alice ({alice.address[:8]}…)",
            "  Action  Transfer-Error",
            "  Error   Insufficient Balance!",
        ]
        await typed(".as me")
        paid = await typed.seen(".send desk Action=Transfer Quantity=5 Recipient=@alice")
        assert "→ to me (" in paid and "→ to alice (" in paid
        await typed(".as alice")
        whole = await typed.json(".send desk Action=Balance")
        assert whole["ok"] and whole["value"]["as"] == "alice"
        assert whole["messages"][0]["target"] == alice.address
        assert whole["messages"][0]["data"] == "5"
        failed = await typed.json(".send desk Action=Transfer")
        assert not failed["ok"] and "Transfer needs a Recipient" in failed["error"]
        assert "Transfer needs" in await typed.seen(".send desk Action=Transfer")

    typing(body)


SENT = "other (…) slot 2\nasked\n→ to me (…)\n  │ and = the data\n"


def test_messages_to_other_processes(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(".spawn aos as other")
        await typed(".attach other")
        answers = 'function(m) print("asked") m.reply({ Data = m.Data }) end'
        await typed(f'Handlers.add("Ask", "Ask", {answers})')
        await typed(".attach desk")
        seen = await typed.seen('.send other Action=Ask Note="two words" and = the data')
        assert re.sub(r"\(\S+…\)", "(…)", seen) == SENT
        hops = await typed.value(".trace")
        assert [hop["action"] for hop in hops] == ["Ask"]
        assert "Data = hello" in await typed.seen(".send other hello")
        quiet = "took it, printed nothing and sent nothing"
        assert quiet in await typed.seen(".send other Action=Eval nothing")
        process = (await typed.session.node.find("other")).id
        (last,) = await typed.session.node.schedule(process, 3, 3)
        assert (last.data, last.tag("Action")) == (b"hello", "")

    typing(body)


@pytest.mark.parametrize(
    ("given", "tags", "data"),
    [
        ("", [], ""),
        ("A=1 B-c=2", [("A", "1"), ("B-c", "2")], ""),
        ("A=1 text B=2", [("A", "1")], "text B=2"),
        ("A= x", [("A", "")], "x"),
        ('A="x y" B=\'"\' C="\\""', [("A", '"x y"'), ("B", "'\"'"), ("C", '"\\""')], ""),
        ("x == y", [], "x == y"),
        ("{}\nA=1", [], "{}\nA=1"),
        ('A=@"my token" B', [("A", '@"my token"')], "B"),
        ("A=b=c", [("A", "b=c")], ""),
        ("ä=1", [], "ä=1"),
    ],
)
def test_tags_and_data(given: str, tags: list[tuple[str, str]], data: str) -> None:
    assert split_message(given) == (tags, data)


def test_an_open_quote() -> None:
    with pytest.raises(UsageError, match="quote of Note"):
        split_message('A=1 Note="x')


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (".as ../../x", "not a name for an identity"),
        (".as -", "not a name for an identity"),
        (".as " + "a" * 33, "not a name for an identity"),
        (".as a b", ".help as"),
        (".as \udcff", "not a name for an identity"),
        (".send", ".help send"),
        (".send Action=Hi", ".help send"),
        (".send nowhere Action=Hi", "nowhere"),
        (".send desk To=@nobody", "@nobody is no process and no identity here"),
        ('.send desk A="', "not closed"),
    ],
)
def test_bad_input(typing: Use, line: str, said: str) -> None:
    async def body(typed: Typing) -> None:
        before = await typed.session.node.slots(typed.session.attached.id)
        assert said in await typed.seen(line)
        assert await typed.session.node.slots(typed.session.attached.id) == before

    typing(body)


def test_a_broken_identity_is_told(typing: Use, tmp_path: Path) -> None:
    (tmp_path / "identities").mkdir()
    (tmp_path / "identities" / "eve.json").write_text("{}")

    async def body(typed: Typing) -> None:
        assert "eve.json" in await typed.error(".as eve")
        assert typed.session.identity == ""
        assert "me" in await typed.seen(".messages")  # names are a comfort only

    typing(body)


@pytest.mark.parametrize("node", [FakeNode(), FakeRemote()], ids=["local", "remote"])
def test_messages_and_first_hints_on_any_node(
    node: FakeNode, home: Settings, other_wallet: Wallet
) -> None:
    home.hints.unlink()
    home.identities.mkdir()
    (home.identities / "alice.json").write_text(json.dumps(other_wallet.jwk()))

    async def run() -> None:
        async def opened(*_: object) -> FakeNode:
            return node

        front = Front()
        session = await open_session(
            Start("desk", module="M" * 43 if node.remote else "aos"),
            *(home, opened, front, Patience.ANSWER),
        )
        assert front.said[-1].startswith("Hint: " if node.remote else "What you type is Lua")
        node.make("U" * 43, "target", "O" * 43)
        outcome = await run_line(session, ".as alice")
        assert outcome.ok
        outcome = await run_line(session, '.send target Action=Hi print("hi")')
        assert isinstance(outcome, CommandOutput) and outcome.answer and outcome.ok
        assert outcome.answer.last.output == "hi"
        message = node.log["U" * 43][0].message
        assert (message.owner, message.tag("Action")) == (other_wallet.address, "Hi")
        assert session.last_sent and session.last_sent.id == message.id
        await close_session(session)

    asyncio.run(asyncio.wait_for(run(), 60))
