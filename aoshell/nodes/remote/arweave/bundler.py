"""Publishes code: an ANS-104 item with the tags of a module, uploaded to a bundler.

A bundler writes items to Arweave, where they stay public for ever. Source: spec of the legacy
network, ao's development tools (tags of a module), the bundlers' `POST /tx`.
"""

from __future__ import annotations

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response, in_a_line
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.pages import is_number
from aoshell.nodes.values import Module, Publication, envelope
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

WASM_MAGIC = b"\0asm"
WINSTON = 10**12  # winston in one AR
UPLOAD = 600.0  # seconds
_LIMITS = (("Memory-Limit", "1-gb"), ("Compute-Limit", "9000000000000"))
ENCODINGS = (("Input-Encoding", "JSON-V1"), ("Output-Encoding", "JSON-V1"))


def kind_of(data: bytes) -> str:
    """ "wasm" or "lua", by the content."""
    return "wasm" if data.startswith(WASM_MAGIC) else "lua"


def module_item(wallet: Wallet, data: bytes, name: str) -> DataItem:
    """Code as a signed item.

    Raises:
        AoError: stage "publish", it is neither text nor WASM that can run here.
    """
    return DataItem.sign(wallet, "", _tags(data, name), data)


def check_code(data: bytes) -> str:
    """The format of the module in `data`: "lua", or the format of a WASM module.

    Raises:
        AoError: stage "publish", it is no module.
    """
    if kind_of(data) == "wasm":
        from aoshell.sandbox.wasm.binary import describe_module

        module = describe_module(data)
        if module.problem:
            raise AoError(f"the WASM module cannot be run: {module.problem}", stage="publish")
        return module.format
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"it is neither WASM nor text (byte {error.start})"
        raise AoError(what, stage="publish") from None
    if not data.strip():
        raise AoError("there is nothing in it", stage="publish")
    return "lua"


def _tags(data: bytes, name: str) -> tuple[Tag, ...]:
    form = check_code(data)
    return (
        Tag("Content-Type", f"application/{kind_of(data)}"),
        *envelope("Module"),
        Tag("Module-Format", form),
        *tags_of((*ENCODINGS, *_LIMITS)),
        *((Tag("Name", name),) if name else ()),
    )


class Bundler:
    """One bundler, to which items are uploaded."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.endpoint = client.endpoint

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        """A signed item and its price. Only the size is sent, to ask for the price."""
        item = module_item(wallet, data, name)
        size = len(item.raw)
        return Publication(item, self.endpoint, size, await self._cost(size))

    async def publish(self, publication: Publication) -> Module:
        """Upload an item. The request may be repeated: a bundler keeps one item of each id.

        Raises:
            AoError: stage "upload", it is refused, or is kept under another id.
        """
        item = publication.item
        assert isinstance(item, DataItem)  # made above
        answer = await self._client.ask(
            "upload",
            "POST",
            "/tx",
            headers=(("content-type", "application/octet-stream"), ("accept", "application/json")),
            body=item.raw,
            again=True,
            seconds=UPLOAD,
        )
        if not answer.ok:
            hint = "its owner must have credit there" if answer.status == 402 else ""
            what = f"{answer.by} does not take it: {answer.status} {answer.summary()}"
            raise AoError(what.rstrip(), stage="upload", hint=hint)
        kept_as = _id(answer)
        if kept_as and kept_as != item.id:
            name = "something else" if answer.withheld else in_a_line(kept_as)
            what = f"{answer.by} says it keeps it as {name}, and it is {item.id}"
            raise AoError(what, stage="upload", hint="use neither id before it can be fetched")
        name = next((tag.value for tag in item.tags if tag.name == "Name"), "")
        return Module(item.id, kind_of(item.data), name, item.data)

    async def look(self) -> str:
        """A word on its state, for `.doctor`. Raises AoError if it cannot be used."""
        answer = await self._client.get("bundler", "/")
        if answer.status >= 500:
            raise AoError(f"{answer.by} answers {answer.status}", stage="bundler")
        return "takes items"

    async def _cost(self, size: int) -> str:
        """The price for people, "" if the bundler does not report it."""
        try:
            answer = await self._client.get("price", f"/price/bytes/{size}", seconds=10)
            price = answer.json("price") if answer.ok else None
        except AoError:
            return ""
        winston = price.get("winc", price.get("winston")) if isinstance(price, dict) else price
        digits = str(winston) if isinstance(winston, (str, int)) else ""
        if not is_number(digits):
            return ""
        return f"{int(digits) / WINSTON:.6f} AR" if int(digits) else "free"


def _id(answer: Response) -> str:
    """The id in an answer, "" if there is none."""
    try:
        reply = answer.json("upload")
    except AoError:
        return ""
    id = reply.get("id") if isinstance(reply, dict) else None
    return id if isinstance(id, str) else ""
