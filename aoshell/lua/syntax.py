"""The syntax tree of Lua 5.3. Each node has `at`, the offset in the text where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Local:
    """A local variable or parameter; each declaration is one of its own."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Node:
    at: int


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """nil, true, false, a number, or a string (latin-1: a character per byte)."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Vararg(Node):
    pass


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable: `local` is its declaration, None of a global one."""

    name: str
    local: Local | None


@dataclass(frozen=True, slots=True)
class Index(Node):
    object: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    function: Expression
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class MethodCall(Node):
    object: Expression
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Function(Node):
    """`parameters` begins with self where it was declared with a colon."""

    parameters: tuple[Local, ...]
    is_vararg: bool
    body: Block


@dataclass(frozen=True, slots=True)
class Binary(Node):
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Unary(Node):
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Parenthesis(Node):
    inner: Expression


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`[key] = value` or `key = value`; key is None for an item of a list."""

    key: Expression | None
    value: Expression


@dataclass(frozen=True, slots=True)
class Table(Node):
    fields: tuple[Field, ...]


Expression = (
    Constant
    | Vararg
    | Name
    | Index
    | Call
    | MethodCall
    | Function
    | Binary
    | Unary
    | Parenthesis
    | Table
)


@dataclass(frozen=True, slots=True)
class Block(Node):
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class LocalAssign(Node):
    locals: tuple[Local, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class LocalFunction(Node):
    local: Local
    function: Function


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """An assignment; `function a.b() end` is one as well."""

    targets: tuple[Name | Index, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class CallStatement(Node):
    call: Call | MethodCall


@dataclass(frozen=True, slots=True)
class Do(Node):
    body: Block


@dataclass(frozen=True, slots=True)
class While(Node):
    condition: Expression
    body: Block


@dataclass(frozen=True, slots=True)
class Repeat(Node):
    body: Block
    condition: Expression


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """`if` or `elseif` with its block; condition is None for `else`."""

    condition: Expression | None
    body: Block


@dataclass(frozen=True, slots=True)
class If(Node):
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class NumericFor(Node):
    local: Local
    bounds: tuple[Expression, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class GenericFor(Node):
    locals: tuple[Local, ...]
    values: tuple[Expression, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Return(Node):
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Break(Node):
    pass


@dataclass(frozen=True, slots=True)
class Goto(Node):
    label: str


@dataclass(frozen=True, slots=True)
class Label(Node):
    name: str


Statement = (
    LocalAssign
    | LocalFunction
    | Assign
    | CallStatement
    | Do
    | While
    | Repeat
    | If
    | NumericFor
    | GenericFor
    | Return
    | Break
    | Goto
    | Label
)


def children(node: Node) -> Iterator[Node]:
    """The nodes right below one, in the order of the text."""
    for name in type(node).__match_args__:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, Node))


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, each before what is below itself, in the order of the text."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(tuple(children(current))))
