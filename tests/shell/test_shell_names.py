"""Names in place of ids: `@name` in Lua and in dot commands, and what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from shell_remote import FakeRemote
from shell_session import Screen, failed, replied, use
from shell_typing import Typing, Use

from aoshell.home.folders import Settings
from aoshell.lua.references import find_references, masked, reference_to, replaced
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.multiline import is_complete
from aoshell.shell.lines.pasted import split_chunks
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import LineAnswer
from aoshell.shell.start import Start


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("Send({Target = @token})", ["token"]),
        ("x = @my-token", ["my-token"]),
        ("return @a .. @b-", ["a", "b"]),
        ('return @"my token!"', ["my token!"]),
        ("return @'it'", ["it"]),
        ("return @7seven, @_x", ["7seven", "_x"]),
        ("return \"@token\", [[@token]], '@token'", []),
        ("x = 1 -- @token", []),
        ("--[[\n@token]] return @b", ["b"]),
        ("return @a--@b", ["a"]),
        ("return a @ b", []),
        ("@", []),
        ('return "x@token', []),
        ("x = [[\n@a\n]]\ny = @b\n", ["b"]),
        ("return @token:sub(1)", ["token"]),
        ("return @a@b", ["a", "b"]),
    ],
)
def test_references_stand_outside_of_strings_and_comments(code: str, names: list[str]) -> None:
    assert [one.name for one in find_references(code)] == names
    assert len(masked(code)) == len(code)
    assert replaced(code, lambda name: "@" + name).count('"@') >= code.count('"@')


@pytest.mark.parametrize("name", ["token", "my-token", "my token", "a.b", "-x", "x-", "0--1"])
def test_a_name_is_written_as_it_is_read(name: str) -> None:
    assert [one.name for one in find_references(f"return {reference_to(name)} ")] == [name]


def test_lines_with_references_are_complete_when_lua_is() -> None:
    assert is_complete("Send({Target = @token})") and not is_complete("Send({Target = @token")
    assert is_complete("@token")
    assert split_chunks("local t = @token\nprint(t)") == (["local t = @token\nprint(t)"], False)


async def token(typed: Typing) -> str:
    """A second process, called token."""
    await typed(".spawn aos as token")
    return (await typed.session.node.find("token")).id


def test_a_name_becomes_an_id_in_the_message_only(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        id = await token(typed)
        assert await typed.value("@token") == id
        assert await typed.value('"@token" .. [[@token]]') == "@token@token"
        assert await typed.value("(@token):sub(1, 3)") == id[:3]
        answer = await typed("local x =\n  @token\nreturn x == @token")
        assert isinstance(answer, LineAnswer) and answer.own.output == "true"
        (sent,) = await typed.session.node.schedule(
            answer.own.process, answer.own.slot, answer.own.slot
        )
        assert sent.data.decode() == f'local x =\n  "{id}"\nreturn x == "{id}"'
        assert await typed.value("@me") == (await typed.session.wallet()).address
        assert await typed.value(f"@{id[:8]}" if id[7] not in "-_" else "@token") == id

    typing(body)


def test_an_unknown_name_stops_the_line(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await token(typed)
        slots = await typed.session.node.slots(typed.session.attached.id)
        for line in ("Send({ Target = @tokn })", ".dryrun @tokn", ".inspect Balances[@tokn]"):
            said = await typed.error(line)
            assert "@tokn is no process and no identity here" in said
            assert "did you mean @token?" in said
        assert ".ps lists the processes, .as the identities" in await typed.error("@qqqqq")
        assert await typed.session.node.slots(typed.session.attached.id) == slots

    typing(body)


def test_a_name_that_stands_for_two_things(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(".as alice")
        await typed(".as me")
        await typed(".spawn aos as alice")
        said = await typed.error("return @alice")
        assert "@alice is a process and an identity" in said and ".rename" in said
        assert "@alice is a process" in await typed.error(".send desk Recipient=@alice")
        await typed(".rename alice as bob")
        assert (
            await typed.value("@alice") == (await typed.session.identities.named("alice")).address
        )
        assert await typed.value("@bob") == (await typed.session.node.find("bob")).id

    typing(body)


def test_names_in_errors_stay_names(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await token(typed)
        seen = await typed.seen("x = 1\nerror(@token)")
        assert "2 │ error(@token)" in seen
        seen = await typed.seen("x = @token y = = 2")
        line, caret = seen.split("\n")[-3:-1]
        assert line.endswith("│ x = @token y = = 2") and caret.index("^") == line.rindex("=")
        assert "1 │ return @token + {}" in await typed.seen(".dryrun return @token + {}")

    typing(body)


def test_dot_commands_take_names(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        id = await token(typed)
        await typed(".send @token Action=Eval Data=x")
        await typed(".attach @token")
        assert typed.session.attached.id == id
        await typed("Balances = { a = 5 }")
        await typed("Balances.a = 6")
        await typed(".attach desk")
        last = await typed.session.node.slots(id) - 1
        for reference in ("token", "@token", id, id[:8], f"{id[:8]}…"):
            assert await typed.value(f".json {reference} Balances") == {"a": 6}, reference
            assert await typed.value(f".json {reference}@{last - 1} Balances") == {"a": 5}
            assert await typed.value(f".at {reference}@{last - 1} Balances.a") == "5"
            assert await typed.value(f".dryrun {reference} Balances.a") == "6"
            slots = (await typed.value(f".messages {reference}@{last - 1} --last 1"))["slots"]
            assert [one["slot"] for one in slots] == [last - 1]
            assert (await typed.value(f".log {reference}"))["slot"] == last
            assert (await typed.value(f".log {reference}@1"))["slot"] == 1
        assert "_eval" in await typed.seen(".handlers token")
        assert await typed.value(".json Balances") is None
        assert (await typed.value(".inbox token"))["count"] == 1
        assert await typed.value(".waits token") == []
        assert (await typed.json(".result token@1"))["slot"] == 1
        assert "token" in await typed.error(f".log token@{last + 1}")
        assert "did you mean token?" in await typed.error(".attach tokn")
        await typed(".as alice")
        assert "alice is an identity" in await typed.error(".attach alice")

    typing(body)


def test_messages_are_found_by_what_is_shown_of_their_ids(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await token(typed)
        await typed.value(".send token Action=Hi hello")
        message = typed.session.last_sent
        assert message is not None
        for reference in (message.id, message.id[:8], f"{message.id[:8]}…"):
            found = await typed.value(f".log {reference}")
            assert (found["id"], found["data"]) == (message.id, "hello")
            assert (await typed.value(f".trace {reference}"))[0]["id"] == message.id
            assert "token" in await typed.text(f".why {reference}")
        assert "no process and no message here is called" in await typed.error(".log zzzzzzzz")

    typing(body)


def test_without_an_argument_it_is_the_last_that_happened(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await token(typed)
        await typed("x = 1")
        assert (await typed.value(".log"))["data"] == "x = 1"
        await typed(".send token Action=Hi hello")
        assert (await typed.value(".log"))["data"] == "hello"
        assert (await typed.text(".why")).startswith("token (")
        await typed(".attach token")
        await typed('Handlers.add("Boom", "Boom", function() error("bang") end)')
        await typed(".attach desk")
        await typed(
            'for _, a in ipairs { "Boom", "Hi" } do Send({ Target = @token, Action = a }) end'
        )
        assert "bang" in await typed.text(".why")
        assert (await typed.value(".log"))["action"] == "Boom"
        assert [hop["action"] for hop in await typed.value(".trace")] == ["Eval", "Boom", "Hi"]

    typing(body)


def test_what_is_shown_says_name_and_id(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        id = await token(typed)
        short, desk = f"token ({id[:8]}…)", f"desk ({typed.session.attached.id[:8]}…)"
        assert (await typed.seen(".send token Action=Hi hello")).startswith(f"{short} slot 1\n")
        await typed('Send({ Target = @token, Action = "Hi" })')
        assert desk in await typed.seen(".messages token")
        assert f"{short} #" in await typed.text(".trace")
        assert f"{short} slot" in await typed.text(".log token")
        assert f"  from    {typed.session.attached.id} (desk)" in await typed.text(".log token")
        await typed("T = { @token, { [@token .. '-'] = 1 } }")
        tree = await typed.text(".inspect T")
        assert f'"{id}" (token)' in tree and tree.count("(token)") == 1
        assert desk in await typed.seen(".inbox token")
        assert any(text.startswith(f"{short} │ ") for text in typed.front.said)

    typing(body)


def test_rename(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        id = await token(typed)
        found = await typed.value(".rename token as coin")
        assert (found["id"], found["name"]) == (id, "coin")
        assert await typed.value("@coin") == id
        assert "no process" in await typed.error(".attach token")
        assert "called desk is on this node already" in await typed.error(".rename coin as desk")
        await typed(".rename as table")
        assert typed.session.attached.name == "table"
        assert "table" in await typed.seen(".ps")
        assert ".rename" in await typed.error(".rename coin")

    typing(body)


def test_remote_nodes_are_asked_for_no_name(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        asked: list[str] = []
        find = there.find

        async def counted(reference: str) -> object:
            asked.append(reference)
            return await find(reference)

        there.find = counted  # type: ignore[method-assign,assignment]
        known = session.attached
        await run_line(session, f"print(@{known.name})")
        assert there.codes[-1] == f'print("{known.id}")'
        error = failed(await run_line(session, "@defalt"))
        assert "no process and no identity" in error.what and "@default" in error.hint
        assert asked == []

    use(there, home, body, Start("default", named=True))


def test_a_name_of_lua_is_said_to_be_one(typing: Use, tmp_path: Path) -> None:
    async def body(typed: Typing) -> None:
        script = tmp_path / "adder.lua"
        script.write_text("Sum = 1")
        await typed(f".load {script}")
        session = typed.session
        before = await session.node.slots(session.attached.id)
        why = failed(await typed(".spawn MyModule as sq"))
        assert why.hint.startswith("MyModule is a name in Lua: give its value, ")
        assert why.hint.endswith(", or .publish FILE as MyModule")
        value = why.hint.split(", ")[1]
        replied(await typed(f".spawn {value} as sq"))
        assert await session.node.slots(session.attached.id) == before  # asking changes nothing
        await typed("Child = 'c' .. string.rep('h', 42)")
        why = failed(await typed(".send Child Action=Ping"))
        assert why.hint.startswith(f"Child is a name in Lua: give its value, c{'h' * 42}, or ")
        assert why.hint.endswith(" .rename ID as Child")
        for line in ("Short = 'x'", "Most = {}", "Loop = string.rep('x', 43)()"):
            await typed(line)
        for name in ("Short", "Most", "Loop", "print", "no-name", "Nothing"):
            assert "Lua" not in failed(await typed(f".send {name} Action=Ping")).hint

    typing(body)
