"""Logs that HyperBEAM nodes keep: recorded pages, and the schedule of our own HyperBEAM role."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import hashlib
import json
import lzma
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop, until
from served_node import served
from test_forks import asked, counted, home, settings

from aoshell.errors import AoError
from aoshell.forks import bundles, messages, taking
from aoshell.forks.compared import compare_fork
from aoshell.forks.making import BY_LUA, left_out
from aoshell.forks.messages import Following, ForeignMessage, read_edge
from aoshell.forks.remote import Remote
from aoshell.forks.taking import take, take_from
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.workers import images
from aoshell.protocol.message import Message, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.luerl import pack
from aoshell.serve.serving import ServeOptions, Serving
from aoshell.shell.ports.forking import Changed

PAGES = (
    "hyperbeam/schedule-get-aos2.json",
    "hyperbeam-2025-09/june-schedule-aos2.json",
    "hyperbeam-2025-09/sept-schedule-aos2.json",
)


def edges_of(file: Path) -> list[Any]:
    """The edges of a recorded page."""
    answer = json.loads(file.read_text())["response"]
    body = base64.b64decode(answer.get("body_b64", "")) or answer["body_text"]
    found: list[Any] = json.loads(body)["edges"]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_recorded_pages_are_read(shared: Path, name: str) -> None:
    edges = edges_of(shared / "vectors" / name)
    assert edges
    found = sorted(
        (read_edge(edge, "the node") for edge in edges), key=lambda one: one.assigned.slot
    )
    first = found[0].assigned
    following = Following(first.process, "the node", hyperbeam=True, begin=first.slot)
    for one in found:
        following.follow(one)
        assert one.message is not None and one.message.owner and one.item is None
        assert one.assigned.timestamp > 0


class HyperBeamOnly(Remote):
    """A node that is no scheduler unit."""

    async def _is_unit(self, process: str) -> bool:
        del process
        return False


@in_loop
async def test_a_schedule_of_hyperbeam_is_forked_and_compared(
    folder: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    here = settings(folder / "here")
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        serving = await Serving.open(
            there.node, ServeOptions(port=0), tell=there.told.append, key=other_wallet
        )
        remote = HyperBeamOnly.named(serving.facts.url, here)
        try:
            assert await remote.newest(process) == 4
            told: list[str] = []
            taken = await take(node, here, remote, process, "twin", told.append)
            fork = taken.process
            assert fork.origin is not None and (fork.slots, fork.origin.unsigned) == (5, 0)
            assert any("its hash chain is not checked" in note for note in taken.notes)
            assert await asked(node, process, "return N") == "3"
            result = await remote.result(process, 4, "")
            assert result.messages[0].data == b"3"
        finally:
            await remote.close()
            await serving.close()


def test_links_of_a_recorded_log_are_checked(shared: Path) -> None:
    edges = edges_of(shared / "vectors" / PAGES[0])
    found = sorted((read_edge(one, "it") for one in edges), key=lambda one: one.assigned.slot)
    process = found[0].assigned.process
    following = Following(process, "the node", hyperbeam=True)
    for one in found:
        following.follow(one)
    assert following.chained and len(found) > 3
    at_slot_3 = Following(process, "the node", hyperbeam=True)
    with pytest.raises(AoError, match="hash chain that breaks at slot 3"):
        for one in unlinked(found, 3):
            at_slot_3.follow(one)
    of_several = Following(process, "the node", hyperbeam=True)
    for one in unlinked(found, 3):  # its link names all of them
        of_several.follow(replace(one, several=one.assigned.slot == 3))
    other = Following(process, "the node", hyperbeam=True)
    for one in unlinked(found, 1):  # the first link tells of which form they are
        other.follow(one)
    assert not other.chained


def unlinked(found: list[ForeignMessage], slot: int) -> list[ForeignMessage]:
    """A log with another link at a slot."""
    return [
        replace(one, assigned=replace(one.assigned, chain="A" * 43))
        if one.assigned.slot == slot
        else one
        for one in found
    ]


# Real nodes were started for this, and answered our own programs under generated keys.
RECORDED = Path(__file__).parent / "data"


@pytest.fixture
def recorded() -> list[Any]:
    """What a node of September 2025 answered while a Lua process of it was forked and compared."""
    return recording("sept")


@pytest.fixture
def recorded_later() -> list[Any]:
    """The same of a node of November 2025, which lists assignments without signatures."""
    return recording("nov")


@pytest.fixture
def recorded_odd() -> list[Any]:
    """The same of September 2025, with line breaks in values: the node writes these as they are
    between fields. It has lost a key of a commitment, too."""
    return recording("odd")


def recording(generation: str) -> list[Any]:
    """The requests and answers of one process."""
    file = RECORDED / f"fork-{generation}.json.xz"
    exchanges: list[Any] = json.loads(lzma.decompress(file.read_bytes()))
    return exchanges


@contextlib.asynccontextmanager
async def replayed(exchanges: list[Any]) -> AsyncIterator[str]:
    """A server that answers as was recorded, by path; its URL. Other paths are not found."""
    answers = {
        one["request"]["path"]: (
            one["response"]["status"],
            one["response"]["headers"],
            base64.b64decode(one["response"]["body_b64"]),
        )
        for one in exchanges
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                path = line.split()[1].decode()
                status, headers, body = answers.get(path, (404, [], b""))
                kept = [one for one in headers if one[0] not in ("transfer-encoding", "date")]
                lines = [f"{name}: {value}\r\n" for name, value in kept]
                lines.append(f"content-length: {len(body)}\r\n\r\n")
                writer.write(f"HTTP/1.1 {status} X\r\n{''.join(lines)}".encode() + body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def process_of(exchanges: list[Any]) -> str:
    return str(exchanges[0]["request"]["path"])[1:44]


def told(_text: str) -> None:
    """A progress that is not shown."""


@in_loop
async def test_a_lua_process_of_a_real_node_comes_to_the_same_here(
    folder: Path, recorded: list[Any]
) -> None:
    here = folder / "here"
    async with replayed(recorded) as url, home(here) as node:
        taken = await take_from(node, settings(here), url, process_of(recorded), "twin", told)
        (note,) = taken.notes  # each message and each assignment is signed, and checked
        assert "its node runs it in luerl" in note
        assert taken.process.slots == taken.process.computed == 7
        found = await compare_fork(
            node, settings(here), taken.process, "", 0, None, Changed(), told
        )
        assert (found.equal, found.different, found.uncompared) == (7, (), ())


@pytest.mark.parametrize("is_lua", [True, False])
@in_loop
async def test_requests_are_packed_for_the_code_that_gets_them(
    folder: Path, recorded: list[Any], monkeypatch: pytest.MonkeyPatch, is_lua: bool
) -> None:
    here, packed = folder / "here", []
    monkeypatch.setattr(bundles, "pack", lambda request: packed.append(request) or pack(request))
    if not is_lua:  # any other code, as far as the log is concerned
        monkeypatch.setattr(taking, "AS_NODE", "none")
    async with replayed(recorded) as url, home(here) as node:
        taken = await take_from(node, settings(here), url, process_of(recorded), "twin", told)
        assert len(packed) == (7 if is_lua else 0)
        await compare_fork(node, settings(here), taken.process, "", 0, None, Changed(), told)
        assert len(packed) == (7 if is_lua else 0)


@pytest.mark.parametrize("generation", ["luerl-sept", "luerl-nov"])
@in_loop
async def test_numbers_requests_and_order_are_those_of_the_node(
    folder: Path, generation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of ours that evaluates 170 lines and shows what it was called with."""
    monkeypatch.setattr(images, "CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(images, "CHECKPOINT_SHARE", 0.0)
    here, exchanges = folder / "here", recording(generation)
    async with replayed(exchanges) as url, home(here) as node:
        process = process_of(exchanges)
        taken = await take_from(node, settings(here), url, process, "twin", told)
        assert taken.process.origin is not None and taken.process.origin.as_node
        found = await compare_fork(
            node, settings(here), taken.process, "", 0, None, Changed(), told
        )
        assert (found.equal, found.different, found.uncompared) == (7, (), ())
        said = (await node.result(process, 1)).output
        assert "tostring(1000.0) => boolean:true | string:1.0e3" in said
        assert await node.verify_log(process) == []
        fork = await node.find(process)
        asked = replace(await last_of(node, process), id="A" * 43, data=b"1000.0 .. '';;")
        sent = await node.send(process, asked)
        answer = await node.result(process, sent.slot)
        assert "string:1.0e3" in answer.output and fork.owner in answer.output
        checkpoints = settings(here).state / "checkpoints"
        await until(lambda: (checkpoints / f"{process}.checkpoint").exists())
    async with home(here) as node:
        assert (await node.find(process)).checkpoint is not None
        asked = replace(asked, id="B" * 43, data=ASKED)
        sent = await node.send(process, asked)
        answer = await node.result(process, sent.slot)
        assert "string:1.0e3" in answer.output and "string:0.0x" in answer.output
        assert (
            "boolean:false | string:{no_module,<<46,98,105,110,116>>,<<39,46,47,47" in answer.output
        )
        assert await node.verify_log(process) == []
        exported = await node.export(process)
    async with home(folder / "other") as node:
        again = await node.restore(exported)
        assert again.origin is not None and again.origin.as_node
        assert (await node.result(process, sent.slot)).output == answer.output
        assert await node.verify_log(process) == []


@in_loop
async def test_patches_of_a_stack_of_devices_are_those_of_the_node(folder: Path) -> None:
    here, exchanges = folder / "here", recording("stack-sept")
    async with replayed(exchanges) as url, home(here) as node:
        process = process_of(exchanges)
        taken = await take_from(node, settings(here), url, process, "twin", told)
        assert len(taken.notes) == 1, "no device of it is left out"
        found = await compare_fork(
            node, settings(here), taken.process, "", 0, None, Changed(), told
        )
        assert (found.equal, found.different, found.uncompared) == (4, (), ())
        copy = await node.workbench.fork(process, 3, "copy")
        assert await node.verify_log(copy.id) == []


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ([("Execution-Device", "lua@5.3a")], ()),
        ([("Execution-Device", "genesis-wasm@1.0")], ("genesis-wasm@1.0",)),
        (
            [("Execution-Device", "stack@1.0"), ("Device-Stack", '"dedup@1.0", "lua@5.3a"')],
            ("dedup@1.0, a device that is left out here",),
        ),
        (
            [("Execution-Device", "stack@1.0"), ("Device-Stack", '"wasi@1.0", "wasm-64@1.0"')],
            ("its node runs it by wasm-64@1.0", "wasi@1.0, wasm-64@1.0, devices that are"),
        ),
    ],
)
def test_devices_that_are_left_out_are_named(
    tags: list[tuple[str, str]], said: tuple[str, ...]
) -> None:
    definition = Message("", "", "", "", tags_of(tags), b"")
    notes = left_out(definition, BY_LUA)
    assert len(notes) == len(said)
    assert all(part in note for part, note in zip(said, notes, strict=True))


