"""Cron messages of the past are those that the network's compute unit makes.

`UNITS` is what the unit's own code answered (tests/serve/cu_cron.mjs, permaweb/ao of 2026-07-06).
Where the environment variable AOSHELL_CU names a folder `servers/cu` of permaweb/ao whose packages
are installed, its code is run on random logs, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from npm_packages import installed
from served_node import ServedNode, served
from test_forks import home, settings
from test_forks_wasm import evaluated, module, ours, outcome, published, texts

from aoshell.forks.crons import Block, CronMessage, InexactCronError, make_crons, parse_crons
from aoshell.forks.messages import Assigned
from aoshell.forks.remote import ForeignMemory, Remote
from aoshell.forks.taking import take
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.wasm.messages import Delivered

ORIGIN, HEIGHT = 1_700_000_000_400, 1_500_000
UNIT_KEYS = ["Owner", "Target", "From", "Tags", "Timestamp", "Block-Height", "Cron", "Read-Only"]
Case = dict[str, Any]  # tags; log: height, time; blocks: height, seconds


def case(tags: list[tuple[str, str]], log: list[tuple[int, int]], blocks: Any = ()) -> Case:
    """A case whose times and heights are counted from those of slot 0; of blocks, seconds."""
    return {
        "tags": [{"name": name, "value": value} for name, value in tags],
        "log": [[HEIGHT + height, ORIGIN + time] for height, time in log],
        "blocks": [[HEIGHT + height, ORIGIN // 1000 + seconds] for height, seconds in blocks],
    }


# Each with what a unit makes of it: slot, milliseconds and height from those of slot 0, tags.
UNITS: list[tuple[Case, Any]] = [
    (
        case(
            [("Cron-Interval", "10-seconds"), ("Cron-Tag-Action", "Tick")],
            [(0, 0), (0, 25_000), (0, 25_100), (1, 40_700)],
            [(0, -10), (1, 30), (2, 200)],
        ),
        [
            (0, 10_000, 0, [("Action", "Tick")]),
            (0, 20_000, 0, [("Action", "Tick")]),
            (2, 30_100, 1, [("Action", "Tick")]),
            (2, 40_100, 1, [("Action", "Tick")]),
        ],
    ),
    (
        case(
            [
                *(("Cron-Tags", "x"), ("Cron-Interval", "1-minute"), ("Cron-Tag-A", "1")),
                *(("Cron-Interval", "2-blocks"), ("Cron-Tag-B", "2")),
                ("Cron-Interval", "30-Secs"),
            ],
            [(0, 0), (2, 61_000), (4, 121_500)],
            [(0, -10), (1, 10), (2, 10), (3, 61), (4, 90), (5, 121)],
        ),
        [
            (0, 9_600, 2, [("B", "2")]),
            (0, 30_000, 2, []),
            (0, 60_000, 2, []),
            (0, 60_000, 2, [("A", "1")]),
            (1, 89_600, 4, [("B", "2")]),
            (1, 90_000, 4, []),
            (1, 120_000, 4, []),
            (1, 120_000, 4, [("A", "1")]),
        ],
    ),
    (case([("Cron-Interval", "10-months")], [(0, 0), (0, 99_000)]), []),
    (case([("Cron-Interval", "500-milliseconds")], [(0, 0), (0, 99_000)]), "cannot be less than"),
    (case([("Cron-Tag-A", "1"), ("Cron-Interval", "9-s")], [(0, 0), (0, 9)]), "Unmatched Cron-Tag"),
]


def made(given: Case) -> Any:
    """What is made here of a case, as `UNITS` has it; text where it is refused."""
    log = [
        Assigned("", "p", "", slot, time, height, "", 0)
        for slot, (height, time) in enumerate(given["log"])
    ]
    until = log[-1].timestamp // 1000
    listed = [block for block in given["blocks"] if block[0] >= log[0].height]
    blocks = [
        Block(height, seconds * 1000)
        for height, seconds in takewhile(lambda block: block[1] <= until, listed)
    ]
    try:
        crons = parse_crons([Tag(tag["name"], tag["value"]) for tag in given["tags"]])
        found = make_crons(crons, log[0], log, blocks)
    except InexactCronError as error:
        return str(error)
    return [(slot, *told(one)) for slot, ones in found.items() for one in ones]


def told(one: CronMessage) -> tuple[int, int, list[tuple[str, str]]]:
    return one.timestamp - ORIGIN, one.height - HEIGHT, [(tag.name, tag.value) for tag in one.tags]


@pytest.mark.parametrize(("given", "due"), UNITS)
def test_they_are_those_that_a_unit_made(given: Case, due: Any) -> None:
    found = made(given)
    assert isinstance(found, str) if isinstance(due, str) else found == due


@pytest.fixture
def unit() -> str:
    """The folder of the unit's code."""
    folder = os.environ.get("AOSHELL_CU", "")
    if not folder:
        pytest.skip("AOSHELL_CU names no servers/cu of permaweb/ao: its code is not asked anew")
    return folder


