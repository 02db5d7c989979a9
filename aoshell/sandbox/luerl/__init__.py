"""The environment for forks of HyperBEAM's Lua processes: it computes them as their node does.

It is the environment of `lua@5.3a` with some modules replaced: a request is the message exactly as
the node's scheduler gave it, and functions answer as luerl's do. Like each environment, it is kept
with the process, so a log always replays the same.

`pack` turns a message into what `node-request.lua` reads. Unlike JSON, it keeps any bytes in texts,
and the types of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from aoshell.sandbox import environment
from aoshell.sandbox.textfiles import path_of

DEEPEST = 64  # maps in maps of a message


@cache
def module() -> tuple[str, bytes]:
    """Id and code of that environment, as a module."""
    sources = environment.read_sources() | dict(environment.read_folder(path_of("luerl")))
    data = environment.pack(environment.with_version(sources))
    return environment.module_id(data), data


def pack(message: Mapping[str, object]) -> bytes:
    """A message as bytes for a guest. Raises ValueError where a part of it has no such form."""
    return b"".join(_packed(message, DEEPEST))


def _packed(value: object, depth: int) -> Iterator[bytes]:
    if isinstance(value, bool):
        yield b"t" if value else b"f"
    elif isinstance(value, int):
        yield b"i%d;" % value
    elif isinstance(value, float):
        yield b"d" + value.hex().encode() + b";"
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape")
        yield b"s%d:" % len(text)
        yield text
    elif isinstance(value, Mapping | Sequence) and depth:
        entries = value.items() if isinstance(value, Mapping) else enumerate(value, 1)
        yield b"m%d:" % len(value)
        for key, held in entries:
            yield from _packed(key, 0)
            yield from _packed(held, depth - 1)
    else:
        raise ValueError(f"no guest is given a {type(value).__name__}")
