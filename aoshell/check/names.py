"""Rules about names: globals, members of libraries, modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from aoshell.check import known
from aoshell.check.facts import SourceFacts
from aoshell.check.finding import Finding, Severity
from aoshell.check.known import Members, Path
from aoshell.lua import syntax as tree


@dataclass(frozen=True, slots=True)
class World:
    """Where the checked files run.

    Attributes:
        target: one of TARGETS or VERSIONS.
        writes: paths that any of the files assigns.
        is_dynamic: globals may come from anywhere.
        modules: modules of the files or of the process.
        names: globals that the process has.
    """

    target: str
    writes: frozenset[Path]
    is_dynamic: bool
    modules: frozenset[str]
    names: frozenset[str]

    @property
    def is_legacy(self) -> bool:
        return self.target != "hyperbeam"

    @property
    def keeps_tags(self) -> bool:
        """Whether tags keep their names as sent."""
        return self.target == "2.0.1"

    @property
    def globals(self) -> frozenset[str]:
        if self.target == "2.0.1":
            return known.AOS_2_0_1_GLOBALS
        return known.AOS_GLOBALS if self.is_legacy else known.HYPER_AOS_GLOBALS

    @property
    def members(self) -> Members:
        if self.target == "2.0.1":
            return known.AOS_2_0_1
        return known.AOS if self.is_legacy else known.HYPER_AOS

    @property
    def loadable(self) -> frozenset[str]:
        return known.AOS_MODULES if self.is_legacy else known.HYPER_AOS_MODULES

    @property
    def aos(self) -> str:
        return "aos" if self.is_legacy else "hyper-aos"


_DEPTH = 3  # of the longest name that is known: Handlers.utils.reply


def check_names(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Globals and members that the target lacks."""
    reported: set[str] = set()
    for path, node in facts.reads:
        depth = min(len(path), _DEPTH)
        if any(_is_open(path[:length], facts, world) for length in range(1, depth + 1)):
            continue
        finding = _global(path, node, facts, world) or _member(path, node, facts, world)
        # An unknown name is reported once per file, an error at each of its places.
        if finding and (finding.severity == "error" or finding.message not in reported):
            reported.add(finding.message)
            yield finding


def _is_open(path: Path, facts: SourceFacts, world: World) -> bool:
    """Whether the script sets a name itself, or tests whether it exists."""
    return path in world.writes or path in facts.tested or path[0] in world.names


def _global(path: Path, node: tree.SyntaxNode, facts: SourceFacts, world: World) -> Finding | None:
    name = path[0]
    if name in known.LATE_GLOBALS and world.is_legacy:
        return facts.text.finding(
            "only-here", "warning", node.at,
            f"'{name}' is a global of this shell, and of aos only once something assigns it",
            known.LATE_GLOBALS[name],
        )  # fmt: skip
    if name in world.globals:
        return None
    if name in known.OWN_GLOBALS:
        return facts.text.finding(
            "only-here", "error", node.at,
            f"'{name}' exists in this shell only: {world.aos} has no such name",
            _INSTEAD_OF_OWN[name, world.is_legacy],
        )  # fmt: skip
    if name == "coroutine":
        return facts.text.finding(
            "no-coroutines", "error", node.at,
            "there are no coroutines: the Lua of HyperBEAM has no coroutine library",
            "split the work over handlers, with Handlers.once for the answer",
        )  # fmt: skip
    if name in known.AOS_GLOBALS:
        return facts.text.finding(
            "missing-name", "error", node.at,
            f"hyper-aos has no global '{name}'", _INSTEAD.get(name, "bring it along"),
        )  # fmt: skip
    if world.is_dynamic:
        return None
    return _undefined(name, node, facts, world)


_INSTEAD_OF_OWN = {
    ("spawn", True): "use Spawn(module, tags).receive().Process",
    ("spawn", False): "spawn from outside: hyper-aos drops spawns",
    ("MyModule", True): "publish the module and use its id",
    ("MyModule", False): "publish the module and use its id",
}
_INSTEAD = {
    "Receive": "use Handlers.once with a function for the answer",
    "Assign": "assignments are dropped there; send the message instead",
    "Tab": "read req.body, or use Utils.Tab",
    "json": 'use local json = require(".json")',
    "base64": 'use local base64 = require(".base64")',
    "apm": "bundle the package with your files",
    "xpcall": "use pcall",
}


