"""Imports run one way: bounded ← protocol ← attest, sandbox ← nodes ← shell ← backends ← cli."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "aoshell"

SHELL_KNOWS = ("aoshell.nodes.base", "aoshell.nodes.values")
SERVE_COMMAND = "aoshell.serve.command"  # its flags and output are of the shell's making
_IS_ROOM = re.compile(r"\w+(?:/|\.py)$").match  # as docs/architecture.md lists them
IMPORTING = ("import_module", "__import__")  # functions whose first argument is a module
LOWEST = {"errors", "interrupts", "texts", "scarcity", "bounded", "durable", "protocol"}
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "bounded": set(),
    "durable": set(),
    "interrupts": set(),
    "scarcity": {"errors"},
    "texts": {"errors"},
    "protocol": {"errors", "bounded"},
    "home": {"errors", "bounded", "durable", "texts", "protocol"},
    "lua": {"protocol"},
    "attest": {"errors", "bounded", "durable", "protocol", "texts"},
    "check": {"protocol", "lua"},
    "blueprints": {"errors", "bounded", "durable", "protocol"},
    "sandbox": {"errors", "bounded", "lua"},
    "profiling": {"errors", "bounded", "sandbox"},
    "nodes": {"errors", "bounded", "durable", "protocol", "attest", "sandbox"},
    "shell": {
        *(*LOWEST, "attest", "lua", "check", "blueprints", "sandbox", "home", "nodes"),
    },
    "serve": {*LOWEST - {"durable", "texts"}, "home", "nodes", "shell"},
    "states": {"errors", "interrupts", "bounded", "durable", "home", "nodes", "shell"},
    "forks": {
        *("errors", "interrupts", "bounded", "protocol", "sandbox", "home", "nodes", "shell"),
    },
    "testing": {
        *(LOWEST - {"scarcity", "texts"}),
        *("blueprints", "lua", "sandbox", "home", "nodes", "shell"),
    },
    "fuzz": {
        *("errors", "interrupts", "protocol", "check", "lua", "sandbox", "home", "nodes"),
        *("shell", "testing", "bounded", "durable"),
    },
    "commandline": {"errors", "shell", "serve", "forks", "states", "testing", "fuzz"},
    "backends": {
        "errors",
        "interrupts",
        "bounded",
        "protocol",
        "sandbox",
        "home",
        "nodes",
        "shell",
    },
    "api": {
        *("errors", "protocol", "home", "nodes", "shell", "states", "testing", "backends"),
    },
    "cli": {
        *("errors", "interrupts", "scarcity", "protocol", "attest", "home", "nodes", "shell"),
        *("serve", "testing", "states", "forks", "commandline", "backends", "fuzz", "profiling"),
    },
    "entry": {"interrupts", "cli"},
    "__main__": {"entry"},
}


def room_of(module: str) -> str:
    """The folder or file right below the package ("" for the package itself)."""
    return [*module.split("."), ""][1]


def broken_rule(importer: str, imported: str) -> str:
    """The rule that an import breaks, or ""."""
    here, there = room_of(importer), room_of(imported)
    if here == there or not there:
        return ""
    if not here:
        return "aoshell/__init__.py imports nothing of ours, so that every start stays fast"
    if here not in BELOW:
        return f"{here!r} has no place in the order of rooms yet: give it one in {__file__}"
    if there not in BELOW[here]:
        allowed = ", ".join(sorted(BELOW[here])) or "nothing of ours"
        return f"imports run one way: {here} may import {allowed}, never {there}"
    if here == "serve" and there in ("home", "shell") and importer != SERVE_COMMAND:
        return "roles stand beside the shell: only the command of serve imports it"
    if (here, there) == ("shell", "nodes") and imported not in SHELL_KNOWS:
        return "the shell knows nodes.base and nodes.values only; backends hands it a node"
    return ""


def imports(source: str, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Each (line, module) of ours that a file imports, wherever in the file it does so.

    But for those by which aoshell/__init__.py tells type checkers what it has: no start runs them.
    """
    tree = ast.parse(source)
    if module == "aoshell":
        tree.body = [node for node in tree.body if not is_for_types(node)]
    for node in ast.walk(tree):
        names: list[str]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level + is_package or None]
                base = ".".join([*package, base]).rstrip(".")
            names = [submodule(base, alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            first = node.args[0]
            named = isinstance(first, ast.Constant) and _called(node) in IMPORTING
            names = [str(ast.literal_eval(first))] if named else []
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "aoshell")


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _called(call: ast.Call) -> str:
    """The last name of what is called."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def submodule(base: str, name: str) -> str:
    """The module that `from base import name` reaches: `base.name` where that is one."""
    path = PACKAGE.parent.joinpath(*base.split("."), name)
    is_room = base == "aoshell" and name in BELOW
    is_module = is_room or path.is_dir() or path.with_suffix(".py").is_file()
    return f"{base}.{name}" if is_module else base


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@functools.cache
def all_imports() -> dict[str, list[tuple[int, str]]]:
    """What each module of ours imports, with the lines."""
    found = {}
    for path in files():
        is_package = path.name == "__init__.py"
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if is_package else parts)
        found[module] = list(imports(path.read_text(encoding="utf-8"), module, is_package))
    return found


def test_imports_run_one_way() -> None:
    broken = [
        f"{module}:{line} imports {imported}: {rule}"
        for module, found in all_imports().items()
        for line, imported in found
        if (rule := broken_rule(module, imported))
    ]
    assert not broken, "\n" + "\n".join(broken)


def test_each_right_is_used() -> None:
    """One that nobody uses would let an import in that nobody has thought about."""
    used: dict[str, set[str]] = {}
    for module, found in all_imports().items():
        used.setdefault(room_of(module), set()).update(room_of(one) for _, one in found)
    unused = {room: sorted(left) for room in BELOW if (left := BELOW[room] - used[room])}
    assert not unused


def test_the_architecture_lists_rooms_above_those_they_import() -> None:
    text = (PACKAGE.parent / "docs/architecture.md").read_text(encoding="utf-8")
    listed = re.search(r"^## The rooms\n\n```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert listed
    lines = [line.split() for line in listed[1].splitlines() if not line.startswith(" ")]
    names = [re.split(r"/|\.py", word)[0] for words in lines for word in takewhile(_IS_ROOM, words)]
    place = {name: at for at, name in enumerate(names)}
    assert set(BELOW) - set(place) == {"__main__"}
    wrong = [(h, t) for h in place for t in BELOW.get(h, ()) if place[h] >= place[t]]
    assert not wrong


@pytest.mark.versions
def test_every_module_can_be_imported() -> None:
    """In a process of its own: other tests see what is imported."""
    code = """if 1:
        import aoshell, importlib, pkgutil
        for found in pkgutil.walk_packages(aoshell.__path__, "aoshell."):
            importlib.import_module(found.name)
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("aoshell.protocol.x", "import aoshell.nodes.base", "never nodes"),
        ("aoshell.protocol.x", "from aoshell import home", "never home"),
        ("aoshell.protocol.x", "from ..nodes import base", "never nodes"),
        ("aoshell.sandbox.x", "def f():\n    from aoshell.attest import verify", "never attest"),
        ("aoshell.sandbox.x", "import_module('aoshell.shell.attached.session')", "never shell"),
        ("aoshell.nodes.local.x", "from ...home.folders import Settings", "never home"),
        ("aoshell.nodes.base", "from aoshell.cli import main", "never cli"),
        (
            "aoshell.shell.attached.session",
            "from aoshell.nodes.local import node",
            "and nodes.values only",
        ),
        ("aoshell.shell.attached.session", "from aoshell import nodes", "and nodes.values only"),
        (
            "aoshell.serve.units.cu",
            "from aoshell.shell.attached.session import Session",
            "beside the shell",
        ),
        (
            "aoshell.shell.attached.session",
            "from aoshell.serve.asgi.app import Application",
            "never serve",
        ),
        ("aoshell.errors", "import aoshell.protocol.message", "nothing of ours"),
        ("aoshell", "from aoshell import cli", "__init__"),
        ("aoshell", "if TYPE_CHECKING:\n    import aoshell.api", ""),
        ("aoshell.sandbox.x", "if TYPE_CHECKING:\n    import aoshell.api", "never api"),
        ("aoshell.attic", "import aoshell.errors", "no place"),
        ("aoshell.shell.attached.session", "from aoshell.nodes.base import Node", ""),
        ("aoshell.shell.attached.session", "from aoshell.nodes.values import Limits", ""),
        ("aoshell.shell.attached.session", "from aoshell.nodes import base", ""),
        ("aoshell.nodes.local.x", "from . import store\nfrom .store import Store", ""),
        ("aoshell.backends", "from aoshell.nodes.local import node", ""),
        ("aoshell.protocol.x", "from aoshell import __version__\nimport json", ""),
    ],
)
def test_the_rules_see_what_breaks_them(module: str, source: str, rule: str) -> None:
    broken = [broken_rule(module, imported) for _, imported in imports(source, module)]
    assert any(rule in text for text in broken) if rule else not any(broken), broken


