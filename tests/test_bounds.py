"""No byte from a guest, a peer or a file is read, joined, unpacked or parsed without a bound.

What others wrote is read by `aoshell.bounded`. Elsewhere, whatever could read without a bound is in
the list below, with the bound that holds there and how often it occurs: a new place fails here
until it uses that room, or says why it need not.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "aoshell"

METHODS = {
    "aread": "a whole answer, however long",
    "aiter_bytes": "unpacks without a bound",
    "aiter_lines": "unpacks without a bound",
    "aiter_raw": "has no bound",
    "aiter_text": "unpacks without a bound",
    "communicate": "a whole stream",
    "iter_bytes": "unpacks without a bound",
    "makefile": "reads lines without a bound",
    "read_bytes": "a whole file, or a pipe that never ends",
    "read_text": "a whole file, or a pipe that never ends",
    "readall": "a whole stream",
    "recv": "what a peer sends",
    "recv_into": "what a peer sends",
}
UNSIZED = ("read", "read1", "readline", "readlines")  # without a size they have no bound
MODULES = {
    "bz2": {"decompress", "BZ2Decompressor", "open"},
    "gzip": {"decompress", "open", "GzipFile"},
    "httpx": {"AsyncClient", "Client", "get", "post", "request", "stream"},
    "json": {"load", "loads", "JSONDecoder"},
    "lzma": {"decompress", "LZMADecompressor", "open"},
    "orjson": {"loads"},
    "os": {"read"},
    "pickle": {"load", "loads"},
    "tarfile": {"open"},
    "tomllib": {"load", "loads"},
    "urllib.request": {"urlopen"},
    "zipfile": {"ZipFile"},
    "zlib": {"decompress", "decompressobj"},
}
WRITES = set("wxa")  # modes of files that are not read

_OWN = "a file of aoshell's own, shipped with it"
_MADE = "made here, of what was bounded when it came"
_SYSTEM = "a file of /proc, which the kernel makes"
_DATABASE = "what this node has written into its own database"

# (file, name): how often, and which bound holds there.
ALLOWED: dict[tuple[str, str], tuple[int, str]] = {
    ("attest/x509/algorithms.py", "b''.join"): (1, _MADE),
    ("attest/forms.py", "b''.join"): (2, "LARGEST_TEXT, just above"),
    ("attest/jsonreport.py", "json.loads"): (1, "LARGEST, DEEPEST and the hooks beside it"),
    ("attest/collateral/kds.py", "httpx.AsyncClient"): (1, "bounded.http.guard_client"),
    ("attest/x509/material.py", "b''.join"): (2, "LARGEST of a file, MOST of them"),
    ("attest/launch/pages.py", "b''.join"): (1, _MADE),
    ("attest/policy.py", "tomllib.loads"): (1, "LARGEST, just above"),
    ("backends.py", ".open"): (1, "LocalNode.open, no file"),
    ("cli.py", "open"): (1, "the standard streams"),
    ("cli.py", ".open"): (1, "Serving.open, no file"),
    ("forks/changing.py", ".open"): (1, "LocalNode.open, no file"),
    ("forks/command.py", ".open"): (1, "NodeSource.open, no file"),
    ("forks/making.py", "b''.join"): (1, "LARGEST_LOG of forks/log.py, when it is read"),
    ("fuzz/exporting.py", "b''.join"): (1, "transfer.LARGEST, when it is exported"),
    ("home/configfile.py", "tomllib.loads"): (1, "LARGEST, just above"),
    ("lua/compiled.py", "b''.join"): (1, "parts of what was read, not one beside the other"),
    ("nodes/joined/carrying.py", ".open"): (2, "LocalNode.open and Door.open, no files"),
    ("nodes/joined/frames.py", "b''.join"): (1, "LARGEST, below it"),
    ("nodes/joined/node.py", ".open"): (1, "Reach.open, no file"),
    ("nodes/joined/server.py", "b''.join"): (1, "PART, where it is made"),
    ("nodes/local/processes/cron.py", "json.loads"): (
        1,
        "LONGEST of an imported record, else " + _DATABASE,
    ),
    ("nodes/local/forked/memories.py", "b''.join"): (1, "LARGEST_MEMORY of forks/remote.py"),
    ("nodes/local/delivery/intake.py", "json.loads"): (1, _DATABASE),
    ("nodes/local/delivery/keeping.py", "json.loads"): (1, _DATABASE),
    ("nodes/local/node.py", "b''.join"): (1, "transfer.LARGEST, when it is exported"),
    ("nodes/local/history/dumping.py", "json.loads"): (2, _DATABASE),
    ("nodes/local/history/loading.py", "json.loads"): (1, _DATABASE),
    ("nodes/local/history/transfer.py", "b''.join"): (1, "a log that is in the database"),
    ("nodes/local/log/reading.py", "json.loads"): (1, _DATABASE),
    ("nodes/local/log/totals.py", "json.loads"): (1, _DATABASE),
    ("nodes/local/processes/marks.py", "json.loads"): (1, _DATABASE),
    ("nodes/remote/arweave/transactions.py", "b''.join"): (
        2,
        "LARGEST_CODE, and client.LARGEST for a header",
    ),
    ("nodes/remote/memory.py", "json.loads"): (2, "what was written by `put`"),
    ("nodes/remote/http/broken.py", "b''.join"): (1, "client.LARGEST of the body, and CHUNKS"),
    ("nodes/remote/http/client.py", "httpx.AsyncClient"): (1, "bounded.http.guard_client"),
    ("protocol/ans104.py", "b''.join"): (1, _MADE),
    ("protocol/avro.py", "b''.join"): (1, _MADE),
    ("protocol/bundle.py", "b''.join"): (1, _MADE),
    ("protocol/multipart.py", "b''.join"): (2, _MADE),
    ("serve/asgi/app.py", ".read"): (1, "load.Bounds.body"),
    ("serve/asgi/app.py", "b''.join"): (1, "load.Bounds.body, and LARGEST_BODIES of all"),
    ("serve/command.py", ".open"): (2, "a node, and Serving.open: no files"),
    ("serve/units/cu.py", "b''.join"): (1, "LARGEST_PAGE"),
    ("serve/graphql/index.py", "json.loads"): (2, _DATABASE),
    ("serve/page/files.py", ".read_bytes"): (1, _OWN),
    ("serve/uploads.py", "b''.join"): (1, "LARGEST_DATA"),
    ("serve/serving.py", ".open"): (2, "HttpServer.open, no file"),
    ("serve/units/su.py", "b''.join"): (1, "LARGEST_PAGE"),
    ("shell/lines/tty.py", "os.read"): (2, "BLOCK at a time, batch.LONGEST for a line or chunk"),
    ("shell/lines/tty.py", "b''.join"): (1, "the control keys of a terminal"),
    ("shell/code/bundle.py", "b''.join"): (2, "program.MOST_BYTES"),
    ("shell/code/bundle.py", ".read_bytes"): (1, _OWN),
    ("shell/commands/remote.py", "json.loads"): (1, "written two lines above"),
    ("shell/prompt/programs.py", ".communicate"): (1, "a pager's output, which is not read"),
    ("shell/commands/trees.py", ".read_text"): (1, _OWN),
    ("testing/requests/guest.py", ".read_text"): (1, _OWN),
    ("testing/collecting.py", ".open"): (1, "Runner.open, whose files bundle_file bounds"),
    ("testing/testbed/opening.py", ".open"): (3, "LocalNode.open and HomeNode.open, no files"),
    ("testing/code/values.py", ".read_text"): (1, _OWN),
    ("sandbox/hyperaos/__init__.py", ".read_text"): (1, _OWN),
    ("sandbox/luerl/__init__.py", "b''.join"): (1, "hypernode.LARGEST_ANSWER, when it is read"),
    ("sandbox/worker/confine.py", "b''.join"): (1, _MADE),
    ("sandbox/counting.py", "b''.join"): (2, "LARGEST"),
    ("sandbox/worker/ahead.py", "json.loads"): (1, "a frame of the shell's, ahead.MOST_KEPT"),
    ("sandbox/textfiles.py", "open"): (1, _OWN + "; or " + _SYSTEM),
    ("sandbox/textfiles.py", ".read"): (1, _OWN + "; or " + _SYSTEM),
    ("sandbox/environment.py", "b''.join"): (1, _OWN),
    ("sandbox/frames.py", "json.loads"): (1, "frames: LIMIT and jsontext.check_bounds; the log"),
    ("sandbox/packing.py", "json.loads"): (1, "as in frames.py"),
    ("sandbox/packing.py", "orjson.loads"): (1, "as in frames.py"),
    ("nodes/local/workers/room.py", ".read_text"): (4, _SYSTEM + ", or of /sys"),
    ("sandbox/supervising/stillness.py", ".read_text"): (1, _SYSTEM),
    ("states/working.py", "os.read"): (1, "_PIECE at a time, parts.LARGEST_PART of a dump"),
    ("states/throwaway.py", ".communicate"): (1, "a program whose output goes to nowhere"),
    ("sandbox/supervising/worker_handle.py", ".recv_into"): (
        2,
        "supervisor.BUFFER, frames.LIMIT, IMAGE_LIMIT",
    ),
    ("testing/runs/parallel.py", ".recv"): (
        3,
        "a fork of our own, of what was bounded when it came",
    ),
    ("sandbox/worker/zygote.py", ".recv"): (2, "the base, from the shell that started it"),
    ("testing/runs/running.py", ".open"): (1, "Runner.open, whose files bundle_file bounds"),
    ("testing/runs/rounds.py", ".open"): (1, "Runner.open, whose files bundle_file bounds"),
}
# Run in workers only, whose memory the kernel bounds; tests/sandbox watches what they hold.
WORKERS = (
    "sandbox/wasm/",
    "sandbox/worker/worker.py",
    "sandbox/worker/worker_sockets.py",
    "sandbox/lua.py",
    "sandbox/watch.py",
)


def calls(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of each call in a file that could read without a bound."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                if alias.name in MODULES[node.module]:
                    yield node.lineno, f"{node.module}.{alias.name}"
        if isinstance(node, ast.Call) and (name := _named(node)):
            yield node.lineno, name


def _named(call: ast.Call) -> str:
    """What a call is refused as, "" for a harmless one."""
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" and _reads(call, 1) else ""
    if not isinstance(function, ast.Attribute):
        return ""
    owner, name = ast.unparse(function.value), function.attr
    if name in MODULES.get(owner, ()):
        return f"{owner}.{name}"
    if name == "join" and isinstance(function.value, ast.Constant):
        return "b''.join" if isinstance(function.value.value, bytes) else ""
    if name == "open" and owner != "os" and _reads(call, 0):
        return ".open"
    if name == "fdopen" and _reads(call, 1):
        return "os.fdopen"
    unsized = name in UNSIZED and not call.args and not call.keywords
    return f".{name}" if name in METHODS or unsized else ""


def _reads(call: ast.Call, at: int) -> bool:
    """Whether a call of `open` opens a file to read it; `at` is where its mode stands."""
    given = [word.value for word in call.keywords if word.arg == "mode"] + call.args[at : at + 1]
    if not given:
        return not call.args or at == 1
    mode = given[0]
    return not (isinstance(mode, ast.Constant) and WRITES & set(str(mode.value)))


@functools.cache
def found() -> dict[tuple[str, str], list[int]]:
    """Lines by file and name."""
    places: dict[tuple[str, str], list[int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if not where.startswith(("bounded/", *WORKERS)):
            for line, name in calls(path.read_text(encoding="utf-8")):
                places.setdefault((where, name), []).append(line)
    return places


def test_nothing_is_read_without_a_bound() -> None:
    new = [
        f"aoshell/{where}:{','.join(map(str, lines))} {name}: aoshell.bounded reads what others"
        f" wrote, or tests/test_bounds.py says why this need not"
        for (where, name), lines in found().items()
        if len(lines) > ALLOWED.get((where, name), (0, ""))[0]
    ]
    assert not new, "\n" + "\n".join(new)


def test_every_place_that_is_allowed_is_there() -> None:
    places = {key: len(lines) for key, lines in found().items()}
    gone = [f"{key} {count}" for key, (count, _) in ALLOWED.items() if places.get(key) != count]
    assert not gone, "the list in this file has places that are not there any more: " + str(gone)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("path.read_bytes()", ".read_bytes"),
        ("Path('x').read_text('utf-8')", ".read_text"),
        ("file.read()", ".read"),
        ("file.readline()", ".readline"),
        ("open('x')", "open"),
        ("open(name, 'rb')", "open"),
        ("open(name, mode='r')", "open"),
        ("path.open()", ".open"),
        ("path.open('rb')", ".open"),
        ("os.read(0, 65536)", "os.read"),
        ("json.loads(data)", "json.loads"),
        ("orjson.loads(data)", "orjson.loads"),
        ("from json import loads", "json.loads"),
        ("tomllib.load(file)", "tomllib.load"),
        ("zlib.decompress(data)", "zlib.decompress"),
        ("zlib.decompressobj()", "zlib.decompressobj"),
        ("gzip.open(path)", "gzip.open"),
        ("os.fdopen(number)", "os.fdopen"),
        ("async def f():\n    await reply.aread()", ".aread"),
        ("async def f():\n    async for x in reply.aiter_bytes(): pass", ".aiter_bytes"),
        ("httpx.AsyncClient()", "httpx.AsyncClient"),
        ("sock.recv(100)", ".recv"),
        ("b''.join(parts)", "b''.join"),
        ("file.read(100)", ""),
        ("open(name, 'wb')", ""),
        ("path.open('xb')", ""),
        ("os.fdopen(number, 'wb')", ""),
        ("', '.join(words)", ""),
        ("json.dumps(value)", ""),
        ("files.read(path, LARGEST)", ""),
        ("jsontext.parse(data)", ""),
    ],
)
def test_the_rule_sees_what_breaks_it(source: str, name: str) -> None:
    assert [each for _, each in calls(source)] == ([name] if name else [])
