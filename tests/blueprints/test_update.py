""".update: a process that was made with an older environment, at a real node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typed_session import Body, Typed, run

from aoshell.blueprints import SHIPPED
from aoshell.nodes.local.processes.modules import Modules
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox import environment, lua
from aoshell.shell.attached.questions import dryrun

OLD = environment.read_sources()
WORDS = ("New Message From ", "A message from ")  # of .default
LATER = 'Handlers.add("Later", "Later", function() Count = (Count or 0) + 1 end)'


def newer() -> dict[str, str]:
    assert WORDS[0] in OLD[".default"]
    changed = {
        ".default": OLD[".default"].replace(*WORDS),
        ".utils": OLD[".utils"].replace(
            "return utils\n", "function utils.twice(n) return 2 * n end\nreturn utils\n"
        ),
        ".extra": 'return { word = "new" }\n',
    }
    return environment.with_version({**OLD, **changed})


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on aoshell is newer."""
    return lambda: monkeypatch.setattr(environment, "read_sources", newer)


@pytest.fixture
def typing(tmp_path: Path, wallet: Wallet) -> Callable[[Body], None]:
    return lambda body: run(tmp_path / "node", wallet, body)


async def told(typed: Typed) -> str:
    """What the process prints of a message that nothing handles."""
    await typed('Send({ Target = ao.id, Action = "Unheard" })')
    process = typed.session.attached.id
    last = await typed.node.slots(process) - 1
    return (await typed.node.result(process, last)).output


def test_an_update_keeps_the_state_and_brings_the_functions(
    typing: Callable[[Body], None], renewed: Callable[[], None]
) -> None:
    async def before(typed: Typed) -> None:
        await typed("X = { 1 } Held = Utils Seen = {}")
        await typed(LATER)
        await typed('Handlers.add("Wait", "Wait", function() Got = Receive("Go").Data end)')
        await typed('Send({ Target = ao.id, Action = "Wait" })')
        await typed("Drawn = math.random(1000000)")
        await typed('Send({ Target = ao.id, Action = "Later" })')
        assert WORDS[0] in await told(typed)
        state.update(
            inbox=await typed.value("#Inbox"),
            reference=await typed.value("ao.reference"),
            expected=(await dryrun(typed.session, "math.random(1000000)")).own.output,
        )

    async def after(typed: Typed) -> None:
        reply = await typed.reply(".update")
        assert reply.ok, reply
        value: Any = reply.value
        assert value["before"] == environment.version(OLD)
        assert value["environment"] == environment.version(newer())
        assert await typed.value("X[1] .. tostring(Held == Utils)") == "1true"
        assert await typed.value("#Inbox") == state["inbox"]
        assert await typed.value("ao.reference") == state["reference"]
        drawn = (await dryrun(typed.session, "math.random(1000000)")).own.output
        assert drawn == state["expected"]
        assert await typed.value("Held.twice(21)") == "42"
        assert await typed.value('require(".extra").word') == "new"
        assert WORDS[1] in await told(typed)
        await typed('Send({ Target = ao.id, Action = "Later" })')
        await typed('Send({ Target = ao.id, Action = "Go", Data = "gone" })')
        assert await typed.value("Got .. Count") == "gone2"  # parked in the older one
        assert await typed.value("#Handlers.coroutines") == "0"
        rows: Any = (await typed.reply(".handlers")).value
        assert next(row["hits"] for row in rows if row["name"] == "Later") == 2
        again = await typed.reply(".update")
        assert "already" in again.text
        await typed.checkpoint()

    async def later(typed: Typed) -> None:
        assert WORDS[1] in await told(typed)
        assert await typed.value("Got .. Count .. X[1]") == "gone21"
        assert await typed.node.verify_log(typed.session.attached.id) == []

    state: dict[str, str] = {}
    typing(before)
    renewed()
    typing(after)
    typing(later)


