"""The methods of data classes, each made for one class of what its fields are."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from operator import attrgetter
from reprlib import recursive_repr
from typing import Any, NamedTuple


def describe(plain: Any, kw_only: bool) -> Any:
    """The class, with what the standard library says of its fields, and none of its methods."""
    plain.__doc__ = plain.__doc__ or plain.__name__  # or one is made of the signature, slowly
    return dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only)(plain)


class Written(NamedTuple):
    """A field as a class says it; `dataclasses.Field` has the same attributes."""

    name: str
    type: str
    kw_only: bool
    default: Any = MISSING
    default_factory: Any = MISSING
    init: bool = True
    repr: bool = True
    compare: bool = True


def written_fields(plain: type, kw_only: bool) -> list[Written]:
    """The fields of a class that `describe` has not changed yet, in a tenth of its time."""
    found = []
    for name, type_ in plain.__annotations__.items():
        value = vars(plain).get(name, MISSING)
        if isinstance(value, Field):
            options = value.default, value.default_factory, value.init, value.repr, value.compare
            found.append(Written(name, type_, kw_only, *options))
        else:
            found.append(Written(name, type_, kw_only, value))
    return found


def _fields(cls: type) -> Sequence[Any]:
    described = vars(cls)["__dataclass_fields__"]
    if isinstance(described, dict):
        return fields(cls)
    return written_fields(*described.written)


class _Factory:
    """Stands in a signature for a value that a factory makes."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _make_init(cls: type) -> Callable[..., None]:
    taken = [one for one in _fields(cls) if one.init]
    first = [_parameter(one) for one in taken if not one.kw_only]
    last = [_parameter(one) for one in taken if one.kw_only]
    parameters = ", ".join(["self", *first, *(["*", *last] if last else [])])
    values: dict[str, Any] = {"FACTORY": _FACTORY}  # by the names that the code has for them
    body = ["pass"]
    for one in _fields(cls):
        if one.default_factory is not MISSING:
            values[f"make_{one.name}"] = one.default_factory
        elif one.default is not MISSING:
            values[f"default_{one.name}"] = one.default
        values[f"set_{one.name}"] = getattr(cls, one.name).__set__  # of its slot, frozen or not
        if value := _value(one):
            body.append(f"set_{one.name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    source = "\n  ".join([f"def make({', '.join(values)}):\n def __init__({parameters}):", *body])
    scope: dict[str, Any] = {}
    exec(f"{source}\n return __init__", vars(sys.modules[cls.__module__]), scope)
    made: Callable[..., None] = scope["make"](**values)
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {one.name: one.type for one in taken} | {"return": None}
    return made


def _parameter(one: Written) -> str:
    """How `__init__` takes a field."""
    if one.default_factory is not MISSING:
        return f"{one.name}=FACTORY"
    return one.name if one.default is MISSING else f"{one.name}=default_{one.name}"


def _value(one: Written) -> str:
    """What `__init__` makes of a field; "" for nothing."""
    if one.default_factory is not MISSING:
        made = f"make_{one.name}()"
        return f"{made} if {one.name} is FACTORY else {one.name}" if one.init else made
    if one.init:
        return one.name
    return "" if one.default is MISSING else f"default_{one.name}"


def _make_match_args(cls: type) -> tuple[str, ...]:
    return tuple(one.name for one in _fields(cls) if one.init and not one.kw_only)


def _make_repr(cls: type) -> Callable[[object], str]:
    names = [one.name for one in _fields(cls) if one.repr]

    @recursive_repr()
    def __repr__(self: object) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({shown})"

    return __repr__


def _key(cls: type) -> Callable[[object], Any]:
    """What objects of a class are compared by, as a tuple."""
    names = [one.name for one in _fields(cls) if one.compare]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda one: tuple(getattr(one, name) for name in names)


def _make_eq(cls: type) -> Callable[[object, object], Any]:
    key = _key(cls)

    def __eq__(self: object, other: object) -> Any:
        return key(self) == key(other) if type(other) is type(self) else NotImplemented

    return __eq__


def _make_hash(cls: type) -> Callable[[object], int]:
    key = _key(cls)

    def __hash__(self: object) -> int:
        return hash(key(self))

    return __hash__


def _make_setattr(cls: Any) -> Callable[[Any, str, object], None]:
    names = {one.name for one in _fields(cls)}

    def __setattr__(self: Any, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    return __setattr__


def _make_delattr(cls: Any) -> Callable[[Any, str], None]:
    names = {one.name for one in _fields(cls)}

    def __delattr__(self: Any, name: str) -> None:
        if type(self) is cls or name in names:
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return __delattr__


def _make_getstate(cls: type) -> Callable[[object], list[Any]]:
    names = [one.name for one in _fields(cls)]
    return lambda self: [getattr(self, name) for name in names]


def _make_setstate(cls: type) -> Callable[[object, list[Any]], None]:
    setters = [getattr(cls, one.name).__set__ for one in _fields(cls)]

    def __setstate__(self: object, state: list[Any]) -> None:
        for put, value in zip(setters, state, strict=True):
            put(self, value)

    return __setstate__


MAKERS: dict[str, Callable[[Any], Any]] = {
    "__init__": _make_init,
    "__match_args__": _make_match_args,
    "__repr__": _make_repr,
    "__eq__": _make_eq,
    "__hash__": _make_hash,
    "__setattr__": _make_setattr,
    "__delattr__": _make_delattr,
    "__getstate__": _make_getstate,
    "__setstate__": _make_setstate,
}
