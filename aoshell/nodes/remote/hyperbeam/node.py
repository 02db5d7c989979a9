"""A HyperBEAM node (ao.N.1) over HTTP: `nodes.base.Node` and `RemoteVerbs`.

The device that executes a process decides the form of its messages: Lua finds owners only in
httpsig, legacy compute only in ANS-104 items. A message to Lua is scheduled, then its result is
requested, and its messages are pushed in the background. Items are posted to `push`, which does all
of this. Source: HyperBEAM `dev_process`, `dev_scheduler`, `dev_push`; aoconnect.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http import doctor
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam import evidence, signing
from aoshell.nodes.remote.hyperbeam.binding import PROCESS, Asked
from aoshell.nodes.remote.hyperbeam.generation import JSON, JUNE
from aoshell.nodes.remote.hyperbeam.monitoring import Monitoring
from aoshell.nodes.remote.hyperbeam.names import Names
from aoshell.nodes.remote.hyperbeam.publishing import Publishing
from aoshell.nodes.remote.hyperbeam.redelivering import Redelivering
from aoshell.nodes.remote.hyperbeam.refusal import has_no_stack, is_unfit_for_json
from aoshell.nodes.remote.hyperbeam.results import to_result
from aoshell.nodes.remote.hyperbeam.sending import ArrivalError, Heard
from aoshell.nodes.remote.hyperbeam.signing import LEGACY, LUA, TAKES_ITEMS, VARIANT
from aoshell.nodes.remote.memory import Book, process_info
from aoshell.nodes.remote.unsupported import Elsewhere, signed_only
from aoshell.nodes.values import (
    EndpointFinding,
    NodeInfo,
    NotFoundError,
    Pin,
    ProcessInfo,
    Receipt,
    Sent,
    Signed,
    Verify,
    envelope,
)
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Assignment, Message, Result, Tag, by_lower_name
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence


ACCEPTS_JSON = ("accept", JSON)


class HyperBeamNode(Publishing, Redelivering, Monitoring, Elsewhere):
    """One node.

    Args:
        url: its endpoint.
        book: remembers facts about it.
        gateway: looks up names and code that the node does not have.
        wallet: returns the user's wallet, for requests that must be signed.
        waiting: holds the current stage; shared with the gateway's client.
        module: id of the default module of new processes, "" for the network's or our own.
    """

    def __init__(
        self,
        url: str,
        book: Book,
        gateway: Gateway,
        wallet: Callable[[], Awaitable[Wallet]],
        waiting: Waiting,
        client: Client | None = None,
        *,
        module: str = "",
    ) -> None:
        Elsewhere.__init__(self, waiting)
        Publishing.__init__(self, client or Client(url, waiting), book, waiting, gateway, module)
        self._names = Names(self._client, gateway, self._notice)
        self._wallet = wallet
        # Signed, but not sent yet, by id.
        self._definitions: dict[str, dict[str, Any]] = {}
        self._messages: dict[str, Message] = {}

    # What it is -------------------------------------------------------------------------------

    @property
    def remote(self) -> HyperBeamNode:
        return self

    @property
    def cron(self) -> HyperBeamNode:
        return self

    @property
    def state(self) -> HyperBeamNode:
        return self

    @property
    def verify(self) -> Verify:
        return self._trust.level

    @verify.setter
    def verify(self, level: Verify) -> None:
        self._trust.level = level
        self._computed.forget()
        self._client.withholds = self._gateway.withholds = level is not Verify.OFF

    @property
    def pin(self) -> Pin | None:
        return self._trust.pin

    @pin.setter
    def pin(self, pin: Pin | None) -> None:
        self._trust.pin = pin

    @property
    def last_failure(self) -> str:
        return self._trust.last_failure

    def has_left(self, message: str) -> bool:
        return message == self._client.departed

    async def runs_luerl(self, process: str) -> bool:
        return bool((await self._known(process))["device"] == LUA)

    async def new_key(self) -> str:
        return await self._key.renew()

    async def info(self) -> NodeInfo:
        try:
            address, trouble = await self._asked_address(), ""
        except AoError as error:
            if error.stage == "info":  # it is not a HyperBEAM node
                raise
            address, trouble = "", f"{error.stage}: {error.what}; {error.hint}"
        generation = self._key.generation.name if self._key.has_spoken else ""
        details = {
            "answers": self._trust.state,
            "generation": generation,
            "trouble": trouble,
        }
        return NodeInfo("hyperbeam", address, self.endpoint, details)

    async def doctor(self) -> Sequence[EndpointFinding]:
        self._key.forget()
        node = doctor.Probe("node", self.endpoint, self._asked_address)
        return await doctor.examine([node, *self._gateway.probes])

    # Signing and sending ----------------------------------------------------------------------

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Signed:
        self.knows((wallet.address,))
        profile = (await self._generation()).profile
        if target:
            device = (await self._known(target))["device"]
            sent = signing.message(wallet, device, target, tags, data, profile)
            whole = (*envelope("Message", VARIANT), *tags)
            self._messages[sent.id] = Message(
                sent.id, wallet.address, wallet.address, target, whole, data
            )
            return sent
        given = by_lower_name(tags)
        device = signing.executed_by(given) or self._device(given.get("module", ""))
        if signing.STACKED in given and not (await self._generation()).stacks:
            raise UnsupportedError(
                f"{self.endpoint} is of {JUNE.name}, which reads no lists in definitions",
                hint="leave the tag device-stack out",
            )
        tags = signing.definition(tags, device, await self._address())
        made = signing.message(wallet, device, "", tags, data, profile)
        self._definitions[made.id] = {
            "owner": wallet.address,
            "device": device,
            "module": given.get("module", ""),
            "created": time.time_ns() // 1_000_000,
            "stacked": signing.STACKED in given,
        }
        return made

    def _device(self, module: str) -> str:
        """The device that executes a module, from the book."""
        known = self._book.get(self.endpoint, "module", module) or {}
        return LUA if known.get("kind") == "lua" else LEGACY

    async def spawn(self, item: Sent, name: str = "", *, unique: bool = False) -> Receipt:
        del unique  # names are not exclusive there
        item = signed_only(item)
        path = "/push" if isinstance(item, DataItem) else signing.SPAWN
        what = "does not make the process", f"aoshell {item.id} attaches to it if it did"
        slot = (await self._scheduled("spawn", path, item, item.id, what)).slot
        if slot != 0:
            raise AoError(
                f"{self.endpoint} has the definition of {item.id} at slot {slot}, not at 0",
                stage="spawn",
                hint="the node answers for something else; nothing was attached",
            )
        self._born[item.id] = time.monotonic()
        made = self._definitions.pop(item.id, {})
        if made.pop("stacked", False) and not await self.slots(item.id):
            raise AoError(
                f"{self.endpoint} keeps {item.id} under another id, so nobody can use it",
                stage="spawn",
                hint="leave the tag device-stack out",
            )
        fact = made | {"name": name, "signed": True}
        self._book.put(self.endpoint, "process", item.id, fact)
        return Receipt(item.id, item.id, 0)

    async def send(self, process: str, item: Sent) -> Receipt:
        item = signed_only(item)
        message = self._messages.pop(item.id, None)
        pushed = isinstance(item, DataItem)
        path = f"/{process}~process@1.0/{'push' if pushed else 'schedule'}"
        what = "does not take the message", f".result {item.id} finds it if it did"
        self._owed.begin(process, item.id)
        try:
            placed = await self._scheduled("schedule", path, item, process, what)
        except (ArrivalError, asyncio.CancelledError):
            self._owed.give_up(item.id)
            raise
        except AoError:
            self._owed.end(item.id)
            raise
        slot = placed.slot
        self._owed.place(process, item.id, slot)
        if not pushed or placed.heard is Heard.NOTHING:
            self._deliver(process, slot, item.id)
        elif placed.heard is Heard.PLACED:
            self._deliver(process, slot, item.id, placed.fields)
        else:  # the node may have pushed it: do not push again
            self._notice(f"slot {slot}: it is not known whether its messages were delivered")
            self._owed.end(item.id)
        self._book.put(self.endpoint, "slot", process, slot, learnt_again=True)
        if message and self._feed.follows(process):
            place = Assignment(process, slot, 0, 0, 0, "")
            self._tails.send(process, slot, replace(message, assignment=place))
        self._feed.wake(process)
        return Receipt(item.id, process, slot)

    async def dryrun(self, process: str, item: Message) -> Result:
        device = (await self._known(process))["device"]
        generation = await self._generation()
        if device == LUA and not generation.dryrun:
            raise UnsupportedError(
                f"{self.endpoint} is of {generation.name}, which evaluates nothing read-only in "
                "Lua processes",
                hint=".now KEY reads the state; a message that is sent shows its result",
            )
        asked_for = self._dryrun_of_lua if device == LUA else self._dryrun_of_items
        return await asked_for(process, item)

    async def _dryrun_of_lua(self, process: str, item: Message) -> Result:
        """The message signed, under `body`: measured on nodes since September 2025."""
        path = f"/{process}~process@1.0/as=execution/compute/results"
        profile = (await self._generation()).profile
        tags = (*envelope("Message", VARIANT), *item.tags)
        wallet = await self._wallet()
        sent = signing.as_httpsig(wallet, path, process, tags, item.data, profile)
        headers = (*sent.headers, ACCEPTS_JSON)
        return await self._evaluated(process, sent.id, path, headers, sent.body)

    async def _dryrun_of_items(self, process: str, item: Message) -> Result:
        keys = "".join(
            f"&{quote(tag.name, safe='')}={quote(tag.value, safe='')}" for tag in item.tags
        )
        path = f"/{process}~process@1.0/as=execution/compute{keys}"
        tags = (*envelope("Message", VARIANT), Tag("require-codec", JSON))
        sent = DataItem.sign(await self._wallet(), process, tags, item.data)
        return await self._evaluated(process, sent.id, path, TAKES_ITEMS, sent.raw)

    async def _evaluated(
        self, process: str, id_: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Result:
        await self._ready()
        in_json, plain = [*headers], [one for one in headers if one != ACCEPTS_JSON]
        for given in (in_json, plain):
            answer = await self._client.ask(
                "dryrun", "POST", path, headers=given, body=body, again=True
            )
            if not is_unfit_for_json(answer):
                break
        if has_no_stack(answer):
            raise UnsupportedError(
                f"{self.endpoint} evaluates nothing read-only in a stack of devices",
                hint=".now KEY reads the state; a message that is sent shows its result",
            )
        asked = Asked(id_, {PROCESS: process})
        self._expect(answer, "dryrun", "does not evaluate it", asked)
        return to_result(process, -1, self._fields(answer, "dryrun", asked), answer.by)

    # Processes and code -----------------------------------------------------------------------

    async def _known(self, process: str) -> dict[str, Any]:
        """The book's facts about a process; looked up at the node if there are none.

        If answers are verified, facts from unsigned answers do not count.
        """
        known = self._book.get(self.endpoint, "process", process)
        if isinstance(known, dict) and known.get("device") and self._counts(known):
            return known
        (definition,) = await self.schedule(process, 0, 0) or (None,)
        if definition is None:
            raise NotFoundError(f"{self.endpoint} knows no process {process}", stage="find")
        if self._trust.verifies and definition.id != process:
            raise AoError(
                f"the log of {process} begins with another definition, {definition.id}",
                stage="verify",
                hint="somebody may stand between; nothing of it was used",
            )
        given = by_lower_name(definition.tags)
        fact = {
            "name": given.get("name", ""),
            "owner": definition.owner,
            "device": signing.executed_by(given) or LEGACY,
            "module": given.get("module", ""),
            "created": definition.assignment.timestamp if definition.assignment else 0,
            "signed": self._trust.verifies,
        }
        self._book.put(self.endpoint, "process", process, fact)
        return fact

    def _counts(self, fact: Mapping[str, Any]) -> bool:
        """Whether a fact of the book may be used."""
        return bool(fact.get("signed")) or not self._trust.verifies

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
        by_id = has_id_form(reference) or (begins and bool(ids) and process.startswith(reference))
        sure = bool(ids) and self._counts(known[process])
        if not has_id_form(process):
            await self._address()  # raises the better error if the node cannot be reached
            owner = (await self._wallet()).address
            process = await self._names.look_up(reference, owner, VARIANT)
        fact = await self._known(process)
        if self._trust.verifies and not by_id:
            owner = "" if sure else (await self._wallet()).address
            _check_named(process, fact, reference, owner)
        slots = await self.slots(process)
        self._tails.name(process, slots - 1)
        return process_info(process, fact, slots)

    async def processes(self) -> Sequence[ProcessInfo]:
        known = self._book.all(self.endpoint, "process")
        listed = [
            process_info(process, fact if self._counts(fact) else {})
            for process, fact in known.items()
        ]
        return sorted(listed, key=lambda info: -info.created)

    # Events and the end -----------------------------------------------------------------------

    def subscribe(self) -> Any:
        return self._feed.subscribe()

    async def watch(self, process: str) -> None:
        await self._feed.watch(process)
        await self._tell_what_is_left(process)

    async def evidence(self, nonce: bytes, endpoint: str = "", kind: str = "") -> Evidence:
        if endpoint not in ("", self.endpoint):
            withholds = self._trust.verifies
            return await evidence.ask(
                endpoint, nonce, self._waiting, withholds=withholds, kind=kind
            )
        return await evidence.evidence(self._client, nonce, kind)

    async def close(self) -> None:
        try:
            await self.finish()
        finally:  # also after Ctrl-C during the wait
            await self._feed.close()
            await self._client.close()
            await self._gateway.close()
            self._book.close()


def _check_named(process: str, fact: Mapping[str, Any], name: str, owner: str) -> None:
    """Check that a process has the name that was looked up, as look-ups are not signed.

    Args:
        owner: the owner that it must have; "" if the fact comes from a signed answer.

    Raises:
        AoError: stage "verify".
    """
    wrong = ""
    if fact.get("name") != name:
        wrong = f"does not give it the name {name!r}"
    elif owner and fact.get("owner") != owner:
        wrong = f"is not of {owner}, whose {name!r} was looked for"
    if wrong:
        raise AoError(
            f"the definition of {process} {wrong}",
            stage="verify",
            hint="its name came unsigned; attach it by its id if you mean it",
        )
