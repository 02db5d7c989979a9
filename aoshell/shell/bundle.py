"""A Lua file and the local modules that it requires, as one chunk of Lua.

The chunk is what `.load` evaluates and what a node keeps as a module. Each file keeps its name and
its line numbers in error messages, because it is compiled on its own from a long string:

    package.loaded["x.y"] = file("x.y", "@x/y.lua", [[...]])
    return file(nil, "@main.lua", [[...]])

Files come in the order in which their requirements are met, depth first. A module that is not found
beside the main file is taken as already there, in the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aoshell.errors import AoError
from aoshell.protocol.message import raw, text
from aoshell.shell.files import read_text
from aoshell.shell.lua import required, syntax_error

# `require` of Lua: what the file returns, else what it put into package.loaded itself, else true.
_LOADER = b"""local function file(name, chunk, source)
  local run, problem = load(source, chunk, "t")
  if not run then error(problem, 0) end
  if not name then return run() end
  package.loaded[name] = nil
  local value = run(name)
  if value ~= nil then package.loaded[name] = value
  elseif package.loaded[name] == nil then package.loaded[name] = true end
end
"""


_CALL = re.compile(
    rb"""^(?:return\ )?file\((?:nil|"(?P<name>[^"]*)"),
    \ \[(?P<one>=*)\[\n@(?P<file>.*?)\](?P=one)\],
    \ \[(?P<two>=*)\[\n(?P<source>.*?)\](?P=two)\]\)$""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


_BOUND = re.compile(rb'MyModule = "([\w-]{43})"\n')


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the tree: a module, its file ("" when it is not local), what it requires."""

    name: str
    path: str
    children: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A program of one or more files.

    Attributes:
        source: the chunk, Lua source.
        tree: the main file and below it what each file requires; a file that was seen before has
            no children again.
        files: text of each file by the name that Lua's messages use.
    """

    source: bytes
    tree: Node
    files: dict[str, str]


@dataclass(slots=True)
class _Walk:
    root: Path
    parts: list[bytes] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def children(self, source: str) -> tuple[Node, ...]:
        return tuple(self.module(name) for name in required(source))

    def module(self, name: str) -> Node:
        path = _find(self.root, name)
        if path is None:
            return Node(name, "")
        shown = path.relative_to(self.root).as_posix()
        if name in self.seen:
            return Node(name, shown)
        self.seen.add(name)
        source = read_text(path)
        node = Node(name, shown, self.children(text(source)))
        self.take(shown, source, b'"%s"' % raw(name))
        return node

    def take(self, shown: str, source: bytes, name: bytes) -> None:
        self.files[shown] = text(source)
        chunk = quote(b"@" + raw(shown))
        self.parts.append(b"file(%s, %s, %s)\n" % (name, chunk, quote(_plain(source))))


def bundle(path: Path) -> Bundle:
    """The program whose main file is `path`.

    Raises:
        AoError: stage "load", when a file cannot be read.
    """
    walk = _Walk(path.parent)
    source = read_text(path)
    tree = Node(path.name, path.name, walk.children(text(source)))
    walk.take(path.name, source, b"nil")
    *modules, main = walk.parts
    return Bundle(b"".join((_LOADER, *modules, b"return ", main)), tree, walk.files)


def bound(source: bytes, module: str) -> bytes:
    """The code by which `.load` evaluates a program that is kept as a module, too."""
    return b"MyModule = %s\n%s" % (literal(module), source)


def unbound(code: bytes) -> tuple[str, bytes] | None:
    """The module and the program of what `bound` made, None for other code."""
    found = _BOUND.match(code)
    return (text(found[1]), code[found.end() :]) if found else None


def unbundle(source: bytes) -> list[tuple[str, str, bytes]]:
    """What a chunk that `bundle` made has, in order: module ("" for the main file), file, text."""
    _, loader, calls = source.partition(_LOADER)
    if not loader:
        return []
    return [
        (text(found["name"] or b""), text(found["file"]), found["source"])
        for found in _CALL.finditer(calls)
    ]


def refuse_bad_syntax(program: Bundle) -> None:
    """Raises AoError, stage "load", where a file of the program is no Lua; it names the line."""
    for name, source in program.files.items():
        said = syntax_error(text(_plain(raw(source))))
        if said:
            raise AoError(
                re.sub(r"^\S*?:(?=\d+: )", f"{name}:", said),
                stage="load",
                hint="a module is Lua source or a WASM file",
            )


def lines_of(tree: Node) -> Iterator[str]:
    """The tree of files, drawn, one line each."""
    yield tree.path
    yield from _branches(tree.children, "")


def quote(source: bytes) -> bytes:
    """Any bytes as a Lua long string, at the first level that they do not close.

    Lua drops a newline right behind the opening bracket, so there is always one. It turns \\r\\n
    into \\n, which counts as one line either way.
    """
    level = b""
    while b"]" + level + b"]" in source + b"]" + level:
        level += b"="
    return b"[%s[\n%s]%s]" % (level, source, level)


def _plain(source: bytes) -> bytes:
    """As Lua reads files: a first line `#!…` is a comment."""
    return b"--" + source if source.startswith(b"#") else source


def _find(root: Path, name: str) -> Path | None:
    below = root.joinpath(*name.split("."))
    candidates = (below.with_name(below.name + ".lua"), below / "init.lua")
    return next((path for path in candidates if path.is_file()), None)


def _branches(nodes: tuple[Node, ...], indent: str) -> Iterator[str]:
    for node in nodes:
        last = node is nodes[-1]
        where = node.path or f"{node.name} (not a local file)"
        yield f"{indent}{'└─ ' if last else '├─ '}{where}"
        yield from _branches(node.children, indent + ("   " if last else "│  "))


def literal(string: str) -> bytes:
    """Text as a short Lua string."""
    escaped = re.sub(rb"[^ !#-\[\]-~]", lambda byte: b"\\%03d" % byte.group()[0], raw(string))
    return b'"%s"' % escaped
