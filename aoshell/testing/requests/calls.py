"""Carries out the requests of a Lua test on its node.

The code of a test is not trusted: each request is checked here, and only files in its author's
folders are read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aoshell.bounded.files import is_file, real
from aoshell.errors import AoError, UsageError
from aoshell.testing.code.references import with_ids
from aoshell.testing.code.sources import Source, note_parts, refuse_outside
from aoshell.testing.code.stamps import FilesRead
from aoshell.testing.requests import budgets
from aoshell.testing.requests.explaining import explain, find_troubles, where_it_computes
from aoshell.testing.requests.snapshots import TakenSnapshots
from aoshell.testing.testbed.answers import Answer, Mail
from aoshell.testing.testbed.identity import Identity
from aoshell.testing.testbed.node import AsyncNode, AsyncProcess

Request = Mapping[str, Any]

# Why a message failed, by its outcome, if its error does not say so.
_STOPPED = {
    "time": "out of time: it computed for longer than a message may (--timeout gives more)",
    "memory": "out of memory: its process needs more than it may have",
    "gas": "out of gas: it computed for longer than a message may",
}
_CODE = (".lua", ".wasm")


class Calls:
    """The requests of one test.

    Args:
        file: the test's own; relative file names start from its folder.
        roots: folders that files may be read from.
        reads: records the files that are read.
        taken: the test's snapshots.

    Attributes:
        warnings: notes for the test's author that do not fail the test.
    """

    def __init__(
        self,
        node: AsyncNode,
        file: Path,
        roots: tuple[Path, ...],
        reads: FilesRead,
        taken: TakenSnapshots,
    ) -> None:
        self._node = node
        self._taken = taken
        self._reads = reads
        self._folder = real(file).parent
        self._roots = tuple(real(root) for root in (self._folder, *roots))
        self._owners: dict[str, Identity] = {}
        self._budgets: list[budgets.Mark] = []
        self.warnings: list[str] = []
        self._verbs: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "identity": self._identity,
            "spawn": self._spawn,
            "mock": self._mock,
            "publish": self._publish,
            "import": self._import,
            "fork": self._fork,
            "spawned": self._spawned,
            "load": self._load,
            "blueprint": self._blueprint,
            "invariants": self._invariants,
            "send": self._send,
            "dryrun": self._dryrun,
            "get": self._get,
            "inbox": self._inbox,
            "outbox": self._outbox,
            "prints": lambda request: self._process(request).prints(),
            "errors": lambda request: self._process(request).errors(),
            "letters": self._letters,
            "lost": self._lost,
            "sent": self._sent,
            "snapshot": self._snapshot,
            "pause": lambda request: self._process(request).pause(),
            "resume": lambda request: self._process(request).resume(),
            "queued": self._queued,
            "step": self._step,
            "replay": self._replay,
            "tick": lambda request: self._process(request).tick(),
            "advance": self._advance,
            "with_ids": self._with_ids,
            "why": self._why,
            "troubles": lambda _request: find_troubles(self._node),
            "begin_budget": self._begin_budget,
            "end_budget": self._end_budget,
            "now": lambda _request: self._node.clock.now(),
        }

    async def carry_out(self, what: object, request: object) -> Any:
        """The answer to a request, a value for JSON.

        Raises:
            AoError: the request failed; the text is for the test's author.
        """
        verb = self._verbs.get(what) if isinstance(what, str) else None
        if verb is None:
            raise UsageError(f"a test cannot ask for {what!r}")
        return await verb(request if isinstance(request, dict) else {})

    # ------------------------------------------------------------------------------------------

    async def _identity(self, request: Request) -> str:
        identity = self._by(request)
        self._node.knows(identity)
        return identity.address

    async def _spawn(self, request: Request) -> dict[str, str]:
        owner = self._by(request)
        process = await self._node.spawn(
            self._source(request),
            name=_text(request, "name"),
            as_=owner,
            module=_text(request, "module") or "aos",
            data=_text(request, "data"),
            tags=kept if isinstance(kept := request.get("tags"), str) else _pairs(request),
        )
        return self._made(process)

    def _made(self, process: AsyncProcess) -> dict[str, str]:
        self._owners[process.id] = process.owner
        return {"id": process.id, "owner": process.owner.name}

    async def _publish(self, request: Request) -> str:
        return await self._node.publish(self._source(request), _text(request, "name"))

    async def _import(self, request: Request) -> dict[str, str]:
        found = request.get("names")
        pairs = _all_pairs(found)
        names = {address: Identity(name) for address, name in pairs}
        return self._made(await self._node.restore(self._found(_text(request, "file")), names))

    async def _fork(self, request: Request) -> dict[str, str]:
        slot = request.get("slot")
        if slot is not None and type(slot) is not int:
            raise UsageError("a slot must be a whole number, from 0")
        return self._made(await self._process(request).fork(slot, _text(request, "name")))

    async def _spawned(self, request: Request) -> list[dict[str, str]]:
        return [self._made(process) for process in await self._process(request).spawned()]

    async def _load(self, request: Request) -> str:
        return (await self._process(request).load(self._source(request))).output

    async def _blueprint(self, request: Request) -> str:
        name = _text(request, "file")
        file = self._file(name) if "." in name else name
        return (await self._process(request).blueprint(file)).output

    async def _invariants(self, request: Request) -> str:
        file = self._file(_text(request, "file"))
        return (await self._process(request).invariants(file)).output

    async def _mock(self, request: Request) -> dict[str, str]:
        name = _text(request, "name") or "mock"
        process = await self._node.mock(_text(request, "address"), self._source(request), name)
        return {"id": process.id, "owner": self._node.owner.name}

    async def _send(self, request: Request) -> dict[str, Any]:
        process, tags = self._process(request), _pairs(request)
        data = _text(request, "data")
        answer = await process.send(data=data, as_=self._by(request), tags=tags)
        value = _answer_value(answer)
        if answer.outcome == "time":
            place = await where_it_computes(process, answer.result.slot)
            value["error"] += f", at {place}" if place else ""
        return value

    async def _dryrun(self, request: Request) -> dict[str, Any]:
        process, tags = self._process(request), _pairs(request)
        data = _text(request, "data")
        return _answer_value(await process.dryrun(data=data, as_=self._by(request), tags=tags))

    async def _get(self, request: Request) -> str:
        return await self._process(request).written(_text(request, "expression"))

    async def _inbox(self, request: Request) -> list[dict[str, Any]]:
        return [_mail_value(mail) for mail in await self._process(request).inbox()]

    async def _outbox(self, request: Request) -> list[dict[str, Any]]:
        return [_mail_value(mail) for mail in await self._process(request).outbox()]

    async def _letters(self, request: Request) -> list[dict[str, Any]]:
        return [_mail_value(mail) for mail in await self._node.inbox(self._by(request))]

    async def _lost(self, _request: Request) -> list[dict[str, Any]]:
        kept = await self._node.undelivered()
        return [_mail_value(Mail.received(item.message)) | {"reason": item.reason} for item in kept]

    async def _sent(self, _request: Request) -> list[dict[str, Any]]:
        return [_mail_value(mail) for mail in await self._node.sent()]

    async def _snapshot(self, request: Request) -> None:
        self._taken.take(_text(request, "name"), _text(request, "text"))

    async def _queued(self, request: Request) -> list[dict[str, Any]]:
        return [_mail_value(mail) for mail in await self._process(request).queued()]

    async def _step(self, request: Request) -> None:
        place = request.get("place")
        if type(place) is not int:
            raise UsageError("the place of a message must be a whole number, from 1")
        await self._process(request).step(place - 1)

    async def _replay(self, request: Request) -> dict[str, Any]:
        place = request.get("place")
        if type(place) is not int:
            raise UsageError("which message to deliver once more must be a whole number, from 1")
        answer = await self._process(request).replay(place)
        return _answer_value(answer) | {"from": answer.sender}

    async def _with_ids(self, request: Request) -> str:
        return await with_ids(_text(request, "code"), self._node.local, self._node.people)

    async def _why(self, request: Request) -> list[str]:
        slot = request.get("slot")
        if type(slot) is not int or slot < 1:
            return []  # a dry run has no message
        return await explain(self._process(request), slot)

    async def _advance(self, request: Request) -> None:
        span = request.get("span")
        if not isinstance(span, str | int | float):
            raise UsageError("a time span must be text, such as 1h, or seconds")
        await self._node.clock.advance(span)

    async def _begin_budget(self, _request: Request) -> int:
        self._budgets.append(await budgets.begin(self._node.local))
        return len(self._budgets)

    async def _end_budget(self, request: Request) -> str:
        place, steps, ms = request.get("place"), request.get("steps"), request.get("ms")
        if type(place) is not int or not 1 <= place <= len(self._budgets):
            raise UsageError("a budget ends where it began")
        spent = await budgets.spent_since(self._node.local, self._budgets[place - 1])
        del self._budgets[place - 1 :]
        if not spent:
            return "no message was handled meanwhile, so nothing was measured"
        if isinstance(ms, int | float):
            slow = await budgets.too_slow(self._node.local, spent, ms)
            self.warnings += [slow] if slow else []
        if type(steps) is not int:
            return ""
        return await budgets.too_dear(self._node.local, spent, steps)

    # ------------------------------------------------------------------------------------------

    def _by(self, request: Request) -> Identity:
        return Identity(_text(request, "by"))

    def _process(self, request: Request) -> AsyncProcess:
        id = _text(request, "process")
        return self._node.process(id, self._owners.get(id))

    def _source(self, request: Request) -> Source:
        if name := _text(request, "file"):
            return self._file(name)
        return _text(request, "source").encode("utf-8", "surrogateescape")

    def _file(self, name: str) -> Path:
        """A code file in the author's folders. Raises AoError."""
        path = self._found(name)
        if path.suffix not in _CODE:
            raise AoError(f"{name} is not code", stage="load", hint="name a .lua or .wasm file")
        if path.suffix == ".lua" and is_file(path):
            note_parts(path, self._roots, self._reads)
        return path

    def _found(self, name: str) -> Path:
        """A file in the author's folders. Raises AoError."""
        try:
            path = real(self._folder / name)
        except (OSError, ValueError) as error:
            raise AoError(f"{name!r} is not a file name", stage="load") from error
        refuse_outside(name, path, self._roots)
        self._reads.add([path])
        return path


