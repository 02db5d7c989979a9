"""The sources of a live process: its scheduler, its compute unit, the gateway.

A URL may be a HyperBEAM node, a scheduler unit, or `aoshell serve`, which is both: its answers
show which. A profile of the config file names the units of a network, `legacy` the public one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aoshell.bounded import zipped
from aoshell.bounded.sizes import size
from aoshell.errors import AoError
from aoshell.forks.hypernode import HyperNode
from aoshell.forks.messages import LONGEST_NUMBER, Assigned
from aoshell.home.endpoints import HYPERBEAM, LEGACY, Endpoints, resolve_endpoints
from aoshell.home.folders import Settings
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.arweave.verified import VerifiedCode
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.pages import turns
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.legacy.units import EDGES, ComputeUnit, cursor
from aoshell.nodes.remote.results import from_json, words
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import brief
from aoshell.protocol.message import Result, printable
from aoshell.protocol.url import is_loopback
from aoshell.sandbox import environment
from aoshell.sandbox.frames import is_count

PAGE = 500  # messages that are asked for at once
LARGEST_PAGE = 64 << 20  # bytes of an answer with them
SECONDS = 120.0  # most time for such an answer
LEGACY_NETWORK = "legacy"  # names the public legacy network
OWN = "aoshell."  # prefix of the names of networks of `aoshell serve`

# The authorities whose memories are trusted: HyperBEAM's own tests import their checkpoints
# (`genesis-wasm-import-authorities` in dev_genesis_wasm.erl).
CHECKPOINT_OWNERS = (
    "fcoN_xJeisVsPXA-trzVAuIiqO3ydLQxM-L4XbrQKzY",
    "WjnS-s03HWsDSdMnyTdzB1eHZB2QheUWP_FVRVYxkXk",
)
LARGEST_MEMORY = 1 << 30  # bytes of a memory that is fetched
MEMORY_SECONDS = 600.0  # most time for this
PAGE_BYTES = 65536  # of WASM
LONGEST_SOURCE = 200  # characters of a URL that a source names


@dataclass(frozen=True, slots=True)
class ForeignMemory:
    """The memory of a live process after a slot.

    Attributes:
        vouched: who vouches for it.
        timestamp: of the last message in it, milliseconds since the Unix epoch: that of its slot,
            or of a cron message after it.
    """

    slot: int
    data: bytes = field(repr=False)
    vouched: str
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class ForeignFork:
    """What a source says of a process that is itself a fork there.

    Attributes:
        source: where it was forked from, for people.
        slot: the last slot from there.
        memory: the slot of the memory that the fork begins with, -1 for none.
    """

    source: str
    slot: int
    memory: int


class Remote:
    """The services of one network. Close it.

    Attributes:
        source: URL of the scheduler, for people and for the home.
        gateway: has modules, and messages that were assigned by their ids.
    """

    def __init__(self, endpoints: Endpoints, settings: Settings) -> None:
        self.waiting = Waiting()
        legacy = endpoints.kind == LEGACY
        self._scheduler = Client(endpoints.su if legacy else endpoints.node, self.waiting)
        self._computer = Client(endpoints.cu if legacy else endpoints.node, self.waiting)
        gateway = Client(endpoints.gateway, self.waiting)
        self.gateway = Gateway(gateway, settings.cache / "modules")
        self._raw = gateway
        self._unit = ComputeUnit(self._computer, self.waiting)
        self._node = HyperNode(self._computer, settings)
        self._by_unit: bool | None = True if legacy else None
        self._forked: dict[str, ForeignFork | None] = {}
        self.source = self._scheduler.endpoint

    @classmethod
    def named(cls, reference: str, settings: Settings, gateway: str = "") -> Remote:
        """The network that a URL or a profile names.

        Raises:
            UsageError: there is no such profile.
            AoError: its endpoints cannot be used.
        """
        flags = {"legacy": "--legacy"} if reference == LEGACY_NETWORK else {"node": reference}
        if gateway:
            flags["gateway"] = gateway
        found = resolve_endpoints(flags, os.environ, settings.config / "config.toml")
        if found.kind not in (HYPERBEAM, LEGACY):
            raise AoError(
                f"{reference} is this home, and no live process is there",
                stage="fork",
                hint="at the prompt, .fork [PROCESS[@SLOT]] as NAME copies a process of this node",
            )
        own = found.node if found.kind == HYPERBEAM else found.su
        if is_loopback(own) and "gateway" not in found.sources:
            found = replace(found, gateway=own)
        return cls(found, settings)

    async def close(self) -> None:
        for client in (self._scheduler, self._computer, self._raw):
            await client.close()
        self._node.close()

    # The log ----------------------------------------------------------------------------------

    async def meet(self, process: str) -> None:
        """Learn whether it is a HyperBEAM node. Raises AoError as `page`."""
        if self._by_unit is None:
            await self.page(process, -1, 0)

    @property
    def is_hyperbeam(self) -> bool:
        """Whether it is a HyperBEAM node; known after `meet`."""
        return self._by_unit is False

    async def page(self, process: str, after: int, last: int) -> Sequence[Any]:
        """A page for `log.read_page`: the slots after `after`, up to `last`; () at the log's end.

        Raises:
            NotFoundError: the process is not there.
            AoError: stage "schedule".
        """
        by_unit = await self._is_unit(process) if self._by_unit is None else self._by_unit
        if by_unit:
            limit = min(PAGE, last - after)
            query = f"process-id={process}&from-nonce={after}&limit={limit}"
            answer = await self._ask(f"/{process}?{query}")
            page = _edges(answer)
        else:
            page = await self._node.bundle(process, after, last)
        if not by_unit and page is None:  # the node gives no signatures
            span = f"from={after + 1}&to={min(last, after + PAGE)}"
            path = f"/{process}~process@1.0/schedule?{span}&accept=application/aos-2"
            answer = await self._ask(path)
            page = _edges(answer)
            if page:
                self._node.has_no_bundles()
        if page is None:
            raise _no_log(answer, process)
        self._by_unit = by_unit  # only an answer shows this: a missing process does not
        return page

    async def _is_unit(self, process: str) -> bool:
        answer = await self._ask(f"/{process}?process-id={process}&from-nonce=-1&limit=1")
        return answer.ok and _edges(answer) is not None

    async def newest(self, process: str) -> int | None:
        """The last slot of a process, None if no source says it.

        Raises:
            AoError: it cannot be asked, or its answer is not a slot.
        """
        by_unit = await self._is_unit(process) if self._by_unit is None else self._by_unit
        if not by_unit:
            answer = await self._ask(f"/{process}~process@1.0/slot/current")
            text = answer.text().strip()
            return self._slot(process, text) if answer.ok and _is_number(text) else None
        answer = await self._ask(f"/{process}/latest?process-id={process}")
        if not answer.ok:
            return None
        try:
            listed = answer.json("schedule")["assignment"]["tags"]
            nonce = words({tag["name"]: tag["value"] for tag in listed}["Nonce"])
        except (AoError, KeyError, TypeError):
            return None
        return self._slot(process, nonce)

    def _slot(self, process: str, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER):
            raise AoError(
                f"{self.source} says that the newest slot of {process} is {brief(text)}, which is"
                " not a slot",
                stage="schedule",
                hint="nothing was forked; PROCESS@SLOT forks it after a slot that it has",
            )
        return int(text)

    async def forked(self, process: str) -> ForeignFork | None:
        """What the source says of a process that is a fork there; None for any other.

        Only `aoshell serve` has forks. A source that cannot be asked counts as one without: its log
        is checked like any other.
        """
        if process not in self._forked:
            self._forked[process] = None
            with contextlib.suppress(AoError):
                if not self.is_hyperbeam:
                    self._forked[process] = _fork_of(await self._ask(f"/processes/{process}"))
        return self._forked[process]

    async def _ask(self, path: str) -> Response:
        return await self._scheduler.get("schedule", path, seconds=SECONDS, largest=LARGEST_PAGE)

    # Memories ---------------------------------------------------------------------------------

    async def state(self, process: str) -> ForeignMemory | None:
        """The newest memory of the compute unit; None if it gives none.

        Raises:
            AoError: it cannot be asked, or its answer is not a memory.
        """
        answer = await self._computer.get(
            "fork", f"/state/{process}", seconds=MEMORY_SECONDS, largest=LARGEST_MEMORY
        )
        slot = answer.header("last-ordinate")
        if answer.status != 200 or not slot.isdecimal() or len(slot) > 15:
            return None
        if len(answer.body) % PAGE_BYTES or not answer.body:
            raise AoError(
                f"{answer.by} gives no memory of {process}: {len(answer.body):,} bytes are no whole"
                " pages",
                stage="fork",
                hint="--replay computes all slots here",
            )
        time = answer.header("last-timestamp")
        timestamp = int(time) if time.isdecimal() and len(time) <= 15 else 0
        return ForeignMemory(int(slot), answer.body, self._computer.endpoint, timestamp)

    async def checkpoint(self, process: str, module: str, last: int) -> ForeignMemory | None:
        """The newest memory at or before a slot that a trusted owner has put on Arweave.

        Raises:
            AoError: stage "verify", its content does not match its tags; or the gateway cannot be
                asked.
        """
        best: tuple[int, str, dict[str, str]] | None = None
        for owner in CHECKPOINT_OWNERS:
            tags = {"Type": "Checkpoint", "Process": process}
            async for node in self.gateway.listed(owner, tags):
                named = _first_tags(node.get("tags"))
                nonce = named.get("Nonce", "")
                whose = node.get("owner")
                address = whose.get("address") if isinstance(whose, Mapping) else ""
                if address != owner or not nonce.isdecimal() or len(nonce) > 15:
                    continue
                if int(nonce) <= last and (best is None or int(nonce) > best[0]):
                    best = int(nonce), words(node.get("id")), named
        return None if best is None else await self._checkpoint(best[1], process, module, best[0])

    async def _checkpoint(self, id: str, process: str, module: str, slot: int) -> ForeignMemory:
        code = await self.gateway.code(id)
        named = {tag.name: tag.value for tag in reversed(code.tags)}
        due = {"Process": process, "Nonce": str(slot), "Type": "Checkpoint"}
        for name, value in due.items() | {("Module", module)}:
            if named.get(name) != value:
                raise _lies(id, f"its {name} is {brief(named.get(name, ''))}, not {value}")
        if code.owner not in CHECKPOINT_OWNERS:
            raise _lies(id, f"{code.owner} has signed it, and is not trusted for memories")
        memory = code.data
        if named.get("Content-Encoding") == "gzip":
            try:
                memory = _unzipped(code.data)
            except zipped.DamagedZipError as error:
                raise _lies(id, f"its data {error}") from None
        digest = hashlib.sha256(memory).hexdigest()
        if named.get("SHA-256") != digest:
            raise _lies(id, "its memory does not have the SHA-256 in its tags")
        time = named.get("Timestamp", "")
        timestamp = int(time) if time.isdecimal() and len(time) <= 15 else 0
        return ForeignMemory(slot, memory, f"{code.owner} (checkpoint {id})", timestamp)

    # Results ----------------------------------------------------------------------------------

    async def result(self, process: str, slot: int, message: str) -> Result:
        """The result of a slot there. Raises AoError, stage "compute"."""
        if self.is_hyperbeam:
            return await self._node.result(process, slot)
        return await self._unit.result(process, message, slot)

    async def results(self, process: str, first: Assigned, last: Assigned) -> dict[int, Result]:
        """Results from one slot to another, by slot: as many as the compute unit lists.

        It lists no errors, and only results that somebody has requested.
        """
        found: dict[int, Result] = {}
        if self.is_hyperbeam:
            return found
        since, until = str(first.timestamp - 1), cursor(last.timestamp, last.slot)
        with contextlib.suppress(AoError):  # then each slot is requested by itself
            for _ in turns(self._unit.endpoint, "compute"):
                edges = await self._unit.edges(process, since, until, EDGES)
                for edge in edges:
                    if edge.slot >= 0 and not edge.cron and edge.result is not None:
                        found[edge.slot] = from_json(process, edge.slot, edge.result, 0.0, edge.by)
                if len(edges) < EDGES or edges[-1].cursor == since:
                    break
                since = edges[-1].cursor
        return found

    # Code -------------------------------------------------------------------------------------

    async def module(self, id: str) -> VerifiedCode:
        """The code of a process, verified: by its signature, or by its hash where that is its id.

        A HyperBEAM node may have code that no gateway has.

        Raises:
            AoError: it is missing, or does not match its id.
        """
        answer = await self._raw.get("fetch", f"/raw/{id}", largest=LARGEST_PAGE, seconds=SECONDS)
        if answer.ok and environment.module_id(answer.body) == id:
            return VerifiedCode(id, (), answer.body, b"")
        if self.is_hyperbeam and (kept := await self._node.code(id)):
            return kept
        return await self.gateway.code(id)

    async def is_own(self) -> bool:
        """Whether it is `aoshell serve`, whose processes may run the built-in environment."""
        answer = await self._scheduler.get("schedule", "/")
        try:
            facts = answer.json("schedule") if answer.body.startswith(b"{") else None
        except AoError:
            return False
        return isinstance(facts, Mapping) and str(facts.get("network", "")).startswith(OWN)


def _is_number(text: str) -> bool:
    """Whether a text is a number."""
    return text.removeprefix("-").isdecimal()


def _fork_of(answer: Response) -> ForeignFork | None:
    if not answer.ok or not answer.body.startswith(b"{"):
        return None
    try:
        facts = answer.json("schedule")["forked"]
        slot, memory = facts["slot"], facts["memory"]
    except (AoError, KeyError, TypeError):
        return None
    if not (is_count(slot) and type(memory) is int and -1 <= memory <= slot):
        return None
    return ForeignFork(printable(words(facts.get("source")))[:LONGEST_SOURCE], slot, memory)


def _first_tags(listed: object) -> dict[str, str]:
    tags = listed if isinstance(listed, list) else []
    found = [tag for tag in reversed(tags) if isinstance(tag, Mapping)]
    return {words(tag.get("name")): words(tag.get("value")) for tag in found}


def _lies(id: str, what: str) -> AoError:
    return AoError(
        f"the checkpoint {id} is refused: {what}",
        stage="verify",
        hint="nothing was forked; --replay computes all slots here",
    )


def _unzipped(data: bytes) -> bytes:
    """Unpack gzip. Raises DamagedZipError, also for more than `LARGEST_MEMORY`."""
    unpacking, found = zipped.Unpacking(zipped.GZIP), bytearray()
    for block in unpacking.feed(data):
        found += block
        if len(found) > LARGEST_MEMORY:
            raise zipped.DamagedZipError(f"unpack to more than {size(LARGEST_MEMORY)}")
    unpacking.end()
    return bytes(found)


def _edges(answer: Response) -> Sequence[Any] | None:
    """The edges of a page, None if it has none."""
    if not answer.ok or not answer.body.lstrip().startswith(b"{"):
        return None
    listed = answer.json("schedule")
    edges = listed.get("edges") if isinstance(listed, Mapping) else None
    return edges if isinstance(edges, list) else None


def _no_log(answer: Response, process: str) -> AoError:
    what = f"{answer.by} does not list the log of {process}: {answer.status} {answer.summary()}"
    hint = "is it the scheduler of that process? A profile names the units of a network"
    if answer.status in (400, 404):
        return NotFoundError(what.rstrip(), stage="schedule", hint=hint)
    return AoError(what.rstrip(), stage="schedule", hint=hint)


def cache_folder(settings: Settings) -> Path:
    """The folder that caches logs of live processes."""
    return settings.cache / "forks"
