"""Items signed for a process before it was forked never leave the home."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from eventually import in_loop
from served_node import COUNTER, ServedNode, served
from test_forks import counted, forked, home, settings
from test_gateway import signed as transaction

from aoshell.nodes.local.forked.withheld import Elsewhere
from aoshell.nodes.local.history import parts
from aoshell.nodes.local.history.loading import load_node
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.network import verbs
from aoshell.nodes.values import WithheldError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.bundle import TAGS, Bundle
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.states.working import dump, load

DOCS = Path(__file__).parents[2] / "docs" / "serve.md"
QUERY = """query($ids: [ID!], $owners: [String!], $after: String) {
  transactions(ids: $ids, owners: $owners, first: 100, after: $after) {
    count pageInfo { hasNextPage }
    edges { cursor node { id anchor signature recipient owner { address key } data { size type }
      tags { name value } block { id height } ingested_at } } } }"""
AS_JSON = {"accept": "application/json"}
BY_CODEC = {"require-codec": "application/json"}
IN_PARTS = {"range": "bytes=0-2000"}


@dataclass
class Secrets:
    """A home with items for a process that was forked later."""

    here: ServedNode
    fork: str
    other: str
    uploads: dict[str, str]  # ids by what they are
    assigned: list[str]
    signatures: list[bytes]

    def found_in(self, answer: bytes) -> bool:
        return any(needle in answer for one in self.signatures for needle in needles(one))


@functools.cache
def needles(signature: bytes) -> set[bytes]:
    """A signature as bytes, in hexadecimal, and in base64 wherever it begins."""
    found = {signature[:64], signature[:64].hex().encode(), signature[:64].hex().upper().encode()}
    found.add(json.dumps(list(signature[:32]))[1:-1].encode())
    found.add(json.dumps(signature[:64].decode("latin-1"))[1:-1].encode())
    for at in range(3):
        part = base64.b64encode(signature[at:66])[:-4]
        found |= {part, part.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


@contextlib.asynccontextmanager
async def holding(folder: Path, wallet: Wallet, node_key: Wallet) -> AsyncIterator[Secrets]:
    """A served home that has taken such items, and then the fork."""
    state = settings(folder / "here").state
    async with served(folder / "there", wallet) as there:
        fork = await counted(there, 1)
        items = {
            "targeted": DataItem.sign(wallet, fork, tags_of([("Action", "Add")]), b"one"),
            "tagged": DataItem.sign(wallet, "", tags_of([("process", fork)]), b"two"),
        }
        nested = DataItem.sign(wallet, "", TAGS, Bundle.of(items.values()).raw)
        plain = DataItem.sign(wallet, "", (), items["targeted"].raw)
        twice = DataItem.sign(wallet, "", TAGS, Bundle.of([nested]).raw)
        items |= {"bundle": nested, "plain": plain, "twice": twice}
        based = transaction(wallet, b"", target=fork)
        signatures = [items["targeted"].signature, items["tagged"].signature]
        signatures.append(unb64url(based["signature"]))
        async with served(state, wallet, key=node_key) as here:
            other = await here.spawn(COUNTER)
            for item in items.values():
                answer = await here.post(item, "/tx")
                assert answer.status_code == 200, answer.text
            answer = await here.client.post("/tx", json={**based, "data": ""})
            assert answer.status_code == 200, answer.text
            ids = {name: item.id for name, item in items.items()} | {"based": based["id"]}
            secrets = Secrets(here, fork, other, ids, [], signatures)
            assert {name for name in ids if await leaks(secrets, ids[name])} == set(ids), (
                "before it is a fork, all of it is given out"
            )
            given = DataItem.sign(wallet, fork, tags_of([("Action", "Add")]), b"three")
            signatures.append(given.signature)
            await here.post(given, "/tx")
            path = f"/?process-id={other}&assign={given.id}"
            assigned = [given.id, (await here.client.post(path)).json()["id"]]
            await here.result(other, await here.send(other, Action="Add"))
            answer = await here.client.get(f"/{other}~process@1.0/schedule/assignments/2")
            assert secrets.found_in(answer.content), "by its schedule, too"
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, fork)
    async with served(state, wallet, key=node_key) as here:
        yield Secrets(here, fork, other, ids, assigned, signatures)


async def leaks(secrets: Secrets, id: str) -> bool:
    for path in (f"/tx/{id}", f"/raw/{id}"):
        if secrets.found_in((await secrets.here.client.get(path)).content):
            return True
    return False


def paths(processes: Iterable[str], messages: Iterable[str]) -> list[str]:
    """The paths that docs/serve.md names, of these processes and messages."""
    rows = "\n".join(line for line in DOCS.read_text().splitlines() if line.startswith("| `"))
    shapes = set(re.findall(r"`(?:GET )?(/[^`…\s]*)`", rows)) - {"/KEYS"}
    shapes |= {shape.replace("[/KEYS]", "").replace("[/KEY]", "") for shape in shapes}
    shapes |= {
        "/P?process-id=P&from-nonce=-1",
        "/P?process-id=P&from=0&limit=1000",
        "/ID~message@1.0",
        "/ID~message@1.0/commitments",
        "/ID~message@1.0/data",
        "/ID~json@1.0/serialize",
        "/M~process@1.0",
        "/P~process@1.0/schedule?from=0&to=100&accept=application/aos-2",
        "/P~process@1.0/schedule/assignments",
        "/~scheduler@1.0/schedule?target=P&accept=application/aos-2",
        "/~aoshell@1.0/page/messages?process=P",
        *(f"/~aoshell@1.0/page/message?process=P&at={slot}" for slot in range(5)),
        "/~aoshell@1.0/page/trace?process=P&at=2",
        "/tx/ID/offset",
        "/tx/ID/signature",
        "/?debug=1&process=P&message=M",
        *(f"/P~process@1.0/schedule/assignments/{slot}/body" for slot in range(5)),
        *(f"/P?process-id=P&from-nonce={slot}&limit=1" for slot in range(5)),
    }
    found = set()
    for shape in shapes:
        for process in processes:
            for message in messages:
                path = re.sub(r"\bP\b", process, re.sub(r"\b(ID|M)\b", message, shape))
                found.add(path.replace("=N", "=2").replace("/N", "/2"))
    return sorted(found)


def heads(path: str) -> Iterable[dict[str, str]]:
    """The headers with which a path is asked: each may bring another form of the answer."""
    if path.startswith("/raw/"):
        return ({}, IN_PARTS)
    by_id = path.count("/") == 1 and len(path) == 44
    return ({}, AS_JSON, BY_CODEC) if by_id else ({}, AS_JSON) if "schedule" in path else ({},)


async def walk(secrets: Secrets) -> None:
    """Ask all paths, and assert that none gives a signature out."""
    here = secrets.here
    messages = [*secrets.uploads.values(), *secrets.assigned]
    walked = paths([secrets.fork, secrets.other], messages)
    assert len(walked) > 200
    statuses = set[int]()
    for path in walked:
        for head in heads(path):
            answer = await here.client.get(path, headers=head)
            statuses.add(answer.status_code)
            assert not secrets.found_in(answer.content), (path, head)
            assert not secrets.found_in(repr(answer.headers).encode()), (path, head)
    assert {200, 403, 404} <= statuses and 500 not in statuses


async def query(secrets: Secrets, wallet: Wallet) -> None:
    """Ask a gateway for all of them, and assert that it lists them without a signature."""
    messages = [*secrets.uploads.values(), *secrets.assigned]
    for given in ({"ids": messages}, {"owners": [wallet.address]}):
        answer = await secrets.here.client.post(
            "/graphql", json={"query": QUERY, "variables": given}
        )
        assert not secrets.found_in(answer.content)
        edges = answer.json()["data"]["transactions"]["edges"]
        found = {edge["node"]["id"]: edge["node"] for edge in edges}
        assert set(secrets.uploads.values()) <= set(found), "they are listed all the same"
        own = [found[secrets.uploads[name]] for name in ("targeted", "tagged", "based")]
        assert all(one["signature"] == one["owner"]["key"] == "" for one in own)


@in_loop
async def test_no_path_gives_a_signature_for_a_fork_out(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    async with holding(folder, wallet, node_key) as secrets:
        await walk(secrets)
        await query(secrets, wallet)


@in_loop
async def test_no_path_gives_it_out_once_the_fork_is_deleted(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    """The item is valid where the process lives, whatever this home has."""
    async with holding(folder, wallet, node_key) as secrets:
        await secrets.here.node.delete(secrets.fork)
        await walk(secrets)
        await query(secrets, wallet)
    async with served(settings(folder / "here").state, wallet, key=node_key) as secrets.here:
        await walk(secrets)
        await query(secrets, wallet)
        item = DataItem.sign(wallet, secrets.fork, (), b"four")
        answer = await secrets.here.post(item, "/tx")
        assert answer.status_code == 400 and "was a fork of a live process here" in answer.text


@in_loop
async def test_what_is_withheld_is_named_and_what_it_says_is_given(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    async with holding(folder, wallet, node_key) as secrets:
        here, ids = secrets.here, secrets.uploads
        assert (await here.client.get(f"/raw/{ids['targeted']}")).content == b"one"
        assert (await here.get(f"/tx/{ids['targeted']}"))["signature"] == ""
        for name in ("bundle", "plain", "twice"):
            answer = await here.client.get(f"/raw/{ids[name]}")
            assert answer.status_code == 403
            assert "twin is a fork of a live process, and an item in it is signed" in answer.text
            path = f"/?process-id={secrets.other}&assign={ids[name]}"
            assert (await here.client.post(path)).status_code == 403
            network = here.node.network
            with pytest.raises(WithheldError, match="twin is a fork"):
                await network.assign(secrets.other, ids[name])
        path = f"/?process-id={secrets.other}&assign={ids['tagged']}"
        assert (await here.client.post(path)).status_code == 202


@in_loop
async def test_a_log_with_such_an_item_as_data_is_named(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    """A message to another process has it as data: the whole schedule is refused."""
    state = settings(folder / "here").state
    async with served(folder / "there", wallet) as there:
        fork = await counted(there, 0)
        own = DataItem.sign(wallet, fork, (), b"one")
        async with served(state, wallet, key=node_key) as here:
            other = await here.spawn(COUNTER)
            sent = await here.send(other, own.raw)
            await here.result(other, sent)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, fork)
    async with served(state, wallet, key=node_key) as here:
        secrets = Secrets(here, fork, other, {}, [], [own.signature])
        for path in paths([other], [sent]):
            answer = await here.client.get(path)
            assert not secrets.found_in(answer.content), path
        for path in (f"/{other}?process-id={other}", f"/{other}~process@1.0/schedule"):
            answer = await here.client.get(path)
            assert answer.status_code == 403 and f"{sent} is not given out" in answer.text
        assert "Error" not in await here.result(other, sent)


@in_loop
async def test_pages_of_a_query_stay_as_they_were(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    async with holding(folder, wallet, node_key) as secrets:
        here, after = secrets.here, None
        seen: list[str] = []
        while True:
            variables = {"owners": [wallet.address], "after": after}
            query = QUERY.replace("first: 100", "first: 1")
            answer = await here.client.post(
                "/graphql", json={"query": query, "variables": variables}
            )
            found = answer.json()["data"]["transactions"]
            if not found["edges"]:
                break
            seen += [edge["node"]["id"] for edge in found["edges"]]
            after = found["edges"][-1]["cursor"]
        assert len(seen) == len(set(seen)) == int(found["count"])
        assert set(secrets.uploads.values()) <= set(seen)


@pytest.mark.parametrize("accept", [False, True])
@in_loop
async def test_a_bundle_for_a_fork_is_not_taken(folder: Path, wallet: Wallet, accept: bool) -> None:
    async with served(folder / "there", wallet) as there:
        process = await counted(there, 0)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
        state = settings(folder / "here").state
        async with served(state, wallet, accept_signed=accept) as here:
            own = DataItem.sign(wallet, process, (), b"one")
            tagged = DataItem.sign(wallet, "", tags_of([("Process", process)]), b"one")
            bundle = DataItem.sign(wallet, "", TAGS, Bundle.of([own]).raw)
            twice = DataItem.sign(wallet, "", TAGS, Bundle.of([bundle]).raw)
            for item in (own, tagged, bundle, twice):
                answer = await here.post(item, "/tx")
                assert answer.status_code == 400 and "fork of a live process" in answer.text
            other = await here.spawn(COUNTER)
            carrying = here.message(other, own.raw)
            answer = await here.post(carrying)
            assert answer.status_code == 400 and "an item in" in answer.text
            assert (await here.get(f"/{other}/latest?process-id={other}"))["message"] is not None


@in_loop
async def test_a_stand_in_gives_no_signature_out_either(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    async with served(folder, wallet, key=node_key) as here:
        address = "m" * 42 + "w"
        await here.node.workbench.mock(address, COUNTER.encode(), "stand-in")
        await here.node.workbench.mock("m" * 43, b"", "of an address that no item can have")
        sent = here.message(address, Action="Add")
        assert (await here.post(sent)).status_code == 202
        secrets = Secrets(here, address, address, {}, [], [sent.signature])
        for path in paths([address], [sent.id]):
            answer = await here.client.get(path)
            assert not secrets.found_in(answer.content), path
        assert not secrets.found_in(unpacked(await here.node.export(address)))


def unpacked(exported: bytes) -> bytes:
    """What an exported process has."""
    _, _, packed = exported.partition(b"\n")
    return zlib.decompress(packed)


@in_loop
async def test_no_file_has_a_signature_for_a_fork_in_it(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    async with holding(folder, wallet, node_key) as secrets:
        node = secrets.here.node
        for process in (secrets.fork, secrets.other):
            assert not secrets.found_in(unpacked(await node.export(process)))
        await node.workbench.undo(secrets.other, 2)
        for path in (settings(folder / "here").state / "undone").iterdir():
            assert not secrets.found_in(unpacked(path.read_bytes()))
    file = folder / "whole.dump"
    header = await dump(settings(folder / "here"), str(file))
    whole = b"".join(json.dumps(one).encode() for one in parts.read_parts([file.read_bytes()]))
    assert not secrets.found_in(whole)
    assert header["uploads"] == 0
    fork, left_out = header["notes"]
    assert "twin is forked after slot" in fork and "7 uploads are left out" in left_out


@in_loop
async def test_what_an_older_dump_brings_is_withheld_too(
    folder: Path, wallet: Wallet, node_key: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump with such uploads, written by an aoshell that did not know of this."""
    async with holding(folder, wallet, node_key) as secrets:
        pass
    file = folder / "whole.dump"
    with monkeypatch.context() as patched:
        patched.setattr(Elsewhere, "holds_back", lambda *_: False)
        await dump(settings(folder / "here"), str(file))
    await load(settings(folder / "again"), str(file))
    async with served(settings(folder / "again").state, wallet, key=node_key) as again:
        secrets.here = again
        for id in secrets.uploads.values():
            assert not await leaks(secrets, id)


