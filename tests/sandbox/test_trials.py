"""Trial sequences on a state give what a node computes, and change nothing."""

from __future__ import annotations

from eventually import in_loop
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.replaying.rehearsal import Rehearsal, Rehearsed, output_of
from aoshell.nodes.values import Limits
from aoshell.testing.testbed.node import AsyncNode, AsyncProcess
from aoshell.testing.testbed.opening import open_node

# A handler that changes the state, and only then fails.
PROGRAM = """
N = N or 0
Handlers.add("Add", "Add", function(msg)
  N = N + 1
  if msg.By == "fail" then error("no") end
  print(N .. " " .. #Errors)
end)
"""
WAYS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12)


def message(process: Rehearsal, number: int, fails: bool, doubtful: bool) -> Rehearsed:
    tags = ("Action", "Add", "By", "fail" if fails else "one")
    return Rehearsed(f"m{number:042d}", process.owner, process.owner, tags, "", 0, doubtful)


async def opened(node: AsyncNode) -> tuple[AsyncProcess, Rehearsal]:
    process = await node.spawn(PROGRAM)
    assert isinstance(node.local, LocalNode)
    return process, await node.local.rehearse(process.id, Limits(seconds=10, memory=64 << 20))


@in_loop
async def test_a_sequence_comes_to_what_a_node_computes() -> None:
    async with open_node() as node:
        process, rehearsal = await opened(node)
        ways = [(False, False), (True, True), (False, False), (True, False), (True, False)]
        ways += [(False, True), (False, False), (True, True), (False, False)]
        tried = await rehearsal.perform(
            [message(rehearsal, at, *way) for at, way in enumerate(ways)], 10.0
        )
        sent = [await process.send("Add", By="fail" if fails else "one") for fails, _ in ways]
        assert [one.place for one in tried] == list(range(len(ways)))
        assert [one.outcome for one in tried] == [one.outcome for one in sent]
        ok = [output_of(one.result) for one in tried if one.outcome == "ok"]
        assert ok == [one.output for one in sent if one.ok]
        rehearsal.close()


def test_whatever_is_expected_to_fail_the_outcomes_are_the_same() -> None:
    @settings(max_examples=15)
    @given(WAYS)
    def tried(ways: list[tuple[bool, bool]]) -> None:
        in_loop(outcomes)(ways)

    async def outcomes(ways: list[tuple[bool, bool]]) -> None:
        async with open_node() as node:
            _, rehearsal = await opened(node)
            done = await rehearsal.perform(
                [message(rehearsal, at, *way) for at, way in enumerate(ways)], 10.0
            )
            rehearsal.close()
        said = [output_of(one.result) if one.outcome == "ok" else "" for one in done]
        count, errors, expected = 0, 0, []
        for fails, _ in ways:
            count, errors = count + (not fails), errors + fails
            expected.append("" if fails else f"{count} {errors}")
        assert said == expected

    tried()


@in_loop
async def test_nothing_is_left_of_a_sequence() -> None:
    async with open_node() as node:
        process, rehearsal = await opened(node)
        for _ in range(3):
            done = await rehearsal.perform([message(rehearsal, 1, False, False)], 10.0)
            assert output_of(done[0].result) == "1 0"
        assert await process.value("N") == 0
        assert len(await process.entries()) == 1
        rehearsal.close()


@in_loop
async def test_a_message_that_does_not_end_ends_the_sequence_and_no_more() -> None:
    async with open_node() as node:
        process = await node.spawn(
            'Handlers.add("A", "A", function() while true do end end)\n'
            'Handlers.add("B", "B", function() print("b") end)'
        )
        assert isinstance(node.local, LocalNode)
        rehearsal = await node.local.rehearse(process.id, Limits(seconds=10, memory=64 << 20))

        def sent(action: str, doubtful: bool) -> Rehearsed:
            owner = rehearsal.owner
            return Rehearsed("m" * 43, owner, owner, ("Action", action), "", 0, doubtful)

        for doubtful in (False, True):
            steps = [sent("B", doubtful), sent("A", doubtful), sent("B", doubtful)]
            done = await rehearsal.perform(steps, 0.2)
            assert (done[-1].place, done[-1].outcome) == (1, "time")
        again = await rehearsal.perform([sent("B", False)], 0.2)
        assert [one.outcome for one in again] == ["ok"]
        rehearsal.close()
