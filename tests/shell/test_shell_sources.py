"""The source line of an error, also where another process failed, and after a new start."""

from __future__ import annotations

from pathlib import Path

from shell_typing import Typing, Use

from aoshell.shell.attached.sources import Sources

FAILS = """-- {remark}
Handlers.add("Buy", "Buy", function(msg)
  local price = {table}[msg.Item]
end)
"""


async def loaded(typed: Typing, folder: Path, process: str, table: str) -> None:
    file = folder / table / "market.lua"
    file.parent.mkdir()
    file.write_text(FAILS.format(remark=table, table=table))
    await typed(f".spawn aos as {process}")
    await typed(f".attach {process}")
    await typed(f".load {file}")
    await typed(".attach desk")


def test_the_line_is_that_of_the_process_that_failed(typing: Use, tmp_path: Path) -> None:
    """Files were known by their names alone: another process's version of one was shown."""

    async def body(typed: Typing) -> None:
        await loaded(typed, tmp_path, "fish", "Fishes")
        await loaded(typed, tmp_path, "fruit", "Fruits")
        for process, line in (("fish", "Fishes[msg.Item]"), ("fruit", "Fruits[msg.Item]")):
            said = await typed.seen(f".send {process} Action=Buy")
            assert said.count("attempt to index a nil value") == 1  # an error is shown once
            assert f"  3 │   local price = {line}" in said

    typing(body)


def test_the_line_is_known_in_a_later_session(typing: Use, tmp_path: Path) -> None:
    """After a new start, an error of what was loaded before had no line."""

    async def body(typed: Typing) -> None:
        await loaded(typed, tmp_path, "fish", "Fishes")
        typed.session.texts = typed.session.feed.texts = Sources(typed.session.node)
        said = await typed.seen(".send fish Action=Buy")
        assert "  3 │   local price = Fishes[msg.Item]" in said
        fish = await typed.session.node.find("fish")
        typed.session.texts = typed.session.feed.texts = Sources(typed.session.node)
        await typed(f'Send({{Target = "{fish.id}", Action = "Buy"}})')
        said = await typed.heard("slot 3 failed")
        assert "│   3 │   local price = Fishes[msg.Item]" in said
        assert said.count("attempt to index a nil value") == 1

    typing(body)


def test_a_process_that_was_made_of_a_file(typing: Use, tmp_path: Path) -> None:
    file = tmp_path / "market.lua"
    file.write_text(FAILS.format(remark="made", table="Prices"))

    async def body(typed: Typing) -> None:
        await typed(f".spawn {file} as market")
        assert "  3 │   local price = Prices" in await typed.seen(".send market Action=Buy")

    typing(body)


def test_what_was_taken_back_does_not_count(typing: Use, tmp_path: Path) -> None:
    async def body(typed: Typing) -> None:
        await loaded(typed, tmp_path, "fish", "Fishes")
        await typed(".send fish Action=Buy")
        await typed(".attach fish")
        file = tmp_path / "Fishes" / "market.lua"
        file.write_text(FAILS.format(remark="other", table="Others"))
        await typed(f".load {file}")
        assert "Others[msg.Item]" in await typed.seen(".send fish Action=Buy")
        await typed(".undo 3")
        typed.session.texts = typed.session.feed.texts = Sources(typed.session.node)
        assert "Fishes[msg.Item]" in await typed.seen(".send fish Action=Buy")

    typing(body)