ASKED = b"1000.0 .. '';; select('#') .. 'x';; pcall(require, '.bint');;"


async def last_of(node: LocalNode, process: str) -> Message:
    """The last message of a log."""
    last = await node.slots(process) - 1
    (found,) = await node.schedule(process, last, last)
    return found


@in_loop
async def test_assignments_that_a_node_lists_without_signatures_are_named(
    folder: Path, recorded_later: list[Any]
) -> None:
    here = folder / "here"
    async with replayed(recorded_later) as url, home(here) as node:
        process = process_of(recorded_later)
        taken = await take_from(node, settings(here), url, process, "twin", told)
        assert (
            f"7 assignments are not checked: {url} lists them without signatures" in taken.notes[1]
        )
        assert taken.process.origin is not None and taken.process.origin.unsigned == 0
        found = await compare_fork(
            node, settings(here), taken.process, "", 0, None, Changed(), told
        )
        assert found.same and found.equal == 7


@in_loop
async def test_messages_that_a_node_garbles_are_checked_as_json_has_them(
    folder: Path, recorded_odd: list[Any]
) -> None:
    here = folder / "here"
    async with replayed(recorded_odd) as url, home(here) as node:
        process = process_of(recorded_odd)
        taken = await take_from(node, settings(here), url, process, "twin", told)
        (note,) = taken.notes  # all is signed, and checked
        assert "its node runs it in luerl" in note
        (sent,) = await node.schedule(process, 13, 13)
        assert sent.data == b"a\r\nb: c\r\n\r\n--x" and sent.from_ == process
        found = await compare_fork(
            node, settings(here), taken.process, "", 0, None, Changed(), told
        )
        assert found.same and found.equal == 16
    changed = tampered(recorded_odd, "application/aos-2", b"b: c", b"b: d")
    async with replayed(changed) as url, home(folder / "other") as node:
        with pytest.raises(AoError, match=r"slot 13 of .* is refused"):
            await take_from(node, settings(folder / "other"), url, process, "twin", told)


