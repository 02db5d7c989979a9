"""The syntax tree of a GraphQL document. `at` is an offset into its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name` in place of a value."""

    name: str
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Enum:
    """A bare name in place of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class ListValue:
    """`[…]`"""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ObjectValue:
    """`{name: …}`"""

    fields: tuple[tuple[str, Value], ...]


# Literals are Python's own values; None is `null`.
Value: TypeAlias = Variable | Enum | ListValue | ObjectValue | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a variable or an argument.

    Attributes:
        name: name of the type; "" for a list.
        item: the type of the members of a list, else None.
    """

    name: str
    item: Type | None = None
    required: bool = False

    def __str__(self) -> str:
        text = f"[{self.item}]" if self.item else self.name
        return f"{text}!" if self.required else text


@dataclass(frozen=True, slots=True)
class Directive:
    """`@name(arguments)`"""

    name: str
    arguments: tuple[tuple[str, Value], ...]
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A field that is asked for.

    Attributes:
        key: its name in the answer: the alias, or its own name.
    """

    key: str
    name: str
    arguments: tuple[tuple[str, Value], ...]
    directives: tuple[Directive, ...]
    selections: tuple[Selection, ...]
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Spread:
    """`...name`"""

    name: str
    directives: tuple[Directive, ...]
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Inline:
    """`... on type {…}`; `type` is "" where none is given."""

    type: str
    directives: tuple[Directive, ...]
    selections: tuple[Selection, ...]
    at: int = field(compare=False)


Selection: TypeAlias = Field | Spread | Inline


@dataclass(frozen=True, slots=True)
class VariableDefinition:
    """`$name: type = default`"""

    name: str
    type: Type
    default: Value
    has_default: bool
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """A query. `name` is "" where it has none."""

    name: str
    variables: tuple[VariableDefinition, ...]
    directives: tuple[Directive, ...]
    selections: tuple[Selection, ...]
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Fragment:
    """`fragment name on type {…}`"""

    name: str
    type: str
    directives: tuple[Directive, ...]
    selections: tuple[Selection, ...]
    at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """The operations and, by name, the fragments of a text."""

    text: str
    operations: tuple[Operation, ...]
    fragments: Mapping[str, Fragment]
