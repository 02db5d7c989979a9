"""Hostile clients of a node that is served: connections, heads, bodies, answers, requests."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ports import connected, free_port, until_open

from attacks.attack import Attack, Bound
from attacks.place import Moment, Place, Ran

HEAD = "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n"
OPENING = 60.0  # seconds until the node must be served
BODY = 16 << 20

Client: TypeAlias = Callable[[int], object]
"""What one client does at a port."""


def _run(lines: Sequence[str], many: int, client: Client, place: Place) -> Ran:
    """Serve the node of a shell, and let many clients at it at once."""
    state = place.folder / "home" / "state"
    shutil.copy(state / "wallet.json", state / "node-key.json")
    port = free_port()

    def attack(_pid: int) -> None:
        until_open(port, OPENING)
        clients = [threading.Thread(target=_quietly, args=(client, port)) for _ in range(many)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        asked = _asked(port, "GET", "/timestamp")
        problems.extend([] if b"block_height" in asked else [f"then it answers {asked[:80]!r}"])

    problems: list[str] = []
    moment: Moment = attack
    ran = place.shell([*lines, f".serve {port}", moment])
    ran.problems += problems
    return ran


def _quietly(client: Client, port: int) -> None:
    with contextlib.suppress(OSError):  # the node closes connections that exceed a bound
        client(port)


def _asked(port: int, method: str, path: str, body: bytes = b"") -> bytes:
    """The whole answer to one request."""
    with contextlib.suppress(OSError), connected(port) as on:
        more = f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        on.sendall(HEAD.format(method=method, path=path, more=more).encode() + body)
        answer = b""
        while part := on.recv(1 << 16):
            answer += part
        return answer
    return b""


# Clients ----------------------------------------------------------------------------------------


def _idle(port: int) -> None:
    """Ten connections that say nothing."""
    on = [connected(port) for _ in range(10)]
    time.sleep(2)
    for one in on:
        one.close()


def _endless_head(port: int) -> None:
    """A head without an end."""
    with connected(port) as on:
        on.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        while True:
            on.sendall(b"x-a: " + b"v" * 4000 + b"\r\n")


def _dripping(port: int) -> None:
    """A head, a byte at a time."""
    with connected(port) as on:
        for byte in HEAD.format(method="GET", path="/" * 200, more="").encode():
            on.sendall(bytes([byte]))
            time.sleep(0.05)


def _large_body(port: int) -> None:
    """A body of the largest size that is no item."""
    _asked(port, "POST", "/", b"\1\0" + b"x" * (BODY - 2))


def _larger_body(port: int) -> None:
    _asked(port, "POST", "/", b"x" * (BODY + 1))


def _chunks(port: int) -> None:
    """A body of many small chunks without an end."""
    with connected(port) as on:
        more = "Transfer-Encoding: chunked\r\n"
        on.sendall(HEAD.format(method="POST", path="/", more=more).encode())
        while True:
            on.sendall(b"1\r\nx\r\n" * 10_000)


def _takes_nothing(port: int) -> None:
    """Ask for the same page many times, and read no answer."""
    with connected(port) as on:
        request = HEAD.format(method="GET", path="/~meta@1.0/info", more="").encode()
        on.settimeout(3)
        while True:
            on.sendall(request * 100)


def _listening(port: int) -> None:
    """Subscribe to events, ten times, and read none."""
    on = [connected(port) for _ in range(10)]
    for one in on:
        one.sendall(HEAD.format(method="GET", path="/~aoshell@1.0/page/events", more="").encode())
    time.sleep(3)
    for one in on:
        one.close()


def _dry_runs(port: int) -> None:
    """Unsigned messages that never end, at a process that is known by its name."""
    processes = b'{"query": "{transactions(tags: [{name: \\"Type\\", values: [\\"Process\\"]}])'
    found = _asked(port, "POST", "/graphql", processes + b'{edges{node{id owner{address}}}}}"}')
    node = json.loads(found.partition(b"\r\n\r\n")[2])["data"]["transactions"]["edges"][0]["node"]
    message = {
        "Owner": node["owner"]["address"],
        "Data": "while true do end",
        "Tags": [{"name": "Action", "value": "Eval"}],
    }
    _asked(port, "POST", f"/dry-run?process-id={node['id']}", json.dumps(message).encode())


def _deep(port: int) -> None:
    """JSON and GraphQL, nested as deep as a body allows."""
    for path in ("/graphql", "/dry-run?process-id=" + "x" * 43):
        _asked(port, "POST", path, b"[" * BODY)
        _asked(port, "POST", path, b'{"query": "' + b"{a" * 400_000 + b'"}')


_QUICK = (".limits seconds 1",)

ATTACKS = [
    Attack(name, bound, functools.partial(_run, lines, many, client))
    for name, bound, lines, many, client in (
        ("client: 1,000 idle connections", Bound(60), (), 100, _idle),
        ("client: 50 heads without an end", Bound(60), (), 50, _endless_head),
        ("client: 100 heads a byte at a time", Bound(90), (), 100, _dripping),
        ("client: 40 bodies of 16 MB", Bound(90, 800), (), 40, _large_body),
        ("client: 40 bodies of 16 MB and a byte", Bound(90, 800), (), 40, _larger_body),
        ("client: 20 bodies of one-byte chunks", Bound(150, 800), (), 20, _chunks),
        ("client: 50 that take no answer", Bound(90), (), 50, _takes_nothing),
        ("client: 500 that listen to events and take none", Bound(60), (), 50, _listening),
        ("client: 20 dry runs that loop", Bound(120), _QUICK, 20, _dry_runs),
        ("client: JSON and GraphQL nested deep", Bound(90, 600), (), 4, _deep),
    )
]
