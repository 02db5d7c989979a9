"""Files from strangers that are loaded, imported, or read as a script."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path

from aoshell.nodes.local.history import parts
from aoshell.nodes.local.history.transfer import MAGIC
from aoshell.sandbox import environment
from attacks.attack import Attack, Bound
from attacks.peers import MB, blocks
from attacks.place import Place, Ran

ZLIB_HEAD = b"\x78\x9c"
LITTLE = ("--timeout", "2", "--memory", "128")


def _command(verb: str, make: Callable[[Path], object], place: Place) -> Ran:
    path = place.file("made")
    make(path)
    return place.shell([f"{verb} {path}"])


def _link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _packed(unit: bytes, times: int, begins: bytes = b"") -> Callable[[Path], object]:
    """A function that writes an exported process which unpacks to many copies of a unit."""
    return lambda path: path.write_bytes(MAGIC + ZLIB_HEAD + blocks(begins + unit, times))


def _chain(path: Path) -> None:
    for number in range(1_100):
        link = path.with_name(f"link{number}.lua")
        link.write_text(f"require('link{number + 1}')", encoding="ascii")
    path.symlink_to(path.with_name("link0.lua"))


def _endless_line(place: Place) -> Ran:
    path = place.file("line")
    with path.open("wb") as file:
        file.write(b"x = '")
        file.truncate(300 * MB)
    with path.open("rb") as stdin:
        return place.shell([], stdin=stdin)


def _environment(bad: str, place: Place) -> Ran:
    """Imports a process with an environment that does harm when it is loaded."""
    path = place.file("process")
    seed = place.shell(["x = 1", f".export {path}"], name="seed")
    if not path.exists():
        seed.problems.append("no process was exported to begin with")
        return seed
    records = [
        json.loads(line)
        for line in zlib.decompress(path.read_bytes()[len(MAGIC) :]).split(b"\n")
        if line
    ]
    row = records[0]["process"]
    for record in records[1:]:
        module = record.get("module")
        if module and module[1] == "environment":
            sources = environment.unpack(b64decode(module[2]))
            data = environment.pack({name: f"{bad}\n{text}" for name, text in sources.items()})
            row["environment"] = module[0] = environment.module_id(data)
            module[2] = b64encode(data).decode()
    row["id"], row["name"] = (
        row["id"][:-4] + f"{os.getpid() % 1000:03d}A",
        f"bad{place.file('').name}",
    )
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    path.write_bytes(MAGIC + zlib.compress(lines))
    return place.shell([f".import {path}", f".send {row['id']} Action=Hi", ".ps"], *LITTLE)


def _measured(make: Callable[[Path], object], place: Place) -> Ran:
    """Measures a file as a firmware image."""
    path = place.file("made")
    make(path)
    flags = ("--vcpu-type", "EPYC", "--firmware", str(path))
    return place.shell([], "measure", *flags, name="attest")


def _loaded(make: Callable[[Path], object], place: Place) -> Ran:
    """Loads a file as the dump of a node."""
    path = place.file("made")
    make(path)
    return place.shell([], str(path), name="load")


def _dump_of_zeros(path: Path) -> None:
    """A dump of one part, whose hash is right, and which unpacks to 190 MB."""
    data = zlib.compress(bytes(190 * MB))
    digest = hashlib.sha256(bytes(8) + parts.PACKED + data).digest()
    head = parts.PACKED + len(data).to_bytes(4, "big") + digest
    path.write_bytes(parts.MAGIC % parts.VERSION + head + data)


def _on(name: str, run: Callable[[Place], Ran], says: str, **bound: float) -> Attack:
    return Attack(f"file: {name}", Bound(says=says, **bound), run)  # type: ignore[arg-type]


ATTACKS = [
    _on(
        "import: 3 GB of zeros",
        partial(_command, ".import", _packed(bytes(16 * MB), 190)),
        "its bytes have a line of more than|its bytes unpack to more than",
    ),
    _on(
        "import: 3 GB of empty lines",
        partial(_command, ".import", _packed(b"\n" * 16 * MB, 190)),
        "is damaged",
    ),
    _on(
        "import: [],[],… in a record",
        partial(_command, ".import", _packed(b"[]," * 5 * MB, 8, b"")),
        "is damaged",
        megabytes=800,
    ),
    _on("import: a pipe", partial(_command, ".import", os.mkfifo), "no regular file"),
    _on("load: a pipe", partial(_command, ".load", os.mkfifo), "no regular file"),
    _on("load: /dev/zero", partial(_command, ".load", _link("/dev/zero")), "no regular file"),
    _on("load: a terabyte", partial(_command, ".load", _sparse), "is larger than 64 MB"),
    _on("publish: a terabyte", partial(_command, ".publish", _sparse), "is larger than 64 MB"),
    Attack(
        "file: measure: a terabyte",
        Bound(says="is larger than 16 MB", answers=False),
        partial(_measured, _sparse),
    ),
    Attack(
        "file: dump: a terabyte",
        Bound(says="is larger than 262144 MB", answers=False),
        partial(_loaded, _sparse),
    ),
    Attack(
        "file: dump: 190 MB of zeros",
        Bound(says="it unpacks to more than a file of its size may", answers=False),
        partial(_loaded, _dump_of_zeros),
    ),
    _on(
        "load: 1,100 files that require one another",
        partial(_command, ".load", _chain),
        "the program has more than 1,000 files",
    ),
    Attack(
        "file: a line of 300 MB on standard input",
        Bound(says="a line, or an open block, of more than 64 MB", answers=False),
        _endless_line,
    ),
    _on("import: an environment that loops", partial(_environment, "while true do end"), ""),
    _on(
        "import: an environment that eats memory",
        partial(_environment, "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end"),
        "",
        megabytes=450,
    ),
    _on(
        "import: an environment that answers what it likes",
        partial(
            _environment,
            "if true then return setmetatable({}, {__index = function() return function()"
            " return ('x'):rep(1e6), {}, 7 end end}) end",
        ),
        "",
    ),
]
