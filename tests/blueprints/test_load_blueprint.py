""".load-blueprint: what is shown, what is loaded, and what a name comes to mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typed_session import Body, Typed, run

from aoshell.blueprints import SHIPPED, BlueprintFacts, describe_changes
from aoshell.home.folders import Settings
from aoshell.protocol.wallet import Wallet

OWN = 'Handlers.add("Hi", "Hi", function(msg) Seen = "own" end)\n'


@pytest.fixture
def home(aoshell_home: Path) -> Settings:
    settings = Settings.find()
    assert settings.home == aoshell_home
    settings.make_folders()
    (settings.config / "blueprints").mkdir(parents=True)
    return settings


@pytest.fixture
def typing(home: Settings, wallet: Wallet) -> Callable[[Body], None]:
    return lambda body: run(home.state / "node", wallet, body)


def own(home: Settings, source: str, name: str = "greet") -> Path:
    path = home.config / "blueprints" / f"{name}.lua"
    path.write_text(source)
    return path


@pytest.mark.parametrize("name", ["chatroom", "token"])
def test_shipped_ones_load_and_work(typing: Callable[[Body], None], name: str) -> None:
    async def body(typed: Typed) -> None:
        reply = await typed.reply(f".load-blueprint {name}")
        assert reply.ok and isinstance(reply.value, dict)
        [shown] = typed.front.said
        assert shown.startswith(f"{name}: ") and reply.value["hash"] in shown
        for handler in reply.value["handlers"]:
            assert handler in shown
        listed = await typed.value(
            "local t = {} for _, h in ipairs(Handlers.list) do "
            "t[#t + 1] = h.name end return table.concat(t, ' ')"
        )
        assert tuple(listed.split()[2:]) == reply.value["handlers"]
        assert typed.front.asked == []
        assert await typed.node.verify_log(typed.session.attached.id) == []

    typing(body)


def test_a_token_at_the_prompt(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        await typed(".load-blueprint token")
        await typed('Send({ Target = ao.id, Action = "Mint", Quantity = "5" })')
        await typed('Send({ Target = ao.id, Action = "Info" })')  # and it is not asked for ever
        assert await typed.value("Balances[ao.id]") == "5"
        assert await typed.value("Inbox[#Inbox].Ticker") == "TOKEN"

    typing(body)


def test_show_shows_all_of_it_and_loads_nothing(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        reply = await typed.reply(".load-blueprint voting --show")
        assert reply.text + "\n" == (SHIPPED / "voting.lua").read_text(encoding="utf-8")
        assert await typed.value("#Handlers.list") == "2"
        assert not (Settings.find().state / "blueprints.json").exists()

    typing(body)


def test_ones_own_come_first_and_are_listed(typing: Callable[[Body], None], home: Settings) -> None:
    async def body(typed: Typed) -> None:
        own(home, OWN, "token")
        own(home, OWN)
        reply = await typed.reply(".load-blueprint token")
        assert isinstance(reply.value, dict) and reply.value["handlers"] == ("Hi",)
        table = (await typed.reply(".load-blueprint")).table
        assert table is not None
        rows = {row[0]: row[1:3] for row in table.rows}
        assert rows == {
            "chatroom": ("aoshell", "-"),
            "greet": ("yours", "-"),
            "staking": ("aoshell", "-"),
            "token": ("yours", "loaded"),
            "voting": ("aoshell", "-"),
        }
        own(home, OWN + "-- changed\n", "token")
        table = (await typed.reply(".load-blueprint")).table
        assert table is not None and ("token", "yours", "changed", "Hi") in table.rows

    typing(body)


def test_another_program_under_a_name_is_not_loaded_unasked(
    typing: Callable[[Body], None], home: Settings
) -> None:
    async def body(typed: Typed) -> None:
        own(home, OWN)
        first: Any = (await typed.reply(".load-blueprint greet")).value
        assert (await typed.reply(".load-blueprint greet")).ok  # the same one again
        own(home, 'Handlers.add("Drain", "Drain", function() end) Bad = true\n')
        refused = await typed.error(".load-blueprint greet")
        assert first["hash"] in refused and "nothing was loaded" in refused
        assert await typed.value("tostring(Bad)") == "nil"
        [question] = typed.front.asked
        assert "Load it" in question
        difference = typed.front.said[-1]
        assert "new handlers: Drain" in difference and "that are gone: Hi" in difference
        assert "Load it" not in (await typed.reply(".load-blueprint greet --show")).text
        typed.front.answer = True
        assert (await typed.reply(".load-blueprint greet")).ok
        assert await typed.value("tostring(Bad)") == "true"
        own(home, OWN)
        typed.front.answer = False
        await typed.error(".load-blueprint greet")
        assert (await typed.reply(".load-blueprint greet --yes")).ok

    typing(body)


def test_files_and_what_they_require(typing: Callable[[Body], None], tmp_path: Path) -> None:
    async def body(typed: Typed) -> None:
        folder = tmp_path / "with blank"
        folder.mkdir()
        (folder / "main.lua").write_text('Got = require("part")\n')
        (folder / "part.lua").write_text("return 42\n")
        reply = await typed.reply(f".load-blueprint {folder / 'main.lua'}")
        assert reply.ok and await typed.value("Got") == "42"
        (folder / "part.lua").write_text("return 43\n")
        assert "has changed" in await typed.error(f".load-blueprint {folder / 'main.lua'}")

    typing(body)


def test_what_fails_is_not_remembered(typing: Callable[[Body], None], home: Settings) -> None:
    async def body(typed: Typed) -> None:
        own(home, 'error("no")\n')
        reply = await typed.reply(".load-blueprint greet")
        assert not reply.ok
        own(home, OWN)
        assert (await typed.reply(".load-blueprint greet")).ok
        own(home, "this is no Lua\n", "broken")
        assert "broken.lua:1" in await typed.error(".load-blueprint broken")

    typing(body)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (".load-blueprint nosuch", "there is no blueprint nosuch"),
        (".load-blueprint --show", ".load-blueprint ["),
        (".load-blueprint ../token", "there is no file"),
        (".load-blueprint ./nosuch.lua", "there is no file"),
    ],
)
def test_bad_arguments(typing: Callable[[Body], None], line: str, part: str) -> None:
    async def body(typed: Typed) -> None:
        assert part in await typed.error(line)

    typing(body)


@pytest.mark.parametrize("content", ["{", "[]", '{"token": 7}', '{"token": {"hash": "x"}}'])
def test_a_damaged_memory_is_said(
    typing: Callable[[Body], None], home: Settings, content: str
) -> None:
    async def body(typed: Typed) -> None:
        (home.state / "blueprints.json").write_text(content)
        assert "move it away" in await typed.error(".load-blueprint token")
        assert await typed.value("#Handlers.list") == "2"

    typing(body)


def test_facts_of_a_text() -> None:
    facts = BlueprintFacts.of(
        b"Handlers.add('A b', x) Handlers . once ( \"C\", y) Handlers.add(name, z)"
    )
    assert facts.handlers == ("A b", "C")
    again = BlueprintFacts("h" * 43, 3, ("C", "D"))
    assert describe_changes(facts, again)[2:] == ["new handlers: D", "handlers that are gone: A b"]
    assert json.loads(json.dumps(facts.handlers)) == ["A b", "C"]
