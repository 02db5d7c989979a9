"""Turns a document into the fields of its answer: resolves fragments, aliases and directives.

It checks them against `schema`, so `transactions` gets only known fields, whose arguments have the
right types (October 2021, sections 5 and 6.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aoshell.serve.graphql import schema, syntax
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.lexer import place
from aoshell.serve.graphql.schema import Argument, FieldType
from aoshell.serve.graphql.syntax import Type
from aoshell.serve.graphql.values import Variables, read_arguments, read_variables

MOST_FIELDS = 10_000  # the fields of a fragment count wherever it is spread
MOST_ROOTS = 200  # fields of the query itself, by alias
DEEPEST_SPREAD = 32  # fragments within fragments

TYPE_NAME = "__typename"

_CONDITION = {"if": Argument(Type("Boolean", None, True))}
_INTROSPECTION = ("__schema", "__type")


@dataclass(slots=True)
class Selected:
    """A field of an answer.

    Attributes:
        name: name of the field.
        arguments: values of all its arguments, by name.
        type: type of the object that has the field.
        fields: requested fields of its value, by key, in the order of the answer; {} for a scalar.
    """

    name: str
    arguments: Mapping[str, Any]
    type: str
    fields: dict[str, Selected] = field(default_factory=dict)

    @property
    def value_type(self) -> FieldType:
        return schema.OBJECTS[self.type][self.name]

    def asks_for(self, *path: str) -> bool:
        """Whether a path of field names is asked for below it."""
        if not path:
            return True
        return any(
            below.name == path[0] and below.asks_for(*path[1:]) for below in self.fields.values()
        )


def select(
    document: syntax.Document, operation: str, variables: Mapping[str, Any]
) -> dict[str, Selected]:
    """The fields that the answer to an operation has, by key.

    Args:
        operation: its name; "" for the only one.
        variables: JSON values by name.

    Raises:
        GraphqlError: there is no such operation, or it asks for unknown fields, or for too many.
    """
    chosen = _operation(document, operation)
    selector = _Selector(document, read_variables(chosen, variables))
    fields = selector.fields("Query", [chosen.selections])
    if len(fields) > MOST_ROOTS:
        raise GraphqlError(f"The query has more than {MOST_ROOTS} fields at its top.")
    return fields


def _operation(document: syntax.Document, name: str) -> syntax.Operation:
    named = [one for one in document.operations if not name or one.name == name]
    if not named:
        raise GraphqlError(
            f"There is no operation named {name[:40]!a}." if name else "There is no operation."
        )
    if len(named) > 1:
        raise GraphqlError(
            f'There are {len(named)} operations named "{name}".'
            if name
            else "Must provide operation name if query contains multiple operations."
        )
    return named[0]


class _Selector:
    def __init__(self, document: syntax.Document, variables: Variables) -> None:
        self._document = document
        self._variables = variables
        self._count = 0

    def fields(self, type: str, sets: list[tuple[syntax.Selection, ...]]) -> dict[str, Selected]:
        """The fields that sets of selections ask of an object."""
        grouped = dict[str, list[syntax.Field]]()
        for selections in sets:
            for one in self._flat(type, selections, 0):
                grouped.setdefault(one.key, []).append(one)
        return {key: self._field(type, same) for key, same in grouped.items()}

    def _flat(
        self, type: str, selections: tuple[syntax.Selection, ...], depth: int
    ) -> Iterator[syntax.Field]:
        """The fields, with those of fragments, without those that a directive leaves out."""
        for one in selections:
            self._count += 1
            if self._count > MOST_FIELDS:
                raise GraphqlError(f"The query asks for more than {MOST_FIELDS:,} fields.")
            if not self._is_included(one.directives):
                continue
            if isinstance(one, syntax.Field):
                yield one
                continue
            if depth == DEEPEST_SPREAD:
                self._fail(f"Fragments are nested deeper than {DEEPEST_SPREAD} levels.", one.at)
            on, inner = self._fragment(one)
            if on and on not in schema.OBJECTS:
                self._fail(f'Unknown type "{on}".', one.at)
            if on in ("", type):
                yield from self._flat(type, inner, depth + 1)
            else:
                self._fail(
                    f'Fragment cannot be spread here as objects of type "{type}" can never be of '
                    f'type "{on}".',
                    one.at,
                )

    def _fragment(
        self, one: syntax.Spread | syntax.Inline
    ) -> tuple[str, tuple[syntax.Selection, ...]]:
        """The type that a fragment is for, and its selections."""
        if isinstance(one, syntax.Inline):
            return one.type, one.selections
        fragment = self._document.fragments.get(one.name)
        if fragment is None:
            self._fail(f'Unknown fragment "{one.name}".', one.at)
        return fragment.type, fragment.selections

    def _is_included(self, directives: tuple[syntax.Directive, ...]) -> bool:
        included = True
        for one in directives:
            if one.name not in ("skip", "include"):
                self._fail(f'Unknown directive "@{one.name}".', one.at)
            values = read_arguments(
                one.arguments, _CONDITION, self._variables, f'Directive "@{one.name}"'
            )
            included &= values["if"] is (one.name == "include")
        return included

    def _field(self, type: str, same: list[syntax.Field]) -> Selected:
        """One field of an answer, merged from all selections that have its key."""
        first = same[0]
        for other in same[1:]:
            if (other.name, other.arguments) != (first.name, first.arguments):
                self._fail(
                    f'Fields "{first.key}" conflict: use different aliases on the fields to fetch '
                    "both.",
                    other.at,
                )
        if first.name == TYPE_NAME and not first.arguments:
            return Selected(TYPE_NAME, {}, type)
        known = schema.OBJECTS[type].get(first.name)
        if known is None:
            self._fail(_no_field(type, first.name), first.at)
        what = f'Field "{type}.{first.name}"'
        try:
            arguments = read_arguments(first.arguments, known.arguments, self._variables, what)
        except GraphqlError as error:
            self._fail(str(error), first.at)
        selected = Selected(first.name, arguments, type)
        sets = [one.selections for one in same]
        if known.type in schema.OBJECTS:
            if not all(sets):
                self._fail(f"{what} must have a selection of subfields.", first.at)
            selected.fields = self.fields(known.type, sets)
        elif any(sets):
            self._fail(f"{what} has no subfields.", first.at)
        return selected

    def _fail(self, what: str, at: int) -> NoReturn:
        raise GraphqlError(what, place(self._document.text, at))


def _no_field(type: str, name: str) -> str:
    if name in _INTROSPECTION:
        return "This server does not describe its schema: introspection is not supported."
    return f'Cannot query field "{name}" on type "{type}".'