def _text(request: Request, name: str) -> str:
    value = request.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{name} must be text")
    return value


def _pairs(request: Request) -> list[tuple[str, str]]:
    return _all_pairs(request.get("tags"))


def _all_pairs(found: object) -> list[tuple[str, str]]:
    pairs = found if isinstance(found, list) else []
    for pair in pairs:
        if not isinstance(pair, list) or list(map(type, pair)) != [str, str]:
            raise UsageError("tags must be names and values, both text")
    return [(name, value) for name, value in pairs]


def _answer_value(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "ok": answer.ok,
        "outcome": answer.outcome,
        "output": answer.output,
        "error": answer.error or _STOPPED.get(answer.outcome, "" if answer.ok else answer.outcome),
        "suspended": answer.suspended,
        "slot": answer.result.slot,
        "ms": answer.result.milliseconds,
        "steps": answer.steps,
        "messages": [_mail_value(mail) for mail in answer.messages],
        "assignments": [{"Message": id, "Processes": list(to)} for id, to in answer.assignments],
    }


def _mail_value(mail: Mail) -> dict[str, Any]:
    return {
        "from": mail.sender,
        "target": mail.target,
        "data": mail.data,
        "spawn": mail.spawn,
        "tags": [list(pair) for pair in mail.tags.items()],
    }
