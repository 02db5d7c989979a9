"""Sources that lie or fail: each is named, and nothing half forked remains."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from served_node import COUNTER, served
from test_forks import counted, home, settings

from aoshell.errors import AoError
from aoshell.forks import log, making
from aoshell.forks import remote as remotes
from aoshell.forks.messages import MOST_TAGS
from aoshell.forks.remote import ForeignMemory, Remote
from aoshell.forks.taking import take, take_from
from aoshell.home.endpoints import LEGACY, PUBLIC, Endpoints
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.processes.modules import WASM_MAGIC
from aoshell.nodes.remote.arweave.verified import VerifiedCode
from aoshell.nodes.remote.http import client as http
from aoshell.nodes.remote.http.answer import Response
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

Edges = list[Any]


class LyingRemote(Remote):
    """A source whose pages are changed on their way."""

    change: Callable[[Edges], Edges] = staticmethod(lambda edges: edges)
    code: VerifiedCode | None = None

    async def page(self, process: str, after: int, last: int) -> Sequence[Any]:
        edges = copy.deepcopy(list(await super().page(process, after, last)))
        # The definition is asked for by itself, and told as it is unless it is what lies.
        first = last == 0 and type(self).change not in (no_definition, no_edges)
        return edges if first else type(self).change(edges)

    async def module(self, id: str) -> VerifiedCode:
        return self.code or await super().module(id)


def assignment(edge: Any) -> dict[str, Any]:
    """The tags of an edge's assignment by name, to be changed."""
    return {tag["name"]: tag for tag in edge["node"]["assignment"]["tags"]}


def without(edges: Edges) -> Edges:
    return edges[:2] + edges[3:]


def repeated(edges: Edges) -> Edges:
    return [*edges[:2], edges[1], *edges[2:]]


def unchained(edges: Edges) -> Edges:
    assignment(edges[2])["Hash-Chain"]["value"] = "A" * 43
    return edges


def changed(edges: Edges) -> Edges:
    edges[1]["node"]["message"]["data"] = "N = 100"
    return edges


def of_another(edges: Edges) -> Edges:
    assignment(edges[2])["Process"]["value"] = "B" * 43
    return edges


def back_in_time(edges: Edges) -> Edges:
    assignment(edges[2])["Timestamp"]["value"] = "1"
    return edges


def no_definition(edges: Edges) -> Edges:
    message = edges[0]["node"]["message"]
    message |= {"id": "C" * 43, "signature": "", "owner": {"address": "D" * 43, "key": ""}}
    assignment(edges[0])["Message"]["value"] = "C" * 43
    return edges


def no_edges(_edges: Edges) -> Edges:
    return [{"node": {"message": "text"}}]


def no_tags(edges: Edges) -> Edges:
    edges[1]["node"]["message"]["tags"] = 5
    return edges


def tags_of_text(edges: Edges) -> Edges:
    edges[1]["node"]["message"]["tags"] = ["Action"]
    return edges


def too_high(edges: Edges) -> Edges:
    assignment(edges[2])["Block-Height"]["value"] = "9" * 40
    return edges


def half_a_character(edges: Edges) -> Edges:
    edges[1]["node"]["message"]["data"] = "\ud800"
    return edges


def ends_early(edges: Edges) -> Edges:
    return [edge for edge in edges if int(assignment(edge)["Nonce"]["value"]) < 3]


def many_tags(edges: Edges) -> Edges:
    edges[1]["node"]["message"]["tags"] = [{"name": "n", "value": "v"}] * (MOST_TAGS + 1)
    return edges


def for_itself(edges: Edges) -> Edges:
    """Only a definition may be called a message to the process that it makes."""
    message = edges[2]["node"]["message"]
    message["target"] = message["id"]
    return edges


LIES = [
    (many_tags, "gives a message with 10,001 tags, and 10,000 are read at most"),
    (for_itself, "its owner has not signed what came"),
    (without, "skips slots: slot 2 is expected, and it gives 3"),
    (repeated, "repeats slots: slot 2 is expected, and it gives 1"),
    (unchained, "hash chain that breaks at slot 2"),
    (changed, "its owner has not signed what came"),
    (of_another, "gives a message of BBBB"),
    (back_in_time, "goes back in time at slot 2"),
    (no_definition, "is not its definition"),
    (no_edges, "something that is no schedule"),
    (no_tags, "something that is no schedule"),
    (tags_of_text, "something that is no schedule"),
    (too_high, "something that is no schedule"),
    (half_a_character, "its owner has not signed what came"),
    (ends_early, "has slots up to 4, and lists none after 2"),
]