@in_loop
async def test_large_uploads_are_searched_beside_the_loop(
    folder: Path, wallet: Wallet, node_key: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "LITTLE", 16)
    async with holding(folder, wallet, node_key) as secrets:
        for id in secrets.uploads.values():
            assert not await leaks(secrets, id)


ECHO = b"""
Handlers.add("echo", "Echo", function(msg)
  Send({ Target = Other, Data = msg.Data })
end)
"""


@dataclass
class Carried:
    """A home in which a process was given an item for a fork as data, and has sent it on."""

    here: ServedNode
    fork: str
    other: str
    sent: str
    form: str
    signature: bytes


FORMS = {
    "raw": lambda raw: raw,
    "base64": base64.b64encode,
    "base64url": lambda raw: b"{'item': '" + base64.urlsafe_b64encode(raw) + b"'}",
    "hex": lambda raw: raw.hex().encode(),
    "HEX": lambda raw: b" " + raw.hex().upper().encode(),
}


@contextlib.asynccontextmanager
async def carrying(
    folder: Path, wallet: Wallet, node_key: Wallet, form: str
) -> AsyncIterator[Carried]:
    state = settings(folder / "here").state
    async with served(folder / "there", wallet) as there:
        fork = await counted(there, 0)
        named = () if form != "hex" else tags_of([("Process", fork)])
        own = DataItem.sign(wallet, "" if named else fork, named, b"one")
        async with served(state, wallet, key=node_key) as here:
            other = await here.spawn(ECHO + b'Other = "%s"' % fork.encode())
            data = FORMS[form](own.raw)
            sent = await here.send(other, data, Action="Echo")
            assert (await here.result(other, sent))["Messages"][0]["Data"]
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, fork)
    async with served(state, wallet, key=node_key) as here:
        yield Carried(here, fork, other, sent, form, own.signature)


