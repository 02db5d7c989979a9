"""Schedules that hold too much, to a shell that forks the process (`.fork URL PROCESS as NAME`)."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attacks.attack import Attack, Bound
from attacks.place import Place, Ran

CODE = b'function compute(base) base.results = { output = "ok" } return base end'
PROCESS, OWNER, SCHEDULER = "P" * 43, "O" * 43, "S" * 43
MANY = 10_000  # most tags of one message that are read
MESSAGES = 12  # with so many each

Tags = list[dict[str, str]]
Edges = list[dict[str, Any]]


def _id(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def _tags(named: Mapping[str, str]) -> Tags:
    return [{"name": name, "value": value} for name, value in named.items()]


def _edges(tags: Tags, messages: int) -> Edges:
    """A definition, and messages with these tags. Nobody has signed them."""
    definition = _tags(
        {"Type": "Process", "Module": _id(CODE), "Execution-Device": "lua@5.3a", "Name": "large"}
    )
    found = []
    for slot in range(messages + 1):
        identity = PROCESS if slot == 0 else _id(b"%d" % slot)
        assignment = _tags(
            {
                "Process": PROCESS,
                "Nonce": str(slot),
                "Message": identity,
                "Timestamp": str(1_790_000_000_000 + slot),
                "Block-Height": "000001000000",
                "Hash-Chain": _id(b"link %d" % slot),
            }
        )
        message = {
            "id": identity,
            "owner": {"address": OWNER, "key": ""},
            "data": "",
            "tags": tags if slot else definition,
            "signature": "",
            "anchor": "",
            "target": PROCESS,
        }
        node = {"message": message, "assignment": {"id": _id(b"a%d" % slot), "tags": assignment}}
        found.append({"node": node, "cursor": str(slot)})
    return found


@contextlib.contextmanager
def _unit(edges: Edges) -> Iterator[str]:
    """Run a scheduler unit that is a gateway, too; gives its URL."""

    class Unit(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == f"/raw/{_id(CODE)}":
                self._answer(CODE)
            elif path.endswith("/latest"):
                self._answer(json.dumps(edges[-1]["node"]).encode())
            elif path == f"/{PROCESS}":
                asked = dict(part.partition("=")[::2] for part in query.split("&"))
                first = int(asked.get("from-nonce", -1)) + 1
                page = edges[first : first + int(asked.get("limit", 100))]
                self._answer(json.dumps({"page_info": {}, "edges": page}).encode())
            else:
                self.send_error(404)

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unit)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _forked(make: Callable[[], Edges], says: str, place: Place) -> Ran:
    """Fork that process in a shell."""
    with _unit(make()) as url:
        ran = place.shell([f".fork {url} {PROCESS} as large", ".ps"])
    if not says and "large" not in ran.out:
        ran.problems.append("did not fork what it can take")
    return ran


def _plain(count: int) -> Tags:
    return [{"name": f"n{at}", "value": "v"} for at in range(count)]


ATTACKS = [
    Attack(
        f"forked log: {name}",
        Bound(seconds, says=says),
        functools.partial(_forked, make, says),
    )
    for name, make, says, seconds in (
        (
            "a message with more tags than are read",
            lambda: _edges(_plain(MANY + 1), 1),
            "10,001 tags, and 10,000 are read at most",
            20,
        ),
        ("as many tags as are read, in each", lambda: _edges(_plain(MANY), MESSAGES), "", 60),
        (
            "one name 400,000 times",
            lambda: _edges([{"name": "n", "value": "v"}] * 400_000, 1),
            "400,000 tags, and 10,000 are read at most",
            30,
        ),
    )
]
