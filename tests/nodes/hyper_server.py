"""A HyperBEAM node over real HTTP on loopback, with real signatures and faults on switches.

It schedules and "executes" a few lines (sums, `Count`, what a test puts into `evaluations`) and
signs as the generation does whose `profile` it has. One of September 2025 or later gives JSON that
carries its commitments to who accepts JSON. What a recorded node answered is replayed elsewhere;
this one is for what cannot be recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aoshell.protocol import httpsig, signing, wire
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import (
    CURRENT,
    EDGE,
    Commitment,
    Profile,
    write_commitments,
)
from aoshell.protocol.nested import nested_commitments, to_map
from aoshell.protocol.structured import from_tabm, to_tabm
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

HTML = b"<!DOCTYPE html><html><title>Not Found</title></html>"


@dataclass
class Scheduled:
    """A message in a process's log."""

    id: str
    owner: str
    keys: dict[str, Any]
    whole: Tabm | None = None  # with its signatures, where it came as httpsig


@dataclass
class Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


Reply = tuple[int, list[tuple[str, str]], bytes]
Fault = Callable[[Request, Reply], Reply]


@dataclass
class HyperServer:
    """The node. `faults` are tried on each reply, by a pattern of "METHOD path"."""

    wallet: Wallet
    profile: Profile = EDGE
    sign_all: bool = False
    bare: bool = False  # assignments do not hold the message
    signer: Wallet | None = None  # signs answers instead of the node itself, but for its address
    logs: dict[str, list[Scheduled]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    evaluations: dict[str, dict[str, Any]] = field(default_factory=dict)
    drop_after_scheduling: int = 0  # answers lost after the message was scheduled
    stuck_at: int | None = None  # a slot that cannot be computed, so that no later one can be
    refuse_first: int = 0  # answers of 500 before a message is taken
    edges: list[Any] = field(default_factory=list)  # what its GraphQL lists
    tasks: dict[str, str] = field(default_factory=dict)  # of its cron, by id
    november: bool = False  # answers to pushes are those of November 2025
    silent: str = ""  # pattern of paths that are never answered, as by a push that goes in circles
    refused_dialect: int = 0  # messages that real ones refuse, as they are signed for others
    accepted: str = ""  # what the request being answered accepts
    url: str = ""

    # Over HTTP ----------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read(reader)) is not None:
                self.asked.append(f"{request.method} {request.path}")
                if self.silent and re.search(self.silent, request.path):
                    await asyncio.sleep(3600)
                reply = self.answer(request)
                if reply is None:
                    break
                writer.write(_written(*reply))
                await writer.drain()
        writer.close()

    def answer(self, request: Request) -> Reply | None:
        self.accepted = request.header("accept")
        reply = self.route(request)
        for pattern, fault in self.faults.items():
            if reply is not None and re.search(pattern, f"{request.method} {request.path}"):
                reply = fault(request, reply)
        return reply

    def route(self, request: Request) -> Reply | None:
        path = urlsplit(request.path).path
        if path == "/~meta@1.0/info/address":
            return self.address()
        if path == "/graphql":  # it is its own gateway
            return _json({"data": {"transactions": {"edges": self.edges}}})
        if path.startswith("/~cron@1.0/"):
            return self.cron(request, path.removeprefix("/~cron@1.0/"))
        if request.method == "POST" and path in ("/push", "/~scheduler@1.0/schedule"):
            return self.take(request, "")
        found = re.match(r"/([\w-]{43})~process@1\.0/(.*)", path)
        if not found or found[1] not in self.logs:
            return 404, [("content-type", "text/html")], HTML
        return self.of_process(request, *found.groups())

    def of_process(self, request: Request, process: str, rest: str) -> Reply | None:
        log = self.logs[process]
        if rest == "slot/current":
            return self.plain(len(log) - 1)
        if request.method == "POST" and rest in ("push", "schedule"):
            return self.take(request, process)
        if pushed := re.match(r"push&slot=(\d+)(&result-depth\+integer=\d+)?\Z", rest):
            return self.pushed(process, int(pushed[1]), whole=bool(pushed[2]))
        if rest == "schedule":
            query = parse_qs(urlsplit(request.path).query)
            return self.listing(process, int(query["from"][0]), int(query["to"][0]))
        if placed := re.match(r"schedule/assignments/(\d+)\Z", rest):
            return self.placed(process, int(placed[1]))
        if rest.startswith("as=execution/compute"):
            return self.dryrun(request)
        if rest.startswith("now/") and self.stuck_at is not None:
            return self.failed(500, {"attempted-slot": self.stuck_at, "phase": "compute"})
        if rest.startswith("now/"):
            return self.plain(rest.removeprefix("now/"))
        return self.result(process, rest)

    def cron(self, request: Request, verb: str) -> Reply:
        asked = parse_qs(urlsplit(request.path).query)
        if verb == "every":
            task = f"task-{len(self.tasks)}".ljust(43, "x")
            self.tasks[task] = f"{asked['interval'][0]} {asked['cron-path'][0]}"
            return self.plain(task)
        if self.tasks.pop(asked["task"][0], None) is None:
            return self.failed(400, {"body": "Task not found."})
        return self.signed_or_not({"status": 200, "body": {"message": "Task stopped"}})

    # Scheduling ---------------------------------------------------------------------------------

    def take(self, request: Request, process: str) -> Reply | None:
        if self.refuse_first and process:
            self.refuse_first -= 1
            return 500, [("content-type", "text/plain")], b"necessary_message_not_found"
        message = self.message_of(request)
        process = process or message.id
        log = self.logs.setdefault(process, [])
        log.append(message)
        if self.drop_after_scheduling:
            self.drop_after_scheduling -= 1
            return None
        slot = len(log) - 1
        if "application/json" in str(message.keys.get("require-codec", "")):
            return self.json({"slot": slot, "process": process})
        return self.placed(process, slot)

    def placed(self, process: str, slot: int) -> Reply:
        assignment = {
            "process": process,
            "slot": slot,
            "epoch": 0,
            "timestamp": 1_700_000_000_000 + slot,
            "variant": "ao.N.1",
            "path": "compute",
        }
        message = self.logs[process][slot]
        return self.assigned(assignment, None if self.bare else message.whole)

    def message_of(self, request: Request) -> Scheduled:
        if request.header("content-type") == "application/ans104":
            item = DataItem.parse(request.body)
            assert item.verify()
            keys = {tag.name.lower(): tag.value for tag in item.tags}
            keys |= {"target": item.target, "data": item.data.decode("utf-8", "surrogateescape")}
            return Scheduled(item.id, item.owner_address, keys)
        checked = httpsig.check(request.headers, request.body)
        assert checked.outcome is httpsig.SignatureStatus.VERIFIED, checked.failure
        self.refused_dialect += checked.commitments[0].profile is not self.profile
        # The signatures inside are no part of what the message says.
        inner = wire.decode(wire.join(request.headers), request.body)[0]["body"]
        assert isinstance(inner, dict)
        commitments = inner["commitments"]
        assert isinstance(commitments, dict)
        ((id_, committer),) = [
            (key, one["committer"])
            for key, one in commitments.items()
            if isinstance(one, dict) and one.get("committer")
        ]
        keys: Any = checked.message["body"]
        return Scheduled(id_, str(committer), dict(keys), inner)

    def listing(self, process: str, first: int, last: int) -> Reply:
        edges = [
            {"cursor": slot, "node": _node(self, process, slot)}
            for slot in range(first, min(last, len(self.logs[process]) - 1) + 1)
        ]
        if self.profile is CURRENT and "\\udc" in json.dumps(edges):  # bytes that are no UTF-8
            return 500, [("details", "{invalid_byte,255}")], b""
        return self.json({"edges": edges, "page_info": {"has_next_page": False}})

    # Delivering ---------------------------------------------------------------------------------

    def pushed(self, process: str, slot: int, *, whole: bool) -> Reply:
        """The answer to a push, as `dev_push:do_push` of 2026 gives it."""
        said = {"status": 200, **self.push(process, slot)}
        if self.november and not whole and _deeper(said):
            return 500, [("details", "{badmatch,{error,{could_not_normalize}}}")], b""
        if not self.november:
            return self.signed_or_not(said)
        # It signs the result alone, and of what messages resulted in it keeps that alone.
        result = {key: said[key] for key in ("outbox", "output") if key in said}
        status, headers, body = self.signed_or_not(result)
        kept = {key: _kept(value) for key, value in said.items()}
        return status, headers, json.dumps(json.loads(body) | kept).encode()

    def push(self, process: str, slot: int) -> dict[str, Any]:
        said: dict[str, Any] = dict(self.computed(process, slot))
        for key, message in (said.get("outbox") or {}).items():
            said[key] = self.deliver(process, key, message)
        return said | {"process": process, "slot": slot}

    def deliver(self, process: str, key: str, message: dict[str, Any]) -> dict[str, Any]:
        target = message.get("target", "")
        if not target:
            why = "Target process not available."
            said = {"outbox-index": key, "reason": why, "message": message}
            return {"response": "error", "status": 404} | said
        if target not in self.logs:
            why = "Could not access target process!"
            return {"response": "error", "status": 404, "target": target, "reason": why}
        log = self.logs[target]
        id_ = f"pushed-{len(log)}".ljust(43, "x")
        log.append(Scheduled(id_, self.wallet.address, message | {"from-process": process}))
        slot = len(log) - 1
        return {"id": id_, "target": target, "slot": slot, "resulted-in": self.push(target, slot)}

    # Results ------------------------------------------------------------------------------------

    def result(self, process: str, rest: str) -> Reply:
        asked = re.match(r"compute&slot=(\d+)/results\Z", rest)
        if asked is None:
            # As real ones do: the newest state, whatever slot is named there.
            if self.profile is CURRENT and re.match(r"compute/results=\d+", rest):
                return self.signed_or_not({"status": 200, **self.computed(process, -1)})
            return 404, [("content-type", "text/html")], HTML
        slot, there = int(asked[1]), len(self.logs[process])
        if slot >= there:
            early = {
                "attempted-slot": there,
                "phase": "get-schedule",
                "reason": "Requested slot not yet available in schedule.",
            }
            return self.failed(404, early)
        if self.stuck_at is not None and slot >= self.stuck_at:
            return self.failed(500, {"attempted-slot": self.stuck_at, "phase": "compute"})
        return self.signed_or_not({"status": 200, **self.computed(process, slot)})

    def computed(self, process: str, slot: int) -> dict[str, Any]:
        log = self.logs[process]
        slot %= len(log)
        return self.evaluate(str(log[slot].keys.get("data", "")), process, slot)

    def dryrun(self, request: Request) -> Reply:
        if request.header("content-type") == "application/ans104":
            item = DataItem.parse(request.body)
            assert item.verify()
            return self.json({"raw": _raw(self.evaluate(item.data.decode()))})
        code = str(self.message_of(request).keys.get("data", ""))
        return self.signed_or_not({"status": 200, **self.evaluate(code)})

    def evaluate(self, code: str, process: str = "", slot: int = 0) -> dict[str, Any]:
        if code in self.evaluations:
            return self.evaluations[code]
        if code == "Count":
            counted = [
                one for one in self.logs[process][: slot + 1] if one.keys.get("data") == code
            ]
            code = str(len(counted))
        elif re.fullmatch(r"[\d+* ]+", code):
            code = str(eval(code))
        else:
            code = ""
        return {"outbox": {}, "output": {"data": code, "prompt": "sim> "}}

    # Answers ------------------------------------------------------------------------------------

    def signed_or_not(self, message: dict[str, Any]) -> Reply:
        return self.signed(message) if self.sign_all else self.unsigned(message)

    def signed(self, message: dict[str, Any]) -> Reply:
        if self.gives_json:
            return self.in_json(message)
        signer = self.signer or self.wallet
        headers, body = signing.sign(signer, message, profile=self.profile)
        return 200, headers, body

    def unsigned(self, message: dict[str, Any]) -> Reply:
        if self.gives_json:
            return self.in_json(message, signed=False)
        _, headers, body = self.signed(message)
        return 200, [pair for pair in headers if not pair[0].startswith("signature")], body

    @property
    def gives_json(self) -> bool:
        return self.profile is CURRENT and self.accepted == "application/json"

    def in_json(
        self, message: dict[str, Any], tabm: Tabm | None = None, *, signed: bool = True
    ) -> Reply:
        """A message as JSON with its commitments.

        Args:
            tabm: what is signed, where that has commitments in it.
        """
        tabm = tabm or to_tabm(message)
        made = signing.commit(self.signer or self.wallet, tabm, profile=self.profile)
        kept = {one.id: in_json(one) for one in made}
        body = json.dumps(message | ({"commitments": kept} if signed else {})).encode()
        return 200, [("codec-device", "json@1.0"), ("content-type", "application/json")], body

    def failed(self, status: int, fields: dict[str, Any]) -> Reply:
        _, headers, body = self.signed_or_not({"status": status, **fields})
        return status, headers, body

    def json(self, value: Any) -> Reply:
        body = json.dumps(value)
        if not self.sign_all:
            return _json(value)
        message = {"body": body, "content-type": "application/json", "status": 200}
        headers, content = signing.sign(self.signer or self.wallet, message, profile=self.profile)
        return 200, headers, content

    def assigned(self, assignment: dict[str, Any], message: Tabm | None) -> Reply:
        """An assignment, which holds the message with its signatures as real ones do."""
        if message is None:
            return self.signed(assignment)
        tabm = to_tabm(assignment) | {"body": message}
        signer = self.signer or self.wallet
        if self.gives_json:
            kept = {one.id: in_json(one) for one, _ in nested_commitments(message)}
            whole = from_tabm(message) | {"commitments": kept}
            return self.in_json(assignment | {"body": whole}, tabm)
        fields, body = wire.encode(tabm, self.profile)
        signatures = write_commitments(signing.commit(signer, tabm, profile=self.profile))
        return 200, [*fields.items(), *signatures.items()], body or b""

    def address(self) -> Reply:
        signer, self.signer = self.signer, None
        try:
            return self.plain(self.wallet.address)
        finally:
            self.signer = signer

    def plain(self, value: str | int) -> Reply:
        return self.signed_or_not({"body": value})


def in_json(one: Commitment) -> dict[str, Any]:
    kept: dict[str, Any] = dict(to_map(one))
    return kept | {"committed": list(one.committed)}


def _deeper(said: dict[str, Any]) -> bool:
    """Whether a delivered message has caused further messages."""
    entries = [one for one in said.values() if isinstance(one, dict)]
    then = [one["resulted-in"] for one in entries if "resulted-in" in one]
    return any(one["outbox"] for one in then)


def _kept(entry: Any) -> Any:
    if not isinstance(entry, dict) or "resulted-in" not in entry:
        return entry
    then = entry["resulted-in"]
    return entry | {"resulted-in": {key: then[key] for key in ("outbox", "output")}}


def _raw(said: dict[str, Any]) -> dict[str, Any]:
    if "error" in said:
        return {"Error": said["error"]}
    return {"Output": said["output"], "Messages": [], "Spawns": [], "Assignments": []}


def _node(server: HyperServer, process: str, slot: int) -> dict[str, Any]:
    message = server.logs[process][slot]
    own = ("data", "target", "anchor")
    tags = [
        {"name": key.title(), "value": str(value)}
        for key, value in message.keys.items()
        if key not in own
    ]
    placed = {"Process": process, "Slot": slot, "Timestamp": 1_700_000_000_000 + slot}
    return {
        "message": {
            "Id": message.id,
            "Owner": message.owner,
            "Target": message.keys.get("target", ""),
            "Data": message.keys.get("data", ""),
            "Anchor": message.keys.get("anchor", ""),
            "Tags": tags,
        },
        "assignment": {
            "Tags": [{"name": name, "value": str(value)} for name, value in placed.items()]
        },
    }


def _json(value: Any) -> Reply:
    return 200, [("content-type", "application/json")], json.dumps(value).encode()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    pairs = [line.partition(":") for line in lines]
    headers = [(name.lower(), value.strip(" ")) for name, _, value in pairs]
    length = int(next((value for name, value in headers if name == "content-length"), "0"))
    return Request(method, path, headers, await reader.readexactly(length))


def _written(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers)]
    if not any(name == "content-length" for name, _ in headers):
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    return head + body


@contextlib.asynccontextmanager
async def serving(server: HyperServer) -> AsyncIterator[HyperServer]:
    """The node up on a port of its own."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=1 << 22)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listening.close()