@pytest.mark.parametrize("form", FORMS)
@in_loop
async def test_an_item_in_data_is_found_however_it_is_written(
    folder: Path, wallet: Wallet, node_key: Wallet, form: str
) -> None:
    async with carrying(folder, wallet, node_key, form) as it:
        secrets = Secrets(it.here, it.fork, it.other, {}, [], [it.signature])
        asked = [f"/{it.other}?process-id={it.other}", f"/{it.other}~process@1.0/schedule"]
        asked += [
            f"/raw/{it.sent}",
            f"/tx/{it.sent}",
            f"/~aoshell@1.0/page/messages?process={it.other}",
        ]
        if form == "raw":  # whoever finds one form on a path finds all
            asked = paths([it.other], [it.sent])
        for _ in range(2):
            for path in asked:
                answer = await it.here.client.get(path)
                assert not secrets.found_in(answer.content), path
            answer = await it.here.client.get(f"/result/{it.sent}?process-id={it.other}")
            assert answer.status_code == 403 and f"{it.sent} is not given out" in answer.text
            if any(one.id == it.fork for one in await it.here.node.processes()):
                await it.here.node.delete(it.fork)


@pytest.mark.parametrize("deleted", [False, True])
@in_loop
async def test_a_file_with_such_data_says_so_and_takes_the_rule_along(
    folder: Path, wallet: Wallet, node_key: Wallet, deleted: bool
) -> None:
    async with carrying(folder, wallet, node_key, "raw") as it:
        node, name = it.here.node, it.fork if deleted else "twin"
        if deleted:
            await node.delete(it.fork)
        (warning,) = await node.warnings(it.other)
        assert f" has in its data an item that is signed for {name}, a live process" in warning
        exported = await node.export(it.other)
    file = folder / "whole.dump"
    header = await dump(settings(folder / "here"), str(file))
    assert warning in header["notes"]
    await load(settings(folder / "loaded"), str(file))
    async with home(folder / "imported") as node:
        await node.restore(exported)
    for where in ("loaded", "imported"):
        async with served(settings(folder / where).state, wallet, key=node_key) as again:
            answer = await again.client.get(f"/{it.other}?process-id={it.other}")
            assert answer.status_code == 403, where


