"""Finds files that require each other in a circle while they are loaded: none can be first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from aoshell.check.facts import SourceFacts
from aoshell.check.finding import Finding
from aoshell.lua import syntax as tree

# Code inside these may not run while the file is loaded.
_PERHAPS = (tree.Function, tree.If, tree.While, tree.Repeat, tree.NumericFor, tree.GenericFor)

MOST_CIRCLES = 20  # findings of one check
_NAMED = 20  # files of a circle that its message names

_Edge = tuple[str, tree.Call]


def check_circles(sources: list[SourceFacts], files: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each circle, at the call that closes it; not more than MOST_CIRCLES.

    Args:
        files: the source that a module is, by name.
    """
    yield from islice(_circles(sources, files), MOST_CIRCLES)


def _circles(sources: list[SourceFacts], files: Mapping[str, str]) -> Iterator[Finding]:
    by_name = {one.text.name: one for one in sources if not _puts_itself(one)}
    edges = {name: _edges(one, files) for name, one in by_name.items()}
    done: set[str] = set()
    for first in edges:
        way: list[tuple[str, Iterator[_Edge]]] = [] if first in done else [(first, edges[first])]
        while way:
            name, rest = way[-1]
            target, call = next(rest, ("", None))
            names = [step for step, _ in way]
            if call is None:
                done.add(name)
                way.pop()
            elif target in names:
                circle = [*names[names.index(target) :], target]
                if len(circle) > _NAMED:
                    circle[_NAMED // 2 : -_NAMED // 2] = ["…"]
                yield by_name[name].text.finding(
                    "circle", "error", call.at,
                    f"files require each other in a circle: {' → '.join(circle)}",
                    "require one of them inside the function that uses it",
                )  # fmt: skip
            elif target in edges and target not in done:
                way.append((target, edges[target]))


def _edges(source: SourceFacts, files: Mapping[str, str]) -> Iterator[_Edge]:
    """The files that a source is sure to require while it is loaded."""
    sure = {id(node) for node in _run(source.main.body)}
    for name, call in source.required():
        if id(call) in sure and name in files:
            yield files[name], call


def _puts_itself(source: SourceFacts) -> bool:
    """Whether a file may put itself into package.loaded: then a circle through it does not fail."""
    paths = (*source.writes, *(path for path, _ in source.reads))
    return any(path[:2] == ("package", "loaded") for path in paths)


def _run(block: tree.Block) -> Iterator[tree.SyntaxNode]:
    """The nodes that are sure to run: up to the first statement that may return or jump."""
    for statement in block.statements:
        pending: list[tree.SyntaxNode] = [statement]
        while pending:
            node = pending.pop()
            if isinstance(node, _PERHAPS) or (
                isinstance(node, tree.Binary) and node.operator in ("and", "or")
            ):
                continue
            yield node
            pending.extend(tree.children(node))
        if any(isinstance(node, tree.Return | tree.Goto) for node in tree.walk(statement)):
            return
