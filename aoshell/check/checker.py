"""Applies all rules to one source or several."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from aoshell.check import chunk, handlers, messages, names
from aoshell.check.circles import check_circles
from aoshell.check.facts import SourceFacts, Text, as_characters, read_facts
from aoshell.check.finding import TARGETS, VERSIONS, Finding
from aoshell.check.hyper import check_hyper
from aoshell.check.names import World
from aoshell.check.program import Program
from aoshell.check.requests import check_requests
from aoshell.lua.strict import LuaSyntaxError


def check(
    source: bytes, name: str, target: str, known_modules: Collection[str] = ()
) -> list[Finding]:
    """Find what will not work on a network in one source.

    Args:
        source: Lua text, as a file holds it.
        name: what findings call it.
        target: one of TARGETS or VERSIONS: "legacy" is aos 2.0.6 on the legacy network, as
            "2.0.6" is, "2.0.1" an aos that keeps the names of tags, "hyperbeam" is hyper-aos on
            HyperBEAM's device lua@5.3a.
        known_modules: names that `require` will find, besides those of aos.

    Returns:
        The findings in the order of the text. A source that is not Lua 5.3 has one, of the rule
    "syntax", with Lua's message.
    """
    return check_bundle({name: source}, target, known_modules)


def check_bundle(
    sources: Mapping[str, bytes],
    target: str,
    known_modules: Collection[str] = (),
    known_names: Collection[str] = (),
    files: Mapping[str, str] = MappingProxyType({}),
) -> list[Finding]:
    """Check sources that share one process: a file and what it requires, or a log of Evals.

    Args:
        sources: text by name, in the order in which they run, the main file last.
        target: one of TARGETS or VERSIONS.
        known_modules: names that `require` will find, besides these sources and those of aos.
        known_names: globals that the process has already.
        files: which of the sources a module is, by each name that it is required by.

    Returns:
        The findings of each source in the order of the text, sources in the order given.
    """
    if target not in TARGETS + VERSIONS:
        raise ValueError(f"target {target!r} is none of {TARGETS + VERSIONS}")
    found: list[Finding] = []
    read: list[SourceFacts] = []
    for name, source in sources.items():
        text = Text(name, source)
        try:
            read.append(read_facts(text, files))
        except LuaSyntaxError as error:
            found.append(_syntax(text, error))
    world = World(
        target,
        frozenset(path for one in read for path in one.writes),
        any(one.is_dynamic for one in read),
        frozenset(known_modules) | files.keys() | {name for one in read for name in _loaded(one)},
        frozenset(known_names),
    )
    main = [*sources][-1:]
    for one in read:
        found += _of_one(one, world, is_main=one.text.name in main)
    program = Program(read, files)
    found += check_requests(program, world)
    found += handlers.check_replaced(program)
    found += check_circles(read, files)
    order = {name: index for index, name in enumerate(sources)}
    return sorted(set(found), key=lambda f: (order[f.file], f.line, f.column, f.rule, f.message))


def find_circles(sources: Mapping[str, bytes], files: Mapping[str, str]) -> Iterator[Finding]:
    """Find files that are sure to require each other in a circle while they are loaded.

    Args:
        sources: text by name; each is valid Lua.
        files: which of the sources a module is, by each name that it is required by.

    Raises:
        LuaSyntaxError: a source is not Lua 5.3.
    """
    return check_circles(
        [read_facts(Text(name, source)) for name, source in sources.items()], files
    )


def _of_one(one: SourceFacts, world: World, is_main: bool) -> Iterator[Finding]:
    yield from names.check_names(one, world)
    yield from names.check_own_calls(one, world)
    yield from names.check_modules(one, world)
    yield from messages.check_messages(one, world)
    yield from handlers.check_handlers(one, world)
    yield from check_hyper(one, world)
    yield from chunk.check_answers(one, world, is_main)
    yield from chunk.check_calls(one, world)


def _loaded(one: SourceFacts) -> Iterator[str]:
    """Modules that a source puts into package.loaded itself."""
    for path in one.writes:
        if path[:2] in (("package", "loaded"), ("package", "preload")) and len(path) == 3:
            yield path[2]


def _syntax(text: Text, error: LuaSyntaxError) -> Finding:
    line, column = text.place(error.at)
    return Finding(
        "syntax", text.name, error.line, column if line == error.line else 1, "error",
        as_characters(error.message), "no network takes it: it is not Lua 5.3",
    )  # fmt: skip
