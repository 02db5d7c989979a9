"""The verbs that cross the socket: an allow-list, with the types of their arguments and answers.

A verb with `again` may be repeated: it only reads, or has no effect the second time. The others
change something each time: if their answer is lost, the user has to check.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from aoshell.errors import AoError
from aoshell.nodes.clients import CLIENT
from aoshell.nodes.values import (
    Hop,
    Limits,
    LogEntry,
    Module,
    NodeInfo,
    ProcessInfo,
    Receipt,
    Rerun,
    Undelivered,
)
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result

if TYPE_CHECKING:
    from aoshell.nodes.local.node import LocalNode

T = TypeVar("T")
_Item = TypeVar("_Item")


class Verb(NamedTuple, Generic[T]):
    """One verb. Its name is that of a method; it comes from the list below, never from a peer.

    Attributes:
        name: as it is sent.
        takes: type of its arguments, a tuple.
        gives: type of its answer; with `many`, of one item of it.
        bench: whether it is a verb of the workbench.
        again: whether it may be repeated if the answer was lost.
        many: whether the answer is a sequence, which is sent in parts.
    """

    name: str
    takes: Any
    gives: Any
    bench: bool = False
    again: bool = True
    many: bool = False

    @property
    def answer(self) -> Any:
        """The type of the last payload: the number of the newest message, and the value or its
        last part."""
        return GenericAlias(tuple, (int, self.rest))

    @property
    def rest(self) -> Any:
        """The type of the value, or of a part of it."""
        return GenericAlias(list, (self.gives,)) if self.many else self.gives

    async def on(self, node: LocalNode, client: str, *args: Any) -> T:
        """Call a node in this process, for a client (`nodes.clients`)."""
        call = _SPECIAL.get(self.name) or getattr(node.workbench if self.bench else node, self.name)
        token = CLIENT.set(client)
        try:
            given: T = await (call(node, *args) if self.name in _SPECIAL else call(*args))
            return given
        finally:
            CLIENT.reset(token)


def _many(name: str, takes: Any, gives: type[_Item], bench: bool = False) -> Verb[Sequence[_Item]]:
    return Verb(name, takes, gives, bench, many=True)


def _once(name: str, takes: Any, gives: type[T], bench: bool = True) -> Verb[T]:
    return Verb(name, takes, gives, bench, again=False)


def check_signature(item: DataItem) -> None:
    """Raise AoError if an item that came over the socket is not signed by its owner."""
    if not item.verify():
        raise AoError(
            f"the signature of {item.id} is wrong",
            stage="verify",
            hint="nothing was scheduled; sign it again",
        )


async def _knows(node: LocalNode, wallets: tuple[str, ...]) -> None:
    node.knows(wallets)


async def _restore(node: LocalNode, data: bytes, name: str, unique: bool) -> ProcessInfo:
    return await node.restore(data, name, unique=unique)


async def _spawn(node: LocalNode, item: DataItem, name: str, unique: bool) -> Receipt:
    return await node.spawn(item, name, unique=unique)


# Verbs that are not methods of the node, or have other arguments than these.
_SPECIAL: Mapping[str, Callable[..., Awaitable[Any]]] = {
    "knows": _knows,
    "restore": _restore,
    "say": lambda node, process, message: node.send(process, message),
    "spawn": _spawn,
    "watch": lambda node, process: node.slots(process),
}

_NONE = tuple[()]
_TEXT = tuple[str]
_TEXTS = tuple[str, str]
_AT = tuple[str, int]
_RANGE = tuple[str, int, int]

SPAWN = Verb[Receipt]("spawn", tuple[DataItem, str, bool], Receipt)
SEND = Verb[Receipt]("send", tuple[str, DataItem], Receipt)
SAY = Verb[Receipt]("say", tuple[str, Message], Receipt)
TAKES_UNSIGNED = Verb[bool]("takes_unsigned", _TEXT, bool)
RESULT = Verb[Result]("result", tuple[str, int | str], Result)
RESULTS = _many("results", _RANGE, LogEntry)
DRYRUN = Verb[Result]("dryrun", tuple[str, Message], Result)
SLOTS = Verb[int]("slots", _TEXT, int)
SCHEDULE = _many("schedule", _RANGE, Message)
UPLOAD = Verb[Module]("upload", tuple[bytes, str], Module)
FETCH = Verb[Module]("fetch", _TEXT, Module)
INFO = Verb[NodeInfo]("info", _NONE, NodeInfo)
PROCESSES = _many("processes", _NONE, ProcessInfo)
FIND = Verb[ProcessInfo]("find", _TEXT, ProcessInfo)
KNOWS = Verb[None]("knows", tuple[tuple[str, ...]], None)
SETTLED = Verb[None]("settled", _TEXT, None)
IDLE = Verb[None]("idle", _NONE, None)
CLOCK = Verb[int]("clock", _NONE, int)
WATCH = Verb[int]("watch", _TEXT, int)
NOW = Verb[object]("now", _TEXTS, object)

CANCEL = Verb[bool]("cancel", _AT, bool)
SET_LIMITS = Verb[None]("set_limits", tuple[Limits], None)
UNDELIVERED = _many("undelivered", tuple[str | None], Undelivered)
VERIFY_LOG = _many("verify_log", _TEXT, str)
EXPORT = Verb[bytes]("export", _TEXT, bytes)
WARNINGS = _many("warnings", _TEXT, str)
RESTORE = _once("restore", tuple[bytes, str, bool], ProcessInfo, bench=False)
RENAME = Verb[ProcessInfo]("rename", _TEXTS, ProcessInfo)
DELETE = Verb[None]("delete", _TEXT, None, again=False)

FORK = _once("fork", tuple[str, int | None, str], ProcessInfo)
UNDO = _once("undo", _AT, str)
AT = Verb[Result]("at", tuple[str, int, Message], Result, bench=True)
RERUN = Verb[Rerun]("rerun", tuple[str, int, bytes, int], Rerun, bench=True)
MARK = _once("mark", _TEXTS, int)
MARKS = Verb[Mapping[str, int]]("marks", _TEXT, Mapping[str, int], bench=True)
WARP = _once("warp", tuple[int], int)
TICK = _once("tick", _TEXT, int)
PAUSE = Verb[None]("pause", tuple[str, bool], None, bench=True)
QUEUED = _many("queued", _TEXT, Undelivered, bench=True)
STEP = Verb[None]("step", _AT, None, bench=True, again=False)
MOCK = _once("mock", tuple[str, bytes, str], ProcessInfo)
TRACE = _many("trace", _TEXTS, Hop, bench=True)
FIND_MESSAGES = _many("find_messages", _TEXT, Receipt, bench=True)

VERBS: Mapping[str, Verb[Any]] = {
    verb.name: verb
    for verb in (
        *(SPAWN, SEND, RESULT, RESULTS, DRYRUN, SLOTS, SCHEDULE, UPLOAD, FETCH, INFO, PROCESSES),
        *(FIND, KNOWS, SETTLED, IDLE, CLOCK, WATCH, NOW, CANCEL, SET_LIMITS, UNDELIVERED),
        *(
            VERIFY_LOG,
            EXPORT,
            WARNINGS,
            RESTORE,
            RENAME,
            DELETE,
            FORK,
            UNDO,
            AT,
            MARK,
            MARKS,
            WARP,
            TICK,
        ),
        *(PAUSE, QUEUED, STEP, MOCK, TRACE, FIND_MESSAGES, SAY, TAKES_UNSIGNED, RERUN),
    )
}
