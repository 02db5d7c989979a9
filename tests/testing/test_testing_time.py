"""A test's time stands still, and the same test does the same in every run and at every load."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aoshell.nodes.values import Limits, LogEntry
from aoshell.protocol.message import Result
from aoshell.testing import Identity, Node, open_node
from aoshell.testing.command import main
from aoshell.testing.testbed.clock import BEGIN
from aoshell.testing.testbed.opening import Zygotes

HOUR = 3_600_000
# Passes what comes on to its Sink, after it has computed for a while.
SLOW = """
Handlers.add("Go", "Go", function(msg)
  for _ = 1, tonumber(msg.Work) do end
  Send({ Target = msg.Sink, Action = "Done", At = tostring(os.time()) })
end)
"""
TICKING = """
Times = {}
Handlers.add("T", "T", function(msg)
  Times[#Times + 1] = os.time()
  if #Times == 2 then
    Spawn("aos", { Tags = { ["Cron-Interval"] = "7-minutes", ["Cron-Tag-Action"] = "Inner" } })
  end
end)
"""


@pytest.fixture(scope="module")
def zygotes() -> Iterator[Zygotes]:
    started = Zygotes()
    started.start()
    yield started
    started.shut_down()


def bare(result: Result | None) -> Result | None:
    """A result without what is measured."""
    return result and replace(result, milliseconds=0, memory=0)


def played(node: Node, pause: Callable[[], None]) -> list[tuple[object, object]]:
    """A test with all that has a time in it; the logs of all processes."""
    sink = node.spawn(name="sink")
    workers = [node.spawn(SLOW, name=name) for name in ("first", "second")]
    pause()
    ticking = node.spawn(TICKING, Cron_Interval="10-minutes", Cron_Tag_Action="T")
    lines = [
        f'Send({{Target = "{worker}", Action = "Go", Sink = "{sink}", Work = "{work}"}})'
        for worker, work in zip(workers, (8_000_000, 1), strict=True)
    ]
    sink.eval(" ".join(lines))
    pause()
    node.clock.advance("1h")
    pause()
    ticking.send("Odd", as_=Identity("alice"))
    ticking.eval("return {os.time(), math.random(), ao.id}")
    pause()
    ticking.tick()
    entries: list[LogEntry] = [entry for process in node.processes() for entry in process.entries()]
    return [(entry.message, bare(entry.result)) for entry in entries]


def test_the_same_logs_at_every_load(zygotes: Zygotes) -> None:
    with open_node(supervisor=zygotes) as node:
        quick = played(node, lambda: None)
    with open_node(supervisor=zygotes) as node:
        slow = played(node, lambda: time.sleep(0.1))
    assert len(quick) > 20
    assert repr(quick) == repr(slow)


def test_messages_arrive_in_the_order_in_which_they_were_caused(zygotes: Zygotes) -> None:
    with open_node(supervisor=zygotes) as node:
        played(node, lambda: None)
        sink = next(process for process in node.processes() if process.value("Name") == "sink")
        senders = [mail.sender for mail in sink.inbox()]
        names = [node.process(sender).value("Name") for sender in senders]
        assert names == ["first", "second"]


def test_time_stands_while_the_test_sleeps(zygotes: Zygotes) -> None:
    with open_node(supervisor=zygotes) as node:
        process = node.spawn("", Cron_Interval="1-second")
        assert node.clock.now() == BEGIN
        time.sleep(1.2)
        assert process.eval("return os.time()").output == str(BEGIN)
        assert len(process.entries()) == 2  # no cron message
        node.clock.advance("1m")
        assert node.clock.now() == BEGIN + 60_000
        assert len(process.entries()) == 62


def test_a_dry_run_has_the_time_of_the_clock(zygotes: Zygotes) -> None:
    with open_node(supervisor=zygotes) as node:
        process = node.spawn()
        node.clock.advance("2d")
        assert process.value("os.time()") == BEGIN + 48 * HOUR
        assert process.dryrun("Eval", "return os.time()").output == str(BEGIN + 48 * HOUR)


def test_cron_of_a_process_that_comes_on_the_way_is_not_left_out(zygotes: Zygotes) -> None:
    with open_node(supervisor=zygotes) as node:
        node.spawn(TICKING, Cron_Interval="10-minutes", Cron_Tag_Action="T")
        node.clock.advance("1h")  # the child is made 20 minutes on
        _, child = node.processes()
        placed = [entry.message.assignment for entry in child.entries()]
        times = [place.timestamp for place in placed if place and place.tick]
        assert times == [BEGIN + (20 + 7 * n) * 60_000 for n in range(1, 6)]


def test_mail_comes_in_the_order_in_which_it_was_sent(zygotes: Zygotes) -> None:
    with open_node(supervisor=zygotes) as node:
        alice, first, second = Identity("alice"), node.spawn(), node.spawn()
        node.knows(alice)
        for number, process in enumerate((second, first, second), 1):
            process.eval(f'Send({{Target = "{alice}", N = "{number}"}})')
        assert [mail["N"] for mail in node.inbox(alice)] == ["1", "2", "3"]


def test_a_folder_that_is_kept_goes_on_where_its_time_was(tmp_path: Path, zygotes: Zygotes) -> None:
    with open_node(tmp_path, supervisor=zygotes) as node:
        process = node.spawn()
        node.clock.advance("1h")
        process.eval("return 1")
        id = process.id
    time.sleep(0.01)
    with open_node(tmp_path, supervisor=zygotes) as node:
        assert node.clock.now() == BEGIN + HOUR
        process = node.process(id)
        process.eval("return 1")  # has an id of its own
        assert len({entry.message.id for entry in process.entries()}) == 3


def test_a_process_that_is_stopped_does_not_hold_the_others(
    tmp_path: Path, zygotes: Zygotes
) -> None:
    source = "Handlers.add('L', 'L', function() while true do end end)"
    with open_node(tmp_path, Limits(seconds=0.2), supervisor=zygotes) as node:
        stuck, other = node.spawn(source), node.spawn()
        assert stuck.send("L").outcome == "time"
        assert other.eval("return 1 + 1").output == "2"
        assert stuck.eval("return 2").output == "2"


def test_time_in_lua_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "time_test.lua").write_text(
        f"""
        local loaded = os.time()
        test("time", function(t)
          local p = t:spawn()
          t:equal({{ loaded, os.time(), t:now() }}, {{ {BEGIN}, {BEGIN}, {BEGIN} }})
          for _ = 1, 3000000 do end
          t:equal(p:eval("return os.time()"), "{BEGIN}")
          t:advance("1h")
          t:equal({{ os.time(), t:now() }}, {{ {BEGIN + HOUR}, {BEGIN + HOUR} }})
          t:equal(p:get("os.time()"), {BEGIN + HOUR})
          print(p.id, p:send({{ Action = "x" }}).id)
        end)
        """
    )
    ids: list[Any] = []
    for _ in range(2):
        assert main(["--json"]) == 0
        ids.append(json.loads(capsys.readouterr().out.splitlines()[0])["prints"])
    assert ids[0] == ids[1]


def test_a_fork_has_the_same_id_in_each_run(zygotes: Zygotes) -> None:
    runs = []
    for _ in range(2):
        with open_node(supervisor=zygotes) as node:
            process = node.spawn("x = 1")
            forks = [process.fork(name="one"), process.fork(name="two"), process.fork(0, "first")]
            runs.append([process.id, *(fork.id for fork in forks)])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 4