@in_loop
async def test_a_message_with_too_many_fields_is_named(
    folder: Path, recorded: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_TAGS", 6)
    async with replayed(recorded) as url, home(folder / "here") as node:
        with pytest.raises(AoError, match=r"a message with \d+ tags, and 6 are read at most"):
            await take_from(
                node, settings(folder / "here"), url, process_of(recorded), "twin", told
            )
        assert not await node.processes()


def tampered(exchanges: list[Any], part: str, was: bytes, now: bytes) -> list[Any]:
    """The recording with other bytes in the answers whose path has a part."""
    changed = copy.deepcopy(exchanges)
    for one in changed:
        body = base64.b64decode(one["response"]["body_b64"])
        if part in one["request"]["path"] and was in body:
            assert len(was) == len(now)
            body = body.replace(was, now)
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            headers = dict(one["response"]["headers"]) | {"content-digest": f"sha-256=:{digest}:"}
            one["response"]["headers"] = [list(pair) for pair in headers.items()]
            one["response"]["body_b64"] = base64.b64encode(body).decode()
    assert changed != exchanges
    return changed


@pytest.mark.parametrize(
    ("part", "was", "now", "named"),
    [
        ("/schedule", b'error("boom")', b'error("doom")', "slot 5 of .* is refused"),
        ("/schedule", b"slot: 3\r\n", b"slot: 4\r\n", "assignment of slot 4 of .* is refused"),
    ],
)
@in_loop
async def test_what_a_node_changes_is_refused(
    folder: Path, recorded: list[Any], part: str, was: bytes, now: bytes, named: str
) -> None:
    here = folder / "here"
    async with replayed(tampered(recorded, part, was, now)) as url, home(here) as node:
        with pytest.raises(AoError, match=named):
            await take_from(node, settings(here), url, process_of(recorded), "twin", told)
        assert not await node.processes()
