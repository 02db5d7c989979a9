"""Resolves names across the files of a program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from aoshell.check.facts import SourceFacts, global_path, without_parentheses
from aoshell.check.known import Path
from aoshell.lua import syntax as tree

_DEPTH = 12  # names that stand for other names, in a row
_LOADED = (("package", "loaded"), ("package", "preload"))


Node = TypeVar("Node", bound=tree.Expression, covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedNode(Generic[Node]):
    """An expression and the facts of its file."""

    node: Node
    facts: SourceFacts


Value: TypeAlias = PlacedNode[tree.Expression]


class Program:
    """Files that run in one process, in that order.

    Args:
        sources: the facts of each file.
        files: which of the sources a module is, by each name that it is required by.
    """

    def __init__(self, sources: list[SourceFacts], files: Mapping[str, str]) -> None:
        self.sources = sources
        self._globals: dict[Path, list[Value]] = defaultdict(list)
        self._members: dict[tuple[tree.Local, str], list[Value]] = defaultdict(list)
        self._parameters: dict[tree.Local, tuple[tree.Function, int]] = {}
        by_name = {facts.text.name: facts for facts in sources}
        self._chunks = {
            module: PlacedNode(by_name[file].main, by_name[file])
            for module, file in files.items()
            if file in by_name
        }
        for facts in sources:
            for node in facts.nodes:
                self._note(node, facts)
        self._calls = self._find_calls()

    def value(self, placed: Value, depth: int = _DEPTH) -> Value:
        """The value of an expression; for a name that is set only once, that value."""
        node, facts = without_parentheses(placed.node), placed.facts
        found: list[Value] = []
        match node:
            case tree.Name(local=tree.Local() as local):
                found = [PlacedNode(facts.values[local], facts)] if local in facts.values else []
            case tree.Name(name=name):
                found = self._globals.get((name,), [])
            case tree.Index(object=inner, key=tree.Constant(value=str(key))):
                path = facts.path(node)
                found = self._field(PlacedNode(inner, facts), key, depth) or (
                    self._globals.get(path, []) if path else []
                )
        if len(found) != 1 or not depth:
            return PlacedNode(node, facts)
        return self.value(found[0], depth - 1)

    def function(
        self, node: tree.Expression, facts: SourceFacts
    ) -> PlacedNode[tree.Function] | None:
        """The function that an expression is or names, None where that is not certain."""
        found = self.value(PlacedNode(node, facts))
        if isinstance(found.node, tree.Function):
            return PlacedNode(found.node, found.facts)
        return None

    def parameter(self, node: tree.Expression) -> tuple[tree.Function, int] | None:
        """The function whose parameter an expression is, and the parameter's index from 0."""
        node = without_parentheses(node)
        if isinstance(node, tree.Name) and node.local:
            return self._parameters.get(node.local)
        return None

    def calls_of(self, function: tree.Function) -> list[tuple[tree.Call, SourceFacts]]:
        """The certain calls of a function of the program."""
        return self._calls.get(id(function), [])

    def _find_calls(self) -> dict[int, list[tuple[tree.Call, SourceFacts]]]:
        found: dict[int, list[tuple[tree.Call, SourceFacts]]] = defaultdict(list)
        for facts in self.sources:
            for _, call in facts.calls:
                function = self.function(call.function, facts)
                if function:
                    found[id(function.node)].append((call, facts))
        return found

    def _field(self, table: Value, key: str, depth: int) -> list[Value]:
        """All values assigned to a key of a table: a local, a module or an expression."""
        node, facts = without_parentheses(table.node), table.facts
        match node:
            case tree.Name(local=tree.Local() as local):
                own = self._members.get((local, key), [])
                if own or local not in facts.values or not depth:
                    return own
                return self._field(PlacedNode(facts.values[local], facts), key, depth - 1)
            case tree.TableConstructor():
                return [PlacedNode(value, facts) for name, value in _fields(node) if name == key]
            case tree.Call(arguments=(name, *_)) if depth and facts.path(node.function) == (
                "require",
            ):
                exported = self._exported(name)
                return self._field(exported, key, depth - 1) if exported else []
        return []

    def _exported(self, module: tree.Expression) -> Value | None:
        """The value that a module returns at its end."""
        name = without_parentheses(module)
        if not isinstance(name, tree.Constant) or name.value not in self._chunks:
            return None
        chunk = self._chunks[str(name.value)]
        last = chunk.node.body.statements[-1:]
        if last and isinstance(last[0], tree.Return) and last[0].values:
            return PlacedNode(last[0].values[0], chunk.facts)
        return None

    def _note(self, node: tree.SyntaxNode, facts: SourceFacts) -> None:
        match node:
            case tree.Function(parameters=parameters):
                self._parameters |= {local: (node, index) for index, local in enumerate(parameters)}
            case tree.Assign(targets=targets, values=values):
                for target, value in zip(targets, values, strict=False):
                    self._note_assigned(target, PlacedNode(value, facts))
            case tree.LocalAssign(locals=locals_, values=values):
                for local, value in zip(locals_, values, strict=False):
                    for key, field in _fields(value):
                        self._members[local, key].append(PlacedNode(field, facts))

    def _note_assigned(self, target: tree.Expression, value: Value) -> None:
        match target:
            case tree.Index(
                object=tree.Name(local=tree.Local() as local), key=tree.Constant(value=str(key))
            ):
                self._members[local, key].append(value)
        path = global_path(target)
        if path is None:
            return
        if path[:2] in _LOADED and len(path) == 3:
            self._note_module(path[2], value)
        self._globals[path].append(value)
        for key, field in _fields(value.node):
            self._globals[*path, key].append(PlacedNode(field, value.facts))

    def _note_module(self, name: str, value: Value) -> None:
        """Note a module that a function makes: `package.preload[name] = function() … end`."""
        node = without_parentheses(value.node)
        if isinstance(node, tree.Call):  # package.loaded[name] = load_it()
            node = node.function
        chunk = value.facts.function(node)
        if chunk:
            self._chunks[name] = PlacedNode(chunk, value.facts)


def _fields(table: tree.Expression) -> Iterator[tuple[str, tree.Expression]]:
    """The fields of a table constructor whose keys are texts."""
    if isinstance(table, tree.TableConstructor):
        for field in table.fields:
            if isinstance(field.key, tree.Constant) and isinstance(field.key.value, str):
                yield field.key.value, field.value
