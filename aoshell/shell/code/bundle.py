"""Joins the files of a Lua program into one chunk of Lua.

`.load` evaluates this chunk, and a node keeps it as a module. Each file keeps its name and
its line numbers in error messages, because it is compiled on its own from a long string:

    local file, main = load([[…]], "=.load", "t")()
    file({"x.y", ".x.y"}, [[@x/y.lua]], [[@main.lua]], 1, [[…]])
    return main({}, [[@main.lua]], false, [[…]])

The first line holds bundle.lua. `file` gets the names of a module, its file, the file and line that
require it first, and its text. `main` also gets whether files require each other in a circle.

A program of one file has the loader of versions before bundle.lua, so stored hashes of such
programs (blueprints) stay the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aoshell.errors import AoError
from aoshell.lua.compiling import find_syntax_error
from aoshell.protocol.message import raw, text
from aoshell.shell.code.program import File, Program, read_program

_ALONE = b"""local function file(name, chunk, source)
  local run, problem = load(source, chunk, "t")
  if not run then error(problem, 0) end
  if not name then return run() end
  package.loaded[name] = nil
  local value = run(name)
  if value ~= nil then package.loaded[name] = value
  elseif package.loaded[name] == nil then package.loaded[name] = true end
end
"""

_BOUND = re.compile(rb'MyModule = "([\w-]{43})"\n')


@dataclass(frozen=True, slots=True)
class ProgramBundle:
    """A program and its chunk.

    Attributes:
        source: the chunk, Lua source.
        program: the files.
        files: text of each file by the name that Lua's messages use, in the order of the program.
    """

    source: bytes
    program: Program
    files: dict[str, str]


def bundle(path: Path) -> ProgramBundle:
    """Bundles the program whose main file is `path`.

    Raises:
        AoError: stage "load": a file cannot be read, or the program is too large.
    """
    found = read_program(path)
    files = {file.path: text(file.data) for file in found.files}
    return ProgramBundle(_chunk(found), found, files)


def _chunk(found: Program) -> bytes:
    if len(found.files) == 1 and not found.circular:
        chunk, source = long_string(b"@" + raw(found.main.path)), long_string(found.main.source)
        return b"%sreturn file(nil, %s, %s)\n" % (_ALONE, chunk, source)
    head = b'local file, main = load(%s, "=.load", "t")()\n' % long_string(_loader())
    return b"".join((head, *(_call(file, found) for file in found.files)))


def _call(file: File, whole: Program) -> bytes:
    names = b"{%s}" % b", ".join(map(short_string, file.names))
    chunk, source = long_string(b"@" + raw(file.path)), long_string(file.source)
    if file is whole.main:
        circular = b"true" if whole.circular else b"false"
        return b"return main(%s, %s, %s, %s)\n" % (names, chunk, circular, source)
    by = long_string(b"@" + raw(file.by))
    return b"file(%s, %s, %s, %d, %s)\n" % (names, chunk, by, file.line, source)


@cache
def _loader() -> bytes:
    """bundle.lua without its comments."""
    source = Path(__file__).with_name("bundle.lua").read_bytes()
    return re.sub(rb"^--.*\n|^\n", b"", source, flags=re.MULTILINE)


def bind_module(source: bytes, module: str) -> bytes:
    """The code with which `.load` evaluates a program and sets `MyModule` to its module."""
    return b"MyModule = %s\n%s" % (short_string(module), source)


def unbind_module(code: bytes) -> tuple[str, bytes] | None:
    """The module and the program in code that `bind_module` made, None for other code."""
    found = _BOUND.match(code)
    return (text(found[1]), code[found.end() :]) if found else None


def refuse_unloadable(bundled: ProgramBundle) -> None:
    """Raises AoError, stage "load", if no process can load a program; it names file and line.

    Either a file is not Lua, or files are sure to require each other in a circle.
    """
    for file in bundled.program.files:
        problem = find_syntax_error(text(file.source))
        if problem:
            raise AoError(
                f"{file.path}:{problem.partition(':')[2]}",  # it begins with the chunk's name
                stage="load",
                hint="a module is Lua source or a WASM file",
            )
    if bundled.program.circular:
        from aoshell.check.checker import find_circles

        sources = {file.path: file.source for file in bundled.program.files}
        for found in find_circles(sources, bundled.program.modules):
            problem = f"{found.file}:{found.line}: {found.message}"
            raise AoError(problem, stage="load", hint=found.advice)


def long_string(source: bytes) -> bytes:
    """Any bytes as a Lua long string, at the first level that they do not close.

    Lua drops a newline right after the opening bracket, so one always stands there. It turns \\r\\n
    into \\n, which counts as one line either way.
    """
    taken = set(re.findall(rb"\](=*)(?=\])", source + b"]"))
    level = b""
    while level in taken:
        level += b"="
    return b"[%s[\n%s]%s]" % (level, source, level)


def short_string(string: str) -> bytes:
    """Text as a short Lua string."""
    escaped = re.sub(rb"[^ !#-\[\]-~]", lambda byte: b"\\%03d" % byte.group()[0], raw(string))
    return b'"%s"' % escaped
