"""The aos-compatible environment as a module: its sources, and the id made from them."""

from __future__ import annotations

import hashlib
import json
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache

from aoshell.bounded import jsontext
from aoshell.sandbox.textfiles import path_of, read_text

FOLDER = path_of("aos")


VERSION = ".environment"  # the module whose value is the environment's id
# Modules that an update leaves alone: scripts hold values of their types (`.bint`, `.crypto`), or
# the process has no handlers to update (`.hyper`).
_FIXED = (".bint", ".crypto", ".hyper")
HOST_VERSION = ".host-version"  # the module whose value is the version of the host to run on


def read_sources() -> dict[str, str]:
    """Module name → Lua source (latin-1 text).

    `aos/handlers.lua` is the module `.handlers`, `aos/crypto/util/hex.lua` is `.crypto.util.hex`;
    `.environment` is made here.
    """
    return with_version(dict(read_folder(FOLDER)))


def read_folder(folder: str, name: str = "") -> Iterator[tuple[str, str]]:
    """The modules of a folder, in the order of their paths, on which the environment's id depends.

    Path.rglob() would take four times as long, at each start of a shell and of a zygote.
    """
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from read_folder(entry.path, f"{name}.{entry.name}")
        elif entry.name.endswith(".lua"):
            yield f"{name}.{entry.name.removesuffix('.lua')}", read_text(entry.path)


def built_in() -> tuple[str, bytes]:
    """Id and code of the environment that comes with this aoshell, as a module."""
    return _packed(read_sources)


@cache  # the files of a running program do not change, and each test opens a node
def _packed(read: Callable[[], dict[str, str]]) -> tuple[str, bytes]:
    data = pack(read())
    return module_id(data), data


def with_version(modules: dict[str, str]) -> dict[str, str]:
    """Sources with `.environment` added, whose value is their `version`."""
    others = {name: source for name, source in modules.items() if name != VERSION}
    named = "\0".join(f"{name}\0{source}" for name, source in others.items())
    return others | {VERSION: f'return "{module_id(named.encode("latin-1"))}"\n'}


def version(modules: dict[str, str]) -> str:
    """The id of sources: base64url SHA-256 of them, 43 characters."""
    return modules[VERSION].split('"')[1]


def host_version(modules: Mapping[str, str]) -> int:
    """The version in `lua.VERSIONS` that an environment was made for; 1 where it names none."""
    found = re.search(r"^return (\d{1,4})$", modules.get(HOST_VERSION, ""), re.MULTILINE)
    return int(found[1]) if found else 1


def update_code(modules: dict[str, str]) -> bytes:
    """Lua code that moves a process to these sources when its owner evaluates it there.

    See `aos/update.lua`. The process keeps its modules of `_FIXED` and its version of the host.
    """
    parts = [b"local sources = {}\n"]
    for name, source in modules.items():
        if not name.startswith(_FIXED) and name != HOST_VERSION:
            parts.append(b'sources["%s"] = %s\n' % (name.encode(), _quoted(source)))
    parts.append(b'return load(sources[".update"], "@.update", "t", _G)()(sources)\n')
    return b"".join(parts)


def _quoted(source: str) -> bytes:
    """A Lua long string. It starts with a newline because Lua drops one there (manual, 3.1)."""
    level = ""
    while f"]{level}]" in f"{source}]{level}":
        level += "="
    return f"[{level}[\n{source}]{level}]".encode("latin-1")


def pack(modules: dict[str, str]) -> bytes:
    """Sources as the bytes of a module. Equal sources give equal bytes."""
    return json.dumps(modules, sort_keys=True, separators=(",", ":")).encode("ascii")


def unpack(data: bytes) -> dict[str, str]:
    """The inverse of `pack`."""
    modules: dict[str, str] = jsontext.parse(data)
    return modules


def module_id(data: bytes) -> str:
    """Id of a module on the local node: base64url SHA-256 of its bytes, 43 characters."""
    return urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
