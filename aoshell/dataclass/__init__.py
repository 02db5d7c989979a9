"""`dataclass` for classes with slots, whose methods are made when they are first called.

The standard library takes most of a millisecond to generate a class, and a start imports dozens of
which it uses few. To users of the classes nothing differs: `fields`, `replace`, `asdict`, `match`,
signatures, equality and immutability are those of the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(plain=None, /, *, slots=False, **options):
        """Decorate a class; see `dataclasses.dataclass`.

        A class without slots, or one that inherits fields, is made by the standard library at once.
        """
        if plain is not None:
            return _make_now(plain, slots=slots, **options)
        return lambda plain: (_make_later if slots else _make_now)(plain, slots=slots, **options)


def _make_now(plain: type, **options: bool) -> type:
    from dataclasses import dataclass

    return dataclass(**options)(plain)


def _make_later(
    plain: type,
    *,
    slots: bool,
    frozen: bool = False,
    eq: bool = True,
    repr: bool = True,
    kw_only: bool = False,
) -> type:
    if any("__dataclass_fields__" in vars(base) for base in plain.__mro__):
        return _make_now(plain, slots=slots, frozen=frozen, eq=eq, repr=repr, kw_only=kw_only)
    made = ["__init__", "__match_args__"]
    made += ["__repr__"] if repr else []
    made += ["__eq__"] if eq else []
    made += ["__hash__"] if eq and frozen else []
    made += ["__setattr__", "__delattr__", "__getstate__", "__setstate__"] if frozen else []
    given = dict(vars(plain))
    names = tuple(given.get("__annotations__", ()))
    for name in (*names, "__dict__", "__weakref__"):
        given.pop(name, None)
    flags = {"init": True, "repr": repr, "eq": eq, "frozen": frozen}
    later: dict[str, _Later] = {name: _Later() for name in made}
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        later[name] = _Described(plain, flags, kw_only)
    content = {**later, **given, "__slots__": names, "__qualname__": plain.__qualname__}
    return type(plain)(plain.__name__, plain.__bases__, content)


class _Later:
    """An attribute of a class that is made when it is first asked for."""

    def __set_name__(self, cls: type, name: str) -> None:
        self._cls, self._name = cls, name

    def __get__(self, instance: object, owner: type) -> Any:
        self._make(self._cls, self._name)
        made = vars(self._cls)[self._name]
        return made.__get__(instance, owner) if callable(made) else made

    def _make(self, cls: type, name: str) -> None:
        from aoshell.dataclass.methods import MAKERS

        setattr(cls, name, MAKERS[name](cls))


class _Described(_Later):
    """What the standard library says of the fields of a class, as it was written."""

    def __init__(self, plain: type, flags: dict[str, bool], kw_only: bool) -> None:
        self.written = plain, kw_only
        self._flags = flags

    def _make(self, cls: Any, name: str) -> None:
        del name  # both are made together, as the class as it was written is changed by that
        from aoshell.dataclass.methods import describe

        described = describe(*self.written)
        for flag, value in self._flags.items():
            setattr(described.__dataclass_params__, flag, value)
        cls.__dataclass_params__ = described.__dataclass_params__
        cls.__dataclass_fields__ = described.__dataclass_fields__
