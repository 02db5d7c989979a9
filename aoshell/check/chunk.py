"""Rules about a source as a whole: what it returns, prints and raises."""

from __future__ import annotations

from collections.abc import Iterator

from aoshell.check.facts import SourceFacts, without_parentheses
from aoshell.check.finding import Finding
from aoshell.check.messages import kind_of
from aoshell.check.names import World
from aoshell.lua import syntax as tree


def check_answers(facts: SourceFacts, world: World, is_main: bool) -> Iterator[Finding]:
    """`return a, b` in the main source: aos takes `b` for an error."""
    last = facts.main.body.statements[-1:]
    if not is_main or not last or not isinstance(last[0], tree.Return) or len(last[0].values) < 2:
        return
    if kind_of(last[0].values[1]) != "nil":
        yield facts.text.finding(
            "return-two", "warning", last[0].at,
            f"{world.aos} takes a second value of `return` for an error of the Eval",
            "return one value, or a table",
        )  # fmt: skip


def check_calls(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Errors that are tables, and calls of `print` with more than one value."""
    for path, call in facts.calls:
        if path == ("error",) and call.arguments and kind_of(call.arguments[0]) == "table":
            yield facts.text.finding(
                "error-table", "warning", call.at,
                f"{world.aos} cannot show an error that is a table, unless the script catches it",
                "raise a text",
            )  # fmt: skip
        if path == ("print",) and len(call.arguments) > 1 and path not in world.writes:
            yield facts.text.finding(
                "print-arguments", "note", without_parentheses(call.arguments[1]).at,
                f"print of {world.aos} shows its first argument only",
                "join them with ..",
            )  # fmt: skip
