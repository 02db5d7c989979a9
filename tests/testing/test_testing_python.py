"""`aoshell.testing` as Python tests use it."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aoshell.errors import AoError, UsageError
from aoshell.nodes.values import Limits
from aoshell.testing import EvalFailed, Identity, Mail, Node, open_node
from aoshell.testing.code.sources import read_source
from aoshell.testing.testbed.clock import STOPS, cron_stops, parse_span

ECHO = """
Handlers.add("Echo", "Echo", function(msg)
  print("echo")
  msg.reply({ Action = "Echoed", Data = msg.Data, Colour = msg.Colour })
end)
Handlers.add("Fail", "Fail", function(msg)
  print("about to")
  error("no way")
end)
"""
NOBODY = "x" * 43


@pytest.fixture(scope="module")
def node():
    with open_node() as node:
        yield node


@pytest.mark.versions
def test_a_message_and_its_answer(node: Node) -> None:
    echo, alice = node.spawn(ECHO, name="echo"), Identity("alice")
    answer = echo.send("Echo", "hé", as_=alice, Colour=True, tags={"Odd name": 1})
    assert (answer.ok, answer.output, answer.error) == (True, "echo", "")
    assert answer.reply.target == alice.address and answer.reply.data == "hé"
    assert answer.reply["Colour"] == "true"
    assert answer.sent("Echoed", target=alice) == [answer.reply]
    assert not answer.sent("Echoed", target=node.owner)
    assert node.inbox(alice) == [answer.reply]
    assert echo.value("Name") == "echo"


def test_tags_by_the_names_that_they_came_with(node: Node) -> None:
    source = 'Handlers.add("A", "A", function(msg) print(tostring(msg.Tags.FQDN)) end)'
    assert node.spawn(source).send("A", FQDN="x").output == "nil"
    kept = node.spawn(source, tags="as-sent")
    assert kept.send("A", FQDN="x").output == "x"
    with pytest.raises(UsageError, match='tags = "other" is not known'):
        node.spawn(source, tags="other")


def test_a_failure_says_why_and_changes_nothing(node: Node) -> None:
    echo = node.spawn(ECHO)
    echo.eval("N = 1")
    answer = echo.send("Fail")
    assert (answer.ok, answer.outcome, answer.output) == (False, "error", "about to")
    assert answer.error == "inline.lua:8: no way"
    assert echo.errors() == ["inline.lua:8: no way"]
    assert echo.prints() == ["about to"]
    with pytest.raises(AssertionError, match=r"no reply: inline\.lua:8"):
        _ = answer.reply
    with pytest.raises(EvalFailed, match="nil value"):
        echo.eval("N = 2 x.y = 1")
    with pytest.raises(EvalFailed, match="nil value"):
        echo.value("x.y")
    assert echo.value("N") == 1


def test_a_dry_run_changes_nothing(node: Node) -> None:
    echo = node.spawn(ECHO + 'N = 0 Handlers.add("Up", "Up", function() N = N + 1 print(N) end)')
    assert echo.dryrun("Up").output == "1"
    assert echo.dryrun("Up").output == "1"
    assert echo.value("N") == 0
    assert echo.dryrun("Echo", "x", as_=Identity("bob")).reply.target == Identity("bob").address


@pytest.mark.parametrize(
    ("lua", "python"),
    [
        ("nil", None),
        ("1", 1),
        ("1.0", 1.0),
        ("-1/0", -math.inf),
        ("2^53", 2.0**53),
        ("math.mininteger", -(2**63)),
        ('"a\\"\\\\\\n\\0\\27[1mé"', 'a"\\\n\0\x1b[1mé'),
        ('"\\255"', "\udcff"),
        ("{}", []),
        ("{1, {2}}", [1, [2]]),
        ("{a = {b = true}}", {"a": {"b": True}}),
        ("{1, a = 2, [3] = 4}", {1: 1, 3: 4, "a": 2}),
        ("{[{}] = 1}", {"[]": 1}),
        ("(function() local t = {} t.t = t return t end)()", {"t": "<circular reference>"}),
        ("setmetatable({1}, {__tostring = error, __pairs = error, __index = error})", [1]),
    ],
)
def test_values_of_lua(node: Node, lua: str, python: object) -> None:
    process = node.process(_any(node))
    found = process.value(lua)
    assert found == python and type(found) is type(python)


def _any(node: Node) -> str:
    known = node.processes()
    return known[0].id if known else node.spawn().id


def test_a_value_that_is_not_a_number_and_one_that_is_deep(node: Node) -> None:
    process = node.process(_any(node))
    assert math.isnan(process.value("0/0"))
    deep = process.value("(function() local t = {} for i = 1, 300 do t = {t} end return t end)()")
    assert "nested too deep" in str(deep)


def test_what_nobody_handles_is_in_the_inbox(node: Node) -> None:
    process, alice = node.spawn(), Identity("alice")
    assert process.inbox() == []
    process.send("Hello", "there", as_=alice, tags={"X": "1"})
    (mail,) = process.inbox()
    assert (mail.sender, mail.action, mail.data, mail["X"]) == (
        alice.address,
        "Hello",
        "there",
        "1",
    )


def test_a_handling_that_waits(node: Node) -> None:
    process = node.spawn()
    answer = process.eval(f'print("asked") return Send({{Target = "{NOBODY}"}}).receive().Data')
    assert answer.suspended and answer.output == "asked"
    (lost,) = (item for item in node.undelivered() if item.process == process.id)
    assert lost.message.target == NOBODY
    echo = node.spawn(ECHO)
    line = f'print("asked") return Send({{Target = "{echo}", Action = "Echo", Data = "7"}})'
    answer = process.eval(f"{line}.receive().Data")
    assert (answer.suspended, answer.output) == (False, "asked\n7")
    assert [mail.action for mail in answer.messages] == ["Echo"]


def test_children_are_processes_too(node: Node) -> None:
    process = node.spawn()
    child = node.process(process.eval('return spawn("aos")').output)
    assert child.id in [found.id for found in node.processes()]
    assert child.value("Owner") == process.id
    with pytest.raises(AoError, match="no process"):
        node.process("A" * 43).send("Hello")


def test_identities_follow_from_names(node: Node) -> None:
    alice = Identity("alice")
    assert alice == Identity("alice") != Identity("bob")
    assert str(alice) == alice.address and len(alice.address) == 43
    assert len({alice, Identity("alice")}) == 1
    assert node.spawn(as_=alice).value("Owner") == alice.address


def test_a_wallet_signs_as_well(node: Node, wallet) -> None:
    me = Identity("me", wallet)
    assert me.address == wallet.address
    assert node.spawn(as_=me).eval("return Owner").output == wallet.address


def test_a_queue_is_stepped_through(node: Node) -> None:
    heard = 'Heard = {} Handlers.add("N", "N", function(m) table.insert(Heard, m.Data) end)'
    listener, process = node.spawn(heard), node.spawn()
    listener.pause()
    for number in range(3):
        process.eval(f'Send({{Target = "{listener}", Action = "N", Data = "{number}"}})')
    assert [mail.data for mail in listener.queued()] == ["0", "1", "2"]
    listener.step(1)
    assert listener.value("Heard") == ["1"]
    listener.resume()
    assert listener.value("Heard") == ["1", "0", "2"]
    with pytest.raises(UsageError, match="nothing waits"):
        listener.step()


def test_a_message_is_delivered_once_more(node: Node) -> None:
    code = 'Ids = {} Handlers.add("A", "A", function(m) table.insert(Ids, m.Id) m.reply({}) end)'
    process = node.spawn(code)
    alice = Identity("alice")
    sent = process.send("A", as_=alice)
    again = process.replay()
    assert (again.id, again.sender, again.reply.target) == (sent.id, str(alice), str(alice))
    assert process.value("Ids") == [sent.id, sent.id]
    with pytest.raises(UsageError, match="no message 3"):
        process.replay(3)


def test_time_stops_for_each_cron_message(node: Node) -> None:
    ticking = 'Times = {} Handlers.add("T", "T", function(m) table.insert(Times, os.time()) end)'
    process = node.spawn(ticking, Cron_Interval="10-minutes", Cron_Tag_Action="T")
    begin = node.clock.now()
    node.clock.advance("1h")
    node.clock.advance(1)
    times = process.value("Times")
    assert times == [begin + n * 600_000 for n in range(1, 7)]
    assert node.clock.now() - begin == 3_601_000
    assert process.tick() == 1 and len(process.value("Times")) == 7
    with pytest.raises(UsageError, match="smaller steps"):
        node.clock.advance("50y")
    with pytest.raises(UsageError, match="no cron"):
        node.spawn().tick()


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("1h", 3_600_000),
        ("1d 12h", 129_600_000),
        ("90 minutes", 5_400_000),
        ("1.5s", 1500),
        ("250ms", 250),
        ("5-minutes", 300_000),
        (2, 2000),
        (0.25, 250),
        (timedelta(days=1), 86_400_000),
    ],
)
def test_spans(span: object, expected: int) -> None:
    assert parse_span(span) == expected


@pytest.mark.parametrize("span", ["", "h", "1", "1 fortnight", "-1h", "1h2", -1, 1e300, math.nan])
def test_spans_that_are_none(span: object) -> None:
    with pytest.raises(UsageError):
        parse_span(span)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50)), max_size=3),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_stops_are_all_that_is_due(schedules: list[tuple[int, int]], now: int, length: int) -> None:
    end = now + length
    due = {
        moment
        for first, interval in schedules
        for moment in range(first, end + 1, interval)
        if now < moment <= end
    }
    assert list(cron_stops(schedules, now, end)) == sorted(due)


def test_stops_are_bounded() -> None:
    assert len(cron_stops([(1, 1)], 0, STOPS - 1)) == STOPS - 1
    with pytest.raises(UsageError):
        cron_stops([(1, 1), (2, 1)], 0, STOPS)


def test_a_stand_in_answers(node: Node) -> None:
    address = "m" * 43
    mock = node.mock(address, 'Handlers.add("P", "P", function(m) m.reply({Data = "42"}) end)')
    assert mock.id == address
    asked = node.spawn().eval(f'return Send({{Target = "{address}", Action = "P"}}).receive().Data')
    assert asked.output == "42"
    with pytest.raises(UsageError, match="already"):
        node.mock(address, "")


def test_code_that_does_not_load(node: Node, tmp_path: Path) -> None:
    with pytest.raises(AoError, match=r"inline\.lua:2: .*<eof>"):
        node.spawn("x = 1\ny =")
    with pytest.raises(AoError, match=r"inline\.lua:1: at once"):
        node.spawn('error("at once")')
    with pytest.raises(AoError, match="there is no file"):
        node.spawn("missing.lua")
    bad = tmp_path / "bad.lua"
    bad.write_text("x = 1\nx = = 2\n")
    with pytest.raises(AoError, match=r"bad\.lua:2"):
        node.spawn(bad)


def test_files_bring_what_they_require(node: Node, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "add.lua").write_text("return function(a, b) return a + b end")
    (tmp_path / "main.lua").write_text('local add = require("lib.add") Sum = add(1, 2)')
    assert node.spawn(tmp_path / "main.lua").value("Sum") == 3
    assert read_source("main.lua", tmp_path).files.keys() == {"main.lua", "lib/add.lua"}


@pytest.mark.versions
def test_wasm_is_spawned_from_its_file(node: Node) -> None:
    counter = Path(__file__).resolve().parents[2] / "examples" / "wasm" / "counter.wasm"
    process = node.spawn(counter)
    assert process.send("Anything").ok
    with pytest.raises(AoError):
        process.value("Owner")


def test_limits_hold() -> None:
    with open_node(limits=Limits(seconds=0.2)) as node:
        process = node.spawn('Handlers.add("L", "L", function() print("in") while true do end end)')
        answer = process.send("L")
        assert (answer.outcome, answer.output) == ("time", "in")
        assert answer.error
        assert process.errors() == [answer.error]


def test_a_node_on_a_folder_keeps_it_and_others_leave_nothing(tmp_path: Path) -> None:
    with open_node(tmp_path) as node:
        process = node.spawn("N = 1")
        process.eval("N = 2")
    with open_node(tmp_path) as node:
        assert node.process(process.id).value("N") == 2
        with open_node(tmp_path) as second:  # the same node
            second.process(process.id).eval("N = 3")
            second.clock.advance("1h")
            assert second.clock.now() == node.clock.now()
        assert node.process(process.id).value("N") == 3
    with open_node() as node:
        folder = Path(node.inner.local._engine.store.folder)
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(AoError, match="no folder"):
        open_node(tmp_path / "missing")


def test_a_test_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(ZeroDivisionError), open_node():
        assert list(tmp_path.iterdir())
        _ = 1 // 0
    assert list(tmp_path.iterdir()) == []


def test_verbs_to_await() -> None:
    async def run() -> None:
        async with open_node() as node:
            echo = await node.spawn(ECHO)
            assert (await echo.send("Echo", "x")).reply.data == "x"
            await node.clock.advance("1m")
            with pytest.raises(UsageError, match="async with"), open_node():
                pass

    asyncio.run(run())


def test_mail_reads_like_a_table() -> None:
    mail = Mail("a", "b", {"Action": "Pay", "Some-Tag": "1", "Variant": "ao.TN.1"}, "data")
    assert repr(mail) == "Mail(to b, Action='Pay', Some-Tag='1', data='data')"
    assert mail.fits("Pay", Some_Tag=1, data="data", target="b")
    assert not mail.fits("Pay", Some_Tag=2) and not mail.fits(Other="")
    assert mail.get("Other", "-") == "-"


def test_what_is_cancelled_does_not_hold_the_next_message() -> None:
    async def run() -> None:
        async with open_node(limits=Limits(seconds=10_000)) as node:
            process = await node.spawn()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(process.eval("while true do end"), 0.3)
            assert (await process.eval("return 20 + 2")).output == "22"

    asyncio.run(asyncio.wait_for(run(), 60))
