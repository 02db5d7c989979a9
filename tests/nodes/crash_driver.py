"""A node that feeds itself a script of messages and is killed on the way.

For test_local_crashes.py.

Run as `python crash_driver.py JOB`, JOB a JSON file:

    home     folder of the node
    script   file of inputs, a JSON list of [process or "", name, base64 of the signed item]
    acks     file to which the number of each acknowledged input is appended
    heard    file to which each result is appended that the node has told of
    plan     [kind, n, …] of what is to be killed, see `Killer`
    live     most workers at a time
    often    whether checkpoints are made all the time

Ends with a report on stdout, unless it was killed. Exit code 3: something acknowledged was lost; 4:
a result that the node has told of.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from base64 import b64decode
from collections import Counter
from pathlib import Path
from typing import Any

from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.waiting import retries
from aoshell.nodes.local.workers import dryruns, images, live, pool, room
from aoshell.nodes.local.workers.live import Live
from aoshell.nodes.local.workers.pool import Computer
from aoshell.nodes.values import Event
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, tags_of

SCRIPT_MODULE = """
Sum, Count = 0, 0
function State() return table.concat({ Sum, Count, #Errors, #Inbox }, " ") end

local function step(msg)
  Sum, Count = Sum + tonumber(msg.N), Count + 1
  print(msg.Action .. " " .. msg.Path .. " " .. msg.N)
end

local function pass(msg, at, name, more)
  local left = tonumber(msg.Left)
  if left == 0 then return end
  local peer = Peers[(tonumber(msg.N) + left + at) % #Peers + 1]
  Send({ Target = peer, Action = name, N = tostring(tonumber(msg.N) + at),
    Left = tostring(left - 1), Path = msg.Path .. "." .. at })
end

Handlers.add("Setup", "Setup", function(msg) Peers = json.decode(msg.Data) end)
Handlers.add("Walk", "Walk", function(msg) step(msg) pass(msg, 1, "Walk") end)
Handlers.add("Fan", "Fan", function(msg) step(msg) for at = 1, 3 do pass(msg, at, "Fan") end end)
Handlers.add("Bad", "Bad", function(msg)
  step(msg)
  pass(msg, 1, "Walk")
  error("bad " .. msg.Path)
end)
Handlers.add("Child", "Child", function(msg)
  step(msg)
  Spawn(ao.env.Module.Id, { Name = "leaf " .. msg.Path, N = msg.N, Path = msg.Path,
    Authority = ao.authorities[1] })
end)
Handlers.add("Spawned", "Spawned", function(msg)
  Send({ Target = msg.Process, Action = "Walk", N = msg.N, Left = "0",
    Path = msg.Path .. ".child" })
end)
Handlers.add("Wait", "Wait", function(msg)
  step(msg)
  local peer = Peers[tonumber(msg.N) % #Peers + 1]
  local asked = Send({ Target = peer, Action = "Ask", N = msg.N, Path = msg.Path .. ".ask" })
  local answer = asked.receive()  -- before Sum is read: others add to it meanwhile
  Sum = Sum + tonumber(answer.Data)
  print("answered " .. msg.Path)
end)
Handlers.add("Ask", "Ask", function(msg)
  step(msg)
  msg.reply({ Action = "Answer", Data = tostring(10 * msg.N), Path = msg.Path .. ".answer" })
end)
"""


class Killer:
    """Kills at a moment that is counted, so that a seed finds it again.

    Plans: [commit, n, before|within|behind], [enqueue, n], [frame, n], [time, ms] end this process;
    [workers, [[n, fork|parked|group|zygote]…]] ends a part of the sandbox, at the n-th frame from a
    worker or at the next one where there is such a part, while everything else goes on.
    """

    def __init__(self, kind: str, *details: Any) -> None:
        self.killed = 0  # parts of the sandbox
        self._counts: Counter[str] = Counter()
        getattr(self, f"_on_{kind}")(*details)

    def _at(self, event: str, number: int) -> None:
        self._counts[event] += 1
        if self._counts[event] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_nothing(self) -> None:
        pass

    def _on_commit(self, number: int, moment: str) -> None:
        commit, write = Store.commit, Store._write

        def killing_commit(store: Store, batch: Any, *, sync: bool) -> None:
            if moment == "before":
                self._at("commit", number)
            commit(store, batch, sync=sync)
            if moment == "behind":
                self._at("commit", number)

        def killing_write(store: Store, batch: Any) -> None:
            write(store, batch)
            if moment == "within":
                self._at("commit", number)

        Store.commit, Store._write = killing_commit, killing_write  # type: ignore[method-assign]

    def _on_enqueue(self, number: int) -> None:
        enqueue = Computer.enqueue

        def killing(computer: Computer, *args: Any) -> None:
            self._at("enqueue", number)
            enqueue(computer, *args)

        Computer.enqueue = killing  # type: ignore[method-assign]

    def _on_frame(self, number: int) -> None:
        frame = Live._frame

        def killing(live: Live, said: Any) -> None:
            self._at("frame", number)
            frame(live, said)

        Live._frame = killing  # type: ignore[method-assign]

    def _on_time(self, milliseconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        # SIGALRM ends a process as SIGKILL does, without Python noticing.

    def _on_workers(self, kills: list[tuple[int, str]]) -> None:
        # A message under which its worker dies three times is given up. Here that may happen to any
        # message, the more so where the machine is slow: it is not what is tested.
        live.MAX_DEATHS = dryruns.MAX_DEATHS = pool.MAX_DEATHS = len(kills) + 1
        to_come = sorted(kills)
        frame = Live._frame

        def killing(live: Live, said: Any) -> None:
            self._counts["frame"] += 1
            due = (kill for kill in to_come if kill[0] <= self._counts["frame"])
            done = next((kill for kill in due if self._end(kill[1], live, live._worker)), None)
            if done:
                to_come.remove(done)
                self.killed += 1
            frame(live, said)

        Live._frame = killing  # type: ignore[method-assign]

    def _end(self, part: str, live: Live, worker: Any) -> bool:
        """End a part of the sandbox; whether it was there."""
        group = worker.group
        if part == "zygote":
            computer = live._pool.left.__self__  # type: ignore[attr-defined]
            victim = computer._supervisor._zygotes["lua"].pid
        elif part == "parked":
            victim = parent_in(group, worker.pid)
        else:
            victim = worker.pid
        if not group or not victim:
            return False  # it has not said who it is
        try:
            if part == "group":
                os.killpg(group, signal.SIGKILL)
            else:
                os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


def parent_in(group: int, pid: int) -> int:
    """The parent of a process if both are in that group, else 0: never somebody else's process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        parent = int(stat.rpartition(")")[2].split()[1])
        return parent if os.getpgid(parent) == group == os.getpgid(pid) else 0
    except (OSError, ProcessLookupError):
        return 0


class Heard:
    """Notes each result that the node shows, and checks that those of earlier runs are there.

    A result that is shown before it is written is lost if the node is killed in between.
    """

    def __init__(self, node: LocalNode, path: Path) -> None:
        store = node._engine.store
        for line in path.read_text().splitlines() if path.exists() else ():
            order, said = json.loads(line)
            found = store.result_of(order)
            if found is None or [store.at_seq(order).id, found.body.decode("latin-1")] != said:
                sys.exit(4)
        self._store = store
        self._file = path.open("a")
        node.listen(self)

    def put(self, event: Event | None) -> None:
        if event is None or event.kind != "result" or event.load is None:
            return
        entry = event.load()
        assert entry.message.assignment is not None and entry.result is not None
        order = entry.message.assignment.order
        computed = self._store.result_of(order)
        if computed is None:
            sys.exit(4)
        said = [entry.message.id, computed.body.decode("latin-1")]
        self._file.write(json.dumps([order, said]) + "\n")
        self._file.flush()


async def feed(node: LocalNode, job: dict[str, Any]) -> None:
    """Send what is not in the log yet, and wait for all that it causes."""
    store = node._engine.store
    acks = Path(job["acks"])
    acknowledged = {int(line) for line in acks.read_text().split()} if acks.exists() else set()
    inputs = [
        (number, target, name, DataItem.parse(b64decode(raw)))
        for number, (target, name, raw) in enumerate(json.loads(Path(job["script"]).read_text()))
    ]
    logged = {number for number, *_rest, item in inputs if store.by_id(item.id)}
    if acknowledged - logged or logged != set(range(len(logged))):
        sys.exit(3)
    with acks.open("a") as file:
        for number, target, name, item in inputs:
            if number not in logged:
                await (node.send(target, item) if target else node.spawn(item, name))
                file.write(f"{number}\n")
                file.flush()
                await asyncio.sleep(0)  # workers answer between inputs
    for _number, _target, _name, item in inputs:
        found = store.by_id(item.id)
        assert found is not None
        await node.result(node._engine.processes.get(found.process).id, found.slot)
        await node.settled(item.id)


async def report(node: LocalNode) -> dict[str, Any]:
    """What the node did, in a form that is the same for each order of arrival."""
    infos = await node.processes()
    names = {info.id: info.name for info in infos}
    found: dict[str, Any] = {"undelivered": len(await node.undelivered())}
    for info in infos:
        entries = await node.results(info.id, limit=100_000)
        slots = [entry.message.assignment.slot for entry in entries if entry.message.assignment]
        owner = info.owner
        state = Message("", owner, owner, "", tags_of([("Action", "Eval")]), b"State()")
        found[info.name] = {
            "gapless": slots == list(range(info.slots)),
            "entries": sorted(_said(entry, names) for entry in entries),
            "state": (await node.dryrun(info.id, state)).output,
            "verify": await node.verify_log(info.id),
        }
    return found


def _said(entry: Any, names: dict[str, str]) -> str:
    message, result = entry.message, entry.result
    parts = [
        names.get(message.from_, "user"),
        *(message.tag(n) for n in ("Action", "Path", "N", "Left")),
    ]
    parts += [
        message.tag("Name"),
        str(result.outcome),
        result.output,
        result.error,
        str(result.suspended),
    ]
    for sent in result.messages:
        tags = {tag.name: tag.value for tag in sent.tags}
        parts += [names.get(sent.target, sent.target), str(sent.spawn), sent.data.decode()]
        parts += [tags.get(name, "") for name in ("Action", "Path", "N", "Left", "Name")]
    return "|".join(parts)


def out_of_order(home: Path) -> int:
    """Messages that overtook another one of the same sender to the same receiver."""
    db = sqlite3.connect(f"file:{home / 'node.db'}?mode=ro", uri=True)
    last: dict[tuple[int, int], tuple[int, int, int]] = {}
    wrong = 0
    for receiver, sender, *place in db.execute(
        "SELECT l.process, c.process, c.slot, c.tick, l.idx "
        "FROM log l JOIN log c ON c.seq = l.cause ORDER BY l.seq"
    ):
        wrong += last.get((receiver, sender), (-1, 0, 0)) >= tuple(place)
        last[receiver, sender] = tuple(place)  # type: ignore[assignment]
    db.close()
    return wrong


async def run(job: dict[str, Any], killer: Killer) -> dict[str, Any]:
    node = await LocalNode.open(Path(job["home"]))
    Heard(node, Path(job["heard"]))
    await feed(node, job)
    found = await report(node)
    found["killed"] = killer.killed
    found["out of order"] = out_of_order(Path(job["home"]))
    await node.close()
    return found


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    room.MAX_LIVE = job["live"]
    retries.RETRY = 0.05
    if job["often"]:
        images.CHECKPOINT_EVERY = images.CHECKPOINT_SHARE = 0
    killer = Killer(*job["plan"])
    print(json.dumps(asyncio.run(run(job, killer))))


if __name__ == "__main__":
    main()
