"""The syntax tree of Lua 5.3. Each node has `at`, the offset in the text where it begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Local:
    """A local variable or parameter; one object per declaration."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class SyntaxNode:
    at: int


@dataclass(frozen=True, slots=True)
class Constant(SyntaxNode):
    """nil, true, false, a number, or a string (latin-1: a character per byte)."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Vararg(SyntaxNode):
    pass


@dataclass(frozen=True, slots=True)
class Name(SyntaxNode):
    """A variable: `local` is its declaration, None for a global."""

    name: str
    local: Local | None


@dataclass(frozen=True, slots=True)
class Index(SyntaxNode):
    object: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Call(SyntaxNode):
    function: Expression
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class MethodCall(SyntaxNode):
    object: Expression
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Function(SyntaxNode):
    """`parameters` begins with self where it was declared with a colon."""

    parameters: tuple[Local, ...]
    is_vararg: bool
    body: Block


@dataclass(frozen=True, slots=True)
class Binary(SyntaxNode):
    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Unary(SyntaxNode):
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Parenthesis(SyntaxNode):
    inner: Expression


@dataclass(frozen=True, slots=True)
class Field(SyntaxNode):
    """`[key] = value` or `key = value`; key is None for an item of a list."""

    key: Expression | None
    value: Expression


@dataclass(frozen=True, slots=True)
class TableConstructor(SyntaxNode):
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
    | TableConstructor
)


@dataclass(frozen=True, slots=True)
class Block(SyntaxNode):
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class LocalAssign(SyntaxNode):
    locals: tuple[Local, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class LocalFunction(SyntaxNode):
    local: Local
    function: Function


@dataclass(frozen=True, slots=True)
class Assign(SyntaxNode):
    """An assignment; `function a.b() end` is one as well."""

    targets: tuple[Name | Index, ...]
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class CallStatement(SyntaxNode):
    call: Call | MethodCall


@dataclass(frozen=True, slots=True)
class Do(SyntaxNode):
    body: Block


@dataclass(frozen=True, slots=True)
class While(SyntaxNode):
    condition: Expression
    body: Block


@dataclass(frozen=True, slots=True)
class Repeat(SyntaxNode):
    body: Block
    condition: Expression


@dataclass(frozen=True, slots=True)
class Branch(SyntaxNode):
    """`if` or `elseif` with its block; condition is None for `else`."""

    condition: Expression | None
    body: Block


@dataclass(frozen=True, slots=True)
class If(SyntaxNode):
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class NumericFor(SyntaxNode):
    local: Local
    bounds: tuple[Expression, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class GenericFor(SyntaxNode):
    locals: tuple[Local, ...]
    values: tuple[Expression, ...]
    body: Block


@dataclass(frozen=True, slots=True)
class Return(SyntaxNode):
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Break(SyntaxNode):
    pass


@dataclass(frozen=True, slots=True)
class Goto(SyntaxNode):
    label: str


@dataclass(frozen=True, slots=True)
class Label(SyntaxNode):
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


def children(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """The nodes right below one, in the order of the text."""
    for name in type(node).__match_args__:
        value = getattr(node, name)
        if isinstance(value, SyntaxNode):
            yield value
        elif isinstance(value, tuple):
            yield from (item for item in value if isinstance(item, SyntaxNode))


def walk(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """A node and all below it, each before what is below itself, in the order of the text."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(tuple(children(current))))
