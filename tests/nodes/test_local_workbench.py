"""Forks, steps back, clocks, queues, stand-ins and traces."""

from __future__ import annotations

from pathlib import Path

import pytest
from eventually import in_loop
from local_home import NOBODY, Local, plain

from aoshell.errors import AoError, UsageError
from aoshell.nodes.local.clock.ticking import FARTHEST
from aoshell.nodes.local.tracing import trace
from aoshell.nodes.values import Limits, NameTakenError, NotFoundError
from aoshell.protocol.message import Message, tags_of

COUNTER = """
N = 0
Handlers.add("Add", "Add", function(msg)
  N = N + 1
  Send({Target = msg.Peer or Owner, Action = "Added", N = tostring(N)})
end)
"""
LISTENER = """
Heard = {}
Handlers.add("Added", "Added", function(msg) table.insert(Heard, msg.N or msg.Tags.N) end)
"""


def evaluating(code: str) -> Message:
    return Message("", "", "", "", tags_of([("Action", "Eval")]), code.encode())


async def counted(local: Local, times: int = 5) -> str:
    process = await local.spawn(COUNTER, name="counter")
    for _ in range(times):
        await local.send(process, Action="Add")
    return process


async def n_at(local: Local, process: str, slot: int) -> str:
    info = await local.node.find(process)
    asked = evaluating("return N")
    asked = Message("", info.owner, info.owner, process, asked.tags, asked.data)
    return plain((await local.node.workbench.at(process, slot, asked)).output)


@in_loop
async def test_the_state_at_a_slot(opening) -> None:
    async with opening() as local:
        process = await counted(local)
        assert [await n_at(local, process, slot) for slot in range(6)] == list("012345")
        assert await local.node.slots(process) == 6
        with pytest.raises(UsageError, match="no slot 6"):
            await n_at(local, process, 6)


@in_loop
async def test_a_fork_goes_on_by_itself(opening) -> None:
    async with opening() as local:
        process = await counted(local)
        await local.eval(process, "Self = ao.id")
        twin = await local.node.workbench.fork(process, 3, "twin")
        whole = await local.node.workbench.fork(process, None, "whole")
        assert await local.value(twin.id, "return N") == "3"
        assert await local.value(whole.id, "return N .. Self") == f"5{whole.id}"
        await local.send(twin.id, Action="Add")
        assert await local.value(twin.id, "return N") == "4"
        assert await local.value(process, "return N") == "5"
        for one in (process, twin.id, whole.id):
            assert await local.node.verify_log(one) == []
        assert (await local.node.find("twin")).id == twin.id
    async with opening() as local:
        assert await local.value(twin.id, "return N") == "4"


@in_loop
async def test_a_fork_of_a_process_that_wrote_to_itself_names_itself(opening) -> None:
    async with opening() as local:
        process = await local.spawn()
        sent = await local.post(process, "Send({Target = ao.id, Action = 'Hi'})", Action="Eval")
        await local.node.settled(sent.id)
        twin = (await local.node.workbench.fork(process, None, "twin")).id
        heard = plain((await local.node.result(twin, 2)).output)
        assert heard.startswith(f"New Message From {twin[:3]}...{twin[-3:]}: ")
        assert await local.node.verify_log(twin) == []


@in_loop
async def test_undo_takes_back_and_keeps_a_copy(opening) -> None:
    async with opening() as local:
        process = await counted(local)
        path = await local.node.workbench.undo(process, 4)
        assert await local.value(process, "return N") == "3"
        await local.send(process, Action="Add")
        assert await local.value(process, "return N") == "4"
        assert await local.node.verify_log(process) == []
        await local.node.delete(process)
        await local.node.restore(Path(path).read_bytes())
        assert await local.value(process, "return N") == "5"
        for slot in (0, 99):
            with pytest.raises(UsageError):
                await local.node.workbench.undo(process, slot)
    async with opening() as local:
        assert await local.value(process, "return N") == "5"


@in_loop
async def test_marks_are_slots_by_name(opening) -> None:
    async with opening() as local:
        process = await counted(local, 2)
        bench = local.node.workbench
        assert await bench.mark(process, "two") == 2
        await local.send(process, Action="Add")
        assert await bench.mark(process, "three") == 3
        assert await bench.marks(process) == {"two": 2, "three": 3}
        await bench.undo(process, 3)
        assert await bench.marks(process) == {"two": 2}
        await local.send(process, Action="Add")  # another slot 3
        assert await bench.marks(process) == {"two": 2}


