"""A HyperBEAM node (ao.N.1) over HTTP: `nodes.base.Node` and `RemoteVerbs`.

A process takes messages as ANS-104 items or as httpsig, by the device that executes it: Lua finds
owners in httpsig only, what goes through legacy compute in items only. Messages to Lua are
scheduled, their result is asked for, and pushing what they send is left to go on; items are posted
to `push`, which does both. Source: HyperBEAM `dev_process`, `dev_scheduler`, `dev_push`; aoconnect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aoshell.errors import AoError, Unsupported
from aoshell.nodes.base import (
    Finding,
    Module,
    NodeInfo,
    NotFound,
    Pin,
    ProcessInfo,
    Publication,
    Receipt,
    Signed,
    Verify,
    envelope,
)
from aoshell.nodes.remote import attested, doctor, hypersign
from aoshell.nodes.remote.answer import Answer
from aoshell.nodes.remote.book import Book, process_info
from aoshell.nodes.remote.client import REFUSED, Client, Lost
from aoshell.nodes.remote.elsewhere import Elsewhere
from aoshell.nodes.remote.hyperforms import to_result
from aoshell.nodes.remote.hyperread import BUNDLED, COMPUTE, Reading
from aoshell.nodes.remote.hypersign import LEGACY, LUA, TAKES_ITEMS, VARIANT
from aoshell.nodes.remote.pages import is_number
from aoshell.nodes.remote.waiting import Waiting, silently
from aoshell.protocol import httpsig
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.nodes.remote.gateway import Gateway

CAPABILITIES = frozenset(
    [
        "remote",
        "spawn",
        "send",
        "result",
        "results",
        "dryrun",
        "slots",
        "schedule",
        "fetch",
        "info",
        "processes",
        "subscribe",
        "watch",
        "now",
        "evidence",
    ]
)
YOUNG = 30.0  # seconds in which a new process may not know its own first message yet
LOOKS = (0.5, 2.0, 5.0)  # seconds before each look for a message whose answer was lost


class HyperBeamNode(Reading, Elsewhere):
    """One node.

    Args:
        url: its endpoint.
        book: what is remembered of it.
        gateway: where names and code are looked up that the node does not have.
        wallet: who sits here; for what nodes answer to signed requests only.
        waiting: shared with the gateway's client, so that one place says what is waited for.
    """

    def __init__(
        self,
        url: str,
        book: Book,
        gateway: Gateway,
        wallet: Callable[[], Awaitable[Wallet]],
        waiting: Waiting,
        client: Client | None = None,
    ) -> None:
        Elsewhere.__init__(self, waiting)
        Reading.__init__(self, client or Client(url, waiting), book)
        self._gateway = gateway
        self._wallet = wallet
        self._born: dict[str, float] = {}
        self._definitions: dict[str, dict[str, Any]] = {}  # signed and not sent yet, by id
        self._pushes: set[asyncio.Task[None]] = set()

    # What it is -------------------------------------------------------------------------------

    @property
    def capabilities(self) -> frozenset[str]:
        return CAPABILITIES

    @property
    def verify(self) -> Verify:
        return self._trust.level

    @verify.setter
    def verify(self, level: Verify) -> None:
        self._trust.level = level

    @property
    def pin(self) -> Pin | None:
        return self._trust.pin

    @pin.setter
    def pin(self, pin: Pin | None) -> None:
        self._trust.pin = pin

    @property
    def last_failure(self) -> str:
        return self._trust.last_failure

    async def info(self) -> NodeInfo:
        try:
            address, trouble = await self._address(), ""
        except AoError as error:
            if error.stage == "info":  # it is no such node
                raise
            address, trouble = "", f"{error.stage}: {error.what}"
        details = {"answers": self._trust.state, "trouble": trouble}
        return NodeInfo("hyperbeam", address, self.endpoint, details)

    async def doctor(self) -> Sequence[Finding]:
        self._trust.address = ""
        node = ("node", self.endpoint, self._address)
        return await doctor.examine([node, *self._gateway.patients])

    # Signing and sending ----------------------------------------------------------------------

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Signed:
        if target:
            return hypersign.message(
                wallet, (await self._known(target))["device"], target, tags, data
            )
        given = {tag.name.lower(): tag.value for tag in tags}
        device = given.get("execution-device", self._device(given.get("module", "")))
        tags = hypersign.definition(tags, device, await self._address())
        made = hypersign.message(wallet, device, "", tags, data)
        self._definitions[made.id] = {
            "owner": wallet.address,
            "device": device,
            "module": given.get("module", ""),
            "created": time.time_ns() // 1_000_000,
        }
        return made

    def _device(self, module: str) -> str:
        """What executes a module, by what is remembered of it."""
        known = self._book.get(self.endpoint, "module", module) or {}
        return LUA if known.get("kind") == "lua" else LEGACY

    async def spawn(self, item: Signed, name: str = "") -> Receipt:
        path = "/push" if isinstance(item, DataItem) else "/~scheduler@1.0/schedule"
        try:
            answer = await self._post("spawn", path, item, item.id)
        except Lost as error:
            if await self._look_for(item.id, item.id, 0) is None:
                raise _unknown(error, f"aoshell {item.id} attaches to it if it was") from error
        else:
            self._expect(answer, "spawn", "does not make the process")
            if self._trust.pinned():
                self._said(answer, "spawn", {"process": item.id})
            process = answer.header("process") or item.id
            if process != item.id:
                raise AoError(
                    f"{self.endpoint} calls the process {process}, its definition is {item.id}",
                    stage="spawn",
                    hint="the node answers for something else; nothing was attached",
                )
        self._born[item.id] = time.monotonic()
        fact = self._definitions.pop(item.id, {}) | {"name": name}
        self._book.put(self.endpoint, "process", item.id, fact)
        return Receipt(item.id, item.id, 0)

    async def send(self, process: str, item: Signed) -> Receipt:
        pushed = isinstance(item, DataItem)
        path = f"/{process}~process@1.0/{'push' if pushed else 'schedule'}"
        before = int(self._book.get(self.endpoint, "slot", process) or 0)
        try:
            answer = await self._post("schedule", path, item, process)
        except Lost as error:
            slot = await self._look_for(process, item.id, before)
            if slot is None:
                raise _unknown(error, f".result {item.id} finds it if it did") from error
            pushed = False
        else:
            self._expect(answer, "schedule", "does not take the message")
            slot = self._taken(answer, process, item.id)
        if not pushed:
            self._push(process, slot)
        self._book.put(self.endpoint, "slot", process, slot)
        self._feed.wake(process)
        return Receipt(item.id, process, slot)

    async def _post(self, stage: str, path: str, item: Signed, process: str) -> Answer:
        self._trust.pinned()  # where its answer would be refused, nothing is sent
        young = time.monotonic() - self._born.get(process, -YOUNG) < YOUNG
        # A node may not find a process in the moment after it was made.
        busy = REFUSED | {500} if young else REFUSED
        headers, body = (
            (TAKES_ITEMS, item.raw) if isinstance(item, DataItem) else (item.headers, item.body)
        )
        return await self._client.ask(
            stage, "POST", path, headers=headers, body=body, busy=busy, seconds=COMPUTE
        )

    def _taken(self, answer: Answer, process: str, message: str) -> int:
        """The slot of a message. Whatever is wrong with the answer, the message is there."""
        try:
            return self._assigned(answer, process)
        except AoError as error:
            raise AoError(
                f"{error.what}; the message is there all the same",
                stage=error.stage,
                hint=f".result {message} shows what became of it; {error.hint}",
            ) from error

    def _assigned(self, answer: Answer, process: str) -> int:
        slot = str(self._said(answer, "schedule", {"process": process}).get("slot", ""))
        if not is_number(slot):
            raise AoError(
                f"{self.endpoint} took the message and does not say its slot",
                stage="schedule",
                hint=".messages shows what arrived",
            )
        return int(slot)

    async def _look_for(self, process: str, message: str, after: int) -> int | None:
        """The slot of a message whose answer was lost, None where it is not there."""
        for pause in LOOKS:
            await asyncio.sleep(pause)
            try:
                found = await self._slot_of(process, message, after)
            except AoError:
                continue
            if found is not None:
                return found
        return None

    def _push(self, process: str, slot: int) -> None:
        """Have the node deliver what a message sends, while the user goes on."""
        task = asyncio.create_task(self._pushed(process, slot))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _pushed(self, process: str, slot: int) -> None:
        path = f"/{process}~process@1.0/push&slot={slot}"
        silently()
        try:
            answer = await self._client.ask("push", "POST", path, headers=BUNDLED.items())
            said: Mapping[str, Any] = httpsig.decode(answer.headers, answer.body)
            if self._trust.pinned():
                said = self._said(answer, "push")
        except AoError as error:
            self._notice(f"slot {slot}: what it sends was not pushed: {error.what}")
            return
        for failed in said.values():
            if isinstance(failed, Mapping) and failed.get("response") == "error":
                where, why = failed.get("target", "?"), failed.get("reason", "no reason given")
                self._notice(f"slot {slot}: not delivered to {where}: {why}", "undelivered")

    async def dryrun(self, process: str, item: Message) -> Result:
        keys = "".join(f"&{quote(tag.name)}={quote(tag.value)}" for tag in item.tags)
        path = f"/{process}~process@1.0/as=execution/compute{keys}"
        tags = (*envelope("Message", VARIANT), Tag("require-codec", "application/json"))
        asked = DataItem.sign(await self._wallet(), process, tags, item.data)
        answer = await self._client.ask(
            "dryrun", "POST", path, headers=TAKES_ITEMS, body=asked.raw, again=True
        )
        self._expect(answer, "dryrun", "does not evaluate it")
        said = self._said(answer, "dryrun")
        return to_result(process, -1, said, self.endpoint)

    # Processes and code -----------------------------------------------------------------------

    async def _known(self, process: str) -> dict[str, Any]:
        """What is remembered of a process, looked up where nothing is."""
        known = self._book.get(self.endpoint, "process", process)
        if isinstance(known, dict) and known.get("device"):
            return known
        (definition,) = await self.schedule(process, 0, 0) or (None,)
        if definition is None:
            raise NotFound(f"{self.endpoint} knows no process {process}", stage="find")
        given = {tag.name.lower(): tag.value for tag in definition.tags}
        fact = {
            "name": given.get("name", ""),
            "owner": definition.owner,
            "device": given.get("execution-device", LEGACY),
            "module": given.get("module", ""),
            "created": definition.assignment.timestamp if definition.assignment else 0,
        }
        self._book.put(self.endpoint, "process", process, fact)
        return fact

    async def find(self, reference: str) -> ProcessInfo:
        known = self._book.all(self.endpoint, "process")
        begins = len(reference) >= 6
        ids = [
            one
            for one, fact in known.items()
            if reference in (one, fact.get("name")) or (begins and one.startswith(reference))
        ]
        if len(ids) > 1:
            raise AoError(
                f"{len(ids)} processes here answer to {reference!r}",
                stage="find",
                hint="give more of the id; .ps lists them",
            )
        process = ids[0] if ids else reference
        if not has_id_form(process):
            await self._address()  # where the node is not there, that is what to say
            owner = (await self._wallet()).address
            process = await self._gateway.find(reference, owner, VARIANT)
        fact = await self._known(process)
        return process_info(process, fact, await self.slots(process))

    async def processes(self) -> Sequence[ProcessInfo]:
        known = self._book.all(self.endpoint, "process")
        listed = [process_info(process, fact) for process, fact in known.items()]
        return sorted(listed, key=lambda info: -info.created)

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        return await self._gateway.publication(wallet, data, name)

    async def publish(self, publication: Publication) -> Module:
        return self._remembered(await self._gateway.publish(publication))

    async def fetch(self, reference: str) -> Module:
        return self._remembered(await self._gateway.module(reference))

    def _remembered(self, module: Module) -> Module:
        fact = {"kind": module.kind, "name": module.name}
        self._book.put(self.endpoint, "module", module.id, fact)
        return module

    # Events and the end -----------------------------------------------------------------------

    def subscribe(self) -> Any:
        return self._feed.subscribe()

    async def watch(self, process: str) -> None:
        await self._feed.watch(process)

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        del wallet, process, on
        raise Unsupported("HyperBEAM runs cron messages by itself", hint="see its cron@1.0")

    async def evidence(self, challenge: str, endpoint: str = "") -> Evidence:
        if endpoint not in ("", self.endpoint):
            return await attested.ask(endpoint, challenge, self._waiting)
        return await attested.evidence(self._client, challenge)

    async def close(self) -> None:
        for task in self._pushes:
            task.cancel()
        await self._feed.close()
        await self._client.close()
        await self._gateway.close()
        self._book.close()


def _unknown(error: Lost, hint: str) -> AoError:
    """A message that may have arrived: it must not be sent once more."""
    what = f"{error.what}; whether the message arrived is not known"
    return AoError(what, stage=error.stage, hint=f"{hint}; it is not sent twice")