def rooms_below(package: str, arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The files and folders right below a package, each with those that it imports from."""
    below: dict[str, set[str]] = {}
    for importer, imported in arrows.items():
        if not importer.startswith(f"{package}."):
            continue
        here = child_of(package, importer)
        there = {child_of(package, one) for one in imported if one.startswith(f"{package}.")}
        below.setdefault(here, set()).update(there - {here})
    return below


def child_of(package: str, module: str) -> str:
    return module.removeprefix(f"{package}.").split(".")[0]


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """What is left when all that import from nothing that is left are taken away."""
    left = dict(arrows)
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_room_has_a_circle_in_it() -> None:
    """Imports for types and those within functions count, too."""
    arrows = {module: {name for _, name in found} for module, found in all_imports().items()}
    packages = {module.rpartition(".")[0] for module in arrows} - {""}
    circles = {
        package: circle
        for package in sorted(packages)
        if (circle := circle_in(rooms_below(package, arrows)))
    }
    assert not circles


def test_a_circle_is_seen() -> None:
    arrows = {
        "p.a.x": {"p.b"},
        "p.b": {"p.c.y"},
        "p.c.y": {"p.a.z"},
        "p.a.z": {"p.d"},
        "p.d": set(),
    }
    assert circle_in(rooms_below("p", arrows)) == ["a", "b", "c"]


def test_the_files_are_found() -> None:
    assert PACKAGE / "protocol" / "message.py" in files()


def test_the_entry_point_imports_next_to_nothing_before_ctrl_c_is_handled() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); before = set(sys.modules);"
        " import aoshell.entry; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= {"__future__", "_signal", "aoshell", "aoshell.entry", "gc"}