def asked_of(unit: str, cases: list[Case]) -> list[Any]:
    """What the unit makes of cases, as `UNITS` has it."""
    script = Path(__file__).with_name("cu_cron.mjs")
    done = subprocess.run(
        ["node", str(script), unit],
        input=json.dumps(cases).encode(),
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [
        one["error"] if isinstance(one, dict) else _once(one) for one in json.loads(done.stdout)
    ]


def _once(made_there: list[Any]) -> list[Any]:
    """Messages without those that come twice, and without tags that the unit takes away
    (`evaluate.js`, which comes behind)."""
    found: dict[tuple[int, str], Any] = {}
    for slot, cron, text in made_there:
        said = json.loads(text)
        assert list(said) == UNIT_KEYS
        tags = [(tag["name"], tag["value"]) for tag in said["Tags"]]
        kept = [tag for tag in tags if tag[0] not in ("From", "Owner")]
        place = said["Timestamp"] - ORIGIN, said["Block-Height"] - HEIGHT
        found.setdefault((said["Timestamp"], cron), (slot, *place, kept))
    return list(found.values())


def chance(draw: random.Random) -> Case:
    """A random log."""
    intervals = ["10-seconds", "7-secs", "1-minute", "1-blocks", "2-block", "3-blocks", "30-S"]
    odd = ["0.002-hours", "90-s-x", "10-Blocks", "junk", "+4-blocks", "3x-blocks", "10", " 2 - s "]
    tags: list[tuple[str, str]] = []
    for _ in range(draw.choice([1, 1, 2, 3])):
        tags.append(("Cron-Interval", draw.choice(intervals if draw.random() < 0.8 else odd)))
        tags += [(f"Cron-Tag-{draw.choice(['Action', 'From', 'X'])}", "v")] * draw.randrange(3)
    time, log = draw.randrange(1000), [(0, 0)]
    for _ in range(draw.randrange(1, 8)):
        time += draw.choice([0, 1, 300, 999, 1000, 1001, 61_000, draw.randrange(400_000)])
        log.append((0, time))
    seconds, blocks = -draw.randrange(100), []
    while seconds < time // 1000 + 300:
        blocks.append((len(blocks) - 2, seconds))
        seconds += draw.choice([0, 1, 2, 60, 120, 130, -5])
    heights = [max([0, *(height for height, at in blocks if at * 1000 <= time)]) for _, time in log]
    return case(tags, [(heights[at] if at else 0, one[1]) for at, one in enumerate(log)], blocks)


def test_the_code_of_the_unit_makes_the_same(unit: str) -> None:
    draw = random.Random(18)
    cases = [given for given, _ in UNITS] + [chance(draw) for _ in range(300)]
    for given, theirs in zip(cases, asked_of(unit, cases), strict=True):
        here = made(given)
        if here == "one of its intervals is invalid":  # then it is refused, which is no difference
            continue
        assert isinstance(here, str) if isinstance(theirs, str) else here == theirs, given


def test_a_guest_is_handed_the_text_that_a_unit_hands_to_it() -> None:
    flat = ["", "o", "o", "p", "", "", 7, 9, 3, "chain", True, False, "Action", "Tick", ""]
    text = Delivered.of(flat).as_json("")
    assert text == (
        '{"Owner":"o","Target":"p","From":"o","Tags":[{"name":"Action","value":"Tick"}],'
        '"Timestamp":7,"Block-Height":9,"Cron":true,"Read-Only":false}'
    )


class UnitRemote(Remote):
    """A network whose compute unit makes cron messages."""

    memory: ForeignMemory | None = None

    async def is_own(self) -> bool:
        return False

    async def state(self, process: str) -> ForeignMemory | None:
        del process
        return self.memory


async def ticked(there: ServedNode, code: bytes) -> str:
    """A process with a cron of 10 seconds that has lived for a minute; its id."""
    module = await published(there, code)
    definition = there.definition(
        module, Cron_Interval="10-seconds", Cron_Tag_Action="Tick", Cron_Tag_Note="n"
    )
    assert (await there.post(definition)).status_code == 202
    counting = 'N = 0 Handlers.add("Tick", "Tick", function(m) N = N + 1 print(m.Timestamp) end)'
    for line in (counting, "return N", "return N"):
        await there.result(definition.id, await there.send(definition.id, line, Action="Eval"))
        await there.node.workbench.warp(25_000)
    return definition.id


def test_a_fork_computes_them_as_the_engine_of_the_unit_does(
    tmp_path: Path, wallet: Wallet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    loader, here = installed(tmp_path_factory), tmp_path / "here"

    async def test() -> None:
        async with served(tmp_path / "there", wallet) as there, home(here) as node:
            process = await ticked(there, module(loader).read_bytes())
            remote = UnitRemote.named(there.serving.facts.url, settings(here))
            try:
                taken = await take(node, settings(here), remote, process, "twin", told_to.append)
                entries = await node.results(process)
                ticks = sum(entry.result is not None and entry.result.tick > 0 for entry in entries)
                assert ticks >= 4, taken.notes
                assert any(f"{ticks} cron messages were made" in note for note in taken.notes)
                pairs = texts(node, process)
                theirs = await asyncio.to_thread(evaluated, loader, tmp_path, pairs)
                found = [entry.result for entry in entries]
                assert [ours(one) for one in found][1:] == [outcome(one) for one in theirs][1:]
                assert await node.verify_log(process) == []
                exported = await node.export(process)
                await node.delete(process)
                await node.restore(exported)
                await node.delete(process)
                # A memory that may hold some of them already is not gone on from by guess.
                remote.memory = ForeignMemory(1, bytes(65536), "the unit of the test", 5)
                taken = await take(node, settings(here), remote, process, "twin", told_to.append)
                assert any("may contain some of those" in note for note in taken.notes)
            finally:
                await remote.close()

    told_to: list[str] = []
    asyncio.run(asyncio.wait_for(test(), 300))


@in_loop
async def test_where_they_cannot_be_made_the_fork_says_why(folder: Path, wallet: Wallet) -> None:
    here = folder / "here"
    async with served(folder / "there", wallet) as there, home(here) as node:
        process = await there.spawn("return 1", Cron_Interval="10-seconds")
        remote = Remote.named(there.serving.facts.url, settings(here))
        told: list[str] = []
        try:
            taken = await take(node, settings(here), remote, process, "twin", told.append)
        finally:
            await remote.close()
        assert any("left out (compute units run WASM only)" in note for note in taken.notes)
        assert any(".tick sends one" in note for note in taken.notes)


def test_too_many_are_refused() -> None:
    given = case([("Cron-Interval", "1-second")], [(0, 0), (0, 900_000_000)])
    assert made(given) == "there are more than 200,000"
