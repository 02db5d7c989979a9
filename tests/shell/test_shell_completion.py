"""What Tab offers, for dot commands and for Lua."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from eventually import until
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from shell_typing import Typing, Use

from aoshell.shell.commands import registry
from aoshell.shell.commands.grammar import Grammar
from aoshell.shell.help import reference
from aoshell.shell.prompt.completion import (
    LineCompleter,
    Lists,
    Named,
    match_words,
    unknown_path,
    wanted_kinds,
)
from aoshell.shell.prompt.names import Keeper, ProcessNames, names_query, read_names
from aoshell.shell.prompt.toolbar import signature
from aoshell.shell.prompt.words import load_words

LIVE = {
    "at": {
        "": {"Handlers": "t", "Balances": "t", "Balance": "n", "Owner": "s", "name": "s"},
        "Handlers": {"add": "f", "list": "t", "_version": "s"},
        "Balances": {"Alice": "n", "a-b": "n"},
        "Inbox[]": {"Data": "s"},
    },
    "tags": ["Quantity", "X-Kind"],
    "actions": ["Transfer", "Mint"],
}


def names() -> ProcessNames:
    known = ProcessNames()
    known.take(LIVE)
    return known


def offered(
    before: str, known: ProcessNames | None = None, lists: Lists | None = None
) -> list[str]:
    """The lines that completing could give."""
    given = names() if known is None else known
    completer = LineCompleter(lambda: given, lists)
    found = completer.get_completions(Document(before), CompleteEvent())
    return [before[: len(before) + one.start_position] + one.text for one in found]


def test_globals_keywords_and_fields() -> None:
    assert offered("Bala") == ["Balance", "Balances"]
    assert offered("x = Own") == ["x = Owner"]
    assert "function" in offered("fun")
    assert {"Handlers.add", "Handlers.list", "Handlers.remove"} <= set(offered("Handlers."))
    assert offered("Handlers.")[-1] == "Handlers._version"  # the inner ones stand last
    assert offered("string.for") == ["string.format"]


def test_keys_that_are_no_names() -> None:
    assert offered("Balances.") == ['Balances["a-b"]', "Balances.Alice"]


def test_methods() -> None:
    assert "name:upper" in offered("name:")
    assert "Handlers:list" not in offered("Handlers:")


def test_messages() -> None:
    found = offered("function(msg) return msg.")
    assert {"function(msg) return msg.Quantity", "function(msg) return msg.reply"} <= set(found)
    assert 'function(msg) return msg["X-Kind"]' in found
    assert "msg.Tags.Quantity" in offered("msg.Tags.Q")
    assert "Inbox[#Inbox].Data" in offered("Inbox[#Inbox].D")
    known = names()
    known.fields[""]["msg"] = "t"  # a global of that name is what it is
    assert offered("msg.", known) == []


def test_fields_and_texts_of_a_message_that_is_sent() -> None:
    assert "Send({ Target = " in offered("Send({ T")
    assert "Send({ Target = x, Quantity = " in offered("Send({ Target = x, Q")
    assert offered('Send({ Action = "Tr') == ['Send({ Action = "Transfer"']
    assert offered('Handlers.add("x", "Mi') == ['Handlers.add("x", "Mint"']


TOKEN = Named("token", "kMCQfoAJ…  aos", "k" + "M" * 42)
MARKET = Named("market", "ztokjqen…  aos", "z" + "tok" * 14)
NAMES = Lists({"TARGET": [MARKET, TOKEN, Named("", "", "Q" * 43), Named("my desk", "", "d" * 43)]})


def test_ids_are_completed_by_their_names() -> None:
    """`Target = "tok` gave the id of market, which happens to hold these letters."""
    assert offered('Send({ Target = "tok', None, NAMES) == ["Send({ Target = @token"]
    assert offered('Send({ Target = "zto', None, NAMES) == ["Send({ Target = @market"]
    assert offered('Send({ Target = "my', None, NAMES) == ['Send({ Target = @"my desk"']
    assert offered('Send({ Target = "QQ', None, NAMES) == [f'Send({{ Target = "{"Q" * 43}"']
    twice = Lists({"TARGET": [TOKEN, Named("token", "", "u" * 43)]})
    assert len(offered('Send({ Target = "tok', None, twice)) == 2
    found = LineCompleter(names, NAMES).get_completions(
        Document('Send({ Target = "tok"})', 20), CompleteEvent()
    )
    assert [one.text for one in found] == [TOKEN.id]  # the string is closed already


def test_names_behind_an_at() -> None:
    assert offered("Balances[@to", None, NAMES) == ["Balances[@token"]
    assert offered('return @"my d', None, NAMES) == ['return @"my desk"']
    assert len(offered("x = @", None, NAMES)) == 4
    assert offered('x = "@to', None, NAMES) == offered("-- @to", None, NAMES) == []
    assert offered(".dryrun Balances[@ma", None, NAMES) == [".dryrun Balances[@market"]
    lists = Lists({"PROCESS": [TOKEN, MARKET], "TARGET": [TOKEN, MARKET, Named("me", "", "x")]})
    assert offered(".attach @to", None, lists) == [".attach @token"]
    assert offered(".send token Recipient=@m", None, lists) == [
        ".send token Recipient=@market",
        ".send token Recipient=@me",
    ]
    assert offered(".send token Acti", None, lists) == [".send token Action="]
    assert offered(".send token Action=Tr", None, lists) == [".send token Action=Transfer"]
    assert wanted_kinds("x = @") == ["TARGET"]
    assert wanted_kinds(".send token Recipient=@") == ["TARGET"]


def test_processes_stand_in_the_order_of_their_names() -> None:
    """Of 43 characters of an id, none says which process it is."""
    known = [("", "C" * 43), ("zoe", "A" * 43), ("Bob", "b" * 43), ("al", "z" * 43)]
    targets = Lists({"TARGET": [Named(name, "", id) for name, id in known]})
    found = offered('Send({ Target = "', None, targets)
    ends = [one.removeprefix("Send({ Target = ") for one in found]
    assert ends == ["@al", "@Bob", "@zoe", f'"{"C" * 43}"']


@pytest.mark.parametrize("before", ["-- Hand", "x = 3.", '"Hand', "zzz", "zzz."])
def test_nothing_where_nothing_fits(before: str) -> None:
    assert offered(before) == []


def test_matching_gets_looser_step_by_step() -> None:
    known = ["Balance", "balances", "Handlers", "hasMatchingTag"]
    assert match_words("bal", known) == ["balances"]
    assert match_words("HAND", known) == ["Handlers"]
    assert match_words("hmt", known) == ["hasMatchingTag"]
    assert match_words("q", known) == []


def test_of_many_names_the_first_are_offered() -> None:
    known = ProcessNames({"": {f"name_{i}": "n" for i in range(5_000)}}, read=True)
    assert offered("name", known) == sorted(known.at(()))[:300]


# Dot commands ----------------------------------------------------------------------------------


def test_commands_and_their_arguments(tmp_path: Path) -> None:
    assert ".inspect " in offered(".ins")
    assert offered(".help limi") == [".help limits"]
    assert offered(".verify o") == [".verify off", ".verify on"]
    assert offered(".limits n") == [".limits network"]
    assert offered(".limits network of") == [".limits network off"]
    assert offered(".dryrun Bala") == [".dryrun Balance", ".dryrun Balances"]
    (tmp_path / "two words.lua").touch()
    assert offered(f".load {tmp_path}/two w") == [f".load {tmp_path}/two words.lua"]
    assert offered(".nonsense x") == []


def test_words_that_a_node_knows() -> None:
    lists = Lists({"PROCESS": [Named("alpha", "", "0" * 43), Named("beta", "", "1" * 43)]})
    assert offered(".attach al", None, lists) == [".attach alpha"]
    assert offered(".delete be", None, lists) == [".delete beta"]
    assert ".delete beta --yes" in offered(".delete beta --", None, lists)
    assert wanted_kinds(".attach ") == ["PROCESS"]
    assert wanted_kinds(".restore ") == ["SNAPSHOT"]
    assert wanted_kinds('Send({ Target = "') == ["TARGET"]
    assert wanted_kinds("x = 1") == wanted_kinds(".help ") == wanted_kinds(".nonsense ") == []


@pytest.mark.parametrize(
    ("usage", "before", "kinds"),
    [
        ("FILE", "", ["FILE"]),
        ("FILE", "a", ["FILE"]),
        ("[drop ID]", "", ["drop"]),
        ("[drop ID]", "drop", ["ID"]),
        ("[on|off]", "", ["on", "off"]),
        ("[PROCESS] [--last N]", "", ["PROCESS", "--last"]),
        ("[PROCESS] [--last N]", "--last", ["N"]),
        ("[PROCESS] [--last N]", "--last 3", ["PROCESS"]),
        ("[--target legacy|hyperbeam] FILE", "--target", ["legacy", "hyperbeam"]),
        ("[--target legacy|hyperbeam] FILE", "", ["FILE", "--target"]),
        ("PROCESS [--yes]", "a", ["--yes"]),
        ("[PROCESS[@SLOT]] as NAME", "", ["PROCESS[@SLOT]", "as"]),
        ("[PROCESS[@SLOT]] as NAME", "a", ["as"]),
        ("FILE [as NAME] [--yes]", "a", ["FILE", "as", "--yes"]),
        ("FILE…", "a b c", ["FILE"]),
        ("PROCESS [NAME=VALUE…] [DATA]", "", ["PROCESS"]),
        ("PROCESS [NAME=VALUE…] [DATA]", "a", ["NAME=VALUE", "DATA"]),
        ("", "", []),
    ],
)
def test_the_usage_says_what_is_expected(usage: str, before: str, kinds: list[str]) -> None:
    text = f"{before} " if before else ""
    assert [one.what for one in Grammar(usage).expected(text)] == kinds


def test_every_command_can_be_completed() -> None:
    for name in registry():
        for rest in ("", "a", "a b", "--", '"'):
            offered(f".{name} {rest}")


# Signatures ------------------------------------------------------------------------------------


def test_signatures() -> None:
    known = names()
    known.learn("function Mint(to, amount) end")
    assert signature("ao.send({Target = ", known, 200).startswith("ao.send({Target, Action")
    assert signature("x = Mint(1, ", known, 80) == "Mint(to, amount)"
    assert signature('m.reply({Data = "', known, 80).startswith("msg.reply(")
    assert len(signature("Handlers.add(", known, 30)) <= 29
    for before in ("ao.send(x)", "nobody(", ".load (", "-- ao.send(", ""):
        assert signature(before, known, 80) == ""


def test_the_reference_is_in_order() -> None:
    for name, entry in reference.entries().items():
        assert reference.find(name) is entry
        assert entry.help.endswith(".") and entry.summary
    assert reference.find("msg:reply()") is reference.find("msg.reply")
    assert reference.find("nothing.at.all") is None


def test_the_reference_tells_of_what_is_there(typing: Use) -> None:
    """Each name is in a process; what has arguments is a function, and the rest is none."""
    entries = [one for one in reference.entries().values() if not one.name.startswith("msg.")]
    asked = ", ".join(f"{{[[{one.name}]], {str(bool(one.call)).lower()}}}" for one in entries)

    async def body(typed: Typing) -> None:
        wrong = await typed.value(
            f"""local wrong = {{}}
            for _, one in ipairs {{ {asked} }} do
              local value = _G
              for name in string.gmatch(one[1], "[^.]+") do
                value = type(value) == "table" and value[name] or nil
              end
              if value == nil or (type(value) == "function") ~= one[2] then
                wrong[#wrong + 1] = one[1] .. " is a " .. type(value)
              end
            end
            return table.concat(wrong, ", ")"""
        )
        assert wrong == ""

    typing(body)


# What a process has -------------------------------------------------------------------------------


def test_names_of_a_process_are_read_without_a_trace(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(
            "Touched = 0 Sly = setmetatable({own = 1}, {__index = function() Touched = 1 end,"
            " __pairs = function() Touched = 2 return next, {} end})"
            " Deep = {a = {b = {c = {d = 1}}}} Deep['odd key'] = 1 Loop = {} Loop.self = Loop"
        )
        await typed('Handlers.add("Mint", {Action = "Mint"}, function() end)')
        await typed('Send({Target = ao.id, Action = "Note", Colour = "red"})')
        slots = await typed.session.node.slots(typed.session.attached.id)
        known = ProcessNames()
        await read_names(typed.session, known)
        assert known.at(("Sly",)) == {"own": "n"}
        assert {"a", "odd key"} == set(known.at(("Deep",)))
        assert known.at(("Loop",)) == {"self": "t"}
        assert "add" in known.at(("Handlers",)) and "name" in known.at(("Handlers", "list", "[]"))
        assert "Colour" in known.tags and {"Mint", "Note"} <= known.actions
        assert unknown_path("Deep.a.b.", known) == ("Deep", "a", "b")
        keeper = Keeper(lambda: True)
        keeper.of(typed.session).take({"at": {"": {"Deep": "t"}}})
        await keeper.below(typed.session, ("Deep", "a", "b"))
        assert keeper.of(typed.session).at(("Deep", "a", "b")) == {"c": "t"}
        assert await typed.session.node.slots(typed.session.attached.id) == slots
        assert await typed.value("Touched") == "0"

    typing(body)


def test_a_busy_process_is_not_read(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        idle = False
        keeper = Keeper(lambda: idle)
        keeper.later(typed.session)
        await asyncio.sleep(0.3)
        assert not keeper.of(typed.session).read
        idle = True
        keeper.later(typed.session)
        keeper.stop()
        await asyncio.sleep(0.3)
        assert not keeper.of(typed.session).read
        keeper.later(typed.session)
        await until(lambda: keeper.of(typed.session).read)
        assert "Handlers" in keeper.of(typed.session).at(())

    typing(body)


def test_a_broken_environment_cannot_be_read_and_nothing_is_said(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed("next = 'gone'")
        keeper = Keeper(lambda: True)
        keeper.later(typed.session)
        await until(lambda: keeper.of(typed.session).deaf)
        assert keeper.of(typed.session).at(()) == {} and keeper.of(typed.session).deaf
        assert typed.front.said == [] or "names" not in "".join(typed.front.said)

    typing(body)


def test_words_are_loaded(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        lists = Lists()
        await typed(".snapshot first")
        for before in (".attach ", ".restore ", 'Send({Target = "'):
            await load_words(typed.session, before, lists)
        assert lists.of("PROCESS")[0][0] == "desk"
        assert [one.name for one in lists.of("SNAPSHOT")] == ["first"]
        assert [one.name for one in lists.of("TARGET")] == ["desk", "me"]
        assert lists.of("TARGET")[0].about.startswith(f"{typed.session.attached.id[:8]}…  ")

    typing(body)


def test_what_a_remote_process_has_is_learned_from_what_is_typed() -> None:
    known = ProcessNames()
    known.learn("Balances = {}")
    known.learn("function Balances.mint(to) end")
    assert offered("Bal", known) == ["Balances"]
    assert offered("Balances.m", known) == ["Balances.mint"]


def test_answers_that_make_no_sense_change_nothing() -> None:
    known = names()
    for answer in (None, [], "x", {"at": 7}, {"tags": None}):
        known.take(answer)
    assert "Handlers" in known.at(())
    assert "from" in names_query()
