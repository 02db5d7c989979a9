"""Classes whose methods are made later are judged by those that the standard library makes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from aoshell.dataclass import dataclass

# Describes every data class of the package by what its users can observe. With "now" as argument,
# the standard library makes all of them.
DESCRIBE = """if 1:
    import copy, dataclasses, importlib, inspect, json, pickle, pkgutil, re, sys
    import aoshell, aoshell.dataclass as ours

    later = set()
    def make(plain, **options):
        made = make_later(plain, **options) if sys.argv[1] == "later" else (
            dataclasses.dataclass(**options)(plain))
        later.add(f"{made.__module__}.{made.__qualname__}")
        return made
    make_later, ours._make_later = ours._make_later, make

    def attempt(what):
        try:
            return repr(what())
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def describe(cls):
        params = inspect.signature(cls).parameters
        given = {name: f"the {name}" for name in params}
        yield str(inspect.signature(cls)), inspect.signature(cls.__init__).return_annotation
        yield cls.__match_args__, cls.__slots__, cls.__hash__ is None, cls.__init__.__qualname__
        yield sorted(name for name in vars(cls) if not name.startswith("__"))
        yield attempt(lambda: cls()), attempt(lambda: cls(**given, more=1))
        one, same = attempt(lambda: cls(**given)), attempt(lambda: cls(*given.values()))
        yield one, same
        if "Error" in one:
            return
        one, same = cls(**given), cls(**given)
        other = cls(**given | dict.fromkeys(list(given)[-1:], "another"))
        yield one == same, one == other, one == 1, one != same
        yield attempt(lambda: hash(one) == hash(same)) if cls.__eq__ is not object.__eq__ else ""
        yield repr(other), attempt(lambda: {other: 1}[same])
        name = next(iter(given))
        yield attempt(lambda: setattr(one, name, 1)), attempt(lambda: delattr(one, name))
        # For a name that is no field, the standard library's own text fails (3.11, with slots).
        yield ["Error" in attempt(lambda: way(one, "unknown", *value))
               for way, value in ((setattr, [1]), (delattr, []))]
        yield attempt(lambda: copy.copy(other)), attempt(lambda: copy.deepcopy(other))
        yield attempt(lambda: pickle.loads(pickle.dumps(other)) == other)
        # Only now what the standard library says of it: until here none of that is needed.
        yield [str(field) for field in dataclasses.fields(cls)], str(cls.__dataclass_params__)
        yield attempt(lambda: dataclasses.asdict(other)), dataclasses.replace(other) == other

    for found in pkgutil.walk_packages(aoshell.__path__, "aoshell."):
        importlib.import_module(found.name)
    found = {}
    for name in later:
        module = max((known for known in sys.modules if name.startswith(f"{known}.")), key=len)
        if "<locals>" not in name:
            value = sys.modules[module]
            for part in name.removeprefix(f"{module}.").split("."):
                value = getattr(value, part)
            found[name] = re.sub("0x[0-9a-f]+", "", repr(list(describe(value))))
    print(json.dumps(found))
"""


@pytest.mark.versions
def test_all_are_as_the_standard_library_makes_them() -> None:
    later, now = (described(how) for how in ("later", "now"))
    assert len(later) > 200
    assert later.keys() == now.keys()
    for name in sorted(now):
        assert later[name] == now[name], name


def described(how: str) -> dict[str, str]:
    command = [sys.executable, "-c", DESCRIBE, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@dataclass(frozen=True, slots=True)
class Known:
    one: Any
    two: int = 2


class Extended(Known):
    """A subclass with a way of its own to begin, which is called before that of `Known`."""

    def __init__(self, one: object) -> None:
        super().__init__(one, 3)
        self.more = one


def test_what_a_subclass_replaces_is_not_made_in_its_place() -> None:
    first = Extended(1)
    assert (first.one, first.two, first.more) == (1, 3, 1)
    assert repr(first) == "Extended(one=1, two=3)"
    assert first != Known(1, 3)


def test_a_value_that_holds_itself_can_be_shown() -> None:
    held: list[object] = []
    held.append(Known(held))
    assert repr(held[0]) == "Known(one=[...], two=2)"
