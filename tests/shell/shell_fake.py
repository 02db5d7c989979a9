"""A node in memory with canned answers, for tests of the shell.

It evaluates a few lines that look like Lua: sums, `print("x")`, `error("x")`, `sleep(0.2)`,
`receive()` (suspends until a message whose data is "wake"), `send(NAME, TEXT)` (NAME prints it),
`Balances` (20,000 entries), `lose()` (cannot be delivered), `slow` (never ends until cancelled),
`held …` (ends when a test opens the gate), `lost_owner` (is put into the Inbox instead). Globals
that commands ask for through JSON are canned too.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from aoshell.attest.evidence import Evidence
from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.values import (
    EndpointFinding,
    Event,
    Limits,
    LogEntry,
    Module,
    NodeInfo,
    ProcessInfo,
    Receipt,
    Undelivered,
    envelope,
)
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Assignment, Message, Outgoing, Result, tags_of, text
from aoshell.shell.start import Key, Start

ADDRESS = "N" * 43


class FakeNode:
    remote = cron = state = stage = None

    @property
    def local(self) -> FakeNode | None:
        return self

    @property
    def workbench(self) -> FakeNode:
        return self

    async def at(self, process: str, slot: int, item: Message) -> Result:
        del slot
        return await self.dryrun(process, item)

    def __init__(self) -> None:
        self.limits = Limits()
        self.infos: dict[str, ProcessInfo] = {}
        self.log: dict[str, list[LogEntry]] = {}
        self.modules = {"aos": Module("A" * 43, "lua", "aos", b"")}
        self.kept: list[Undelivered] = []
        self.suspended: dict[str, list[str]] = {}
        self.codes: list[str] = []
        self.names: dict[str, object] = {"at": {"": {"Handlers": "t", "Balance": "n"}}}
        self.closed = False
        self.gate = asyncio.Event()  # what lines that begin with `held` wait for
        self.newest = 0
        self.birth: dict[str, object] = {}
        self._queues: list[asyncio.Queue[Event | None]] = []
        self._done: dict[tuple[str, int], asyncio.Future[Result]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[str, int] = {}

    # --- the verbs

    def knows(self, wallets: object) -> None: ...

    async def spawn(self, item: DataItem, name: str = "", *, unique: bool = False) -> Receipt:
        del unique
        tags = {tag.name: tag.value for tag in item.tags}
        self.make(item.id, name, item.owner_address, tags["Module"])
        self._schedule(item.id, _message(item, item.id), item.id, **self.birth)
        return Receipt(item.id, item.id, 0)

    async def send(self, process: str, item: DataItem) -> Receipt:
        assert item.verify() and item.target == process
        code = text(item.data)
        self.codes.append(code)
        slot = self._schedule(process, _message(item, process), item.id, code=code)
        return Receipt(item.id, process, slot)

    async def result(self, process: str, place: int | str) -> Result:
        slots = {entry.message.id: slot for slot, entry in enumerate(self.log[process])}
        if place not in slots and (process, place) not in self._done:
            raise AoError(f"no message {place} is in its log", stage="node")
        return await asyncio.shield(self._done[process, slots.get(place, place)])

    async def sign(self, wallet, target, tags, data) -> DataItem:
        own = envelope("Message") if target else envelope("Process")
        if not target:
            own += tags_of((("Scheduler", ADDRESS), ("Authority", ADDRESS)))
        return DataItem.sign(wallet, target, (*own, *tags), data)

    async def watch(self, process: str) -> None:
        del process

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        done = [entry for entry in self.log[process] if entry.result]
        return [entry for entry in done if entry.message.assignment.slot > after][:limit]

    async def dryrun(self, process: str, item: Message) -> Result:
        code = text(item.data)
        if "local from, most" in code:  # completion looks
            return self._result(process, -1, output=json.dumps(self.names))
        self.codes.append(code)
        if "Inbox" in code:
            row = {"n": 1, "id": "i" * 43, "from": "f" * 43, "action": "Hi", "size": 2}
            rows = [row | {"data": "\x1b]0;x\x07é"}]
            return self._result(process, -1, output=json.dumps({"count": 3, "rows": rows}))
        if "waits" in code:
            row = {"id": "7", "action": "Eval", "pattern": "Action = Spawned"}
            rows = [row, row | {"id": 'a"b'}, row | {"id": "abc"}]
            return self._result(process, -1, output=json.dumps(rows))
        return self._result(process, -1, **_evaluate(code))

    async def slots(self, process: str) -> int:
        return len(self.log[process])

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        return [entry.message for entry in self.log[process][first : last + 1]]

    async def upload(self, data: bytes, name: str = "") -> Module:
        kind = "wasm" if data.startswith(b"\0asm") else "lua"
        module = Module(b64url(sha256(data).digest()), kind, name, data)
        self.modules[module.id] = self.modules[name or module.id] = module
        return module

    async def fetch(self, reference: str) -> Module:
        if reference not in self.modules:
            raise AoError(f"there is no module {reference}", stage="module")
        return self.modules[reference]

    async def info(self) -> NodeInfo:
        return NodeInfo("local", ADDRESS, "")

    async def evidence(self, challenge: str, endpoint: str = "") -> Evidence:
        raise NotImplementedError

    async def processes(self) -> Sequence[ProcessInfo]:
        return [replace(info, slots=len(self.log[info.id])) for info in self.infos.values()]

    async def find(self, reference: str) -> ProcessInfo:
        reference.encode()  # the store takes UTF-8 only
        found = [
            info
            for info in await self.processes()
            if info.name == reference or (len(reference) > 5 and info.id.startswith(reference))
        ]
        if len(found) != 1:
            raise AoError(f"{len(found)} processes are called {reference}", stage="find")
        return found[0]

    def subscribe(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._queues.append(queue)

        async def events() -> AsyncIterator[Event]:
            while event := await queue.get():
                yield event

        return events()

    async def settled(self, root: str) -> None:
        while self._pending.get(root):
            await asyncio.sleep(0.005)

    async def cancel(self, process: str, slot: int) -> bool:
        done = self._done[process, slot]
        if done.done():
            return False
        self._finish(process, slot, self._result(process, slot, outcome="time"), "")
        return True

    async def close(self) -> None:
        self.closed = True
        for task in self._tasks:
            task.cancel()

    # --- what only a local node does

    async def set_limits(self, limits: Limits) -> None:
        self.limits = limits

    async def undelivered(self, process: str | None = None) -> Sequence[Undelivered]:
        return [kept for kept in self.kept if process in (None, kept.process)]

    async def examine(self) -> Sequence[EndpointFinding]:
        return [EndpointFinding("home", "/home", True, "yours alone")]

    async def verify_log(self, process: str) -> Sequence[str]:
        return ["slot 1: output differs"] if self.infos[process].name == "bent" else []

    async def export(self, process: str) -> bytes:
        return b"exported " + process.encode()

    async def warnings(self, process: str) -> Sequence[str]:
        del process
        return ()

    async def restore(self, data: bytes, name: str = "", *, unique: bool = False) -> ProcessInfo:
        assert unique
        id = data.removeprefix(b"exported ").decode()
        return self.make(id[:-1] + "Z", name or "again", "O" * 43, "A" * 43)

    async def delete(self, process: str) -> None:
        del self.infos[process], self.log[process]

    # --- for tests

    def make(self, id: str, name: str, owner: str, module: str = "A" * 43) -> ProcessInfo:
        prompt = f"\x1b[32m{name}\x1b[0m@aos-2.0.4[Inbox:1]> "
        info = ProcessInfo(
            id, name, owner, module, 1, 1, True, None, 2048, 1024, 0, prompt, 1_700_000_000_000
        )
        self.infos[id], self.log[id] = info, []
        return info

    def tell(self, event: Event) -> None:
        for queue in self._queues:
            queue.put_nowait(event)

    def arrive(self, process: str, data: str, root: str = "", **result: object) -> None:
        """A message from elsewhere, computed at once. Data "wake" ends what is suspended."""
        number = sum(map(len, self.log.values()))
        message = Message(f"m{number:042}", "X" * 43, "X" * 43, process, (), data.encode())
        woken = tuple(self.suspended.pop(process, ())) if data == "wake" else ()
        output = "woken" if woken else f"New Message: {data}"
        self._schedule(process, message, root, **({"output": output, "resumed": woken} | result))

    def _schedule(
        self, process: str, message: Message, root: str, code: str | None = None, **given: object
    ) -> int:
        slot = len(self.log[process])
        placed = Assignment(process, slot, 0, 1_700_000_000_000 + slot, 1, "")
        self.log[process].append(LogEntry(replace(message, assignment=placed), None))
        self._done[process, slot] = asyncio.get_running_loop().create_future()
        if code is None:
            self._finish(process, slot, self._result(process, slot, **given), root)
        else:
            self._pending[root] = self._pending.get(root, 0) + 1
            task = asyncio.create_task(self._compute(process, slot, message.id, code, root))
            self._tasks.add(task)
        return slot

    async def _compute(self, process: str, slot: int, id: str, code: str, root: str) -> None:
        try:
            if pause := re.search(r"sleep\(([\d.]+)\)", code):
                await asyncio.sleep(float(pause[1]))
            if code.startswith("held "):
                await self.gate.wait()
            if code == "slow":
                await asyncio.sleep(60)
            result = self._result(process, slot, **_evaluate(code))
            if result.suspended:
                self.suspended.setdefault(process, []).append(id)
            self._finish(process, slot, result, root)
            await self._push(process, slot, code, root)
        finally:
            self._pending[root] -= 1

    async def _push(self, process: str, slot: int, code: str, root: str) -> None:
        for name, said in re.findall(r'send\("?(\w+)"?, "([^"]*)"\)', code):
            await asyncio.sleep(0.02)
            target = process if name == "self" else (await self.find(name)).id
            self.arrive(target, said, root)
        if "lose()" in code:
            lost = Message("l" * 43, ADDRESS, process, "W" * 43, tags_of((("Action", "Hi"),)), b"")
            self.kept.append(Undelivered(process, slot, 0, "there is no such process", lost))
            self.tell(Event("undelivered", process, root, detail="not delivered: no process W"))

    def _finish(self, process: str, slot: int, result: Result, root: str) -> None:
        done = self._done[process, slot]
        if done.done():
            return
        entry = LogEntry(self.log[process][slot].message, result)
        self.log[process][slot] = entry
        done.set_result(result)
        self.tell(Event("result", process, root, load=lambda: entry))

    def _result(self, process: str, slot: int, **given: object) -> Result:
        name = self.infos[process].name
        prompt = f"\x1b[32m{name}\x1b[0m@aos-2.0.4[Inbox:{slot + 1}]> "
        defaults: dict[str, object] = {
            "outcome": "ok",
            "output": "",
            "prompt": prompt,
            "error": "",
            "messages": (),
            "assignments": (),
            "suspended": False,
            "resumed": (),
            "milliseconds": 0.5,
            "memory": 1024,
        }
        return Result(process, slot, 0, **(defaults | given))


def _message(item: DataItem, target: str) -> Message:
    owner = item.owner_address
    return Message(item.id, owner, owner, target, item.tags, item.data)


ARRIVED = "\x1b[90mNew Message From \x1b[32mqh2...g_g\x1b[90m: \x1b[90mAction = \x1b[34mEval\x1b[0m"


def _evaluate(code: str) -> dict[str, object]:
    if code == "lost_owner":
        return {"output": ARRIVED}
    if failed := re.search(r'error\("([^"]*)"', code):
        line = code[: failed.start()].count("\n") + 1
        printed = "\n".join(re.findall(r'print\("([^"]*)"\)', code))
        error = f'[string "aos"]:{line}: {failed[1]}'
        return {"outcome": "error", "error": error, "output": printed}
    if "receive()" in code:
        return {"suspended": True, "output": "asking"}
    if said := re.findall(r'print\("([^"]*)"\)', code):
        return {"output": "\n".join(word.replace("\\27", "\x1b") for word in said)}
    if code == "Balances":
        return {"output": "\n".join(f"entry {n}" for n in range(20_000))}
    if re.fullmatch(r"[\d+*()\s]+", code):
        return {"output": str(eval(code))}
    if "send(" in code:
        sent = Outgoing("T" * 43, tags_of((("Action", "Hi"),)), b"\xff")
        return {"output": "sent", "messages": (sent,)}
    if code.startswith("MyModule"):
        return {"output": "loaded"}
    return {}


class FakeBackend:
    """The node in memory behind a whole command line."""

    def __init__(self, node: FakeNode | None = None) -> None:
        self.node = node or FakeNode()

    def warm(self) -> None:
        pass

    def prepared(self, start: Start, settings: Settings) -> Start:
        del settings
        return start

    async def open(
        self, settings: Settings, limits: Limits, key: Key, tell: Callable[[str], None]
    ) -> FakeNode:
        del settings, key, tell
        self.node.limits = limits
        return self.node

    def processes(self, settings: Settings, tell: object) -> Sequence[ProcessInfo]:
        del settings, tell
        return list(self.node.infos.values())

    def last_prompt(self, settings: Settings, name: str) -> str:
        del settings, name
        return ""
