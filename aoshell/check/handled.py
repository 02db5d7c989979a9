"""Finds the functions of a program that get messages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from aoshell.check.handlers import all_handlers, is_local, own_nodes
from aoshell.check.program import PlacedNode, Program, Value
from aoshell.lua import syntax as tree


def handled(program: Program) -> list[PlacedNode[tree.Function]]:
    """The functions whose first parameter is a message, each once.

    These are the functions passed to `Handlers`, directly, by name or wrapped by functions of the
    program, and those that they call with the message.
    """
    pending = [
        PlacedNode(part, facts)
        for facts in program.sources
        for handler in all_handlers(facts)
        for part in (handler.pattern, handler.handle)
        if part
    ]
    found: dict[int, PlacedNode[tree.Function]] = {}
    passed: set[tuple[int, int]] = set()
    while pending:
        placed = program.value(pending.pop())
        node, facts = placed.node, placed.facts
        if isinstance(node, tree.Function):
            if node.parameters and id(node) not in found:
                found[id(node)] = PlacedNode(node, facts)
                called = _called_with(node, node.parameters[0])
                pending.extend(PlacedNode(inner, facts) for inner in called)
        elif isinstance(node, tree.Call):
            pending.extend(_made(node, placed, program, passed))
        else:
            pending.extend(_arguments(node, program, passed))
    return list(found.values())


def _arguments(
    node: tree.Expression, program: Program, passed: set[tuple[int, int]]
) -> Iterator[Value]:
    """The arguments that calls pass for the parameter that an expression names."""
    owner = program.parameter(node)
    if owner is None or (id(owner[0]), owner[1]) in passed:
        return
    function, index = owner
    passed.add((id(function), index))
    for call, facts in program.calls_of(function):
        if index < len(call.arguments):
            yield PlacedNode(call.arguments[index], facts)


def _made(
    call: tree.Call, placed: Value, program: Program, passed: set[tuple[int, int]]
) -> Iterator[Value]:
    """The values that a function of the program returns, once for each function."""
    maker = program.function(call.function, placed.facts)
    if maker is None or (id(maker.node), -1) in passed:
        return
    passed.add((id(maker.node), -1))
    for node in own_nodes(maker.node):
        if isinstance(node, tree.Return) and node.values:
            yield PlacedNode(node.values[0], maker.facts)


def _called_with(function: tree.Function, message: tree.Local) -> Iterator[tree.Expression]:
    """The functions that a function calls with its message: `f(msg)`, `pcall(f, msg)`."""
    for node in tree.walk(function.body):
        if isinstance(node, tree.Call):
            chain = (node.function, *node.arguments)
            for called, argument in pairwise(chain):
                if is_local(argument, message):
                    yield called
