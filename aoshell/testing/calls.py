"""What a Lua test asks for, carried out on its node.

A test is code that nobody vouches for: what it asks is checked here, and files are read only where
its author works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aoshell.errors import AoError, UsageError
from aoshell.testing.answers import Answer, Mail
from aoshell.testing.identity import Identity
from aoshell.testing.node import AsyncNode, AsyncProcess
from aoshell.testing.sources import Source, refuse_outside, refuse_parts_outside

Asked = Mapping[str, Any]
_CODE = (".lua", ".wasm")


class Calls:
    """The verbs of one test.

    Args:
        file: the test's own; names of files start from its folder.
        roots: folders that files may be in.
    """

    def __init__(self, node: AsyncNode, file: Path, roots: tuple[Path, ...]) -> None:
        self._node = node
        self._folder = file.resolve().parent
        self._roots = tuple(root.resolve() for root in (self._folder, *roots))
        self._owners: dict[str, Identity] = {}
        self._verbs: dict[str, Callable[[Asked], Awaitable[Any]]] = {
            "identity": self._identity,
            "spawn": self._spawn,
            "mock": self._mock,
            "publish": self._publish,
            "import": self._import,
            "fork": self._fork,
            "spawned": self._spawned,
            "load": self._load,
            "blueprint": self._blueprint,
            "send": self._send,
            "dryrun": self._dryrun,
            "get": self._get,
            "inbox": self._inbox,
            "outbox": self._outbox,
            "prints": lambda asked: self._process(asked).prints(),
            "errors": lambda asked: self._process(asked).errors(),
            "letters": self._letters,
            "lost": self._lost,
            "pause": lambda asked: self._process(asked).pause(),
            "resume": lambda asked: self._process(asked).resume(),
            "queued": self._queued,
            "step": self._step,
            "tick": lambda asked: self._process(asked).tick(),
            "advance": self._advance,
            "now": lambda _asked: self._node.clock.now(),
        }

    async def carry_out(self, what: object, asked: object) -> Any:
        """The answer to a request, a value that JSON can say.

        Raises:
            AoError: it cannot be had; the text is for the test's author.
        """
        verb = self._verbs.get(what) if isinstance(what, str) else None
        if verb is None:
            raise UsageError(f"a test cannot ask for {what!r}")
        return await verb(asked if isinstance(asked, dict) else {})

    # ------------------------------------------------------------------------------------------

    async def _identity(self, asked: Asked) -> str:
        identity = self._by(asked)
        self._node.knows(identity)
        return identity.address

    async def _spawn(self, asked: Asked) -> dict[str, str]:
        owner = self._by(asked)
        process = await self._node.spawn(
            self._source(asked),
            name=_text(asked, "name"),
            as_=owner,
            module=_text(asked, "module") or "aos",
            data=_text(asked, "data"),
            tags=_pairs(asked),
        )
        return self._made(process)

    def _made(self, process: AsyncProcess) -> dict[str, str]:
        self._owners[process.id] = process.owner
        return {"id": process.id, "owner": process.owner.name}

    async def _publish(self, asked: Asked) -> str:
        return await self._node.publish(self._source(asked), _text(asked, "name"))

    async def _import(self, asked: Asked) -> dict[str, str]:
        found = asked.get("names")
        pairs = _all_pairs(found)
        names = {address: Identity(name) for address, name in pairs}
        return self._made(await self._node.restore(self._found(_text(asked, "file")), names))

    async def _fork(self, asked: Asked) -> dict[str, str]:
        slot = asked.get("slot")
        if slot is not None and type(slot) is not int:
            raise UsageError("a slot is a number, from 0")
        return self._made(await self._process(asked).fork(slot, _text(asked, "name")))

    async def _spawned(self, asked: Asked) -> list[dict[str, str]]:
        return [self._made(process) for process in await self._process(asked).spawned()]

    async def _load(self, asked: Asked) -> str:
        return (await self._process(asked).load(self._source(asked))).output

    async def _blueprint(self, asked: Asked) -> str:
        name = _text(asked, "file")
        file = self._file(name) if "." in name else name
        return (await self._process(asked).blueprint(file)).output

    async def _mock(self, asked: Asked) -> dict[str, str]:
        name = _text(asked, "name") or "mock"
        process = await self._node.mock(_text(asked, "address"), self._source(asked), name)
        return {"id": process.id, "owner": self._node.owner.name}

    async def _send(self, asked: Asked) -> dict[str, Any]:
        process, tags = self._process(asked), _pairs(asked)
        data = _text(asked, "data")
        return _answer_value(await process.send(data=data, as_=self._by(asked), tags=tags))

    async def _dryrun(self, asked: Asked) -> dict[str, Any]:
        process, tags = self._process(asked), _pairs(asked)
        data = _text(asked, "data")
        return _answer_value(await process.dryrun(data=data, as_=self._by(asked), tags=tags))

    async def _get(self, asked: Asked) -> str:
        return await self._process(asked).written(_text(asked, "expression"))

    async def _inbox(self, asked: Asked) -> list[dict[str, Any]]:
        return [_mail(mail) for mail in await self._process(asked).inbox()]

    async def _outbox(self, asked: Asked) -> list[dict[str, Any]]:
        return [_mail(mail) for mail in await self._process(asked).outbox()]

    async def _letters(self, asked: Asked) -> list[dict[str, Any]]:
        return [_mail(mail) for mail in await self._node.inbox(self._by(asked))]

    async def _lost(self, _asked: Asked) -> list[dict[str, Any]]:
        kept = await self._node.undelivered()
        return [_mail(Mail.received(item.message)) | {"reason": item.reason} for item in kept]

    async def _queued(self, asked: Asked) -> list[dict[str, Any]]:
        return [_mail(mail) for mail in await self._process(asked).queued()]

    async def _step(self, asked: Asked) -> None:
        place = asked.get("place")
        if type(place) is not int:
            raise UsageError("the place of a message is a number, from 1")
        await self._process(asked).step(place - 1)

    async def _advance(self, asked: Asked) -> None:
        span = asked.get("span")
        if not isinstance(span, str | int | float):
            raise UsageError("a time span is text, as in 1h, or seconds")
        await self._node.clock.advance(span)

    # ------------------------------------------------------------------------------------------

    def _by(self, asked: Asked) -> Identity:
        return Identity(_text(asked, "by"))

    def _process(self, asked: Asked) -> AsyncProcess:
        id = _text(asked, "process")
        return self._node.process(id, self._owners.get(id))

    def _source(self, asked: Asked) -> Source:
        name = _text(asked, "file")
        return (
            self._file(name) if name else _text(asked, "source").encode("utf-8", "surrogateescape")
        )

    def _file(self, name: str) -> Path:
        """A file of code of the author's. Raises AoError."""
        path = self._found(name)
        if path.suffix not in _CODE:
            raise AoError(f"{name} is no code", stage="load", hint="name a .lua or .wasm file")
        if path.suffix == ".lua" and path.is_file():
            refuse_parts_outside(path, self._roots)
        return path

    def _found(self, name: str) -> Path:
        """A file of the author's. Raises AoError."""
        try:
            path = (self._folder / name).resolve()
        except (OSError, ValueError) as error:
            raise AoError(f"{name!r} is no file", stage="load") from error
        refuse_outside(name, path, self._roots)
        return path


def _text(asked: Asked, name: str) -> str:
    value = asked.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UsageError(f"{name} is text")
    return value


def _pairs(asked: Asked) -> list[tuple[str, str]]:
    return _all_pairs(asked.get("tags"))


def _all_pairs(found: object) -> list[tuple[str, str]]:
    pairs = found if isinstance(found, list) else []
    for pair in pairs:
        if not isinstance(pair, list) or list(map(type, pair)) != [str, str]:
            raise UsageError("tags are names and values, both text")
    return [(name, value) for name, value in pairs]


def _answer_value(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "ok": answer.ok,
        "outcome": answer.outcome,
        "output": answer.output,
        "error": answer.error or ("" if answer.ok else answer.outcome),
        "suspended": answer.suspended,
        "slot": answer.result.slot,
        "ms": answer.result.milliseconds,
        "messages": [_mail(mail) for mail in answer.messages],
    }


def _mail(mail: Mail) -> dict[str, Any]:
    return {
        "from": mail.sender,
        "target": mail.target,
        "data": mail.data,
        "spawn": mail.spawn,
        "tags": [list(pair) for pair in mail.tags.items()],
    }