@in_loop
async def test_a_deleted_fork_that_comes_back_takes_nothing_signed(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    """Forked again, or imported as the original process."""
    async with served(folder / "there", wallet) as there:
        process = await counted(there, 1)
        exported = await there.node.export(process)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
            await node.delete(process)
            await forked(node, folder / "here", there, process)
            await node.delete(process)
            await node.restore(exported)
            assert await node.takes_unsigned(process)
        async with served(settings(folder / "here").state, wallet, key=node_key) as here:
            secrets = Secrets(here, process, process, {}, [], [])
            page = (await here.client.get(f"/{process}?process-id={process}")).json()
            there_page = (await there.client.get(f"/{process}?process-id={process}")).json()
            for edge in there_page["edges"]:
                secrets.signatures.append(unb64url(edge["node"]["message"]["signature"]))
            assert len(page["edges"]) == len(secrets.signatures) > 2
            assert not secrets.found_in(json.dumps(page).encode())
            answer = await here.post(here.message(process, Action="Add"))
            assert answer.status_code == 400 and "was a fork of a live process" in answer.text


@in_loop
async def test_the_process_itself_is_not_taken_for_a_fork(folder: Path, wallet: Wallet) -> None:
    """A dump of a home with the fork is loaded into the home of the original."""
    async with served(folder / "there", wallet) as there:
        process = await counted(there, 1)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
            await node.delete(process)
    file = folder / "here.dump"
    await dump(settings(folder / "here"), str(file))
    store = Store(folder / "there")
    try:
        load_node(store, [file.read_bytes()], lambda _count: None)
        assert process not in Elsewhere.of(store)
    finally:
        store.close()


@in_loop
async def test_a_removed_stand_in_is_remembered(
    folder: Path, wallet: Wallet, node_key: Wallet
) -> None:
    async with served(folder, wallet, key=node_key) as here:
        address = "m" * 42 + "w"
        item = DataItem.sign(wallet, address, (), b"one")
        assert (await here.post(item, "/tx")).status_code == 200
        await here.node.workbench.mock(address, COUNTER.encode(), "stand-in")
        await here.node.delete(address)
        secrets = Secrets(here, address, address, {"one": item.id}, [], [item.signature])
        assert not await leaks(secrets, item.id)
        await here.node.workbench.mock(address, COUNTER.encode(), "stand-in")
        assert (await here.post(here.message(address, Action="Add"))).status_code == 202


@in_loop
async def test_it_is_known_at_every_step_of_a_deletion(folder: Path, wallet: Wallet) -> None:
    """A kill leaves the state after one of these transactions."""
    async with served(folder / "there", wallet) as there:
        process = await counted(there, 2)
        async with home(folder / "here") as node:
            await forked(node, folder / "here", there, process)
    store = Store(settings(folder / "here").state)
    try:
        row = store.process(process)
        assert row is not None
        while store.forget(row.number, 0, 1):
            with store.unchanging() as seen:
                assert process in Elsewhere.of(seen)
        assert store.process(process) is None and process in Elsewhere.of(store)
    finally:
        store.close()
