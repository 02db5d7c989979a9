"""Converts arguments and variables to values of their types (October 2021, sections 3 and 6.1.2).

It is less strict in one point, as the network's gateways are: a single value is accepted in place
of a list, also from a variable (`owners: $owner`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from aoshell.serve.graphql import schema, syntax
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.schema import Argument, EnumName
from aoshell.serve.graphql.syntax import Type

MOST_VALUES = 1_000  # members of one list

_LARGEST_INT = (1 << 31) - 1


class Absent(Enum):
    """No value was given, which is not the same as null."""

    ABSENT = 0


ABSENT: Final = Absent.ABSENT

# The values of all variables of an operation, by name.
Variables = Mapping[str, Any]


def read_variables(operation: syntax.Operation, given: Mapping[str, Any]) -> Variables:
    """The values of an operation's variables, `ABSENT` for one without a value.

    Args:
        given: JSON values by name, as the request has them.

    Raises:
        GraphqlError: one is missing, or is not of its type.
    """
    values = dict[str, Any]()
    for definition in operation.variables:
        name, type = definition.name, definition.type
        what = f'Variable "${name}"'
        if name in values:
            raise GraphqlError(f'There are two variables named "${name}".')
        if not _is_known(type):
            raise GraphqlError(f'{what} has an unknown type "{type}".')
        if name in given:
            values[name] = _coerce(type, given[name], what, json=True)
        elif definition.has_default:
            values[name] = _coerce(type, resolve(definition.default, {}), what)
        elif type.required:
            raise GraphqlError(f'{what} of required type "{type}" was not provided.')
        else:
            values[name] = ABSENT
    return values


def read_arguments(
    given: tuple[tuple[str, syntax.Value], ...],
    known: Mapping[str, Argument],
    variables: Variables,
    what: str,
) -> dict[str, Any]:
    """The values of all known arguments; a missing one has its default, or None.

    Args:
        what: the owner of the arguments, for errors.

    Raises:
        GraphqlError: one is not known, missing, or not of its type.
    """
    values = {name: resolve(value, variables) for name, value in given}
    return _members(values, known, what, json=False)


def resolve(value: syntax.Value, variables: Variables) -> Any:
    """A value of a document as a Python value, with variables replaced.

    Raises:
        GraphqlError: a variable is not defined.
    """
    match value:
        case syntax.Variable(name):
            if name not in variables:
                raise GraphqlError(f'Variable "${name}" is not defined.')
            return variables[name]
        case syntax.ListValue(values):
            found = (resolve(member, variables) for member in values)
            return [None if member is ABSENT else member for member in found]
        case syntax.ObjectValue(fields):
            return {name: resolve(member, variables) for name, member in fields}
        case syntax.Enum(name):
            return EnumName(name)
    return value


def _members(
    given: Mapping[str, Any], known: Mapping[str, Argument], what: str, *, json: bool
) -> dict[str, Any]:
    """The members of an object, or the arguments of a field."""
    for name in given:
        if name not in known:
            raise GraphqlError(f"{what} has no {name[:40]!a}.")
    values = dict[str, Any]()
    for name, argument in known.items():
        value = given.get(name, ABSENT)
        if value is ABSENT:
            if argument.type.required:
                raise GraphqlError(f'{what} needs "{name}" of type "{argument.type}".')
            values[name] = argument.default
        else:
            values[name] = _coerce(argument.type, value, f'{what}, "{name}"', json=json)
    return values


def _coerce(type: Type, value: Any, what: str, *, json: bool = False) -> Any:
    """A value converted to a type.

    Args:
        json: it comes from JSON, which has no enums and does not separate ints from floats.
    """
    if value is None or value is ABSENT:
        if type.required:
            raise GraphqlError(f'{what}: expected "{type}", found null.')
        return None
    if type.item is not None:
        members = value if isinstance(value, list) else [value]
        if len(members) > MOST_VALUES:
            raise GraphqlError(f"{what}: a list has more than {MOST_VALUES:,} members.")
        return [_coerce(type.item, member, what, json=json) for member in members]
    if type.name in schema.INPUTS and isinstance(value, dict):
        return _members(value, schema.INPUTS[type.name], what, json=json)
    if type.name in schema.ENUMS and _is_member(type.name, value, json):
        return EnumName(value)
    if type.name in schema.SCALARS and (scalar := _scalar(type.name, value, json)) is not None:
        return scalar
    raise GraphqlError(f'{what}: expected "{type}", found {_shown(value)}.')


def _is_member(name: str, value: Any, json: bool) -> bool:
    named = isinstance(value, str) if json else isinstance(value, EnumName)
    return named and value in schema.ENUMS[name]


def _scalar(name: str, value: Any, json: bool) -> Any:
    """A value converted to a scalar type, None if it does not fit."""
    if isinstance(value, EnumName):
        return None
    if isinstance(value, bool):
        return value if name == "Boolean" else None
    if isinstance(value, str):
        return value if name in ("ID", "String") else None
    if json and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        if name == "ID":
            return str(value)
        whole = -_LARGEST_INT - 1 <= value <= _LARGEST_INT
        return value if name in ("Int", "Float") and whole else None
    return value if name == "Float" and isinstance(value, float) else None


def _is_known(type: Type) -> bool:
    if type.item is not None:
        return _is_known(type.item)
    return type.name in schema.SCALARS or type.name in schema.INPUTS or type.name in schema.ENUMS


def _shown(value: Any) -> str:
    """A value for an error."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = str(value) if isinstance(value, EnumName) else ascii(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