def _undefined(name: str, node: tree.SyntaxNode, facts: SourceFacts, world: World) -> Finding:
    severity: Severity = "note"
    advice = f"assign {name} before it is read, or make sure that the process has it"
    similar = _similar(name, world.globals | {path[0] for path in world.writes if len(path) == 1})
    if name in known.OLD_NAMES:
        severity, advice = "warning", known.OLD_NAMES[name]
    elif similar:
        severity, advice = "warning", f"is {similar} meant?"
    return facts.text.finding(
        "undefined-global", severity, node.at,
        f"no file assigns '{name}', and {world.aos} has no such name", advice,
    )  # fmt: skip


def _similar(name: str, others: frozenset[str]) -> str:
    """A name that differs in case, or, if it is long, in one or two letters."""
    for other in sorted(others):
        if other.lower() == name.lower():
            return other
    close = get_close_matches(name, sorted(others), 1, 0.88) if len(name) > 5 else []
    return close[0] if close else ""


def _member(path: Path, node: tree.SyntaxNode, facts: SourceFacts, world: World) -> Finding | None:
    for length in (1, 2):
        library, key = ".".join(path[:length]), path[length : length + 1]
        members = world.members.get(library)
        if members is not None and key and key[0] not in members:
            break
    else:
        return None
    name = f"{library}.{key[0]}"
    if name == "Handlers.receive" or (library == "Utils" and world.is_dynamic):
        return None
    is_aos = library[0].isupper() or library == "ao"
    similar = _similar(key[0], members)
    severity: Severity = "note" if is_aos and not similar else "warning"
    if key[0] in known.AOS.get(library, ()) or library in ("debug", "io"):
        severity = "error"
    where = world.aos if is_aos else "Lua" if world.is_legacy else "the Lua of HyperBEAM"
    advice = (
        known.OLD_NAMES.get(name)
        or (f"is {library}.{similar} meant?" if similar else "")
        or _INSTEAD_OF_MEMBER.get(name, "bring it along, or do without")
    )
    return facts.text.finding(
        "missing-member", severity, node.at,
        f"{where} has no {name}", advice,
    )  # fmt: skip


_INSTEAD_OF_MEMBER = {
    "ao.assign": "assignments are dropped there; send the message instead",
    "ao.isTrusted": "hyper-aos checks trust itself, before handlers",
    "table.move": "copy in a loop",
    "math.ult": "compare with an offset of math.mininteger",
    "debug.traceback": "leave it out: there are no stack traces",
}


def check_own_calls(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Calls of functions that are in this shell's modules only."""
    for path, call in facts.calls:
        if path in known.OWN_CALLS:
            yield facts.text.finding(
                "only-here", "error", call.at,
                f"{path[-1]} of the module '.process' exists in this shell only",
                f"leave it out: {world.aos} does not know what waits",
            )  # fmt: skip


_SOMEWHERE = known.AOS_MODULES | known.HYPER_AOS_MODULES | known.OWN_MODULES


def _spelt(name: str) -> tuple[str, ...]:
    """Other names that a module may have: aos has `json` where hyper-aos has `.json`."""
    return f".{name}", name.removeprefix(".")


def check_modules(facts: SourceFacts, world: World) -> Iterator[Finding]:
    """Modules that neither the files nor the target's aos have."""
    for name, call in facts.required():
        if name in world.loadable or name in world.modules:
            if name == "lsqlite3" and world.is_legacy and name not in world.modules:
                yield facts.text.finding(
                    "module", "note", call.at,
                    "lsqlite3 is there only in processes of aos's module with SQLite",
                    "spawn the process from that module",
                )  # fmt: skip
            continue
        if name in _SOMEWHERE:
            similar = next((other for other in _spelt(name) if other in world.loadable), "")
            message = f"{world.aos} has no module '{name}'"
            advice = f"require '{similar}'" if similar else "bundle a Lua file that does it"
            severity: Severity = "warning" if name in known.HYPER_AOS_SPARE else "error"
            yield facts.text.finding("module", severity, call.at, message, advice)
            continue
        yield facts.text.finding(
            "module", "warning", call.at,
            f"module '{name}' is neither a file next to this one nor part of {world.aos}",
            "put its file there, so that it is bundled, or install it in the process first",
        )  # fmt: skip
    for call in facts.required_late():
        yield facts.text.finding(
            "module", "note", call.at,
            "the name of this module is known only at run time: no file is bundled for it",
            "require the file by its name in quotes somewhere, too",
        )  # fmt: skip