@pytest.mark.parametrize(("lie", "named"), LIES, ids=[lie.__name__ for lie, _ in LIES])
@in_loop
async def test_a_log_that_lies_is_named(
    folder: Path, wallet: Wallet, lie: Callable[[Edges], Edges], named: str
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        here = settings(folder / "here")
        remote = LyingRemote.named(there.serving.facts.url, here)
        LyingRemote.change = staticmethod(lie)
        try:
            with pytest.raises(AoError, match=named):
                await take(node, here, remote, process, "twin", lambda _text: None)
        finally:
            await remote.close()
        nothing_of_it(node)


class Saying(Remote):
    """A source that gives another newest slot."""

    said = ""

    async def _ask(self, path: str) -> Response:
        answer = await super()._ask(path)
        if "/latest" not in path:
            return answer
        told = answer.json("schedule")
        {tag["name"]: tag for tag in told["assignment"]["tags"]}["Nonce"]["value"] = type(self).said
        return replace(answer, body=json.dumps(told).encode())


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("-3", "the newest slot of .* is '-3', which is not a slot"),
        ("1_0", "is '1_0', which is not a slot"),
        ("\u0663", "which is not a slot"),
        ("9" * 40, "which is not a slot"),
        ("many", "which is not a slot"),
    ],
)
@in_loop
async def test_a_newest_slot_that_is_none_is_named(
    folder: Path, wallet: Wallet, said: str, named: str
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        here = settings(folder / "here")
        Saying.said = "4"
        remote = Saying.named(there.serving.facts.url, here)
        await take(node, here, remote, process, "twin", lambda _text: None)
        await node.delete(process)
        Saying.said = said
        with pytest.raises(AoError, match=named):
            await take(node, here, remote, process, "twin", lambda _text: None)
        nothing_of_it(node)
        Saying.said = "3"  # its log was cut: what was read is forgotten, and read again
        fork = await take(node, here, remote, process, "twin", lambda _text: None)
        assert fork.process.slots == 4
        await remote.close()


def nothing_of_it(node: LocalNode) -> None:
    """Check that a home has nothing of a fork: no row, no module, no memory."""
    store = node._engine.store
    for table in ("processes", "log", "results", "origins", "kept"):
        assert store.select_one(f"SELECT count(*) FROM {table}") == (0,), table
    assert store.select("SELECT kind FROM modules") == [("environment",)]
    assert not list(store.folder.glob("memories/*"))


@in_loop
async def test_a_gateway_that_stops_in_the_middle_of_a_module(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)
    asked: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + COUNTER.encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    gateway = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        item = there.definition((await there.node.upload(COUNTER.encode())).id)
        assert (await there.post(item)).status_code == 202
        args = (node, settings(folder / "here"), there.serving.facts.url, item.id, "twin", print)
        with pytest.raises(AoError) as raised:
            await take_from(*args, gateway)
        assert gateway in f"{raised.value}" and raised.value.stage == "fetch"
        assert asked and b"/raw/" in asked[0]
        nothing_of_it(node)
        assert (await take_from(*args)).process.slots == 1
    server.close()


class Remembering(LyingRemote):
    """A source whose compute unit has a memory."""

    memory = ForeignMemory(2, bytes(2 << 20), "the unit of the test")

    async def state(self, process: str) -> ForeignMemory | None:
        del process
        return self.memory


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ([("Memory-Limit", "1-mb")], "has 2 MB, and its module may take 1 MB"),
        ([("Availability-Type", "Assignments")], "WeaveDrive: Availability-Type=Assignments"),
        ([("Extension", "WeaveDrive")], "WeaveDrive: Extension=WeaveDrive"),
    ],
)
@in_loop
async def test_a_wasm_process_that_no_home_can_hold_is_refused(
    folder: Path, wallet: Wallet, tags: list[tuple[str, str]], named: str
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        here = settings(folder / "here")
        remote = Remembering.named(there.serving.facts.url, here)
        remote.code = VerifiedCode("M" * 43, tags_of(tags), WASM_MAGIC + b"\1\0\0\0", b"")
        LyingRemote.change = staticmethod(lambda edges: edges)
        with pytest.raises(AoError, match=named):
            await take(node, here, remote, process, "twin", lambda _text: None)
        await remote.close()
        nothing_of_it(node)


@in_loop
async def test_a_memory_that_is_larger_than_is_fetched_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remotes, "LARGEST_MEMORY", 1 << 16)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nlast-ordinate: 2\r\ncontent-length: 131072\r\n\r\n")
            writer.write(bytes(1 << 17))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    unit = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    endpoints = Endpoints(kind=LEGACY, mu=unit, su=unit, cu=unit, gateway=unit)
    remote = Remote(endpoints, settings(folder))
    with pytest.raises(AoError, match="answers with more than 64 KB"):
        await remote.state("p" * 43)
    await remote.close()
    server.close()


@in_loop
async def test_a_source_that_stops_in_the_middle_is_gone_on_with(
    folder: Path, wallet: Wallet
) -> None:
    asked: list[int] = []

    class Stopping(Remote):
        async def page(self, process: str, after: int, last: int) -> Sequence[Any]:
            if last == 0:  # the definition
                return await super().page(process, after, last)
            asked.append(after)
            if len(asked) == 2:
                raise AoError("the connection is gone", stage="schedule")
            return (await super().page(process, after, min(last, after + 2)))[:2]

    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        here = settings(folder / "here")
        remote = Stopping.named(there.serving.facts.url, here)
        with pytest.raises(AoError, match="the connection is gone"):
            await take(node, here, remote, process, "twin", lambda _text: None)
        assert not await node.processes()
        await take(node, here, remote, process, "twin", lambda _text: None)
        await remote.close()
        assert asked == [-1, 1, 1, 3], "what was read is not read again"