@in_loop
async def test_a_process_that_comes_again_has_no_marks_and_no_queue_of_before(opening) -> None:
    async with opening() as local:
        bench, sender = local.node.workbench, await local.spawn(COUNTER)
        listener = await local.spawn(LISTENER)
        data = await local.node.export(listener)
        await bench.mark(listener, "first")
        await bench.pause(listener, True)
        await local.send(sender, Action="Add", Peer=listener)
        await local.node.delete(listener)
        assert (await local.reasons(sender)) == [
            "no process with this id is on this node, and no wallet known here has it"
        ]
        await local.node.restore(data)
        assert await bench.marks(listener) == {}
        await local.send(sender, Action="Add", Peer=listener)
        assert await local.value(listener, "return #Heard") == "1"


@in_loop
async def test_what_comes_behind_a_message_taken_back_under_way_goes_by_its_own_name(
    opening,
) -> None:
    async with opening() as local:
        counter = await local.spawn(COUNTER)
        caller = await local.spawn("Heard = 0")
        endless = await local.post(caller, "while true do end", Action="Eval")
        await local.node.workbench.undo(caller, endless.slot)
        add = f"Send({{Target = '{counter}', Action = 'Add', Peer = ao.id}})"
        sent = await local.post(caller, add, Action="Eval")
        assert sent.slot == endless.slot
        await local.node.settled(sent.id)
        assert (await local.entries(caller))[-1].message.tag("Action") == "Added"
        for process in (counter, caller):
            assert (await local.entries(process))[-1].message.pushed_for == sent.id


@in_loop
async def test_the_clock_goes_forward_and_stays_there(opening) -> None:
    async with opening() as local:
        process = await local.spawn(
            'T = 0 Handlers.add("Tick", "Tick", function(m) T = T + 1 end)',
            Cron_Interval="1-hour",
            Cron_Tag_Action="Tick",
        )
        before = int(await local.value(process, "return os.time()"))
        assert await local.node.workbench.warp(2 * 3_600_000) == 7_200_000
        after = int(await local.value(process, "return os.time()"))
        assert 7_200_000 <= after - before < 7_260_000
        assert await local.value(process, "return T") == "1"  # one stands for both
        assert await local.node.workbench.tick(process) == 1
        assert await local.value(process, "return T") == "2"
        with pytest.raises(UsageError, match="forward"):
            await local.node.workbench.warp(-1)
        with pytest.raises(UsageError, match="ten years"):
            await local.node.workbench.warp(FARTHEST - 7_200_000 + 1)
        with pytest.raises(UsageError, match="no cron"):
            await local.node.workbench.tick(await local.spawn())
    async with opening() as local:
        assert int(await local.value(process, "return os.time()")) - before > 7_000_000


@in_loop
async def test_a_queue_is_delivered_message_by_message(opening) -> None:
    async with opening() as local:
        bench = local.node.workbench
        listener = await local.spawn(LISTENER, name="listener")
        process = await local.spawn(COUNTER)
        await bench.pause(listener, True)
        for _ in range(3):
            await local.send(process, Action="Add", Peer=listener)
        assert len(await bench.queued(listener)) == 3
        assert await local.value(listener, "return #Heard") == "0"  # lines run all the same
        await bench.step(listener, 2)
        await bench.step(listener)
        heard = 'return table.concat(Heard, " ")'
        assert await local.value(listener, heard) == "3 1"
        with pytest.raises(UsageError, match="1 messages wait"):
            await bench.step(listener, 1)
    async with opening() as local:  # it is on disk, as all else
        bench = local.node.workbench
        assert len(await bench.queued(listener)) == 1
        await bench.pause(listener, False)
        assert await local.value(listener, heard) == "3 1 2"
        await local.send(process, Action="Add", Peer=listener)
        assert await local.value(listener, heard) == "3 1 2 4"
        assert await local.node.verify_log(listener) == []
        with pytest.raises(UsageError, match="nothing waits"):
            await bench.step(listener)


@in_loop
async def test_a_queue_waits_on_when_slots_are_taken_back(opening) -> None:
    async with opening() as local:
        bench = local.node.workbench
        listener, process = await local.spawn(LISTENER), await local.spawn(COUNTER)
        await local.eval(listener, "return 1")
        await bench.pause(listener, True)
        await local.send(process, Action="Add", Peer=listener)
        await bench.undo(listener, 1)
        assert len(await bench.queued(listener)) == 1
        assert await local.value(listener, "return #Heard") == "0"


@in_loop
async def test_a_stand_in_answers_for_an_address(opening) -> None:
    script = b'Handlers.add("Price", "Price", function(m) m.reply({Data = "42"}) end)'
    async with opening() as local:
        process = await local.spawn()
        made = await local.node.workbench.mock(NOBODY, script, "oracle")
        assert (made.id, made.name) == (NOBODY, "oracle")
        code = f'return Send({{Target = "{NOBODY}", Action = "Price"}}).receive().Data'
        result = await local.eval(process, code)
        assert result.suspended
        last = (await local.entries(process))[-1]
        assert last.result is not None and plain(last.result.output) == "42"
        with pytest.raises(UsageError, match="already"):
            await local.node.workbench.mock(NOBODY, script, "again")
        with pytest.raises(UsageError, match="no address"):
            await local.node.workbench.mock("short", script, "again")


