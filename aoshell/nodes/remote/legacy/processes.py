"""Finds processes of the legacy network: in the book, at the SU and at the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave.gateway import Gateway, is_id
from aoshell.nodes.remote.legacy.units import NotListedError, SchedulerUnit, place
from aoshell.nodes.remote.memory import Book, process_info
from aoshell.nodes.remote.results import words
from aoshell.nodes.values import NotFoundError, ProcessInfo
from aoshell.protocol.encoding import brief
from aoshell.protocol.message import Message
from aoshell.protocol.wallet import Wallet

VARIANT = "ao.TN.1"
KIND = "process"  # of fact in the book: {"name", "owner", "module", "created"}
SHORTEST_PREFIX = 6  # of an id


class Known:
    """The processes of one network.

    Args:
        endpoint: the book keeps them under it.
        wallet: returns the user's wallet, whose processes are listed.
    """

    def __init__(
        self,
        book: Book,
        endpoint: str,
        scheduler: SchedulerUnit,
        gateway: Gateway,
        wallet: Callable[[], Awaitable[Wallet]],
    ) -> None:
        self._book = book
        self._endpoint = endpoint
        self._scheduler = scheduler
        self._gateway = gateway
        self._wallet = wallet

    def put(self, process: str, fact: Mapping[str, Any]) -> None:
        """Remember a process."""
        self._book.put(self._endpoint, KIND, process, dict(fact))

    def created(self, process: str) -> int:
        """When a process was made, in milliseconds since the Unix epoch; 0 where not known."""
        return int((self._book.get(self._endpoint, KIND, process) or {}).get("created", 0))

    async def processes(self) -> Sequence[ProcessInfo]:
        """The processes in the book and those of the user at the gateway, newest first."""
        known = self._book.all(self._endpoint, KIND)
        owner = (await self._wallet()).address
        tags = {"Data-Protocol": "ao", "Type": "Process", "Variant": VARIANT}
        async for node in self._gateway.listed(owner, tags):
            known.setdefault(words(node.get("id")), _fact_of_transaction(node))
        infos = [process_info(process, fact) for process, fact in known.items()]
        return sorted(infos, key=lambda info: -info.created)

    async def find(self, reference: str) -> ProcessInfo:
        """One process by id, by the beginning of its id, or by name.

        Raises:
            NotFoundError: it does not exist.
            AoError: stage "lookup", or the stage that failed; it may exist.
        """
        known = self._book.all(self._endpoint, KIND)
        if is_id(reference):
            return process_info(reference, known.get(reference) or await self._look_up(reference))
        owner = (await self._wallet()).address
        own = [
            process
            for process, fact in known.items()
            if (reference, owner) == (fact.get("name"), fact.get("owner"))
            or (len(reference) >= SHORTEST_PREFIX and process.startswith(reference))
        ]
        if len(own) > 1:
            raise AoError(
                f"{len(own)} processes are called {reference!r}",
                stage="lookup",
                hint="name one by its id: " + ", ".join(own[:4]),
            )
        if own:
            return process_info(own[0], known[own[0]])
        process = await self._gateway.find(reference, owner, VARIANT)
        try:
            return process_info(process, await self._look_up(process))
        except NotFoundError as error:  # the gateway has one of that name, so none may be made
            raise AoError(error.what, stage=error.stage, hint=error.hint) from error

    async def _look_up(self, process: str) -> Mapping[str, Any]:
        """Facts about a process by its id, from the SU or else the gateway.

        A new process is at the SU first; the gateway has those of all networks.

        Raises:
            NotFoundError, AoError: as `find()`.
        """
        failure: AoError | None = None
        definition: Sequence[Message] = ()
        try:
            definition = await self._scheduler.page(process, -1, limit=1)
        except (NotFoundError, NotListedError):
            pass
        except AoError as error:
            failure = error
        if definition and place(definition[0]).slot == 0:
            fact = _fact_of_message(definition[0])
        elif node := await self._gateway.transaction(process):
            _check(process, _tags(node))
            fact = _fact_of_transaction(node)
        else:
            raise failure or NotFoundError(
                f"neither the SU nor {self._gateway.endpoint} knows a process {process}",
                stage="lookup",
                hint="is it of this network? HyperBEAM's are at --node URL",
            )
        self.put(process, fact)
        return fact


def _tags(node: Mapping[str, Any]) -> dict[str, str]:
    """The first tag of each name."""
    listed = node.get("tags")
    return {
        words(tag.get("name")): words(tag.get("value"))
        for tag in reversed(listed if isinstance(listed, list) else [])
        if isinstance(tag, dict)
    }


def _check(id: str, tags: Mapping[str, str]) -> None:
    """Raise AoError if a transaction with these tags is no process of the legacy network."""
    if tags.get("Type") != "Process":
        kind = tags.get("Type") or "something else"
        raise AoError(f"{id} is no process but {brief(kind)}", stage="lookup")
    if (variant := tags.get("Variant", VARIANT)) != VARIANT:
        what = f"the process {id} is of another network ({brief(variant)})"
        raise AoError(what, stage="lookup", hint="HyperBEAM's are at --node URL")


def _fact_of_transaction(node: Mapping[str, Any]) -> dict[str, Any]:
    """The fact for the book, from a transaction at the gateway."""
    tags = _tags(node)
    owner, block = node.get("owner"), node.get("block")
    seconds = block.get("timestamp") if isinstance(block, dict) else 0
    return {
        "name": tags.get("Name", ""),
        "owner": words(owner.get("address")) if isinstance(owner, dict) else "",
        "module": tags.get("Module", ""),
        "created": seconds * 1000 if isinstance(seconds, int) else 0,
    }


def _fact_of_message(definition: Message) -> dict[str, Any]:
    """The fact for the book, from a definition at the SU."""
    return {
        "name": definition.tag("Name"),
        "owner": definition.owner,
        "module": definition.tag("Module"),
        "created": place(definition).timestamp,
    }