@in_loop
async def test_a_module_that_is_not_what_its_id_says_is_refused(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        module = (await there.node.upload(COUNTER.encode())).id
        item = there.definition(module)
        assert (await there.post(item)).status_code == 202
        here = settings(folder / "here")
        remote = Remote.named(there.serving.facts.url, here)
        database = there.node._engine.store
        found = database.module(module)
        monkeypatch.setattr(
            database, "module", lambda id: ("lua", b"return 1") if id == module else found
        )
        with pytest.raises(AoError, match=r"no transaction|refused"):
            await take(node, here, remote, item.id, "twin", lambda _text: None)
        await remote.close()
        assert not await node.processes()


@in_loop
async def test_weave_drive_is_refused_by_name(folder: Path, wallet: Wallet) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await there.spawn(Extension="WeaveDrive")
        here = settings(folder / "here")
        remote = Remote.named(there.serving.facts.url, here)
        with pytest.raises(AoError, match="WeaveDrive"):
            await take(node, here, remote, process, "twin", lambda _text: None)
        await remote.close()
        assert not await node.processes()


@pytest.mark.parametrize(
    ("said", "memory", "noted"),
    [("1-gb", 1 << 30, 0), ("500-mb", 500 << 20, 0), ("16-gb", 4 << 30, 1), ("much", 9, 0)],
)
def test_a_guest_may_grow_to_what_its_module_says(said: str, memory: int, noted: int) -> None:
    from aoshell.nodes.values import Limits

    code = VerifiedCode("M" * 43, tags_of([("Memory-Limit", said)]), b"", b"")
    found, notes = making._memory(code, replace(Limits(), memory=9))
    assert (found, len(notes)) == (memory, noted)
    assert all("may take 16-gb of memory; here it gets 4 GB" in note for note in notes)


class Listing:
    """A scheduler that names a newest slot and lists nothing."""

    source, is_hyperbeam = "https://node.example", False

    def __init__(self, newest: int) -> None:
        self._newest = newest

    async def newest(self, process: str) -> int:
        del process
        return self._newest

    async def page(self, *asked: Any) -> list[Any]:
        del asked
        return []


@pytest.mark.parametrize(
    ("newest", "said"),
    [(1, "has given slot 2"), (2, ""), (3, "lists none after 2")],
)
@in_loop
async def test_a_log_that_is_known_longer_or_shorter_than_it_is_told_is_refused(
    newest: int, said: str
) -> None:
    """Three slots are known, as from the cache."""
    remote: Any = Listing(newest)
    reading = log._LogReading(remote, "p", None, lambda _text: None, 0, False)
    reading._messages = [None] * 3  # type: ignore[list-item]
    cache: Any = None
    with pytest.raises(AoError, match=said) if said else contextlib.nullcontext():
        await reading.read(cache)


def test_reading_a_log_tells_how_long_it_will_take() -> None:
    remote: Any = Listing(0)
    reading = log._LogReading(remote, "p", None, lambda _text: None, 0, False)
    reading._messages = [None] * 3000  # type: ignore[list-item]
    reading._bytes = 3 << 19
    assert reading._progress(8998, 1000, 2.0) == "3,000 of 8,999 slots read, 1.5 MB, 6 s left"
    for last, began in ((None, 0), (8998, 3000)):
        assert reading._progress(last, began, 2.0) == "3,000 slots read, 1.5 MB"


@in_loop
async def test_a_source_that_is_none_is_named(folder: Path, wallet: Wallet) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        here = settings(folder / "here")
        remote = Remote.named(there.serving.facts.url, here)
        with pytest.raises(AoError, match="does not list the log"):
            await take(node, here, remote, "E" * 43, "twin", lambda _text: None)
        with pytest.raises(AoError, match="is not the id of a process"):
            await take(node, here, remote, "counter", "twin", lambda _text: None)
        await remote.close()
        with pytest.raises(AoError, match="is this home"):
            Remote.named("local", here)


def test_a_profile_names_the_units_and_legacy_the_public_network(folder: Path) -> None:
    here = settings(folder)
    here.config.mkdir(parents=True)
    (here.config / "config.toml").write_text(
        '[profiles.old]\nmu = "http://127.0.0.1:1"\ncu = "http://127.0.0.1:2"\n'
        'su = "http://127.0.0.1:3"\n'
    )
    remote = Remote.named("old", here)
    assert (remote.source, remote._unit.endpoint) == ("http://127.0.0.1:3", "http://127.0.0.1:2")
    assert remote.gateway.endpoint == "http://127.0.0.1:3", "a network of this machine"
    public = Remote.named("legacy", here, "https://gateway.example")
    assert (public.source, public.gateway.endpoint) == (PUBLIC["su"], "https://gateway.example")
    with pytest.raises(AoError, match="without a password"):  # it goes along in files
        Remote.named("http://me:secret@127.0.0.1:1/su", here)
    with pytest.raises(AoError, match="there is no profile none"):
        Remote.named("none", here)