@in_loop
async def test_a_trace_has_bounds_for_what_was_not_delivered_too(opening) -> None:
    async with opening() as local:
        process = await local.spawn()
        lost = f'Send({{Target = "{NOBODY}", Data = "x"}}) '
        line = await local.post(process, lost * 3, Action="Eval")
        await local.node.settled(line.id)
        root = local.engine.store.by_id(line.id, 0).root
        for limit, largest, hops in ((9, 1 << 20, 4), (4, 1 << 20, 4), (2, 1 << 20, 2), (9, 0, 1)):
            page = trace(local.engine, root, limit, largest)
            assert (len(page.hops), page.more) == (hops, hops < 4)


@in_loop
async def test_a_trace_is_a_tree_across_processes(opening) -> None:
    async with opening() as local:
        listener = await local.spawn(LISTENER)
        process = await local.spawn(COUNTER)
        receipt = await local.post(process, Action="Add", Peer=listener)
        await local.node.settled(receipt.id)
        lost = await local.post(process, Action="Add", Peer="nobody")
        await local.node.settled(lost.id)
        hops = await local.node.workbench.trace(receipt.id)
        assert [(hop.process, hop.cause) for hop in hops] == [(process, -1), (listener, 0)]
        assert all(hop.entry and hop.entry.result and hop.entry.result.ok for hop in hops)
        # From any message of it.
        assert hops[1].entry is not None
        assert await local.node.workbench.trace(hops[1].entry.message.id) == hops
        root, kept = await local.node.workbench.trace(lost.id)
        assert kept.kept is not None and kept.cause == 0 and root.kept is None
        with pytest.raises(AoError, match="no message"):
            await local.node.workbench.trace("x" * 43)
        # A fork has the same message.
        twin = (await local.node.workbench.fork(process, None, "twin")).id
        found = [
            [hop.process for hop in await local.node.workbench.trace(receipt.id, of)]
            for of in ("", process, twin, listener)
        ]
        own = [process, listener]
        assert found == [own, own, [twin], own]


@in_loop
async def test_what_is_cancelled_stays_so_when_a_log_changes_by_hand(opening) -> None:
    async with opening(limits=Limits(seconds=40)) as local:
        process, other = await local.spawn("N = 0"), await local.spawn("N = 1")
        first = await local.post(process, "while true do end", Action="Eval")
        second = await local.post(process, "while true do end", Action="Eval")
        await local.node.cancel(process, second.slot)  # it waits behind the first
        await local.node.workbench.fork(other, None, "twin")
        await local.node.cancel(process, first.slot)
        for receipt in (first, second):
            result = await local.node.result(process, receipt.slot)
            assert result.error == "stopped by the user"
        assert await local.node.verify_log(process) == []


@in_loop
async def test_a_process_that_was_held_for_what_is_taken_back_holds_nothing_up(opening) -> None:
    async with opening() as local:
        process, other = await local.spawn("N = 0"), await local.spawn("N = 1")
        endless = await local.post(process, "while true do end", Action="Eval")
        number = local.engine.processes.find(process).number
        local.engine.computer.drop(number)
        local.engine.computer.give_up(local.engine.processes.find(process), "no worker stays up")
        with pytest.raises(AoError, match="no worker stays up"):
            await local.node.idle()
        await local.node.workbench.undo(process, endless.slot)
        await local.post(other, "for _ = 1, 1e6 do end", Action="Eval")
        await local.node.idle()
        assert await local.value(process, "return N") == "0"


@in_loop
async def test_a_process_gets_another_name(opening) -> None:
    async with opening() as local:
        process = await counted(local, 1)
        other = await local.spawn(COUNTER, name="other")
        assert (await local.node.rename(process, "sum")).name == "sum"
        assert (await local.node.rename(process, "sum")).name == "sum"
        with pytest.raises(NameTakenError, match="other is on this node already"):
            await local.node.rename(process, "other")
        with pytest.raises(UsageError, match="called nothing"):
            await local.node.rename(process, "")
        with pytest.raises(NotFoundError):
            await local.node.find("counter")
    async with opening() as local:
        assert (await local.node.find("sum")).id == process
        assert (await local.node.find("other")).id == other
        assert await n_at(local, process, 1) == "1"


@in_loop
async def test_messages_by_the_beginning_of_their_ids(opening) -> None:
    async with opening() as local:
        process = await counted(local, 3)
        find = local.node.workbench.find_messages
        sent = [message.id for message in await local.messages(process)]
        for slot, id in enumerate(sent):
            for begin in (id, id[:9]):
                assert [(one.id, one.slot) for one in await find(begin)] == [(id, slot)]
        assert [*await find(sent[1][:5]), *await find("%" * 6), *await find(f"{sent[1]}x")] == []
