"""Code made public: an ANS-104 item with the tags of a module, and the bundler that takes it.

A bundler settles items on Arweave: what it takes stays, for everyone. Source: spec of the legacy
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
WINSTON = 10**12  # to the AR
UPLOAD = 600.0  # seconds
_LIMITS = (("Memory-Limit", "1-gb"), ("Compute-Limit", "9000000000000"))
_ENCODINGS = (("Input-Encoding", "JSON-V1"), ("Output-Encoding", "JSON-V1"))


def kind_of(data: bytes) -> str:
    """ "wasm" or "lua", told by the content."""
    return "wasm" if data.startswith(WASM_MAGIC) else "lua"


def module_item(wallet: Wallet, data: bytes, name: str) -> DataItem:
    """Code as a signed item.

    Raises:
        AoError: stage "publish", it is no module.
    """
    return DataItem.sign(wallet, "", _tags(data, name), data)


def check_code(data: bytes) -> str:
    """The format of a module that `data` is ("lua", or what a WASM module says).

    Raises:
        AoError: stage "publish", it is no module.
    """
    if kind_of(data) == "wasm":
        from aoshell.sandbox.wasm.binary import describe

        told = describe(data)
        if told.problem:
            raise AoError(f"the WASM module cannot be run: {told.problem}", stage="publish")
        return told.format
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
        *tags_of((*_ENCODINGS, *_LIMITS)),
        *((Tag("Name", name),) if name else ()),
    )


class Bundler:
    """Where items are uploaded to."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.endpoint = client.endpoint

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        """A signed item and what it would cost; sends nothing but its size."""
        item = module_item(wallet, data, name)
        size = len(item.raw)
        return Publication(item, self.endpoint, size, await self._cost(size))

    async def publish(self, publication: Publication) -> Module:
        """Upload an item. It may be sent again: a bundler keeps one of each id."""
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
            what = f"{answer.by} does not take it: {answer.status} {answer.said()}"
            raise AoError(what.rstrip(), stage="upload", hint=hint)
        told = _id(answer)
        if told and told != item.id:
            name = "something else" if answer.withheld else in_a_line(told)
            what = f"{answer.by} says it keeps it as {name}, and it is {item.id}"
            raise AoError(what, stage="upload", hint="do not use either before it was fetched")
        name = next((tag.value for tag in item.tags if tag.name == "Name"), "")
        return Module(item.id, kind_of(item.data), name, item.data)

    async def look(self) -> str:
        """A word on how it is. Raises AoError where it is not to be used."""
        answer = await self._client.get("bundler", "/")
        if answer.status >= 500:
            raise AoError(f"{answer.by} answers {answer.status}", stage="bundler")
        return "takes items"

    async def _cost(self, size: int) -> str:
        """As a person reads it, "" where the bundler does not say."""
        try:
            answer = await self._client.get("price", f"/price/bytes/{size}", seconds=10)
            said = answer.json("price") if answer.ok else None
        except AoError:
            return ""
        winston = said.get("winc", said.get("winston")) if isinstance(said, dict) else said
        digits = str(winston) if isinstance(winston, (str, int)) else ""
        if not is_number(digits):
            return ""
        return f"{int(digits) / WINSTON:.6f} AR" if int(digits) else "free"


def _id(answer: Response) -> str:
    """The id that an answer tells, "" where it tells none."""
    try:
        said = answer.json("upload")
    except AoError:
        return ""
    told = said.get("id") if isinstance(said, dict) else None
    return told if isinstance(told, str) else ""