def test_twice_and_what_is_made_of_it_then(
    typing: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another environment yet; a fork, an exported copy, an older slot; a blueprint with bints."""

    async def made(typed: Typed) -> None:
        await typed('InitialSupply = "0"')
        await typed((SHIPPED / "token.lua").read_text(encoding="utf-8"))
        await typed('Send({ Target = ao.id, Action = "Mint", Quantity = "5" })')

    async def first(typed: Typed) -> None:
        assert (await typed.reply(".update")).ok
        await typed('Send({ Target = ao.id, Action = "Mint", Quantity = "6" })')

    async def second(typed: Typed) -> None:
        assert (await typed.reply(".update")).ok
        assert await typed.value('require(".extra").word') == "newest"
        await typed('Send({ Target = ao.id, Action = "Mint", Quantity = "7" })')
        assert await typed.value("TotalSupply") == "18"
        await typed.reply(".fork as twin")
        desk = typed.session.attached.id
        data = await typed.node.export(desk)
        assert await typed.node.verify_log(desk) == []
        await typed.reply(".attach twin")
        assert await typed.value('TotalSupply .. require(".extra").word') == "18newest"
        assert (await typed.reply(".at 4 return TotalSupply")).answer.last.output == "5"
        assert not (await typed.reply('.at 4 require(".extra")')).ok
        await typed.node.delete(desk)
        await typed.node.restore(data)
        await typed.reply(f".attach {desk}")
        assert await typed.value('TotalSupply .. require(".extra").word') == "18newest"
        await typed("error('undone')")
        assert await typed.value("#Errors") == "1"

    typing(made)
    monkeypatch.setattr(environment, "read_sources", newer)
    typing(first)
    newest = environment.with_version({**newer(), ".extra": 'return { word = "newest" }\n'})
    monkeypatch.setattr(environment, "read_sources", lambda: newest)
    typing(second)


def test_what_scripts_put_in_the_place_of_the_environments_own_stays(
    typing: Callable[[Body], None], renewed: Callable[[], None]
) -> None:
    async def before(typed: Typed) -> None:
        await typed('Prompt = function() return "mine> " end Kept = Prompt')
        await typed("function ao.isAssignable() return true end Own = ao.isAssignable")
        await typed("Handlers.list[1].extra = 7")

    async def after(typed: Typed) -> None:
        assert (await typed.reply(".update")).ok
        assert await typed.value("tostring(Prompt == Kept)") == "true"
        assert await typed.value("tostring(ao.isAssignable == Own)") == "true"
        assert await typed.value("Handlers.list[1].extra") == "7"
        assert await typed.value("#Handlers.list") == "2"

    typing(before)
    renewed()
    typing(after)


def test_an_update_that_fails_changes_nothing(
    typing: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def before(typed: Typed) -> None:
        await typed("X = 1")

    async def after(typed: Typed) -> None:
        reply = await typed.reply(".update")
        assert not reply.ok and reply.answer is not None
        assert "on purpose" in reply.answer.last.error
        assert WORDS[0] in await told(typed)
        assert await typed.value("require('.environment')") == environment.version(OLD)
        assert await typed.value("X") == "1"

    def failing() -> dict[str, str]:
        broken = 'error("on purpose")\n' + newer()[".verbs"]
        return environment.with_version({**newer(), ".verbs": broken})

    typing(before)
    monkeypatch.setattr(environment, "read_sources", failing)
    typing(after)


def test_which_processes_cannot_be_moved(
    typing: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def made(typed: Typed) -> None:
        await typed("X = 1")

    async def after(typed: Typed) -> None:
        assert "cannot be moved" in await typed.error(".update")
        assert await typed.value("X") == "1"
        assert ".help update" in await typed.error(".update NOW")

    def older() -> dict[str, str]:
        return {name: source for name, source in OLD.items() if name != environment.VERSION}

    with monkeypatch.context() as patch:
        patch.setattr(environment, "read_sources", older)
        typing(made)
    typing(after)


def test_a_process_keeps_the_host_that_it_was_made_for(
    typing: Callable[[Body], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the host says is no part of an update: texts and places stay those of its version."""
    probe = "(select(2, pcall(string.format, '%d', 'x')))"
    first = "host:352: bad argument #2 to 'format' (number expected, got string)"

    async def old(typed: Typed) -> None:
        assert await typed.value(f"Said = {probe} return Said") == first

    async def moved(typed: Typed) -> None:
        assert (await typed.reply(".update")).ok
        assert await typed.value('require(".environment")') == environment.version(OLD)
        assert await typed.value(probe) == first
        # The environment above it is the newer one: what it says and sends is new.
        assert "unexpected character ''" in await typed.value("(select(2, pcall(json.decode, '')))")
        await typed("Send({ device = 'patch@1.0', a = { b = 1 } })")
        assert await typed.value("tostring(pcall(require, '.host-version'))") == "false"
        await typed("error('undone')")
        desk = typed.session.attached.id
        assert await typed.node.verify_log(desk) == []
        await typed.reply(".fork as twin")
        await typed.reply(".attach twin")
        assert await typed.value(f"Said .. '|' .. {probe}") == f"{first}|{first}"

    def stored(modules: Any, process: Any) -> bytes:
        found = modules._store.module(process.environment)
        assert found is not None
        return bytes(found[1])

    def first_version() -> dict[str, str]:
        sources = {name: text for name, text in OLD.items() if name != environment.HOST_VERSION}
        return environment.with_version(sources)

    with monkeypatch.context() as older:
        older.setattr(environment, "read_sources", first_version)
        older.setattr(Modules, "environment_of", stored)  # and not what this version has built in
        typing(old)
    typing(moved)


def test_a_process_made_now_has_the_newest_host(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typed) -> None:
        said = "(select(2, pcall(string.format, '%d', 'x')))"
        expected = "bad argument #2 to 'string.format' (number expected, got string)"
        assert await typed.value(said) == expected
        assert await typed.value("require('.host-version')") == "4"

    typing(body)


def test_an_environment_of_a_newer_host_is_refused() -> None:
    sources = {**OLD, environment.HOST_VERSION: "return 9999\n"}
    with pytest.raises(ValueError, match="made for version 9999 of the sandbox, newer than this"):
        lua.LuaRuntime(sources, print)
    assert environment.host_version({}) == 1
