"""An Arweave gateway: names and transactions by GraphQL; code by its id, verified and cached.

A look-up returns what was found. It raises `NotFoundError` if that does not exist, and any other
AoError if it may exist. Only after `NotFoundError` may a process with that name be made.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aoshell.bounded import files
from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.arweave import verified
from aoshell.nodes.remote.arweave.bundler import Bundler, kind_of
from aoshell.nodes.remote.arweave.transactions import NotVerifiedError
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.doctor import Probe
from aoshell.nodes.remote.http.pages import is_number
from aoshell.nodes.remote.results import words
from aoshell.nodes.values import Module, NotFoundError, Publication
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import brief, unb64url
from aoshell.protocol.wallet import Wallet

LARGEST_CODE = 64 << 20  # bytes
LARGEST_KEPT = LARGEST_CODE + (1 << 20)  # bytes of a file in the cache: code and its header
FETCH = 600.0  # seconds
PAGE, PAGES = 100, 10  # transactions in an answer, and answers for one list
BLOCK_PAGES = 4000  # answers for one list of blocks: more than a year of them
HIGHEST = 1 << 40  # of a height, and of a time in seconds
UNKNOWN = "nothing is spawned until that is known; try again, or name the process by its id"

_FIELDS = (
    "id anchor signature recipient owner { address key } data { size type } "
    "tags { name value } block { height timestamp } bundledIn { id }"
)
_BY_ID = (
    f"query ($ids: [ID!]!) {{ transactions(ids: $ids) {{ edges {{ node {{ {_FIELDS} }} }} }} }}"
)
_BY_TAGS = (
    "query ($owners: [String!], $tags: [TagFilter!], $first: Int, $after: String) { "
    "transactions(owners: $owners, tags: $tags, first: $first, after: $after, "
    "sort: HEIGHT_DESC) { edges { cursor node { id owner { address } tags { name value } "
    "block { timestamp } } } } }"
)
_BLOCKS = (
    "query ($min: Int, $first: Int) { blocks(height: { min: $min }, first: $first, "
    "sort: HEIGHT_ASC) { edges { node { height timestamp } } } }"
)


_NO_ID = "an id stands for 32 bytes: 43 characters of A-Z a-z 0-9 - _, the last of AEIMQUYcgkosw048"


class Gateway:
    """One gateway, with a folder for code, and the bundler for published code.

    Args:
        client: of the gateway; GraphQL is at its `/graphql`.
        cache: folder of verified code, made when it is needed.
        bundler: None if nothing is published.
    """

    def __init__(self, client: Client, cache: Path, bundler: Client | None = None) -> None:
        self._client = client
        self.endpoint = client.endpoint
        self._cache = cache
        self._uploads = bundler
        self._bundler = Bundler(bundler) if bundler else None

    @property
    def withholds(self) -> bool:
        """Whether errors leave out text of gateway and bundler, who sign nothing."""
        return self._client.withholds

    @withholds.setter
    def withholds(self, on: bool) -> None:
        for client in filter(None, (self._client, self._uploads)):
            client.withholds = on

    # Look-ups ---------------------------------------------------------------------------------

    async def find(self, name: str, owner: str, variant: str = "") -> str:
        """The id of a process by its name.

        Args:
            owner: address of the process's owner.
            variant: its network ("ao.TN.1"), "" for any.

        Raises:
            NotFoundError: there is none.
            AoError: stage "lookup": there are several, or the gateway cannot be asked now.
        """
        tags = {"Data-Protocol": "ao", "Type": "Process", "Name": name}
        listed = self.listed(owner, tags | _without_empty(Variant=variant))
        found = [id async for node in listed if is_id(id := words(node.get("id")))]
        if not found:
            of = f" of Variant {variant}" if variant else ""
            raise NotFoundError(
                f"{owner} has no process named {brief(name)}{of}, says {self.endpoint}",
                stage="lookup",
                hint="an id works at once; a gateway may list a new process only after minutes, "
                "and it finds none without a tag Name by its name",
            )
        if len(found) > 1:
            what = f"{len(found)} processes of {owner} are named {brief(name)}"
            listed_here = "" if self.withholds else ": " + ", ".join(found[:4])
            raise AoError(what, stage="lookup", hint=f"name one by its id{listed_here}")
        return found[0]

    async def listed(self, owner: str, tags: Mapping[str, str]) -> AsyncIterator[Mapping[str, Any]]:
        """Transactions of an owner with these tags, newest first: id, owner, tags and block."""
        filters = [{"name": name, "values": [value]} for name, value in tags.items()]
        after, seen = "", set[str]()
        for _ in range(PAGES):
            asked = {
                "owners": [owner],
                "tags": filters,
                "first": PAGE,
                **_without_empty(after=after),
            }
            edges = await self._ask(_BY_TAGS, asked)
            fresh = [edge for edge in edges if words(edge["node"].get("id")) not in seen]
            for edge in fresh:
                seen.add(words(edge["node"].get("id")))
                yield edge["node"]
            if len(edges) < PAGE or not fresh:
                return
            after = words(edges[-1].get("cursor"))

    async def transaction(self, id: str) -> Mapping[str, Any] | None:
        """GraphQL's entry of a transaction, None if there is none.

        Raises:
            AoError: stage "lookup", the gateway cannot be asked now.
        """
        edges = await self._ask(_BY_ID, {"ids": [id]})
        return next((edge["node"] for edge in edges if edge["node"].get("id") == id), None)

    async def _ask(
        self, query: str, variables: Mapping[str, Any], member: str = "transactions"
    ) -> Sequence[Mapping[str, Any]]:
        answer = await self._client.ask(
            "lookup",
            "POST",
            "/graphql",
            headers=(("content-type", "application/json"), ("accept", "application/json")),
            body=json.dumps({"query": query, "variables": variables}).encode(),
            again=True,
        )
        if not answer.ok:
            what = f"{answer.by} answers a look-up with {answer.status} {answer.summary()}"
            raise AoError(what.rstrip(), stage="lookup", hint=UNKNOWN)
        reply = answer.json("lookup")
        try:
            if reply.get("errors"):  # also beside data, which is then incomplete
                raise TypeError
            edges = reply["data"][member]["edges"]
            return [edge for edge in edges if edge["node"].get]
        except (KeyError, TypeError, AttributeError):
            what = f"{answer.by} does not answer a look-up: {answer.summary()}"
            raise AoError(what, stage="lookup", hint=UNKNOWN) from None

    async def blocks(self, lowest: int, until: int) -> Sequence[tuple[int, int]]:
        """(height, time) of blocks from a height on, up to a time; seconds since the Unix epoch.

        Raises:
            AoError: stage "lookup", the gateway does not list them, or there are too many.
        """
        found: list[tuple[int, int]] = []
        for _ in range(BLOCK_PAGES):
            edges = await self._ask(_BLOCKS, {"min": lowest, "first": PAGE}, "blocks")
            for edge in edges:
                height, seconds = edge["node"].get("height"), edge["node"].get("timestamp")
                if not (_is_count(height) and _is_count(seconds)) or height < lowest:
                    what = f"{self.endpoint} lists something that is no block"
                    raise AoError(what, stage="lookup")
                if seconds > until:
                    return found
                found.append((height, seconds))
                lowest = height + 1
            if not edges:
                return found
        what = f"{self.endpoint} has more than {BLOCK_PAGES * PAGE:,} blocks up to then"
        raise AoError(what, stage="lookup")

    # Code -------------------------------------------------------------------------------------

    async def module(self, id: str) -> Module:
        """Code by its transaction id: from the cache, else fetched, verified and cached.

        Raises:
            AoError: stage "fetch" or "lookup", there is none, or it cannot be fetched; stage
                "verify", it does not belong to the id, or cannot be checked.
        """
        code = await self.code(id)
        return Module(id, kind_of(code.data), code.name, code.data)

    async def code(self, id: str) -> verified.VerifiedCode:
        """The data of any transaction, with its tags and its owner. Raises as `module`."""
        if not is_id(id):
            what = f"{brief(id)} is no transaction id"
            raise AoError(what, stage="fetch", hint=_NO_ID)
        code = self._kept(id)
        if code is None:
            code = await self._fetch(id)
            self._keep(id, code.packed)
        return code

    async def _fetch(self, id: str) -> verified.VerifiedCode:
        node = await self.transaction(id)
        bundled = bool(_inner(node, "bundledIn", "id"))
        header = None if bundled else await self._header(id)
        if node is None and header is None:
            raise AoError(
                f"{self.endpoint} has no transaction {id}",
                stage="fetch",
                hint="a new one takes minutes to arrive there; another gateway may have it",
            )
        self._check_size(words(_inner(node, "data", "size")))
        try:
            if header is not None:
                return _verified_either(id, header, node, _inline(header) or await self._data(id))
            return verified.verify_item(id, node or {}, await self._data(id))
        except NotVerifiedError as error:
            raise AoError(
                f"{id} as {self.endpoint} has it is refused: {error}",
                stage="verify",
                hint="nothing of it was used; another gateway may have more of it",
            ) from None

    async def _header(self, id: str) -> Mapping[str, Any] | None:
        """The header of a base layer transaction, None if the gateway does not have it."""
        answer = await self._client.get("fetch", f"/tx/{id}")
        if not answer.ok:
            return None
        header = answer.json("fetch")
        return header if isinstance(header, dict) else None

    async def _data(self, id: str) -> bytes:
        """The data as it was uploaded: at `/raw/ID`, or on some gateways only at `/ID`."""
        for path in (f"/raw/{id}", f"/{id}"):
            answer = await self._client.get("fetch", path, seconds=FETCH, largest=LARGEST_CODE)
            if answer.status == 200:
                return answer.body
        what = f"{answer.by} does not give the data of {id}: {answer.status} {answer.summary()}"
        raise AoError(what.rstrip(), stage="fetch", hint="another gateway may have it")

    def _check_size(self, size: str) -> None:
        if is_number(size) and int(size) > LARGEST_CODE:
            most = LARGEST_CODE >> 20
            raise AoError(
                f"it has {int(size) >> 20} MB, and code may have {most} MB",
                stage="fetch",
                hint="is it code at all?",
            )

    def _kept(self, id: str) -> verified.VerifiedCode | None:
        """Code from the cache, verified again; None if it is not there or damaged."""
        try:
            return verified.unpack(id, files.read(self._cache / id, LARGEST_KEPT))
        except (OSError, NotVerifiedError):
            return None

    def _keep(self, id: str, packed: bytes) -> None:
        """Write a cache file, completely or not at all. If that fails, code is fetched again."""
        with contextlib.suppress(OSError):
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._cache) as folder:
                written = Path(folder) / id
                written.touch(mode=0o600)
                written.write_bytes(packed)
                written.replace(self._cache / id)

    # Publishing -------------------------------------------------------------------------------

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        """Code as a signed item, and the price of publishing it. Nothing is uploaded."""
        return await self._publisher().publication(wallet, data, name)

    async def publish(self, publication: Publication) -> Module:
        """Upload code, and put it into the cache, as if it was fetched."""
        module = await self._publisher().publish(publication)
        if isinstance(publication.item, DataItem):
            self._keep(module.id, publication.item.raw)
        return module

    def _publisher(self) -> Bundler:
        if self._bundler is None:
            raise UnsupportedError(
                "no bundler is configured, so no code can be published",
                hint="name one in the profile (bundler)",
            )
        return self._bundler

    # Health and closing -----------------------------------------------------------------------

    @property
    def probes(self) -> list[Probe]:
        """Gateway and bundler, for `.doctor`."""
        found = [Probe("gateway", self.endpoint, self.look)]
        if self._bundler:
            found.append(Probe("bundler", self._bundler.endpoint, self._bundler.look))
        return found

    async def look(self) -> str:
        """A text on its abilities, for `.doctor`. Raises AoError, stage "lookup": no answer."""
        await self._ask("{ transactions(first: 1) { edges { node { id } } } }", {})
        return "answers look-ups"

    async def close(self) -> None:
        await self._client.close()
        if self._uploads:
            await self._uploads.close()


def is_id(reference: str) -> bool:
    """Whether this is an id of Arweave: 32 bytes in base64url."""
    try:
        return len(unb64url(reference)) == 32
    except ValueError:
        return False


def _verified_either(
    id: str, header: Mapping[str, Any], node: Mapping[str, Any] | None, data: bytes
) -> verified.VerifiedCode:
    """A verified transaction, or item: some gateways (`aoshell serve`) make up headers of items.

    Raises:
        NotVerifiedError: it is neither; the text is about the transaction.
    """
    try:
        return verified.verify_transaction(id, header, data)
    except NotVerifiedError:
        with contextlib.suppress(NotVerifiedError):
            if node is not None:
                return verified.verify_item(id, node, data)
        raise


def _is_count(value: object) -> bool:
    """Whether a member of an answer is a natural number of a size that can be right."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < HIGHEST


def _inner(node: Mapping[str, Any] | None, name: str, inner: str) -> object:
    """A member of a member, None if there is none."""
    outer = node.get(name) if node else None
    return outer.get(inner) if isinstance(outer, dict) else None


def _without_empty(**values: str) -> dict[str, str]:
    """The values that are not empty."""
    return {name: value for name, value in values.items() if value}


def _inline(header: Mapping[str, Any]) -> bytes:
    """The data in a header of format 1, b"" if there is none."""
    try:
        return unb64url(words(header.get("data")))
    except ValueError:
        return b""
